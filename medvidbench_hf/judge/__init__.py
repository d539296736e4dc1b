"""Judges of medical captions: how close is a candidate to its reference, on five dimensions from 1 to 5?

judge = LLMJudge(Endpoint("gpt-4.1"), rubric("comparative"), cache=ReplyCache("judge.sqlite"))
print(judge.preview(pairs))         # what it will cost
verdicts = judge.judge(pairs)       # one Judgement a pair, None where it failed
LexiconJudge().judge(pairs)         # offline and free; a column of its own

pairs.py    Pair, Judgement, Verdicts; plain pairs as files
rubric.py   what a judge is asked and how its reply is read; the texts are in rubrics/
guard.py    what never reaches a judge, and how the rest is quoted
llm.py      LLMJudge: cache, identical pairs once, failures, cost
lexicon/    LexiconJudge
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medvidbench_hf.judge.llm import JudgeStopped, LLMJudge
from medvidbench_hf.judge.pairs import BOARD_CODES, DIMENSIONS, Judgement, Pair, Preview, Verdicts, read_pairs
from medvidbench_hf.judge.rubric import DOMAINS, Rubric, rubric

if TYPE_CHECKING:
    from medvidbench_hf.judge.lexicon import LexiconJudge

__all__ = [
    "BOARD_CODES",
    "DIMENSIONS",
    "DOMAINS",
    "JudgeStopped",
    "Judgement",
    "LLMJudge",
    "LexiconJudge",
    "Pair",
    "Preview",
    "Rubric",
    "Verdicts",
    "read_pairs",
    "rubric",
]


def __getattr__(name: str) -> Any:
    if name == "LexiconJudge":  # its vocabulary is read when it is used
        return import_module("medvidbench_hf.judge.lexicon").LexiconJudge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
