"""video_summary: what is the clip about, in one or two sentences?

Question  "... Summarize the video content in a short paragraph, focusing on the main idea or purpose."
Answer    "Forceps retract the mucosal flap, then the knife dissects the exposed tissue."
Truth     Text("Forceps retract the mucosal flap, then the knife dissects the exposed tissue.")
Score     None: a judge compares the pair in `Score.pairs` (1 to 5, counted as (s - 1) / 4); an empty answer is 0

The question wordings are in video_summary.txt.
"""

from __future__ import annotations

from medvidbench_hf.sample import Text
from medvidbench_hf.tasks.answer import Parsed, Score
from medvidbench_hf.tasks.caption import parse_caption, score_caption


def render(truth: Text) -> str:
    return truth.text


def parse(text: str) -> Parsed[Text]:
    return parse_caption(text)


def score(parsed: Parsed[Text], truth: Text) -> Score:
    return score_caption(parsed, truth)
