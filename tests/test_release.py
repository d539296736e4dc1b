"""The official release as rows: every form is read, nothing is lost, times are true, what is odd is told."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from medvidbench_hf.sample import InputError, Sample
from medvidbench_hf.sources.release import read, samples
from medvidbench_hf.sources.release.asked import label_list, requested_times
from medvidbench_hf.sources.release.checks import DISAGREE, OUTSIDE, UNSEEN, ZERO_LENGTH, truth_flags
from medvidbench_hf.sources.release.files import read_files
from medvidbench_hf.sources.release.names import PUBLISHED, PUBLISHED_ROWS
from medvidbench_hf.sources.release.rows import (
    OFF_START,
    OUT_OF_STEP,
    UNKNOWN_FIELD,
    listed_paths,
    row_of,
    sample_of,
    source_of,
)
from medvidbench_hf.sources.release.times import BAD_BOUNDS, BAD_FPS, CLOCKS_HZ, TOO_LARGE, frame_times
from medvidbench_hf.sources.release.write import official_row
from medvidbench_hf.tasks.question import wordings
from medvidbench_hf.tasks.struc_info import unread
from tests.official_files import COUNTS
from tests.release_files import TRAINVAL_COUNTS, trainval_rows
from tests.release_files import test_rows as made_test_rows

CASES = json.loads((Path(__file__).parent / "cases" / "release_rows.json").read_text(encoding="utf-8"))


def imported(row: dict[str, Any], split: str = "train") -> Any:
    return sample_of(row, 0, split, 0, answered=split != "test")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_row_is_read_as_worked_out_by_hand(case: dict[str, Any]) -> None:
    sample, _, times, flags = imported(case["row"], case["split"])
    flags = {**flags, **truth_flags(sample)}
    row = sample.to_row()
    row["clock_hz"] = times.clock_hz
    row["canvas"] = list(sample.canvas)
    if sample.truth is not None:
        row["truth"] = {name: value for name, value in row["truth"].items() if value is not None}
    for field, expected in case["expect"].items():
        assert _rounded(row[field]) == _rounded(expected), (field, case["why"])
    if "flags" in case:
        assert sorted(flags) == sorted(case["flags"]), (flags, case["why"])
    assert row_of(sample) == case["row"]


def _rounded(value: Any) -> Any:
    """Numbers to 6 decimals, tuples as lists, at any depth."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return round(float(value), 6)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


@cache
def made(kind: str, share: float = 0.03) -> list[dict[str, Any]]:
    return (made_test_rows if kind == "test" else trainval_rows)(3, share, frames=(4, 12))


@pytest.mark.parametrize("kind", ["test", "trainval"])
def test_import_then_export_is_the_original_row_for_row(kind: str) -> None:
    for number, row in enumerate(made(kind)):
        before = copy.deepcopy(row)
        sample = sample_of(row, 0, "test" if kind == "test" else "train", number, answered=kind != "test").sample
        again = Sample.from_row(json.loads(json.dumps(sample.to_row())))
        assert row_of(again) == before
        assert official_row(again, answered=kind != "test") == before
        assert listed_paths(again) == tuple(row["video"])


KEYS = st.sampled_from(["train", "notes", "metadata", "RC_info", "video", "struc_info", "is_RC", "odd field"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(CASES), KEYS, JSON, st.booleans())
def test_no_field_is_lost_whatever_it_holds(case: dict[str, Any], key: str, value: Any, drop: bool) -> None:
    row = copy.deepcopy(case["row"])
    if drop:
        row.pop(key, None)
    elif isinstance(row.get(key), dict) and isinstance(value, dict):
        row[key] |= value
    else:
        row[key] = value
    sample = None
    with suppress(InputError):  # not of the release's form; other tests read what it says
        sample = imported(row, case["split"]).sample
    assume(sample is not None)
    assert row_of(Sample.from_row(sample.to_row())) == row


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gt_spans", "SECRET"),
        ("segments", [{"x": "SECRET"}]),
        ("Struc", {"x": "SECRET"}),
        ("is_RC", {"x": "SECRET"}),
        ("id", ["SECRET"]),
        ("metadata", {"video_id": "v", "fps": "1.0", "action": "SECRET"}),
        ("metadata", {"video_id": "v", "fps": {"x": "SECRET"}}),
        ("RC_info", {"object": "SECRET"}),
        ("conversations", [{"from": "human", "value": "<video>\nQ", "ref": "SECRET"}]),
    ],
)
def test_an_unknown_field_of_a_test_row_is_flagged_and_kept_from_models(field: str, value: Any) -> None:
    row = copy.deepcopy(made("test")[0]) | {field: value}
    read_row = imported(row, "test")
    assert "SECRET" not in repr(read_row.sample.public())
    assert UNKNOWN_FIELD in read_row.flags
    assert row_of(read_row.sample) == row


