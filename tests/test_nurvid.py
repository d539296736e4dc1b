"""The NurViD reader, on a folder of the same shape, and on the real annotations where they are."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medvidbench_hf.builder.folder import fingerprint
from medvidbench_hf.sample import InputError, Label, Sample, Span, Spans
from medvidbench_hf.sources import Dropped, nurvid
from medvidbench_hf.tasks import gold_problem
from tests import nurvid_files

REAL = Path(os.environ.get("MEDVIDBENCH_NURVID", Path(__file__).parents[2] / "shared/real/nurvid"))
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="set MEDVIDBENCH_NURVID to a clone of NurViD-benchmark")


def rows_of(root: Path) -> tuple[list[Sample], list[Dropped]]:
    rows = [row for video in nurvid.read(root).videos for row in nurvid.samples(video)]
    return [r for r in rows if isinstance(r, Sample)], [r for r in rows if isinstance(r, Dropped)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return nurvid_files.write(tmp_path / "NurViD")


def test_names_are_those_of_the_table_one_row_up(root: Path) -> None:
    video = nurvid.read(root).videos[0]
    assert video.procedure == "Made Hand Wash"
    assert [a.name for a in video.actions] == ["Wet hands", "Apply soap", "Rinse"]
    assert video.options == ("Apply soap", "Rinse", "Wet hands")


def test_every_row_scores_full_marks_with_its_own_answer(root: Path) -> None:
    kept, _ = rows_of(root)
    assert kept
    assert [gold_problem(s) for s in kept] == [None] * len(kept)


def test_times_are_rounded_to_tenths_and_the_raw_ones_are_kept(root: Path) -> None:
    row = next(s for s in rows_of(root)[0] if s.video_id == "wash-0" and "Rinse" in s.question.rpartition(". ")[2])
    assert row.truth == Spans((Span(31.0, 44.4),))
    assert row.answer == "31.0-44.4 seconds."
    assert json.loads(row.answer_extra or "")["segments"] == [[31.0, 44.44]]


def test_overlapping_segments_of_one_action_are_one_span(root: Path) -> None:
    row = next(s for s in rows_of(root)[0] if s.video_id == "overlap_s" and s.answer == "10.0-22.0 seconds.")
    assert row.truth == Spans((Span(10.0, 22.0),))


def test_next_action_shows_the_clip_up_to_the_end_of_an_action_and_asks_for_the_next(root: Path) -> None:
    rows = [s for s in rows_of(root)[0] if s.video_id == "wash-0" and s.task == "next_action"]
    assert [s.truth for s in rows] == [Label("Apply soap"), Label("Rinse")]
    assert [s.clip_end_s for s in rows] == [15.0, 30.0]
    assert all(s.options == ("Apply soap", "Rinse", "Wet hands") for s in rows)
    assert max(rows[0].frame_times_s) < rows[0].duration_s


def test_what_cannot_be_asked_is_left_out_with_its_reason(root: Path) -> None:
    reasons = Counter((d.video_id, d.task, d.reason) for d in rows_of(root)[1])
    assert reasons == {
        ("too-long", "tal", "an action ends after the video does"): 1,
        ("too-long", "next_action", "an action ends after the video does"): 1,
        ("overlap_s", "next_action", "the next action begins before the current one ends"): 2,
        ("gown-1", "tal", "one name stands for two actions of the procedure"): 1,
        ("gown-1", "next_action", "one name stands for two actions of the procedure"): 1,
    }


def test_a_segment_without_length_is_kept_and_scores(root: Path) -> None:
    row = next(s for s in rows_of(root)[0] if s.video_id == "no-length" and s.answer == "12.4-12.4 seconds.")
    assert gold_problem(row) is None


def test_counts_that_differ_from_the_owners_are_known(root: Path) -> None:
    reading = nurvid.read(root)
    assert reading.found == {"videos": 12, "segments": 8 * 3 + 2 + 2 + 3 + 3}
    assert reading.known == {"videos": 1538, "segments": 5615}


def test_the_annotations_folder_itself_may_be_given(root: Path) -> None:
    assert nurvid.read(root / "annotations").found == nurvid.read(root).found


def test_a_clip_is_the_frames_of_the_video_at_the_rows_times(root: Path) -> None:
    from medvidbench_hf.video import encode

    frames = np.zeros((101, 48, 64, 3), np.uint8)
    frames += (np.arange(101, dtype=np.uint8) * 2)[:, None, None, None]
    encode(frames, [float(k) for k in range(101)], root / "dataset/Original_videos/wash-0.mp4")
    reading = nurvid.read(root)
    assert reading.media
    assert "11 videos have no file" in reading.warnings[0]
    video = reading.videos[0]
    row = [s for s in nurvid.samples(video) if isinstance(s, Sample) and s.task == "next_action"][1]
    shown = nurvid.clip_frames(video, row)
    assert shown.shape == (len(row.frame_times_s), 48, 64, 3)
    expected = [2 * (row.clip_start_s + t) for t in row.frame_times_s]
    # A frame is shown until the next one comes, so the clip holds the last whole second.
    assert np.allclose(shown.mean((1, 2, 3)), [2 * np.floor(e / 2) for e in expected], atol=3)


def change(root: Path, edit: Any) -> None:
    made = nurvid_files.records()
    edit(made)
    (root / "annotations/NurViD_annotations.json").write_text(json.dumps(made))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m["wash-3"].update(operationID=9), r"video 'wash-3' field operationID: '9', expected 1\.\.2"),
        (lambda m: m["wash-3"].update(operationID=[1]), r"video 'wash-3' field operationID"),
        (lambda m: m["wash-3"].update(resolution="big"), r"video 'wash-3' field resolution: 'big'"),
        (lambda m: m["wash-3"].update(duration=None), r"video 'wash-3' field duration"),
        (lambda m: m["wash-3"].update(duration=10**400), r"video 'wash-3' field duration"),
        (lambda m: m["wash-3"].update(duration=1e9), r"video 'wash-3' field duration"),
        (lambda m: m["wash-3"].update(operationID=True), r"video 'wash-3' field operationID"),
        (lambda m: m["wash-3"].update(annotations=None), r"video 'wash-3' field annotations"),
        (lambda m: m["wash-3"]["annotations"][1].update(actionID=0), r"field annotations\[1\].actionID: '0'"),
        (lambda m: m["wash-3"]["annotations"][1].update(segment=[5, 3]), r"field annotations\[1\].segment"),
        (lambda m: m["wash-3"]["annotations"][1].update(segment=["1", 3]), r"field annotations\[1\].segment"),
        (lambda m: m.update({"../evil": m["wash-3"]}), r"field \(key\): '../evil'"),
        (lambda m: m.pop("wash-4"), r"train.csv row 4: video 'wash-4' is not in NurViD_annotations.json"),
    ],
)
def test_a_malformed_record_is_named_by_file_video_and_field(root: Path, edit: Any, message: str) -> None:
    change(root, edit)
    with pytest.raises(InputError, match=message) as caught:
        nurvid.read(root)
    assert "\n" not in str(caught.value)


def test_a_video_in_two_splits_is_named_with_file_and_row(root: Path) -> None:
    with (root / "annotations/task1&3/test.csv").open("a") as file:
        file.write("/video_path/wash-0.mp4 1\n")
    with pytest.raises(InputError, match=r"test\.csv row 5: video 'wash-0' is in the train split already"):
        nurvid.read(root)


def test_a_video_that_comes_twice_in_the_json_is_named(root: Path) -> None:
    path = root / "annotations/NurViD_annotations.json"
    path.write_text(path.read_text().replace('"wash-1": ', '"wash-0": '))
    with pytest.raises(InputError, match="'wash-0' comes twice"):
        nurvid.read(root)


def test_a_split_file_without_a_header_loses_no_row(root: Path) -> None:
    path = root / "annotations/task1&3/val.csv"
    before = [video.video_id for video in nurvid.read(root).videos]
    path.write_text(path.read_text().partition("\n")[2])
    assert [video.video_id for video in nurvid.read(root).videos] == before


def test_a_split_file_that_is_not_text_is_named(root: Path) -> None:
    (root / "annotations/task1&3/val.csv").write_bytes(b"path-label\n\xe9.mp4 1\n")
    with pytest.raises(InputError, match=r"val\.csv: not UTF-8"):
        nurvid.read(root)


def test_a_video_is_found_in_either_folder_and_a_replaced_one_is_another_build(root: Path) -> None:
    (root / "dataset/Preprocessed videos").mkdir(parents=True)
    (root / "dataset/Original_videos").mkdir()
    file = root / "dataset/Original_videos/wash-0.mp4"
    file.write_bytes(b"one")
    reading = nurvid.read(root)
    assert reading.videos[0].file == str(file)
    stamp = fingerprint("nurvid", reading)
    file.write_bytes(b"other")
    assert fingerprint("nurvid", nurvid.read(root)) != stamp


def test_a_label_that_the_json_contradicts_is_named(root: Path) -> None:
    path = root / "annotations/task1&3/train.csv"
    path.write_text(path.read_text().replace("wash-0.mp4 1", "wash-0.mp4 2"))
    with pytest.raises(InputError, match=r"train\.csv row 2: video 'wash-0' has procedure 2, but .* says 1"):
        nurvid.read(root)


@pytest.mark.parametrize("content", ["", "{", "[]", "[" * 100_000, '{"a": NaN'])
def test_a_broken_json_file_is_named(root: Path, content: str) -> None:
    (root / "annotations/NurViD_annotations.json").write_text(content)
    with pytest.raises(InputError, match=r"NurViD_annotations\.json"):
        nurvid.read(root)


def test_a_table_cut_in_half_is_named(root: Path) -> None:
    path = root / "annotations/Procedure&Action_ID.xlsx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"Procedure&Action_ID\.xlsx: not a readable xlsx table"):
        nurvid.read(root)


def test_every_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"missing NurViD_annotations\.json, Procedure&Action_ID\.xlsx, task1&3/train\.csv"
    ):
        nurvid.read(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        nurvid.read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="--root"):
        nurvid.read(None)


@needs_real
def test_the_real_annotations_are_read_whole_and_every_row_scores() -> None:
    reading = nurvid.read(REAL)
    assert reading.found == reading.known
    assert not reading.warnings
    kept, dropped = rows_of(REAL)
    assert Counter(s.task for s in kept) == {"tal": 4520, "next_action": 3761}
    assert len(dropped) == 402
    assert [s for s in kept if gold_problem(s)] == []
    splits = Counter(video.split for video in reading.videos)
    assert splits == {"train": 1054, "validation": 173, "test": 311}


@needs_real
def test_the_real_perineal_care_video_has_the_names_that_prove_the_shift() -> None:
    video = next(v for v in nurvid.read(REAL).videos if v.video_id == "--Ly-qjodoI")
    names = [action.name for action in video.actions]
    assert video.procedure == "Perineal Care"
    assert names[:3] == ["Draw bed curtains", "Position the patient", "Place an underpad"]
