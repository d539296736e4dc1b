"""The judge's columns: which pairs are asked about, and what their scores make of rows, under either protocol."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medvidbench_hf.builder import build
from medvidbench_hf.evaluation import run, score_predictions, score_run
from medvidbench_hf.evaluation.judge_items import as_json, by_group, read_items, write_ratings
from medvidbench_hf.evaluation.judged import board_pairs, strict_pairs
from medvidbench_hf.evaluation.report import worst
from medvidbench_hf.judge import DIMENSIONS, Judgement, LexiconJudge, Pair, Verdicts
from medvidbench_hf.leaderboard.records import record_of
from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import InputError, Segment, Segments, Text
from tests.make import sample


class ByLength:
    """A judge that gives 5 to the reference itself, 3 to other texts, and fails on "fail"."""

    name = "by length"

    def __init__(self) -> None:
        self.asked: list[list[Pair]] = []

    def judge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        self.asked.append(list(pairs))
        made = tuple(
            None if p.candidate == "fail" else Judgement((5 if p.candidate == p.reference else 3,) * 5, "model")
            for p in pairs
        )
        failures = tuple((k, "no answer") for k, one in enumerate(made) if one is None)
        return Verdicts(self.name, "none v1", made, failures, calls=len(pairs), distinct=len(pairs))


def strict(task: str, text: str, **fields: Any) -> dict[str, Any]:
    """The strict report of one row, judged by ByLength."""
    rows, texts = [sample(task, **fields)], {0: text}
    pairs = strict_pairs(rows, texts)
    scores = {
        (p.reference, p.candidate): one and one.scores
        for p, one in zip(pairs, ByLength().judge(pairs).judgements, strict=True)
    }
    return score_predictions(rows, {0: Prediction(0, text)}, llm=scores)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A hand ties a knot.", 5.0),
        ("<think>a knot?</think>A hand ties a knot.", 5.0),  # reasoning is no part of the caption
        ("Something happens.", 3.0),
        ("", 1.0),
        ("...", 1.0),
        ("fail", None),
    ],
)
def test_a_summary_is_worth_what_the_judge_says_an_empty_one_is_the_minimum_and_a_failed_one_counts_nowhere(
    text: str, value: float | None
) -> None:
    report = strict("video_summary", text)
    assert report["metrics"]["VS_llm"] == value
    assert report["n"]["VS_llm"]["skipped"] == (value is None)
    assert report["per_sample"][0]["score"] == (None if value is None else (value - 1) / 4)


TWO = Segments((Segment(0.0, 4.0, "cutting: A."), Segment(6.0, 10.0, "tying: B.")))


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ("0.0-4.0 seconds: cutting: A.\n6.0-10.0 seconds: tying: B.", 5.0, "both found"),
        ("0.0-4.0 seconds: cutting: A.\n6.0-10.0 seconds: other", 4.0, "(5 + 3) / 2"),
        ("0.0-4.0 seconds: cutting: A.", 3.0, "a missed event is 1: (5 + 1) / 2"),
        ("0.0-4.0 seconds: cutting: A.\n6.0-10.0 seconds: tying: B.\n12.0-14.0 seconds: more", 11 / 3, "an extra is 1"),
        ("12.0-14.0 seconds: cutting: A.", 1.0, "a caption at another time is a miss and an extra"),
        ("0.0-1.0 seconds: cutting: A.", 3.0, "widened to a frame interval, -0.5..1.5 against 0..4, IoU 1.5 / 4.5"),
        ("nothing to read", 1.0, "no event: both missed"),
        ("0.0-4.0 seconds: fail\n6.0-10.0 seconds: tying: B.", None, "one failed judgement leaves the row out"),
    ],
)
def test_misses_and_extra_events_are_the_minimum_of_a_dense_caption(text: str, value: float | None, why: str) -> None:
    report = strict("dense_captioning", text, truth=TWO)
    assert report["metrics"]["DVC_llm"] == (value if value is None else pytest.approx(value)), why


def test_a_row_whose_reference_is_empty_has_no_value_and_nothing_is_asked() -> None:
    rows = [sample("video_summary", truth=Text(" "))]
    assert strict_pairs(rows, {0: "A hand."}) == []
    report = score_predictions(rows, {0: Prediction(0, "A hand.")}, llm={})
    assert report["metrics"]["VS_llm"] is None


def test_without_a_judge_the_columns_are_empty() -> None:
    rows = [sample("video_summary")]
    for protocol in ("strict", "leaderboard"):
        report = score_predictions(rows, {0: Prediction(0, "A hand.")}, protocol=protocol)
        assert (report["metrics"]["VS_llm"], report["judge"], report["lexicon"]) == (None, None, None)


def test_the_board_drops_what_strict_counts() -> None:
    rows = [sample("video_summary", index=k, answer="A hand ties a knot.") for k in range(2)]
    texts = {0: "A hand ties a knot.", 1: ""}
    pairs = board_pairs(record_of(row, texts[row.index]) for row in rows)
    assert [(p.reference, p.candidate, p.task) for p in pairs] == [("A hand ties a knot.",) * 2 + ("video_summary",)]
    given = {index: Prediction(index, text) for index, text in texts.items()}
    scores = {(pairs[0].reference, pairs[0].candidate): (5.0,) * 5}
    values = {p: score_predictions(rows, given, p, llm=scores)["metrics"]["VS_llm"] for p in ("leaderboard", "strict")}
    assert values == {"leaderboard": 5.0, "strict": 3.0}


def test_a_true_caption_that_is_no_text_is_asked_about_as_the_boards_prompt_would_show_it() -> None:
    record = record_of(sample("dense_captioning"), "0.0-4.0 seconds: cutting: A.")
    record = {**record, "struc_info": [[{"start": 0.0, "end": 4.0, "caption": None}]]}
    assert [pair.reference for pair in board_pairs([record])] == ["None"]


def test_a_record_that_loses_the_boards_task_asks_nothing_and_the_others_are_still_asked() -> None:
    good = record_of(sample("dense_captioning"), "0.0-4.0 seconds: cutting: A.")
    broken = {**good, "struc_info": [{"start": "four", "end": "five", "caption": "x"}]}
    assert board_pairs([broken, good]) == board_pairs([good]) != []


# --- a run -----------------------------------------------------------------------------------------------------


class Echo:
    """Answers captions with a fixed sentence."""

    name = "echo"

    def answers(self, samples: Any) -> Any:
        for row in samples:
            yield Prediction(row.index, "The grasper retracts the gallbladder.")


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("judged")
    build("simulated", place / "data", videos=24, media=False)
    return run(Echo(), place / "data", place / "run", tasks=["video_summary", "region_caption"])


def test_a_run_is_judged_once_for_both_protocols(answered: Path) -> None:
    judge = ByLength()
    report = score_run(answered, protocol="both", judge=judge)
    assert len(judge.asked) == 1
    assert len(set(judge.asked[0])) == len(judge.asked[0])
    for protocol in ("leaderboard", "strict"):
        assert report[protocol]["metrics"]["VS_llm"] == 3.0
        assert report[protocol]["judge"]["name"] == "by length"
        assert report[protocol]["ci"]["VS_llm"] == [3.0, 3.0]
        assert report[protocol]["lexicon"] is None


def test_the_lexicon_judge_has_columns_of_its_own_and_never_an_llms(answered: Path) -> None:
    report = score_run(answered, protocol="both", judge=LexiconJudge())
    for protocol in ("leaderboard", "strict"):
        assert all(value is None for column, value in report[protocol]["metrics"].items() if column.endswith("_llm"))
    assert report["leaderboard"]["lexicon"] is None
    found = report["strict"]["lexicon"]
    assert set(found["metrics"]) == {"DVC_lexicon", "VS_lexicon", "RC_lexicon"}
    assert 1.0 <= found["metrics"]["VS_lexicon"] < 5.0
    low, high = found["ci"]["VS_lexicon"]
    assert low <= found["metrics"]["VS_lexicon"] <= high
    assert found["metrics"]["DVC_lexicon"] is None
    assert report["strict"]["baseline"]["lexicon"]["VS_lexicon"] > 1.0
    json.dumps(report, allow_nan=False)


def test_the_board_has_no_lexicon_judge(answered: Path) -> None:
    with pytest.raises(InputError, match="the board has no lexicon judge"):
        score_run(answered, protocol="leaderboard", judge=LexiconJudge())


def test_the_worst_case_is_the_lowest_score_whatever_a_judge_says_of_its_captions() -> None:
    rows = [
        {"index": k, "task": "dense_captioning", "source": "s", "video_id": str(k), "score": score, "parts": parts}
        for k, (score, parts) in enumerate([(0.5, {"lexicon": 1.5}), (0.0, {"lexicon": 1.0}), (0.2, {"lexicon": 4.0})])
    ]
    assert [row["index"] for row in worst(rows, "dense_captioning")] == [1, 2, 0]
    captions = [row | {"task": "video_summary", "score": None} for row in rows]
    assert [row["index"] for row in worst(captions, "video_summary")] == [1, 0, 2]


def test_what_makes_no_pair_is_told(answered: Path, tmp_path: Path) -> None:
    lines = (answered / "predictions.jsonl").read_text().splitlines()
    silent = [json.loads(lines[0]) | {"prediction": ""}, *map(json.loads, lines[1:])]
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in silent))
    items, notes = read_items(file, answered.parent / "data")
    assert len(items) == len(lines) - 1
    assert "(empty captions: 1)" in notes[0]


def test_every_caption_of_a_run_is_an_item_and_so_is_every_pair_of_a_file(answered: Path, tmp_path: Path) -> None:
    items, notes = read_items(answered)
    assert notes == []
    assert {item.about["task"] for item in items} == {"video_summary", "region_caption"}
    assert len({item.item for item in items}) == len(items)
    place = tmp_path / "pairs.jsonl"
    place.write_text(json.dumps({"reference": "A.", "candidate": "B.", "item": "x"}) + "\n")
    assert [(i.item, i.pair.reference) for i in read_items(place)[0]] == [("x", "A.")]
    verdicts = ByLength().judge([item.pair for item in items])
    groups = by_group(items, verdicts)
    assert [g["n"] for g in groups][-1] == len(items) == sum(g["n"] for g in groups[:-1])
    assert groups[-1]["mean"] == 3.0
    assert set(groups[-1]["dimensions"]) == set(DIMENSIONS)
    assert as_json(items, verdicts)[0]["mean"] == 3.0
    write_ratings(tmp_path / "r.csv", items, verdicts)
    with (tmp_path / "r.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(items)
    assert {row["kind"] for row in rows} == {"judge"}