def test_a_test_row_of_known_fields_has_no_answer_side() -> None:
    assert all(imported(row, "test").sample.answer_extra is None for row in made("test"))


@pytest.mark.parametrize(
    ("task", "info", "lost"),
    [
        ("tal", [{"spans": [{"start": 1, "end": 2}, {"start": "x", "end": 3}]}], "1 of 2 parts"),
        ("stg", [{"bbox_dict": {"1": [1, 2, 3, 4]}}, {"bbox_dict": {"2": [1, 2, 3, 4]}}], "1 of 2 parts"),
        ("dense_captioning", [[{"start": 1, "end": 2, "caption": "a"}], [{"start": 3, "end": 4}]], "1 of 2 parts"),
        ("cvs_assessment", [{"cvs_scores": {"two_structures": 1, "cystic_plate": 0.5}}], "1 of 2 parts"),
        ("cvs_assessment", [{"cvs_scores": {"two_structures": "1", "cystic_plate": 2.0}}], None),
        ("tal", [{"spans": [{"start": "1", "end": 2}]}], None),
    ],
)
def test_what_of_a_truth_cannot_be_read_is_counted(task: str, info: Any, lost: str | None) -> None:
    assert unread(task, info) == lost


def test_particulars_of_odd_rows_never_quote_the_truth() -> None:
    row = copy.deepcopy(next(row for row in made("trainval") if row["qa_type"] == "tal"))
    row["struc_info"] = [{"spans": [{"start": 98765.4, "end": 98765.4}]}]
    row["conversations"][1]["value"] = "12345.6-12345.6 seconds."
    read_row = imported(row)
    flags = {**read_row.flags, **truth_flags(read_row.sample)}
    assert {OUTSIDE, ZERO_LENGTH, UNSEEN, DISAGREE} <= set(flags)
    assert not any(number in repr(flags) for number in ("98765", "12345"))


def test_frames_out_of_step_with_their_ids_and_a_wrong_start_are_flagged() -> None:
    row = copy.deepcopy(next(row for row in made("trainval") if source_of(row).name == "NurViD"))
    assert not {OUT_OF_STEP, OFF_START} & set(imported(row).flags)
    turned = {**row, "video": row["video"][::-1]}
    assert OUT_OF_STEP in imported(turned).flags
    metadata = {"input_video_start_time": "1000.0", "input_video_end_time": str(1000.0 + len(row["video"]))}
    late = {**row, "metadata": row["metadata"] | metadata}
    assert OFF_START in imported(late).flags
    assert imported(late).sample.clip_start_s == imported(row).sample.clip_start_s


def test_what_is_not_known_to_be_question_never_reaches_the_question_side() -> None:
    row = copy.deepcopy(made("trainval")[0])
    row |= {"comment": "SECRET", "train": "SECRET", "metadata": {**row["metadata"], "phase": "SECRET"}}
    row["RC_info"] = {**row["RC_info"], "object": "SECRET"}
    row["struc_info"] = [{"note": "SECRET"}]
    sample = imported(row).sample
    assert "SECRET" not in repr(sample.public())
    assert "SECRET" in (sample.answer_extra or "")
    assert sample.answer not in repr(sample.public())


@given(
    st.sampled_from(CLOCKS_HZ),
    st.integers(0, 10**6),
    st.lists(st.integers(0, 400), min_size=1, max_size=30),
    st.sampled_from([0.1, 0.2, 0.25, 0.5, 1.0, 2.0]),
)
def test_with_the_rate_in_the_folder_times_are_the_ids_over_it(
    clock: float, first: int, steps: list[int], fps: float
) -> None:
    ids = [first + sum(steps[:k]) for k in range(len(steps) + 1)]
    times = frame_times(len(ids), ids, fps, None, f"/root/data/X/frames_{clock:g}fps/v")
    assert times.times_s == tuple(round((tick - first) / clock, 6) for tick in ids)
    assert times.clock_hz == clock


@pytest.mark.parametrize("fps", [None, 0.0, -1.0, math.nan, math.inf, 1e9])
def test_an_unusable_fps_is_flagged_and_worked_out_where_the_clock_is_told(fps: float | None) -> None:
    told = frame_times(3, [30, 60, 90], fps, None, "frames_15fps/v")
    assert BAD_FPS in told.flags
    assert (told.times_s, told.fps) == ((0.0, 2.0, 4.0), 0.5)
    untold = frame_times(3, [30, 60, 90], fps, None, "v")
    assert BAD_FPS in untold.flags
    assert "no usable fps" in untold.rule


