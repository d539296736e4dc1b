"""Reading and pairing one whole-clip caption, shared by video_summary and region_caption."""

from __future__ import annotations

from medvidbench_hf.sample import Text
from medvidbench_hf.tasks.answer import CaptionPair, Parsed, Score, final_answer, fold, unique


def parse_caption(text: str) -> Parsed[Text]:
    """The text itself, without reasoning, answer tags, code fences and outer space."""
    text, issues = final_answer(text)
    text = text.strip()
    if not fold(text):
        return Parsed(None, unique([*issues, "empty answer"]))
    return Parsed(Text(text), unique(issues))


def score_caption(parsed: Parsed[Text], truth: Text) -> Score:
    """The pair for the judge and no value; an empty answer needs no judge and is the minimum, 0."""
    if not truth.text.strip():
        return Score(None)
    if parsed.value is None:
        return Score(0.0)
    return Score(None, pairs=(CaptionPair(parsed.value.text, truth.text),))
