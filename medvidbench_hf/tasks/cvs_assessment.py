"""cvs_assessment: is the critical view of safety reached? Three criteria, each 0 (no), 1 (partly) or 2 (fully).

Question  "... Using Strasberg's guidelines for the Critical View of Safety, assign a score (0,1,2) to each of the
          following: (1) ... two structures ..., (2) ... cystic plate, and (3) ... hepatocystic triangle."
Answer    "Two structures: 2, Cystic plate: 1, Hepatocystic triangle: 0"
Truth     Scores((NamedScore("Two structures", 2), ...))   in the order of CRITERIA
Score     share of the three criteria that are exactly right; unread or out of range is wrong

Mean absolute error, and what a constant majority answer would score, stand beside it. The question wordings are in
cvs_assessment.txt; the answer format is the release's.
"""

from __future__ import annotations

from medvidbench_hf.sample import Scores
from medvidbench_hf.tasks.answer import Parsed, Score
from medvidbench_hf.tasks.form import parse_form, score_form

CRITERIA = ("Two structures", "Cystic plate", "Hepatocystic triangle")
LOWEST, HIGHEST = 0, 2


def render(truth: Scores) -> str:
    return ", ".join(f"{name}: {value}" for name, value in truth.scores)


def parse(text: str) -> Parsed[Scores]:
    return parse_form(text, CRITERIA, LOWEST, HIGHEST)


def score(parsed: Parsed[Scores], truth: Scores) -> Score:
    """Score in 0..1; parts hold each criterion, `accuracy` and `mae`."""
    return score_form(parsed, truth, LOWEST, HIGHEST)