@pytest.mark.parametrize("task", ["tal", "next_action", "dense_captioning"])
def test_the_label_list_of_our_own_wordings_is_read_from_the_question(task: str) -> None:
    labels = ("place an underpad", "Disinfect skin", "tying")
    for section, lines in wordings(task).items():
        for line in lines:
            if "{option" not in line or section.startswith("ask"):
                continue
            text = line.format(options=", ".join(labels), option_list=list(labels), procedure="Perineal Care")
            assert label_list(f"You are an expert. {text} When does tying happen?") == labels, line


def test_the_times_of_our_own_stg_wordings_are_read_from_the_question() -> None:
    for line in wordings("stg")["ask"]:
        text = line.format(object="hook", start="0.5", end="12.0", stride=4)
        assert requested_times(text) == (0.5, 4.5, 8.5), line


def write(root: Path, **files: Any) -> Path:
    for name, rows in files.items():
        (root / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"struc_info": [{"spans": [{"start": 1, "end": 2}]}]}, "struc_info"),
        ({"gnd": "1.0-2.0 seconds."}, "gnd"),
        ({"metadata": {"video_id": "v", "fps": "1.0", "answer": "x"}}, "metadata.answer"),
        ({"conversations": [{"from": "human", "value": "<video>\nQ"}, {"from": "gpt", "value": "A"}]}, "from gpt"),
        ({"RC_info": {"label": "x"}}, "RC_info.label"),
    ],
)
def test_a_test_file_with_answers_is_refused_with_the_place_and_the_reason(
    tmp_path: Path, change: dict[str, Any], place: str
) -> None:
    rows = [*made("test")[:3], made("test")[3] | change]
    with pytest.raises(InputError, match=r"test\.json row 3 field .*leak.*current revision") as caught:
        read_files(write(tmp_path, cleaned_test=rows))
    assert place in str(caught.value)


