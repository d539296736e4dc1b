"""Two reports side by side: what is a difference, what is noise, and what may not be compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvidbench_hf.evaluation.compare import HEAD, compare, comparison_rows
from medvidbench_hf.evaluation.score import COLUMNS, draws, score_predictions
from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import InputError, NamedScore, Scores
from tests.make import sample

TAG = "TAG_mIoU@0.3"
TRUE_EVENTS = "0.0-4.0 seconds: cutting: A.\n4.0-10.0 seconds: tying: B."  # of tests.make.TRUTHS


def report(*videos: Sequence[float | None], **fields: Any) -> dict[str, Any]:
    """A strict report of tal rows, a sequence of row values for each video; None where a row has no value."""
    rows: list[dict[str, Any]] = []
    for k, values in enumerate(videos):
        for value in values:
            where = {"index": len(rows), "task": "tal", "source": "Made", "video_id": f"v{k}"}
            rows.append({**where, "parts": {} if value is None else {"miou@0.3": value}})
    known = [row["parts"]["miou@0.3"] for row in rows if row["parts"]]
    return {
        "protocol": "strict",
        "model": "made",
        "data": "org/made",
        "split": "test",
        "metrics": {**dict.fromkeys(COLUMNS), TAG: float(np.mean(known))},
        "n": {TAG: {"rows": len(rows), "answered": len(rows), "skipped": len(rows) - len(known)}},
        "per_sample": rows,
        **fields,
    }


def scored(answers: dict[int, str], task: str = "tal", protocol: str = "strict", **fields: Any) -> dict[str, Any]:
    """A report as `score_run` makes it, of a row a video."""
    samples = [sample(task, index=i, video_id=f"v{i:02}", **fields) for i in answers]
    made = score_predictions(samples, {i: Prediction(i, text) for i, text in answers.items()}, protocol)
    return {**made, "data": "org/made", "split": "test", "model": "made"}


# --- what is told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["strict", "leaderboard"])
def test_a_report_against_itself_is_the_same(protocol: str) -> None:
    a = scored({i: "2.0-6.0 seconds." if i % 3 else "3.0-9.0 seconds." for i in range(12)}, protocol=protocol)
    result = compare(a, a)
    assert list(result["columns"]) == [TAG, "TAG_mIoU@0.5"]
    for c in result["columns"].values():
        assert (c["difference"], c["interval"], c["noise"], c["better"], c["same_sign"]) == (
            0,
            [0, 0],
            True,
            "same",
            1,
        )
        assert c["a"] == c["b"] > 0
        assert (c["n_rows"], c["n_videos"], c["dropped"]) == (12, 12, 0)
        assert c["verdict"] == "the same, whichever videos are drawn"
    assert result["warnings"] == []
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.parametrize("protocol", ["strict", "leaderboard"])
def test_a_clearly_better_model_is_not_noise(protocol: str) -> None:
    a = scored({i: "2.0-6.0 seconds." if i < 6 else "" for i in range(12)}, protocol=protocol)
    b = scored(dict.fromkeys(range(12), "2.0-6.0 seconds."), protocol=protocol)
    c = compare(a, b)["columns"][TAG]
    gained = draws(12) @ np.array([0] * 6 + [1] * 6) / 12  # b gains exactly the six videos that a does not answer
    low, high = np.quantile(gained, [0.025, 0.975])
    assert (c["a"], c["b"], c["difference"], c["better"]) == (0.5, 1.0, 0.5, "b")
    assert c["interval"] == pytest.approx([low, high])
    assert low > 0
    assert c["same_sign"] == 1.0
    assert c["verdict"] == f"b is better by 0.500 [{low:.3f}, {high:.3f}]"
    assert compare(b, a)["columns"][TAG]["verdict"] == f"a is better by 0.500 [{low:.3f}, {high:.3f}]"


def test_the_same_videos_are_drawn_for_both() -> None:
    """b wins one row of three in every video, hard or easy: nothing is left to chance."""
    a = report(*([1, 1, 0] if k % 2 else [0, 0, 0] for k in range(10)))
    b = report(*([1, 1, 1] if k % 2 else [0, 0, 1] for k in range(10)))
    c = compare(a, b)["columns"][TAG]
    assert c["interval"] == pytest.approx([1 / 3, 1 / 3])
    assert c["better"] == "b"


def test_rows_of_one_video_are_not_told_apart_from_one_row() -> None:
    """A hundred questions on each of ten videos are no more certain than one: videos are drawn, not rows."""
    values = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    one = compare(*(report(*([v] for v in values[k])) for k in (0, 1)))["columns"][TAG]
    many = compare(*(report(*([v] * 100 for v in values[k])) for k in (0, 1)))["columns"][TAG]
    assert many["interval"] == pytest.approx(one["interval"])
    assert (many["n_rows"], many["n_videos"]) == (1000, 10)


def test_few_videos_are_warned_of_and_one_video_has_no_interval() -> None:
    few = compare(report(*[[0.0]] * 4), report(*[[1.0]] * 4))
    assert few["columns"][TAG]["verdict"].endswith("; 4 videos only, the interval means little")
    assert few["warnings"] == ["fewer than 10 videos, intervals mean little: TAG_mIoU@0.3"]
    one = compare(report([0.0, 0.5]), report([1.0, 1.0]))["columns"][TAG]
    assert (one["interval"], one["noise"], one["same_sign"], one["better"]) == (None, None, None, None)
    assert one["verdict"] == "cannot be told: one video, b - a is +0.750"


def test_draws_that_give_no_number_are_dropped_and_counted() -> None:
    a, b = report([0.2], [None], [None]), report([0.4], [0.6], [0.8])
    result = compare(a, b)
    c = result["columns"][TAG]
    without = int((draws(3)[:, 0] == 0).sum())  # draws in which a has no row that counts
    assert 200 < c["dropped"] == without < 400
    assert all(np.isfinite(c["interval"]))
    assert f"{TAG}: {without} draws gave no number and are left out of the interval" in result["warnings"]
    assert f"{TAG}: a is over 1 rows, b over 3; rows that do not count cost nothing" in result["warnings"]


def test_the_boards_pooling_is_kept_in_every_draw() -> None:
    """CVS_acc on the board is a mean over sources, whatever their size; `strict` is over rows."""
    truth = Scores(tuple(NamedScore(name, 2) for name in ("Two structures", "Cystic plate", "Hepatocystic triangle")))
    right = "Two structures: 2, Cystic plate: 2, Hepatocystic triangle: 2"
    wrong = right.replace("2", "0")

    def made(protocol: str, good: Sequence[int]) -> dict[str, Any]:
        samples = [
            sample("cvs_assessment", index=i, video_id=f"v{i}", source="Large" if i < 9 else "Small", truth=truth)
            for i in range(12)
        ]
        texts = {i: Prediction(i, right if i in good else wrong) for i in range(12)}
        return score_predictions(samples, texts, protocol)

    differences = {}
    for protocol in ("strict", "leaderboard"):
        result = compare(made(protocol, []), made(protocol, [9, 10, 11]))
        differences[protocol] = result["columns"]["CVS_acc"]["difference"]
        assert [result["by_source"][s]["CVS_acc"]["difference"] for s in ("Large", "Small")] == [0, 1]
        assert result["by_source"]["Small"]["CVS_acc"]["n_videos"] == 3
    assert differences == {"strict": pytest.approx(0.25), "leaderboard": pytest.approx(0.5)}


def test_rows_that_the_board_leaves_out_of_a_mean_still_weigh_in_it() -> None:
    """DVC_F1 weighs a source by all its rows: (4 * 1.0 + 4 * 1 / 6) / 8, though one row of the four is read."""
    good, poor = TRUE_EVENTS, "0.0-2.0 seconds: x\n10.0-20.0 seconds: y"
    samples = [
        sample("dense_captioning", index=i, video_id=f"v{i}", source="AVOS" if i < 4 else "NurViD") for i in range(8)
    ]
    answers = {i: good if i == 0 else "not read" if i < 4 else poor for i in range(8)}
    a = score_predictions(samples, {i: Prediction(i, text) for i, text in answers.items()}, "leaderboard")
    b = score_predictions(samples, {i: Prediction(i, good) for i in range(8)}, "leaderboard")
    result = compare(a, b)
    c = result["columns"]["DVC_F1"]
    assert (c["a"], c["b"]) == (a["metrics"]["DVC_F1"], b["metrics"]["DVC_F1"])
    assert (c["a"], c["n_videos"]) == (pytest.approx(7 / 12), 8)
    assert "DVC_F1: a is over 5 rows, b over 8; rows that do not count cost nothing" in result["warnings"]


def test_a_column_that_one_does_not_have_is_told_and_not_compared() -> None:
    a, b = report(*[[0.5]] * 12), report(*[[0.5]] * 12)
    lost = compare(a, {**b, "protocol": "strict", "lost": {TAG: [3, 4]}})
    assert lost["columns"] == {}
    assert lost["not_compared"][TAG] == "b loses the task on the board, row 3"
    assert compare(a, b)["not_compared"] == {"TAG_mIoU@0.5": "no value in a and b"}
    other = {"index": 99, "task": "stg", "source": "Made", "video_id": "v0", "parts": {"miou": 1.0}}
    more = {**b, "per_sample": [*b["per_sample"], other], "metrics": {**b["metrics"], "STG_mIoU": 1.0}}
    assert compare(a, more)["not_compared"]["STG_mIoU"] == "no value in a"


def test_the_rows_of_the_table_fit_its_head() -> None:
    b = report(*[[0.25]] * 12)
    result = compare(report(*[[0.5]] * 12), b)
    expected = (TAG, "0.500", "0.250", "-0.250", "[-0.250, -0.250]", "100%", "12", "12", "a")
    assert comparison_rows(result) == comparison_rows(result, "Made") == [expected]
    assert len(expected) == len(HEAD)
    assert result["columns"][TAG]["verdict"] == "a is better by 0.250 [0.250, 0.250]"


# --- what is refused -------------------------------------------------------------------------------------------


def test_what_is_not_the_same_is_refused_by_name() -> None:
    a = report([1.0], [0.0], [0.5])
    with pytest.raises(InputError, match="protocols differ: a is strict, b is leaderboard"):
        compare(a, {**a, "protocol": "leaderboard"})
    with pytest.raises(InputError, match="data differ: a was scored on org/made, b on org/other"):
        compare(a, {**a, "data": "org/other"})
    with pytest.raises(InputError, match="splits differ: a is test, b is validation"):
        compare(a, {**a, "split": "validation"})
    with pytest.raises(InputError, match="rows of tal differ: a has 3, b has 2, 2 in both; row 2 is only in a"):
        compare(a, report([1.0], [0.0]))
    with pytest.raises(InputError, match="rows of tal differ: a has 2, b has 3, 2 in both; row 2 is only in b"):
        compare(report([1.0], [0.0]), a)
    with pytest.raises(
        InputError, match="1 of 3 rows of tal are not the same: row 1 is of Made v1 in a, of Made v0 in b"
    ):
        compare(a, report([1.0, 0.0], [], [0.5]))
    with pytest.raises(InputError, match="no task is in both: a has tal, b has stg"):
        compare(a, {**a, "per_sample": [{**row, "task": "stg"} for row in a["per_sample"]]})


def test_a_report_without_its_rows_or_of_both_protocols_is_refused() -> None:
    a = report([1.0])
    with pytest.raises(InputError, match=r"b has no field per_sample: score it again with --per-sample"):
        compare(a, {k: v for k, v in a.items() if k != "per_sample"})
    with pytest.raises(InputError, match="a is not one report"):
        compare({"strict": a, "leaderboard": a}, a)


def test_two_files_that_hold_their_own_truth_are_compared_by_their_rows(tmp_path: Any) -> None:
    files = [tmp_path / name for name in ("a.json", "b.json")]
    for file in files:
        file.write_text("{}")
    a, b = (report(*[[0.5]] * 12, data=str(file)) for file in files)
    warnings = compare(a, b)["warnings"]
    assert warnings == ["each was scored against the truth of its own file; that the truths agree was not checked"]
    with pytest.raises(
        InputError, match="data differ: a was scored on the truth in the answer file itself, b on org/x"
    ):
        compare(a, {**b, "data": "org/x"})


# --- laws ------------------------------------------------------------------------------------------------------

unit = st.integers(0, 8).map(lambda n: n / 8)
pairs = st.lists(st.lists(st.tuples(unit, unit), min_size=1, max_size=3), min_size=2, max_size=12)


@given(pairs)
def test_what_b_wins_over_a_is_what_a_loses_to_b(videos: list[list[tuple[float, float]]]) -> None:
    a, b = (report(*([pair[k] for pair in video] for video in videos)) for k in (0, 1))
    there, back = (compare(x, y, resamples=60)["columns"][TAG] for x, y in ((a, b), (b, a)))
    assert (there["a"], there["b"]) == (back["b"], back["a"])
    assert there["difference"] == -back["difference"]
    assert there["interval"] == pytest.approx([-back["interval"][1], -back["interval"][0]], abs=1e-12)
    assert there["same_sign"] == back["same_sign"]
    assert there["better"] == {"a": "b", "b": "a", "noise": "noise", "same": "same"}[back["better"]]


@given(pairs, st.randoms())
def test_the_order_of_the_rows_changes_nothing(videos: list[list[tuple[float, float]]], random: Any) -> None:
    a, b = (report(*([pair[k] for pair in video] for video in videos)) for k in (0, 1))
    rows = list(b["per_sample"])
    random.shuffle(rows)
    one, other = (compare(a, {**b, "per_sample": r}, resamples=60)["columns"][TAG] for r in (b["per_sample"], rows))
    assert other["interval"] == pytest.approx(one["interval"], abs=1e-12)
    assert other["difference"] == pytest.approx(one["difference"], abs=1e-12)
