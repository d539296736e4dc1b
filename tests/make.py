"""Samples for tests: one call for one valid row, and a hypothesis strategy for any row."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from medvidbench_hf.sample import (
    DOMAINS,
    SPLITS,
    TASKS,
    VARIANTS,
    Box,
    Boxes,
    Canvas,
    Label,
    NamedScore,
    Region,
    Sample,
    Scores,
    Segment,
    Segments,
    Span,
    Spans,
    Text,
    TimedBox,
    Truth,
)
from medvidbench_hf.tasks.cvs_assessment import CRITERIA
from medvidbench_hf.tasks.skill_assessment import ASPECTS

TRUTHS: dict[str, Truth] = {
    "tal": Spans((Span(2.0, 6.0),)),
    "stg": Boxes((TimedBox(2.0, Box(10.0, 20.0, 110.0, 80.0)), TimedBox(4.0, Box(15.0, 25.0, 115.0, 85.0)))),
    "next_action": Label("tying"),
    "dense_captioning": Segments((Segment(0.0, 4.0, "cutting: A."), Segment(4.0, 10.0, "tying: B."))),
    "video_summary": Text("A hand ties a knot."),
    "region_caption": Text("The needle driver rests."),
    "skill_assessment": Scores(tuple(NamedScore(name, 3) for name in ASPECTS)),
    "cvs_assessment": Scores(tuple(NamedScore(name, 1) for name in CRITERIA)),
}


def sample(task: str = "tal", **fields: Any) -> Sample:
    """A valid row of a 20 s clip at 0.5 fps on a 640x480 canvas."""
    values: dict[str, Any] = {
        "index": 0,
        "split": "test",
        "id": "v1&&0&&20&&0.5",
        "task": task,
        "source": "Made",
        "domain": "open",
        "video_id": "v1",
        "question": "When does cutting happen?",
        "region": Region(2.0, Box(1.0, 2.0, 30.0, 40.0)) if task == "region_caption" else None,
        "request_times_s": (2.0, 4.0) if task == "stg" else (),
        "fps": 0.5,
        "frame_times_s": tuple(2.0 * k for k in range(10)),
        "time_rule": "k / fps",
        "canvas": Canvas(640, 480),
        "clip_start_s": 0.0,
        "clip_end_s": 20.0,
        "licence": "Apache-2.0",
        "answer": "the answer",
        "truth": TRUTHS.get(task),
        "answer_extra": "{}",
    }
    return Sample(**{**values, **fields})


# --- strategies ------------------------------------------------------------------------------------------------

tenths = st.integers(0, 30_000).map(lambda n: n / 10)
pixels = st.integers(-5_000, 500_000).map(lambda n: n / 100)
boxes = st.builds(Box, pixels, pixels, pixels, pixels)
spans = st.tuples(tenths, tenths).map(lambda pair: Span(min(pair), max(pair)))
prose = st.text(st.characters(codec="utf-8", categories=("L", "Zs", "Po")), max_size=40)
words = st.text(st.characters(codec="ascii", categories=("Ll",)), min_size=1, max_size=12)
json_objects = st.dictionaries(words, st.integers() | prose, max_size=3).map(json.dumps)


def truths(task: str) -> st.SearchStrategy[Truth]:
    """Truths as sources make them: times in tenths, boxes in hundredths of a pixel, no two alike."""
    captions = st.lists(words, min_size=1, max_size=8).map(lambda ws: " ".join(ws).capitalize() + ".")
    match task:
        case "tal":
            return st.lists(spans, min_size=1, max_size=6, unique=True).map(lambda s: Spans(tuple(s)))
        case "stg":
            timed = st.lists(tenths, min_size=1, max_size=6, unique=True)
            return timed.flatmap(
                lambda times: st.tuples(*(boxes for _ in times)).map(
                    lambda bs: Boxes(tuple(TimedBox(t, b) for t, b in zip(times, bs, strict=True)))
                )
            )
        case "next_action":
            return captions.map(Label)
        case "dense_captioning":
            events = st.builds(lambda s, c: Segment(s.start_s, s.end_s, c), spans, captions)
            return st.lists(events, min_size=1, max_size=6, unique=True).map(lambda s: Segments(tuple(s)))
        case "skill_assessment":
            return st.lists(st.integers(1, 5), min_size=6, max_size=6).map(
                lambda v: Scores(tuple(map(NamedScore, ASPECTS, v)))
            )
        case "cvs_assessment":
            return st.lists(st.integers(0, 2), min_size=3, max_size=3).map(
                lambda v: Scores(tuple(map(NamedScore, CRITERIA, v)))
            )
        case _:
            return captions.map(Text)


@st.composite
def samples(draw: st.DrawFn, tasks: tuple[str, ...] = tuple(TASKS)) -> Sample:
    """Any row that a source could make."""
    task = draw(st.sampled_from(tasks))
    fps = draw(st.sampled_from([0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 3.0]))
    times = sorted(draw(st.lists(tenths, min_size=1, max_size=12)))
    start = draw(tenths)
    truth = draw(truths(task)) if draw(st.booleans()) else None
    options = draw(st.lists(prose, max_size=4))
    if isinstance(truth, Label) and options:
        options.append(truth.label)  # a closed list holds the true label
    return sample(
        task,
        index=draw(st.integers(0, 2**40)),
        split=draw(st.sampled_from(SPLITS)),
        id=draw(prose),
        variant=draw(st.sampled_from(VARIANTS)),
        source=draw(words),
        domain=draw(st.sampled_from(DOMAINS)),
        video_id=draw(words),
        question=draw(words),
        options=tuple(options),
        region=draw(st.none() | st.builds(Region, tenths, boxes)) if task == "region_caption" else None,
        request_times_s=tuple(draw(st.lists(tenths, max_size=4))) if task == "stg" else (),
        fps=fps,
        frame_times_s=tuple(times),
        canvas=Canvas(draw(st.integers(1, 4000)), draw(st.integers(1, 4000))),
        clip_start_s=start,
        clip_end_s=start + draw(tenths),
        video=draw(st.none() | words.map(lambda w: f"clips/{w}.mp4")),
        extra=draw(json_objects),
        answer=draw(prose) if truth else None,
        truth=truth,
        answer_extra=draw(json_objects) if truth else None,
    )