def test_a_file_of_answers_with_the_size_of_the_test_file_is_refused_under_any_name(tmp_path: Path) -> None:
    row = made("trainval")[0]
    with pytest.raises(InputError, match="leak"):
        read_files(write(tmp_path, train=[row] * 6245))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("test", "", "not usable as JSON"),
        ("test", '[{"id": "x", ', "not usable as JSON"),
        ("test", "{}", "expected a list of rows"),
        ("test", "[]", "expected a list of rows"),
        ("test", "[3]", "row 0: '3' is not an object"),
        ("train", None, "no row has an answer"),
        ("other", None, "no JSON file of the release"),
    ],
)
def test_a_file_that_is_not_the_release_is_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    (tmp_path / f"{name}.json").write_text(json.dumps(made("test")[:2]) if text is None else text)
    with pytest.raises(InputError, match=message) as caught:
        read_files(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qa_type": "tal_gpt"}, "row 1 field qa_type: 'tal_gpt', expected one of tal, stg"),
        ({"data_source": "Cholec99", "dataset_name": None}, "row 1 field data_source: 'Cholec99' is no source"),
        ({"data_source": "", "dataset_name": ""}, "row 1 field data_source: empty"),
        ({"data_source": "AVOS", "dataset_name": "NurViD"}, "row 1 fields data_source and dataset_name"),
    ],
)
def test_a_row_that_is_not_of_the_release_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = made("test")[:3]
    with pytest.raises(InputError, match=message):
        read_files(write(tmp_path, test=[rows[0], rows[1] | change, rows[2]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conversations": []}, "field conversations: no turn is from human"),
        ({"conversations": "x"}, "field conversations"),
        ({"conversations": [{"from": "human", "value": "<video>\n"}]}, "field conversations: the question is empty"),
        ({"metadata": [1]}, "field metadata"),
        ({"video": "a.mp4"}, "field video"),
        ({"sampled_video_frames": ["one"]}, "field sampled_video_frames"),
    ],
)
def test_a_field_of_a_wrong_kind_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    reading = read(write(tmp_path, test=[made("test")[0], made("test")[1] | change]), media=False)
    assert list(samples(reading.videos[0]))
    with pytest.raises(InputError, match=rf"test\.json row 1 {message}"):
        list(samples(reading.videos[1]))


def test_the_published_counts_are_those_of_the_documentation_and_sum_to_its_totals() -> None:
    assert PUBLISHED["test"] == COUNTS
    assert sum(COUNTS.values()) == PUBLISHED_ROWS["test"] == 6245
    assert PUBLISHED["trainval"].items() <= TRAINVAL_COUNTS.items()
    assert sum(TRAINVAL_COUNTS.values()) == PUBLISHED_ROWS["trainval"] == 6270


def test_validation_is_cut_by_video_and_the_rows_keep_their_order(tmp_path: Path) -> None:
    reading = read(write(tmp_path, trainval=made("trainval")), media=False, validation=0.2)
    of_split: dict[str, list[Any]] = {}
    for row in reading.videos:
        of_split.setdefault(row.split, []).append(row)
    assert set(of_split) == {"train", "validation"}
    assert not {row.video_id for row in of_split["train"]} & {row.video_id for row in of_split["validation"]}
    for rows in of_split.values():
        assert [row.index for row in rows] == list(range(len(rows)))
        assert [row.number for row in rows] == sorted(row.number for row in rows)


NUMBERS = st.none() | st.floats() | st.sampled_from([1e-320, 1e-5, 1e-4, 0.2, 1.0, 1000.0, 1e308, -1e308])
IDS = st.lists(st.integers(0, 400) | st.integers(-(2**64), 2**64), max_size=9)
IDS |= IDS.map(sorted)
FOLDERS = st.sampled_from(["", "v", "frames_15fps/v", "frames_0.001fps/v", "0fps", "999.999fps/v"])


@given(st.none() | IDS, st.integers(-1, 1), NUMBERS, st.none() | st.tuples(st.floats(), st.floats()), FOLDERS)
def test_times_start_at_0_are_finite_and_never_run_backwards_whatever_the_evidence(
    ids: list[int] | None, more: int, fps: float | None, bounds_s: tuple[float, float] | None, folder: str
) -> None:
    n_frames = max(0, (3 if ids is None else len(ids)) + more)
    times = frame_times(n_frames, ids, fps, bounds_s, folder)
    assert len(times.times_s) == max(1, n_frames)
    assert times.times_s[0] == 0.0
    assert all(map(math.isfinite, times.times_s))
    assert all(earlier <= later for earlier, later in pairwise(times.times_s))
    assert math.isfinite(times.fps)
    assert times.fps > 0
    assert math.isfinite(1 / times.fps)
    assert times.clock_hz is None or (math.isfinite(times.clock_hz) and times.clock_hz > 0)


@pytest.mark.parametrize(
    ("ids", "fps", "bounds_s", "flag"),
    [
        ([0, 10], None, (0.0, 1e7), BAD_FPS),  # a tick in eleven days is no clock
        ([0, 10], None, (0.0, 1e8), BAD_BOUNDS),
        ([0, 10], 1.0, (-1e308, 1e308), BAD_BOUNDS),
        ([0, 10], 1.0, (5.0, 5.0), BAD_BOUNDS),
        ([0, 10], 1.0, (math.nan, 5.0), BAD_BOUNDS),
        ([0, 10], 1e-320, None, BAD_FPS),
        ([0, 10**400], 1.0, None, TOO_LARGE),
    ],
)
def test_evidence_that_is_none_is_flagged_and_the_next_is_taken(
    ids: list[int], fps: float | None, bounds_s: tuple[float, float] | None, flag: str
) -> None:
    times = frame_times(2, ids, fps, bounds_s, "v")
    assert flag in times.flags
    assert times.times_s == (0.0, 1.0)


def test_a_row_whose_fps_is_next_to_nothing_is_kept_and_flagged() -> None:
    row = copy.deepcopy(made("test")[0])
    row["metadata"]["fps"] = 1e-320
    assert BAD_FPS in imported(row, "test").flags


@pytest.mark.parametrize(
    ("listed", "labels"),
    [
        ("['cut', 'tie a knot']", ("cut", "tie a knot")),
        ("[ 'cut' ,\"tie\", ]", ("cut", "tie")),
        (r"""['Calot\'s', "Calot's", "a \"b\"", 'c\\d']""", ("Calot's", 'a "b"', r"c\d")),
        ("['Calot’s', 'a, b']", ("Calot’s", "a, b")),
        ("[start, end] of ['cut']", ("cut",)),
        ("['cut', tie]", ()),
        ("['cut' 'tie']", ()),
        ("['cut',, 'tie']", ()),
        ("['cut', ['tie']]", ("tie",)),
        ("['a', " + "-" * 7000 + "1]", ()),
        ("['a'" + ".a" * 3000 + "]", ()),
        ("['a', 'b" + "b" * 9000 + "']", ()),
    ],
)
def test_a_bracket_is_a_label_list_only_if_all_of_it_is_quoted_texts(listed: str, labels: tuple[str, ...]) -> None:
    assert label_list(f"Find all occurrences of {listed}. Go.") == labels


@pytest.mark.parametrize(
    "asked",
    [
        f"from 0 to {'9' * 400} seconds every 1 seconds",
        f"from {'1' * 401} to {'2' * 401} seconds every 1 seconds",
        f"from 0 to 9 seconds every 0.{'0' * 310}1 seconds",
        "from 0 to 9 seconds every 0.000001 seconds",
        "from 0 to 999999999 seconds every 1 seconds",
        "from 9 to 0 seconds every 1 seconds",
    ],
)
def test_times_that_nobody_can_mean_are_not_asked_for(asked: str) -> None:
    assert requested_times(f"Track the hook {asked}.") == ()


@pytest.mark.parametrize(
    ("start", "part", "end"),
    [
        ("matching a", " ", "b"),
        ("matching a", "\r", "b"),
        ("from 0", " ", "x"),
        ("from 0 to ", "9", " seconds"),
        ("", "from 1 ", ""),
        ("every ", "1", " seconds"),
        ("matching a", ". ", ""),
        ("matching ", "a,", ""),
        ("matching ", "a or ", ""),
        ("", "actions include ", ""),
        ("", "[", ""),
        ("", "['a',", ""),
        ("['", "\\", "']"),
        ("", "['a'" + " " * 7900 + "x]", ""),
        ("", "[" + "'a'," * 1900 + "x]", ""),
        ("[", "'a',", "]"),
    ],
)
def test_a_question_of_a_megabyte_is_read_at_once(start: str, part: str, end: str) -> None:
    question = start + part * (1_000_000 // len(part)) + end
    began = time.process_time()
    label_list(question)
    requested_times(question)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"id": "a\ud800"}, "id"),
        ({"metadata": {"video_id": "v", "odd": ["x", {"y": "\udfff"}]}}, r"metadata\.odd\[1\]\.y"),
        ({"RC_info": {"k\udc00": 1}}, r"RC_info\.k\\udc00"),
    ],
)
def test_half_a_surrogate_pair_is_named_by_file_row_and_field(
    tmp_path: Path, change: dict[str, Any], place: str
) -> None:
    rows = made("test")[:2]
    with pytest.raises(InputError, match=rf"test\.json row 1 field {place}: half a surrogate pair") as caught:
        read_files(write(tmp_path, test=[rows[0] | {"id": "\U0001f600"}, rows[1] | change]))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cleaned_test_data_11_04", "test"),
        ("medvidbench_test", "test"),
        ("TestSet", "test"),
        ("medvidu_eccv2026_trainval", "trainval"),
        ("latest_trainval", "trainval"),
        ("train", "trainval"),
        ("val", "trainval"),
        ("validation-data2", "trainval"),
    ],
)
def test_the_kind_of_a_file_is_a_word_of_its_name(tmp_path: Path, name: str, kind: str) -> None:
    (file,) = read_files(write(tmp_path, **{name: made(kind)[:2]}))
    assert file.kind == kind


