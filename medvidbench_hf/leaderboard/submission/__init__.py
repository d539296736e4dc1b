"""Submissions: read any answer file, check it as the board would take it, write the one that it takes.

files       any answer file -> AnswerFile, raw JSON values kept
check       AnswerFile and the rows of a split -> Report: what the board makes of its form, and how to mend it
write       answers -> the submission and its manifest
"""

from medvidbench_hf.leaderboard.submission.checker import check
from medvidbench_hf.leaderboard.submission.files import AnswerFile, answers_by_row, read_answer_file
from medvidbench_hf.leaderboard.submission.write import write_submission

__all__ = ["AnswerFile", "answers_by_row", "check", "read_answer_file", "write_submission"]
