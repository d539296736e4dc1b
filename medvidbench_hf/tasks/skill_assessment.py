"""skill_assessment: how well is it done? Six aspects of a global rating scale, 1 (worst) to 5.

Question  "... Review the surgical procedure and score the following aspects (1,2,3,4,5 scale): Respect for tissue, ..."
Answer    "Respect for tissue: 2/5, Suture/needle handling: 1/5, Time and motion: 1/5, Flow of operation: 2/5,
          Overall performance: 1/5, Quality of final product: 3/5"
Truth     Scores((NamedScore("Respect for tissue", 2), ...))   in the order of ASPECTS
Score     share of the six aspects that are exactly right; unread or out of range is wrong

Mean absolute error, and what a constant majority answer would score, stand beside it. The question wordings are in
skill_assessment.txt; the answer format is the release's.
"""

from __future__ import annotations

from medvidbench_hf.sample import Scores
from medvidbench_hf.tasks.answer import Parsed, Score
from medvidbench_hf.tasks.form import parse_form, score_form

ASPECTS = (
    "Respect for tissue",
    "Suture/needle handling",
    "Time and motion",
    "Flow of operation",
    "Overall performance",
    "Quality of final product",
)
LOWEST, HIGHEST = 1, 5


def render(truth: Scores) -> str:
    return ", ".join(f"{name}: {value}/{HIGHEST}" for name, value in truth.scores)


def parse(text: str) -> Parsed[Scores]:
    return parse_form(text, ASPECTS, LOWEST, HIGHEST)


def score(parsed: Parsed[Scores], truth: Scores) -> Score:
    """Score in 0..1; parts hold each aspect, `accuracy` and `mae`."""
    return score_form(parsed, truth, LOWEST, HIGHEST)