def test_other_json_beside_the_release_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    submission = [{"id": "x", "qa_type": "tal", "prediction": "1-2 seconds."}]
    write(tmp_path, evaluation=made("trainval")[:1], submission_test_set=submission, test_report={"n": 1}, val_list=[])
    write(tmp_path, cleaned_test=made("test")[:2], a_test_folder=[3])
    with pytest.warns(UserWarning, match="passed over") as told:
        assert [file.path.name for file in read_files(tmp_path)] == ["cleaned_test.json"]
    assert len(told) == 4


def test_where_no_file_is_the_releases_each_is_named_with_the_reason(tmp_path: Path) -> None:
    submission = [{"id": "x", "qa_type": "tal", "prediction": "1-2 seconds."}]
    write(tmp_path, submission_test_set=submission, test_report={"n": 1})
    with pytest.raises(InputError, match="pass the release's JSON itself as --root") as caught:
        read_files(tmp_path)
    assert "submission_test_set.json row 0 field conversations: missing" in str(caught.value)
    assert "test_report.json: expected a list of rows, found a JSON dict" in str(caught.value)


def test_two_files_of_one_kind_are_both_named_with_the_way_out(tmp_path: Path) -> None:
    write(tmp_path, old_test=made("test")[:2], test=made("test")[:2])
    with pytest.raises(InputError, match=r"old_test\.json and .*test\.json|test\.json and .*old_test\.json") as caught:
        read_files(tmp_path)
    assert "pass one as --root" in str(caught.value)
    assert read_files(tmp_path / "test.json")[0].kind == "test"


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "test.json")
    with pytest.raises(InputError, match="no JSON file of the release"):
        read_files(tmp_path)
