"""Parsing and scoring: golden cases as data, laws as properties, and slow twins."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvidbench_hf import tasks
from medvidbench_hf.sample import Box, Boxes, Label, NamedScore, Sample, Scores, Segments, Span, Spans, TimedBox, Truth
from medvidbench_hf.tasks import TASKS, dense_captioning, form, next_action, stg, tal
from medvidbench_hf.tasks.answer import MAX_CHARS, Parsed
from medvidbench_hf.tasks.matching import best_sum, most_pairs, tiou
from tests.make import sample, samples, spans, truths

CASES = Path(__file__).parent / "cases"


def plain(truth: Truth | None) -> Any:
    """A truth as JSON."""
    if truth is None:
        return None
    return json.loads(json.dumps(getattr(truth, dataclasses.fields(truth)[0].name)))


def load_cases(kind: str) -> list[Any]:
    found = []
    for path in sorted(CASES.glob(f"{kind}_*.json")):
        task = path.stem.removeprefix(f"{kind}_")
        found += [pytest.param(task, case, id=f"{task}: {case['why']}") for case in json.loads(path.read_text())]
    return found


@pytest.mark.parametrize(("task", "case"), load_cases("parse"))
def test_an_answer_is_read_as_a_human_reads_it(task: str, case: dict[str, Any]) -> None:
    parsed = TASKS[task].parse(case["text"])
    assert plain(parsed.value) == case["value"]
    if "issues" in case:
        assert bool(parsed.issues) == case["issues"]


@pytest.mark.parametrize(("task", "case"), load_cases("score"))
def test_a_score_is_the_one_worked_out_by_hand(task: str, case: dict[str, Any]) -> None:
    row = sample(task).to_row()
    field = next(name for name, value in row["truth"].items() if value is not None)
    row["truth"][field] = case["truth"]
    s = Sample.from_row({**row, "fps": case.get("fps", row["fps"])})
    scored = tasks.score(s, tasks.parse(s, case["answer"]))
    assert scored.value == pytest.approx(case["score"], abs=1e-9)
    for name, value in case.get("parts", {}).items():
        assert scored.parts[name] == pytest.approx(value, abs=1e-9), name
    if "pairs" in case:
        assert [[p.candidate, p.reference] for p in scored.pairs] == case["pairs"]


# --- laws ------------------------------------------------------------------------------------------------------


@given(samples())
def test_what_is_rendered_reads_back_and_scores_full_marks(s: Sample) -> None:
    if s.truth is not None and s.task != "stg":
        assert tasks.gold_problem(s) is None


@given(truths("stg"))
def test_rendered_boxes_read_back_and_score_full_marks_unless_they_have_no_area_on_the_canvas(truth: Truth) -> None:
    s = sample("stg", truth=truth, fps=100.0)
    assert tasks.parse(s, tasks.render(s)).value == truth
    assert isinstance(truth, Boxes)
    if all(b.x1 < b.x2 and b.y1 < b.y2 and b.x1 < 640 and b.y1 < 480 and b.x2 > 0 and b.y2 > 0 for _, b in truth.boxes):
        assert tasks.gold_problem(s) is None


fragments = st.sampled_from(
    [
        *("1.0-3.0 seconds", "4", ":", "-", "–", " to ", "[", "]", "{", "}", '"start"', ",", "\n", "nan", "1e999"),
        *("<think>", "</think>", "Answer:", "Two structures: 2", "Respect for tissue: 3/5", "```json\n", "0:10", "٣"),
        *("²", "\x00", "**"),
    ]
)


@pytest.mark.parametrize("task", TASKS)
@given(text=st.text() | st.lists(fragments | st.text(max_size=5), max_size=30).map("".join))
def test_no_text_raises_and_every_score_is_in_0_to_1(task: str, text: str) -> None:
    s = sample(task)
    parsed = tasks.parse(s, text)
    scored = tasks.score(s, parsed)
    assert scored.value is None or 0.0 <= scored.value <= 1.0
    assert all(math.isfinite(value) for value in scored.parts.values())
    if parsed.value is None:
        assert scored.value == 0.0


LONG = {
    "digits": "7" * MAX_CHARS,
    "ones and dots": "1." * (MAX_CHARS // 2),
    "ones and dashes": "1-" * (MAX_CHARS // 2),
    "clocks": "1:11:" * (MAX_CHARS // 5),
    "spaces": "1" + " " * MAX_CHARS,
    "open brackets": "[" * MAX_CHARS,
    "open braces": '{"a":' * (MAX_CHARS // 5),
    "markers": "Answer:" * (MAX_CHARS // 7),
    "starts": "start " * (MAX_CHARS // 6),
    "start times": "start: 1 " * (MAX_CHARS // 9),
    "ranges": "1-2 " * (MAX_CHARS // 4),
    "ranges with units": "1-2 seconds: a\n" * (MAX_CHARS // 15),
    "bullets": "- " * (MAX_CHARS // 2),
    "names": "Respect for tissue " * (MAX_CHARS // 19),
    "criteria": "two structures " * (MAX_CHARS // 15),
    "boxes": "1 seconds: [1, 2, 3, 4] " * (MAX_CHARS // 24),
    "half boxes": "1 seconds: [1, 2, " * (MAX_CHARS // 18),
    "stars": "*" * MAX_CHARS,
    "next actions": "the next action is " * (MAX_CHARS // 19),
    "a megabyte": "1.5-2.5 seconds, " * 60_000,
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", LONG)
def test_a_reply_made_to_stall_a_reader_is_read(task: str, name: str) -> None:
    """A quadratic reader takes minutes here; how the time grows is measured in tests/bench/parse_growth.py."""
    tasks.score(sample(task), TASKS[task].parse(LONG[name]))


def test_a_reply_longer_than_the_cap_is_cut_and_says_so() -> None:
    parsed = tal.parse("1.0-2.0 seconds. " + " " * MAX_CHARS + "5.0-9.0 seconds.")
    assert parsed.value == Spans((Span(1.0, 2.0),))
    assert any("cut" in issue for issue in parsed.issues)


# --- tal and dense captioning ----------------------------------------------------------------------------------

intervals = st.lists(spans.map(tuple), max_size=4)


def brute_best_sum(iou: np.ndarray, at_least: float) -> float:
    n, m = iou.shape
    if n > m:
        return brute_best_sum(iou.T, at_least)
    options = itertools.permutations(range(m), n)
    return max((sum(iou[i, j] for i, j in enumerate(o) if iou[i, j] >= at_least) for o in options), default=0.0)


def brute_most_pairs(iou: np.ndarray, at_least: float) -> int:
    n, m = iou.shape
    if n > m:
        return brute_most_pairs(iou.T, at_least)
    options = itertools.permutations(range(m), n)
    return max((sum(iou[i, j] >= at_least for i, j in enumerate(o)) for o in options), default=0)


@given(intervals, intervals, st.sampled_from([0.1, 0.3, 0.5, 0.7]))
def test_matching_equals_trying_every_assignment(a: list[Any], b: list[Any], threshold: float) -> None:
    iou = tiou(a, b)
    assert best_sum(iou) == pytest.approx(brute_best_sum(iou, 0.0))
    assert best_sum(iou, threshold) == pytest.approx(brute_best_sum(iou, threshold))
    pairs = most_pairs(iou, threshold)
    assert len(pairs) == brute_most_pairs(iou, threshold)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


@given(truths("tal"), truths("tal"), st.randoms())
def test_tal_does_not_depend_on_the_order_of_spans_and_falls_with_the_threshold(a: Any, b: Any, random: Any) -> None:
    shuffled = list(a.spans)
    random.shuffle(shuffled)
    first, second = tal.score(Parsed(a), b, 1.0), tal.score(Parsed(Spans(tuple(shuffled))), b, 1.0)
    assert first.value == pytest.approx(second.value)
    assert first.parts["miou"] >= first.parts["miou@0.3"] >= first.parts["miou@0.5"]
    assert first.parts["f1@0.3"] >= first.parts["f1@0.5"] >= first.parts["f1@0.7"]


@given(truths("tal"), spans)
def test_an_extra_span_never_helps_a_perfect_tal_answer(truth: Any, extra: Span) -> None:
    more = Spans((*truth.spans, extra))
    assert tal.score(Parsed(more), truth, 1.0).value < 1.0


def test_a_zero_length_truth_is_as_wide_as_one_frame_interval() -> None:
    truth = Spans((Span(12.4, 12.4),))
    assert tal.score(Parsed(truth), truth, 2.0).value == 1.0
    assert tal.score(Parsed(Spans((Span(11.4, 13.4),))), truth, 2.0).value == pytest.approx(1.0)
    assert tal.score(Parsed(Spans((Span(13.4, 15.4),))), truth, 2.0).value == 0.0


@given(truths("dense_captioning"), truths("dense_captioning"))
def test_dense_captioning_pairs_captions_one_to_one_and_ignores_their_words(a: Any, b: Any) -> None:
    scored = dense_captioning.score(Parsed(a), b, 1.0)
    assert len(scored.pairs) <= min(len(a.segments), len(b.segments))
    assert all(pair.tiou >= 0.3 for pair in scored.pairs)
    other = Segments(tuple(s._replace(caption="other") for s in a.segments))
    assert dense_captioning.score(Parsed(other), b, 1.0).value == scored.value


# --- stg -------------------------------------------------------------------------------------------------------


def test_a_box_counts_within_half_a_frame_interval_and_not_beyond() -> None:
    truth = Boxes((TimedBox(4.0, Box(0.0, 0.0, 10.0, 10.0)),))
    for time_s, expected in ((4.0, 1.0), (5.0, 1.0), (3.0, 1.0), (5.1, 0.0), (2.9, 0.0)):
        said = Boxes((TimedBox(time_s, Box(0.0, 0.0, 10.0, 10.0)),))
        assert stg.score(Parsed(said), truth, 2.0, sample().canvas).value == expected


@given(truths("stg"), truths("stg"))
def test_swapped_corners_and_parts_outside_the_canvas_change_no_score(a: Any, b: Any) -> None:
    canvas = sample().canvas
    swapped = Boxes(tuple(TimedBox(t, Box(x.x2, x.y2, x.x1, x.y1)) for t, x in a.boxes))
    assert stg.score(Parsed(swapped), b, 2.0, canvas) == stg.score(Parsed(a), b, 2.0, canvas)


# --- labels and forms ------------------------------------------------------------------------------------------


@given(st.text(max_size=20), st.sampled_from(["  ", "-", "_", " / "]))
def test_a_label_is_the_same_in_another_case_and_with_other_separators(word: str, separator: str) -> None:
    truth = Label(f"clip{separator}cut")
    assert next_action.score(Parsed(Label("Clip Cut.")), truth).value == 1.0
    if word.strip():
        assert next_action.score(Parsed(Label(f"clip cut x{word}")), truth).value == 0.0


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The next step is likely to be dissection.", "dissection"),
        ("dissection, as packaging comes later", "dissection, as packaging comes later"),
        ("I think: clipping and cutting", "clipping-and-cutting"),
        ("DISSECTION", "DISSECTION"),
        ("dissection or packaging", "dissection or packaging"),
        ("something else", "something else"),
    ],
)
def test_a_sentence_that_names_one_label_of_the_list_is_read_as_that_one(text: str, label: str) -> None:
    options = ("dissection", "packaging", "cutting", "clipping-and-cutting")
    parsed = next_action.parse(text, options)
    assert parsed.value == Label(label)
    assert (not parsed.issues) == (text == "DISSECTION")


def test_per_class_accuracy_is_the_mean_within_each_true_label() -> None:
    rows = [(Label("a"), 1.0), (Label("a"), 0.0), (Label("b"), 1.0)]
    assert next_action.per_class(rows) == {"a": 0.5, "b": 1.0}


@given(st.lists(truths("cvs_assessment"), min_size=1, max_size=20))
def test_no_constant_form_scores_above_the_majority_answer(many: list[Any]) -> None:
    best = form.majority_score(many)
    names = [name for name, _ in many[0].scores]
    for values in itertools.product(range(3), repeat=3):
        constant = Parsed(Scores(tuple(map(NamedScore, names, values))))
        mean = sum(TASKS["cvs_assessment"].score(constant, t).value for t in many) / len(many)
        assert best is not None
        assert mean <= best + 1e-9


@settings(max_examples=30)
@given(st.sampled_from(["video_summary", "region_caption"]), st.text(max_size=30))
def test_a_caption_is_left_to_the_judge_and_an_empty_one_is_the_minimum(task: str, text: str) -> None:
    s = sample(task)
    scored = tasks.score(s, Parsed(None) if not text.strip() else tasks.parse(s, text))
    assert (scored.value == 0.0 and not scored.pairs) or (scored.value is None and len(scored.pairs) == 1)
