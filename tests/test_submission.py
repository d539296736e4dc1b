"""check finds what is wrong with a submission, and nothing in a good one; submit writes what the board takes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, astuple, replace
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from medvidbench_hf import tasks
from medvidbench_hf.leaderboard import cvs_assessment, dense_captioning, skill_assessment, stg, tal
from medvidbench_hf.leaderboard.records import TaskLost, qa_type, record_of
from medvidbench_hf.leaderboard.submission.checker import check
from medvidbench_hf.leaderboard.submission.files import AnswerFile, read_answer_file
from medvidbench_hf.leaderboard.submission.findings import SEVERITIES, Finding, Report
from medvidbench_hf.leaderboard.submission.write import write_submission
from medvidbench_hf.sample import (
    TASKS,
    Box,
    Boxes,
    Canvas,
    InputError,
    Label,
    NamedScore,
    PublicSample,
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
from tests import make

CLIPS = 16
LABELS = ("cutting", "tying", "suturing")


def truth(task: str, k: int) -> Truth:
    """A truth for each task and clip, each different from the others."""
    match task:
        case "tal":
            return Spans((Span(0.5 * k, 0.5 * k + 3.0), Span(12.0, 14.5 + 0.1 * k)))
        case "stg":
            boxes = (
                Box(30.0 * k, 20.0 + k, 30.0 * k + 100.25, 90.0 + k),
                Box(30.0 * k, 300.0, 30.0 * k + 150.0, 478.5),
            )
            return Boxes((TimedBox(2.0, boxes[0]), TimedBox(4.0, boxes[0]), TimedBox(6.0, boxes[1])))
        case "next_action":
            return Label(LABELS[k % 3])
        case "dense_captioning":
            middle = 4.0 + 0.5 * k
            return Segments(
                (
                    Segment(0.0, 3.5, f"cutting: The hand opens layer {k}."),
                    Segment(3.5, middle, "tying: A knot is laid."),
                    Segment(middle, 19.5, "suturing: The wound is closed."),
                )
            )
        case "skill_assessment":
            return Scores(tuple(NamedScore(name, 1 + (k + n) % 5) for n, name in enumerate(ASPECTS)))
        case "cvs_assessment":
            return Scores(tuple(NamedScore(name, (k + n) % 3) for n, name in enumerate(CRITERIA)))
        case _:
            return Text(f"In {task.replace('_', ' ')} {k} a hand ties a knot.")


def split(clips: int = CLIPS) -> list[Sample]:
    """Eight questions on each clip, which share its id as in the release."""
    return [
        make.sample(
            task,
            index=len(TASKS) * k + n,
            id=f"v{k}&&0&&20&&0.5",
            video_id=f"v{k}",
            variant="gpt" if task == "dense_captioning" else "",
            options=LABELS if task == "next_action" else (),
            request_times_s=(2.0, 4.0, 6.0) if task == "stg" else (),
            truth=truth(task, k),
        )
        for k in range(clips)
        for n, task in enumerate(TASKS)
    ]


SAMPLES = split()
PUBLIC = [sample.public() for sample in SAMPLES]

Records = list[dict[str, Any]]


def records() -> Records:
    return [{"id": s.id, "qa_type": qa_type(s), "prediction": tasks.render(s)} for s in SAMPLES]


def row(task: str, k: int = 0) -> int:
    return [sample.index for sample in SAMPLES if sample.task == task][k]


def written(path: Path, content: Any) -> AnswerFile:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_answer_file(path)


def checked(path: Path, content: Any, samples: list[PublicSample] = PUBLIC) -> Report:
    return check(written(path, content), samples)


# --- check: what is good ---------------------------------------------------------------------------------------


def test_the_gold_answers_of_a_split_have_no_finding(tmp_path: Path) -> None:
    report = checked(tmp_path / "gold.json", records())
    assert report.findings == ()
    assert (report.ok, report.exit_code) == (True, 0)
    assert [astuple(count) for count in report.tasks] == [(task, CLIPS, CLIPS, CLIPS, 1.0) for task in TASKS]


def test_gold_answers_have_no_finding_as_predictions_or_results(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"index": k, "prediction": r["prediction"]}) + "\n" for k, r in enumerate(records()))
    assert checked(tmp_path / "predictions.jsonl", lines).findings == ()
    assert check(read_answer_file(tmp_path), PUBLIC).kind == "predictions"
    official = {
        str(k): {
            "metadata": {"video_id": s.video_id, "fps": "0.5"},
            "qa_type": qa_type(s),
            "question": s.question,
            "gnd": "",
            "struc_info": [],
            "answer": tasks.render(s),
        }
        for k, s in enumerate(SAMPLES)
    }
    assert checked(tmp_path / "results.json", official).findings == ()
    assert checked(tmp_path / "list.json", list(official.values())).findings == ()


def test_the_gold_answers_of_the_simulated_source_have_no_finding(tmp_path: Path) -> None:
    from medvidbench_hf.sources import simulated

    reading = simulated.read(seed=3, videos=40, media=False)
    found = [sample for record in reading.videos for sample in simulated.samples(record)]
    samples = [replace(sample, index=k) for k, sample in enumerate(found)]
    gold = [{"id": s.id, "qa_type": qa_type(s), "prediction": tasks.render(s)} for s in samples]
    assert len(gold) > 300
    assert checked(tmp_path / "gold.json", gold, [s.public() for s in samples]).findings == ()


def test_a_wrong_but_well_formed_answer_is_no_fault(tmp_path: Path) -> None:
    wrong = records()
    for task in TASKS:
        one, other = wrong[row(task, 1)], wrong[row(task, 5)]
        one["prediction"], other["prediction"] = other["prediction"], one["prediction"]
    assert checked(tmp_path / "wrong.json", wrong).findings == ()


# --- check: what is broken -------------------------------------------------------------------------------------


def answer(task: str, text: Any, k: int = 2) -> Callable[[Records], Any]:
    """Another answer to one row."""

    def change(good: Records) -> Records:
        good[row(task, k)]["prediction"] = text
        return good

    return change


def every(task: str, edit: Callable[[str], Any]) -> Callable[[Records], Any]:
    """Every answer of a task edited."""

    def change(good: Records) -> Records:
        for k in range(CLIPS):
            good[row(task, k)]["prediction"] = edit(good[row(task, k)]["prediction"])
        return good

    return change


def of_row(k: int, **fields: Any) -> Callable[[Records], Any]:
    """Fields of one record changed; None takes one out."""

    def change(good: Records) -> Records:
        good[k] = {name: value for name, value in {**good[k], **fields}.items() if value is not None}
        return good

    return change


def thousandths(text: str) -> str:
    return " ".join(
        f"{time_s} seconds: {[round(v * 1000 / (640, 480)[n % 2]) for n, v in enumerate(box)]}"
        for time_s, box in tasks.TASKS["stg"].parse(text).value.boxes
    )


def answers_moved(by: int) -> Callable[[Records], Records]:
    """Ids and qa_types stay, every answer is that of the row `by` further down."""
    return lambda g: [{**r, "prediction": g[(k + by) % len(g)]["prediction"]} for k, r in enumerate(g)]


def swapped(good: Records) -> Records:
    good[3], good[20] = good[20], good[3]
    return good


def by_id(good: Records) -> Records:
    """The last answer to an id serves all of its rows."""
    last = {record["id"]: record["prediction"] for record in good}
    return [{**record, "prediction": last[record["id"]]} for record in good]


def as_lines(good: Records, **of_first: Any) -> str:
    return "".join(
        json.dumps({"index": k, "prediction": r["prediction"], **(of_first if k == 0 else {})}) + "\n"
        for k, r in enumerate(good)
    )


def field_twice(good: Records) -> str:
    return json.dumps(good).replace('"prediction"', '"prediction": "", "prediction"', 1)


def key_twice(good: Records) -> str:
    return json.dumps({str(k): r for k, r in enumerate(good)})[:-1] + f', "5": {json.dumps(good[5])}}}'


STG = "2.0 seconds: [10, 20, 110, 90] 4.0 seconds: [10, 20, 110, 90] 6.0 seconds: [10, 20, 110, 90]"
DVC = "0.0-3.5 seconds: cutting: A.\n3.5-5.0 seconds: tying: B.\n5.0-19.5 seconds: suturing: C."
CVS = "Two structures: 2, Cystic plate: 1, Hepatocystic triangle: 0"
SKILL = tasks.render(SAMPLES[row("skill_assessment", 2)])

# name, what breaks a good submission, the finding's kind and severity, its rows (None: not compared)
BROKEN: list[tuple[str, Callable[[Records], Any], str, str, list[int] | None]] = [
    ("99 records", lambda g: g[:99], "too_few", "reject", []),
    ("one row is missing at the end", lambda g: g[:-1], "row_count", "reject", []),
    ("the last row", lambda g: g[:-1], "missing_rows", "reject", [127]),
    ("a row too many", lambda g: [*g, g[-1]], "beyond_split", "reject", [128]),
    ("one row is missing in the middle", lambda g: g[:40] + g[41:], "shifted", "misread", list(range(40, 128))),
    ("a shard is missing in the middle", lambda g: g[:20] + g[60:], "shifted", "misread", None),
    ("the first record stands last", lambda g: g[1:] + g[:1], "order", "misread", None),
    ("records sorted by id", lambda g: sorted(g, key=lambda r: r["id"]), "order", "misread", None),
    ("all one row early", lambda g: [*g[1:], g[-1]], "shifted", "misread", list(range(127))),
    ("all one row late", lambda g: [g[0], *g[:-1]], "shifted", "misread", list(range(1, 128))),
    ("one row twice in the middle", lambda g: g[:40] + g[39:], "shifted", "misread", list(range(40, 128))),
    ("answers one row down, ids in place", answers_moved(-1), "shifted_answers", "misread", []),
    ("answers two rows up, ids in place", answers_moved(2), "shifted_answers", "misread", []),
    ("answers of other tasks", answers_moved(1), "form_of_another_task", "misread", None),
    ("two records swapped", swapped, "order", "misread", [3, 20]),
    ("records sorted by task", lambda g: sorted(g, key=lambda r: r["qa_type"]), "order", "misread", None),
    ("records of two workers", lambda g: g[::2] + g[1::2], "order", "misread", None),
    ("one id of another row", of_row(9, id="v7&&0&&20&&0.5"), "id_of_another_row", "misread", [9]),
    ("one id composed", of_row(9, id="v1&&&&&&0.5"), "id_unknown", "note", [9]),
    ("all ids of other data", lambda g: [{**r, "id": "x"} for r in g], "other_split", "misread", None),
    ("one qa_type of another task", of_row(9, qa_type="tal"), "qa_type_of_another_task", "misread", [9]),
    ("a qa_type of another variant", of_row(3, qa_type="dense_captioning_gemini"), "qa_type_differs", "note", [3]),
    ("a first record without qa_type", of_row(0, qa_type=None), "first_record", "reject", [0]),
    ("a first record of no task", of_row(0, qa_type="question"), "first_record", "reject", [0]),
    ("a record without id", of_row(9, id=None), "field_missing", "note", [9]),
    ("a record without prediction", of_row(9, prediction=None), "field_missing", "reject", [9]),
    ("truth copied in", of_row(9, struc_info=[], gnd="x"), "ground_truth_inside", "note", [9]),
    ("another field", of_row(9, latency=3), "extra_fields", "note", [9]),
    ("a field twice", field_twice, "repeated_field", "misread", [0]),
    ("a byte order mark", lambda g: "\ufeff" + json.dumps(g), "byte_order_mark", "reject", []),
    ("NaN", lambda g: [*g[:-1], {**g[-1], "prediction": float("nan")}], "file", "note", []),
    ("answers kept by id", by_id, "keyed_by_id", "misread", list(range(128))),
    ("an answer that is null", lambda g: [*g[:8], {**g[8], "prediction": None}, *g[9:]], "not_text", "lost", [8]),
    ("an answer that is a list", answer("stg", [[1, 2, 3, 4]]), "not_text", "lost", [row("stg", 2)]),
    ("an empty tal answer", answer("tal", " "), "empty", "zero", [row("tal", 2)]),
    ("an empty caption", answer("video_summary", ""), "empty", "skip", [row("video_summary", 2)]),
    ("an empty label", answer("next_action", ""), "empty", "misread", [row("next_action", 2)]),
    ("a refusal", answer("region_caption", "I'm sorry, but I can't help with that."), "refused", "zero", None),
    ("a refused form", answer("skill_assessment", "I cannot assess this."), "refused", "skip", None),
    ("reasoning", answer("tal", "<think>Frames 2-3.</think> 1.0-2.0 seconds."), "reasoning", "misread", None),
    ("half a surrogate pair", answer("next_action", "\ud83d tying"), "not_unicode", "lost", None),
    ("a refusal by reason", lambda g: as_lines(g, finish_reason="refusal"), "refused", "zero", [0]),
    ("an error by reason", lambda g: as_lines(g, finish_reason="error"), "refused", "zero", [0]),
    ("cut off by reason", lambda g: as_lines(g, finish_reason="length"), "cut_off", "misread", [0]),
    ("keys out of order", lambda g: {str(127 - k): r for k, r in enumerate(g[::-1])}, "order", "misread", None),
    ("an index twice", lambda g: as_lines(g) + as_lines(g[:1]), "repeated_rows", "misread", [0]),
    ("an index of no row", lambda g: as_lines([*g, *g[:1]]), "beyond_split", "reject", [128]),
    ("a line missing", lambda g: as_lines(g).partition("\n")[2], "missing_rows", "reject", [0]),
    ("a results key twice", key_twice, "repeated_rows", "misread", [5]),
    # tal
    ("an en dash", answer("tal", "1.0–2.0 seconds."), "unread", "zero", [row("tal", 2)]),
    ("JSON spans", answer("tal", "[[1.0, 2.0]]"), "unread", "zero", [row("tal", 2)]),
    ("clock times", answer("tal", "00:05 - 00:12"), "clock", "misread", [row("tal", 2)]),
    ("clock times with to", answer("tal", "0:00:05 to 0:00:12"), "clock", "misread", [row("tal", 2)]),
    ("a suture", answer("tal", "1.0-2.0 seconds, with a 4-0 suture."), "stray_numbers", "misread", [row("tal", 2)]),
    ("a date", answer("tal", "Filmed 2019-2021. 1.0-2.0 seconds."), "stray_numbers", "misread", [row("tal", 2)]),
    ("a span with to", answer("tal", "1.0-2.0 seconds and from 4.0 to 5.0 seconds"), "span_unseen", "misread", None),
    ("a reversed span", answer("tal", "5.0-2.0 seconds."), "reversed", "zero", [row("tal", 2)]),
    ("one span beyond the clip", answer("tal", "500.0-510.0 seconds."), "beyond_clip", "note", [row("tal", 2)]),
    ("frame numbers", every("tal", lambda t: "300-450 seconds."), "other_clock", "misread", None),
    ("one example for all", every("tal", lambda t: "22.0-78.0, 89.0-94.0 seconds."), "copied", "note", None),
    ("a span cut off", answer("tal", "1.0-2.0, 5.0-"), "cut_off", "misread", [row("tal", 2)]),
    # stg
    ("a colon after seconds", answer("stg", STG.replace(" seconds:", "s:")), "unread", "zero", [row("stg", 2)]),
    ("a time is missing", answer("stg", STG.replace(" 4.0", " 9.0")), "times_missing", "misread", [row("stg", 2)]),
    ("the first time is missing", answer("stg", STG[STG.index("4.0") :]), "first_time_missing", "zero", None),
    ("other times", answer("stg", STG.replace(".0 s", ".5 s")), "no_time_asked", "zero", [row("stg", 2)]),
    ("second decimals", answer("stg", STG.replace("4.0", "4.04")), "time_decimals", "misread", [row("stg", 2)]),
    ("one example of other times for all", every("stg", lambda t: STG.replace(".0 s", ".5 s")), "copied", "zero", None),
    ("boxes in 0..1", answer("stg", "2.0 seconds: [0.1, 0.2, 0.5, 0.9]"), "unit_boxes", "zero", [row("stg", 2)]),
    ("boxes in 0..1000", every("stg", thousandths), "thousand_boxes", "zero", None),
    ("a box beside the canvas", answer("stg", STG.replace("10, 20, 110", "700, 20, 900")), "box_outside", "zero", None),
    ("a box over the edge", answer("stg", STG.replace("110", "700")), "box_partly_outside", "note", [row("stg", 2)]),
    ("a box as x, y, width, height", answer("stg", STG.replace("[10,", "[300,")), "reversed_box", "zero", None),
    ("a box without area", answer("stg", STG.replace("110", "10")), "flat_box", "zero", [row("stg", 2)]),
    ("nan", answer("stg", STG.replace("110", "nan")), "not_finite", "lost", [row("stg", 2)]),
    ("infinities", answer("stg", STG.replace("10, 20, 110", "inf, 20, inf")), "not_finite", "lost", [row("stg", 2)]),
    ("one infinity", answer("stg", STG.replace("110", "inf")), "not_finite", "zero", [row("stg", 2)]),
    ("three numbers", answer("stg", STG.replace("110, 90] 6", "110] 6")), "bad_box", "misread", [row("stg", 2)]),
    ("a box cut off", answer("stg", STG[:-6]), "cut_off", "misread", [row("stg", 2)]),
    ("a time cut off", answer("stg", STG[: STG.index("6.0") + 6]), "cut_off", "misread", [row("stg", 2)]),
    # dense_captioning
    ("a numbered list", answer("dense_captioning", DVC.replace("\n", "\n2. ")), "collapsed", "misread", None),
    ("events on one line", answer("dense_captioning", DVC.replace("\n", " ")), "collapsed", "misread", None),
    ("prose", answer("dense_captioning", "The hand cuts and ties."), "unread", "skip", None),
    ("events that overlap", answer("dense_captioning", DVC.replace("3.5-5.0", "3.0-5.0")), "overlap", "note", None),
    ("400 digits", answer("dense_captioning", f"0-{'9' * 400} seconds: A."), "too_large", "lost", None),
    ("half an event", answer("dense_captioning", DVC[: DVC.index("19.5")]), "cut_off", "misread", None),
    ("half a word", answer("dense_captioning", DVC.replace("C.", "The wou")), "cut_off", "note", None),
    # forms
    ("criteria on lines", answer("cvs_assessment", CVS.replace(", ", "\n")), "unseen_parts", "skip", None),
    ("two criteria", answer("cvs_assessment", "Two structures: 2, Cystic plate: 1"), "partial", "skip", None),
    ("a criterion cut off", answer("cvs_assessment", "Two structures: 2, Cystic pl"), "cut_off", "misread", None),
    ("a score of 3", answer("cvs_assessment", CVS.replace("2", "3")), "out_of_range", "zero", None),
    ("half a point", answer("cvs_assessment", CVS.replace("2", "0.5")), "other_score", "misread", None),
    ("5,000 digits", answer("cvs_assessment", f"Two structures: {'9' * 5000}"), "huge_number", "lost", None),
    ("a JSON form", answer("skill_assessment", '{"Respect for tissue": 2}'), "unread", "skip", None),
    ("aspects on lines", answer("skill_assessment", SKILL.replace(", ", "\n")), "unseen_parts", "skip", None),
    ("three aspects", answer("skill_assessment", ",".join(SKILL.split(",")[:3])), "partial", "skip", None),
    ("an aspect cut off", answer("skill_assessment", SKILL[:50]), "cut_off", "misread", None),
    # next_action
    ("a label in capitals", answer("next_action", "Tying"), "label_spelling", "misread", [row("next_action", 2)]),
    ("a sentence", answer("next_action", "The surgeon will tie."), "no_label", "note", [row("next_action", 2)]),
]  # fmt: skip


def one(report: Report, kind: str, severity: str) -> Finding | None:
    return next((f for f in report.findings if (f.kind, f.severity) == (kind, severity)), None)


@pytest.mark.parametrize(
    ("change", "kind", "severity", "rows"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_a_broken_submission_is_found_out(
    tmp_path: Path, change: Callable[[Records], Any], kind: str, severity: str, rows: list[int] | None
) -> None:
    broken = change(records())
    name = "predictions.jsonl" if isinstance(broken, str) and broken.startswith('{"index"') else "submission.json"
    report = checked(tmp_path / name, broken)
    finding = one(report, kind, severity)
    assert finding is not None, [f.line() for f in report.findings]
    assert rows is None or finding.rows == tuple(rows)
    assert rows == [] or finding.rows
    assert report.ok == all(f.severity == "note" for f in report.findings)
    assert report.exit_code == (not report.ok)
    line = finding.line()
    assert "\n" not in line
    assert finding.board in line
    assert finding.mend in line
    json.dumps(asdict(report), allow_nan=False)


def counted(sample: Sample, text: Any) -> list[float]:
    """What the board counts for an answer, part by part; [nan] where the row loses its task."""
    board = {
        "tal": tal,
        "stg": stg,
        "dense_captioning": dense_captioning,
        "cvs_assessment": cvs_assessment,
        "skill_assessment": skill_assessment,
    }[sample.task]
    try:
        values = board.score(record_of(sample, text)).values
    except TaskLost:
        return [float("nan")]
    return [total for parts in values.values() for total, n in parts.values() if n]


def test_what_a_finding_says_of_the_board_is_what_the_board_does(tmp_path: Path) -> None:
    compared = 0
    for name, change, kind, severity, _ in BROKEN:
        broken = change(records())
        if isinstance(broken, list) and len(broken) == len(SAMPLES) and severity in ("zero", "skip", "lost"):
            finding = one(checked(tmp_path / "s.json", broken), kind, severity)
            assert finding is not None
            if finding.task in ("", "next_action", "video_summary", "region_caption"):
                continue
            sample = SAMPLES[finding.rows[0]]
            before, after = counted(sample, tasks.render(sample)), counted(sample, broken[sample.index]["prediction"])
            if severity == "lost":
                assert any(map(isnan, after)), name
            elif severity == "skip":
                assert len(after) < len(before), name
            else:
                assert len(after) == len(before), name
                assert sum(after) < sum(before), name
            compared += 1
    assert compared > 25


def test_one_fault_brings_no_alarm_about_other_rows(tmp_path: Path) -> None:
    for name, change, *_, rows in BROKEN:
        if rows and len(rows) == 1:
            broken = change(records())
            file = "predictions.jsonl" if isinstance(broken, str) and broken.startswith('{"index"') else "s.json"
            for finding in checked(tmp_path / file, broken).findings:
                assert set(finding.rows) <= set(rows), (name, finding.line())


def test_every_kind_of_severity_is_among_the_broken_ones() -> None:
    assert {severity for *_, severity, _ in BROKEN} == set(SEVERITIES)


def test_answers_at_the_wrong_place_are_read_as_the_answers_they_are(tmp_path: Path) -> None:
    for disorder in (sorted(records(), key=lambda r: r["prediction"]), records()[::2] + records()[1::2]):
        assert {f.kind for f in checked(tmp_path / "s.json", disorder).findings} == {"order"}
    report = checked(tmp_path / "s.json", records()[:40] + records()[41:])
    assert {f.kind for f in report.findings} == {"row_count", "shifted"}
    assert "row 40 missing" in next(f.what for f in report.findings if f.kind == "shifted")


def test_a_finding_prints_ten_rows_and_counts_the_rest(tmp_path: Path) -> None:
    report = checked(tmp_path / "s.json", every("tal", lambda text: text.replace("-", "–"))(records()))
    (finding,) = report.findings
    assert finding.task == "tal"
    assert "(rows 0, 8, 16, 24, 32, 40, 48, 56, 64, 72 and 6 more)" in finding.line()
    assert "0.0–3.0" in finding.line()
    assert next(count for count in report.tasks if count.task == "tal").share == 0.0


def test_a_label_of_the_question_that_the_board_does_not_list_is_no_fault(tmp_path: Path) -> None:
    sample = make.sample("next_action", source="AVOS", options=("cutting", "Dressing"), truth=Label("Dressing"))
    report = checked(
        tmp_path / "s.json", [{"id": sample.id, "qa_type": "next_action", "prediction": "Dressing"}], [sample.public()]
    )
    assert report.ok
    assert [f.kind for f in report.findings] == ["too_few"]  # a note, as the split is small itself


def test_boxes_over_1000_are_taken_as_pixels(tmp_path: Path) -> None:
    samples = [replace(s, canvas=Canvas(1920, 1080)) for s in PUBLIC]
    assert checked(tmp_path / "s.json", records(), samples).findings == ()


# --- submit ----------------------------------------------------------------------------------------------------


def predictions(path: Path, rows: range | list[int], **fields: Any) -> AnswerFile:
    gold = records()
    lines = (json.dumps({"index": k, "prediction": gold[k]["prediction"], **fields}) for k in rows)
    return written(path, "\n".join(lines) + "\n")


def test_what_submit_writes_is_the_gold_file_and_checks_without_a_finding(tmp_path: Path) -> None:
    everything = list(range(len(SAMPLES)))
    part = predictions(tmp_path / "predictions.jsonl", everything[::-1])
    out = tmp_path / "submission.json"
    manifest = write_submission([part], PUBLIC, out)
    assert json.loads(out.read_text()) == records()
    assert check(read_answer_file(out), PUBLIC).findings == ()
    assert manifest.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert manifest.inputs[0].sha256 == hashlib.sha256(part.path.read_bytes()).hexdigest()
    assert json.loads((tmp_path / "submission.manifest.json").read_text()) == json.loads(json.dumps(asdict(manifest)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "predictions.jsonl",
        "submission.json",
        "submission.manifest.json",
    ]


def test_every_kind_of_file_and_any_shards_give_the_same_bytes(tmp_path: Path) -> None:
    gold = records()
    whole = written(tmp_path / "submission_in.json", gold)
    results = written(tmp_path / "results.json", {str(k): {"answer": r["prediction"]} for k, r in enumerate(gold)})
    shards = [predictions(tmp_path / f"{k}.jsonl", range(k, len(gold), 3)) for k in range(3)]
    made = []
    for parts in ([whole], [results], shards, shards[::-1]):
        write_submission(parts, PUBLIC[::-1], tmp_path / "out.json")
        made.append((tmp_path / "out.json").read_bytes())
    assert len(set(made)) == 1
    first = (tmp_path / "out.manifest.json").read_bytes()
    write_submission(shards[::-1], PUBLIC, tmp_path / "out.json")
    assert (tmp_path / "out.manifest.json").read_bytes() == first


def test_a_row_in_two_shards_is_refused_unless_one_ended_in_an_error(tmp_path: Path) -> None:
    first, second = (predictions(tmp_path / f"{k}.jsonl", r) for k, r in enumerate((range(70), range(69, 128))))
    with pytest.raises(InputError, match=r"row 69 answered in .*1\.jsonl and in .*0\.jsonl"):
        write_submission([first, second], PUBLIC, tmp_path / "out.json")
    failed = predictions(tmp_path / "2.jsonl", range(69, 128), finish_reason="error")
    for parts in ([first, failed, predictions(tmp_path / "3.jsonl", range(70, 128))], [failed, second, first]):
        if parts[1] is second:
            with pytest.raises(InputError, match="row 69 answered"):
                write_submission(parts, PUBLIC, tmp_path / "out.json")
        else:
            assert write_submission(parts, PUBLIC, tmp_path / "out.json").filled == ()


def test_rows_without_an_answer_are_named_or_filled(tmp_path: Path) -> None:
    part = predictions(tmp_path / "p.jsonl", range(0, 128, 2))
    failed = predictions(tmp_path / "e.jsonl", [1], finish_reason="error")
    with pytest.raises(InputError, match=r"64 of 128 rows have no answer \(rows 1, 3, .* and 54 more\)"):
        write_submission([part, failed], PUBLIC, tmp_path / "out.json")
    with pytest.raises(InputError, match=r"1 of 128 rows .*\(row 3\)"):
        write_submission([part, failed], PUBLIC, tmp_path / "out.json", fill={k: "" for k in range(128) if k != 3})
    assert not (tmp_path / "out.json").exists()
    manifest = write_submission([part, failed], PUBLIC, tmp_path / "out.json", fill=dict.fromkeys(range(128), "0-1"))
    assert manifest.filled == tuple(range(1, 128, 2))
    found = json.loads((tmp_path / "out.json").read_text())
    assert {record["prediction"] for record in found[1::2]} == {"0-1"}
    assert found[::2] == records()[::2]


def test_an_overlay_answers_a_whole_task_and_nothing_else(tmp_path: Path) -> None:
    of_stg = [s.index for s in PUBLIC if s.task == "stg"]
    base = predictions(tmp_path / "base.jsonl", [k for k in range(128) if k not in of_stg[3:]])
    other = [{**r, "prediction": STG} for r in records()]
    overlays = [
        written(tmp_path / "full.json", other),
        written(tmp_path / "task.json", [other[k] for k in of_stg]),
        written(tmp_path / "lines.jsonl", "\n".join(json.dumps({"index": k, "prediction": STG}) for k in of_stg)),
    ]
    for overlay in overlays:
        manifest = write_submission([base], PUBLIC, tmp_path / "out.json", {"stg": overlay})
        found = json.loads((tmp_path / "out.json").read_text())
        assert found == [{**r, "prediction": STG} if k in of_stg else r for k, r in enumerate(records())]
        assert (manifest.overlays[0].task, manifest.overlays[0].rows, manifest.inputs[0].rows) == ("stg", 16, 112)


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        ("tag", [{"id": "", "prediction": ""}], "unknown task 'tag'; known: tal, stg"),
        ("stg", {"1": {"answer": "x"}}, r"15 of 16 rows have no answer \(rows 9, 17, "),
        ("stg", [{"prediction": "x"}] * 16, "field id: missing"),
        ("stg", [{"id": "v0&&0&&20&&0.5", "prediction": "x"}] * 16, r"rows 9, 17, .* field id: not the data's"),
        ("stg", [{"prediction": "x"}] * 15, "a list of 15 records for 128 rows"),
    ],
)
def test_an_overlay_that_does_not_fit_is_refused(tmp_path: Path, task: str, content: Any, message: str) -> None:
    base = written(tmp_path / "base.json", records())
    with pytest.raises(InputError, match=message) as caught:
        write_submission([base], PUBLIC, tmp_path / "out.json", {task: written(tmp_path / "overlay.json", content)})
    assert "overlay.json" in str(caught.value)
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_row(9, id="v5&&0&&20&&0.5"), r"row 9 field id: not the data's: 'v5&&0&&20&&0.5' for 'v1&&0&&20&&0.5'"),
        (of_row(9, id=7), "row 9 field id: not the data's: a number for"),
        (of_row(9, qa_type="tal"), "row 9 field qa_type: not the data's: 'tal' for 'stg'"),
        (answer("stg", 3), r"row 17 field prediction: expected text, not a number"),
        (lambda g: [*g[:5], {"id": g[5]["id"]}, *g[6:]], "row 5 field prediction: expected text, not null"),
        (lambda g: g[1:], "a list of 127 records for 128 rows"),
        (lambda g: {str(k): r for k, r in enumerate([*g, *g[:2]])}, "rows 128, 129 not in the split"),
        (lambda g: as_lines(g) + as_lines(g[:1]), "row 0 answered twice"),
    ],
)
def test_what_does_not_fit_the_data_is_refused_with_its_rows(
    tmp_path: Path, change: Callable[[Records], Any], message: str
) -> None:
    part = written(tmp_path / "part.json", change(records()))
    with pytest.raises(InputError, match=message) as caught:
        write_submission([part], PUBLIC, tmp_path / "out.json")
    assert "part.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["part.json"]


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    part = written(tmp_path / "part.json", records())
    (tmp_path / "link.json").symlink_to(part.path)
    os.link(part.path, tmp_path / "hard.json")
    shard = replace(part, path=tmp_path / "x.manifest.json")
    for out, parts in ((part.path, [part]), (tmp_path / "link.json", [part]), (tmp_path / "hard.json", [part])):
        with pytest.raises(InputError, match="is an input too"):
            write_submission(parts, PUBLIC, out)
    with pytest.raises(InputError, match=r"x\.manifest\.json: is an input too"):
        write_submission([shard], PUBLIC, tmp_path / "x.json")
    with pytest.raises(InputError, match="a folder; name the file"):
        write_submission([part], PUBLIC, tmp_path)
    with pytest.raises(InputError, match="its folder does not exist"):
        write_submission([part], PUBLIC, tmp_path / "no" / "out.json")
    with pytest.raises(InputError, match="give the whole split"):
        write_submission([part], PUBLIC[1:], tmp_path / "out.json")
    assert json.loads(part.path.read_text()) == records()


def test_half_a_surrogate_pair_becomes_a_question_mark(tmp_path: Path) -> None:
    part = written(tmp_path / "part.json", answer("video_summary", "A \ud83d knot.")(records()))
    manifest = write_submission([part], PUBLIC, tmp_path / "out.json")
    assert manifest.mended == (row("video_summary", 2),)
    assert json.loads((tmp_path / "out.json").read_text())[row("video_summary", 2)]["prediction"] == "A ? knot."


def test_a_killed_write_leaves_the_file_before_it_and_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = written(tmp_path / "part.json", records())
    out, manifest = tmp_path / "out.json", tmp_path / "out.manifest.json"
    out.write_text("before")
    manifest.write_text("before")
    (tmp_path / ".out.json.1.partial").write_text("torn")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="No space left"):
            write_submission([part], PUBLIC, out)
    assert (out.read_text(), manifest.read_text()) == ("before", "before")

    class Killed(BaseException):
        pass

    moved: list[Path] = []
    move = Path.replace

    def killed_after_the_first(path: Path, target: Path) -> Path:
        if moved:
            raise Killed
        moved.append(target)
        return move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed_after_the_first)
        with pytest.raises(Killed):
            write_submission([part], PUBLIC, out)
    assert moved == [out]
    assert json.loads(out.read_text()) == records()
    assert not manifest.exists()  # it never stands beside a file that it does not describe
    write_submission([part], PUBLIC, out)
    assert manifest.exists()
