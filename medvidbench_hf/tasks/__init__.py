"""The eight tasks, one file each: render(truth) -> text, parse(text) -> Parsed, score(Parsed, truth) -> Score.

`score(sample, text)` is the one scorer: metrics, rewards, reports and the Space all call it. It is the `strict`
protocol: every row counts, what cannot be read is wrong, misses and extras cost.
"""

from __future__ import annotations

from types import ModuleType

from medvidbench_hf.sample import PublicSample, Sample
from medvidbench_hf.tasks import (
    cvs_assessment,
    dense_captioning,
    next_action,
    region_caption,
    skill_assessment,
    stg,
    tal,
    video_summary,
)
from medvidbench_hf.tasks.answer import CaptionPair, Parsed, Score

__all__ = ["TASKS", "CaptionPair", "Parsed", "Score", "gold_problem", "parse", "render", "score"]

TASKS: dict[str, ModuleType] = {
    "tal": tal,
    "stg": stg,
    "next_action": next_action,
    "dense_captioning": dense_captioning,
    "video_summary": video_summary,
    "region_caption": region_caption,
    "skill_assessment": skill_assessment,
    "cvs_assessment": cvs_assessment,
}


def render(sample: Sample) -> str:
    """The sample's truth as the release writes answers."""
    return TASKS[sample.task].render(sample.truth)


def parse(sample: PublicSample, text: str) -> Parsed:
    """An answer to the sample's question as its task reads it."""
    if sample.task == "next_action":
        return next_action.parse(text, sample.options)
    return TASKS[sample.task].parse(text)


def score(sample: Sample, parsed: Parsed) -> Score:
    """Score a parsed answer against the sample's truth; None where the sample has no truth."""
    task, truth = TASKS[sample.task], sample.truth
    if truth is None:
        return Score(None)
    if sample.task == "stg":
        return task.score(parsed, truth, sample.frame_interval_s, sample.canvas)
    if sample.task in ("tal", "dense_captioning"):
        return task.score(parsed, truth, sample.frame_interval_s)
    return task.score(parsed, truth)


def gold_problem(sample: Sample) -> str | None:
    """Why the sample's own truth does not come back from its rendering with full marks; None where it does.

    The rule every built row keeps: parse(render(truth)) is the truth and scores 1 (captions: the text unchanged).
    """
    if sample.truth is None:
        return "no truth"
    text = render(sample)
    parsed = parse(sample, text)
    if parsed.value != sample.truth:
        return f"its answer reads as something else: {text[:80]!r}"
    value = score(sample, parsed).value
    if value is None and sample.task in ("video_summary", "region_caption"):
        return None
    if value is None or abs(value - 1.0) > 1e-9:
        return f"its own answer scores {value}: {text[:80]!r}"
    return None
