"""region_caption: what does the object in a box do?

Question  "... What is the object in the box at 60.0 seconds doing during the interval from 60.0 to 89.0 seconds?"
          with Sample.region = Region(60.0, Box(...)), drawn on the frame at that time
Answer    "Held by the right hand, the pen marks the skin along the planned incision."
Truth     Text("Held by the right hand, the pen marks the skin along the planned incision.")
Score     None: a judge compares the pair in `Score.pairs` (1 to 5, counted as (s - 1) / 4); an empty answer is 0

The question wordings are in region_caption.txt.
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
