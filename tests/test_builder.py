"""The builder: what it writes loads as typed rows, clips are stored once, and nothing half-made looks complete."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import medvidbench_hf
from medvidbench_hf.builder import MedVidBench, build, read_build, read_samples, relocate, rows
from medvidbench_hf.lock import only_one
from medvidbench_hf.sample import TASKS, InputError, Sample, features
from medvidbench_hf.sources import Reading, simulated
from medvidbench_hf.tasks import gold_problem
from tests import nurvid_files

VIDEOS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated benchmark in small, with clips."""
    out = tmp_path_factory.mktemp("built") / "simulated"
    build("simulated", out, num_proc=2, videos=VIDEOS)
    return out


def all_rows(folder: Path) -> Iterator[Sample]:
    for split in datasets.get_dataset_split_names(str(folder), "all"):
        yield from read_samples(folder, split)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_task_is_a_config_and_all_holds_their_rows(folder: Path) -> None:
    assert datasets.get_dataset_config_names(str(folder)) == ["all", *TASKS]
    every = datasets.load_dataset(str(folder))
    parts = {task: datasets.load_dataset(str(folder), task) for task in TASKS}
    for split in every:
        assert every[split].num_rows == sum(part[split].num_rows for part in parts.values() if split in part)
        assert set(every[split]["split"]) == {split}


def test_rows_are_typed_and_their_video_decodes_at_its_frame_times(folder: Path) -> None:
    rows = datasets.load_dataset(str(folder), "stg", split="train")
    assert rows.features == features()
    row = rows[0]
    decoder = row["video"]
    assert len(decoder) == len(row["frame_times_s"])
    assert Sample.from_row(row).video == decoder._hf_encoded["path"]


def test_streaming_gives_the_same_rows(folder: Path) -> None:
    loaded = datasets.load_dataset(str(folder), "tal", split="train").cast_column("video", datasets.Video(decode=False))
    streamed = datasets.load_dataset(str(folder), "tal", split="train", streaming=True)
    assert list(streamed.cast_column("video", datasets.Video(decode=False))) == list(loaded)
    assert next(iter(streamed))["video"][0] is not None


def test_builder_and_load_dataset_give_equal_rows_and_features(folder: Path, tmp_path: Path) -> None:
    made = MedVidBench(config_name="next_action", source="simulated", cache_dir=str(tmp_path), videos=VIDEOS)
    made.download_and_prepare()
    ours, theirs = made.as_dataset(split="test"), datasets.load_dataset(str(folder), "next_action", split="test")
    assert ours.features == theirs.features
    undecoded = datasets.Video(decode=False)
    mine, other = (list(d.cast_column("video", undecoded)) for d in (ours, theirs))
    for row in [*mine, *other]:
        row["video"] = row["video"]["path"].rpartition("/clips/")[2]
    assert mine == other


def test_load_is_the_builder_in_one_line_and_the_second_time_from_the_cache(tmp_path: Path) -> None:
    root = nurvid_files.write(tmp_path / "NurViD")
    first = medvidbench_hf.load("tal", split="train", source="nurvid", root=root)
    again = medvidbench_hf.load("tal", split="train", source="nurvid", root=root)
    assert first.cache_files == again.cache_files
    assert list(first) == list(again)


def test_changed_annotations_are_not_served_from_the_cache(tmp_path: Path) -> None:
    root = nurvid_files.write(tmp_path / "NurViD")
    before = medvidbench_hf.load("tal", split="train", source="nurvid", root=root)
    path = root / "annotations/NurViD_annotations.json"
    path.write_text(path.read_text().replace("5.25", "6.25"))
    after = medvidbench_hf.load("tal", split="train", source="nurvid", root=root)
    assert before["answer"][0] == "5.2-15.0 seconds."
    assert after["answer"][0] == "6.2-15.0 seconds."


def test_the_row_index_counts_the_rows_of_a_split_over_all_tasks(folder: Path) -> None:
    for split in ("train", "validation", "test"):
        indices = [s.index for s in read_samples(folder, split)]
        assert sorted(indices) == list(range(len(indices)))


def test_every_built_row_scores_full_marks_with_its_own_answer(folder: Path) -> None:
    assert [gold_problem(s) for s in all_rows(folder) if gold_problem(s)] == []


def test_a_clip_is_stored_once_however_many_rows_ask_about_it(folder: Path) -> None:
    clips = {str(p) for p in folder.glob("clips/*/*/*.mp4")}
    asked = [s.video for s in all_rows(folder)]
    assert set(asked) == clips
    assert len(asked) > 3 * len(clips) == 3 * read_build(folder).clips
    assert all(b"ftyp" not in path.read_bytes() for path in folder.glob("data/*/*.parquet"))


def test_row_groups_stay_small(folder: Path) -> None:
    for path in folder.glob("data/*/*.parquet"):
        meta = pq.ParquetFile(path).metadata
        assert max(meta.row_group(k).num_rows for k in range(meta.num_row_groups)) <= rows.ROWS_PER_GROUP


@pytest.mark.slow
def test_one_process_and_two_write_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "simulated"
    build("simulated", other, num_proc=1, videos=VIDEOS)
    mine, theirs = files_below(folder), files_below(other)
    assert mine.keys() == theirs.keys()
    clips = [name for name in mine if name.startswith("clips/")]
    assert all(mine[name] == theirs[name] for name in [*clips, "dropped.jsonl"])
    for split in ("train", "test"):
        pairs = zip(read_samples(folder, split), read_samples(other, split), strict=True)
        assert all(replace(a, video=None) == replace(b, video=None) for a, b in pairs)


def test_rows_are_split_over_files_when_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS_PER_GROUP", 10)
    monkeypatch.setattr(rows, "ROWS_PER_FILE", 30)
    build("simulated", tmp_path / "out", videos=40, media=False)
    files = sorted(p.name for p in (tmp_path / "out/data/tal").glob("train-*"))
    assert len(files) > 1
    loaded = datasets.load_dataset(str(tmp_path / "out"), "tal", split="train")
    assert loaded.num_rows == read_build(tmp_path / "out").rows["tal"]["train"]


def test_a_moved_folder_decodes_again_after_relocate(tmp_path: Path) -> None:
    build("simulated", tmp_path / "here", videos=4)
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(Exception, match="here"):  # and the broken rows are in the cache of `datasets` now
        datasets.load_dataset(str(tmp_path / "there"), "all", split="train")[0]
    assert relocate(tmp_path / "there") == read_build(tmp_path / "there").n_rows
    assert relocate(tmp_path / "there") == 0
    row = datasets.load_dataset(str(tmp_path / "there"), "all", split="train")[0]
    assert row["video"][0].shape[0] == 3


def test_a_folder_that_was_built_again_loads_its_new_rows(tmp_path: Path) -> None:
    answers = []
    for seed in (1, 2):
        build("simulated", tmp_path / "out", videos=8, media=False, seed=seed, overwrite=True)
        answers.append(datasets.load_dataset(str(tmp_path / "out"), "next_action", split="train")["id"])
    assert answers[0] != answers[1]


def test_a_video_of_an_unknown_split_is_named_and_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = simulated.read

    def with_a_wrong_split(root: None = None, *, seed: int = 0, videos: int = 120, media: bool = True) -> Reading:
        reading = read(root, seed=seed, videos=videos, media=media)
        return replace(reading, videos=[reading.videos[0]._replace(split="val"), *reading.videos[1:]])

    monkeypatch.setattr(simulated, "read", with_a_wrong_split)
    with pytest.raises(InputError, match="field split: 'val'"):
        build("simulated", tmp_path / "out", videos=8, media=False)


def test_a_row_whose_own_answer_does_not_score_is_left_out_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "gold_problem", lambda s: "made up" if s.task == "stg" else None)
    built = build("simulated", tmp_path / "out", videos=8, media=False)
    assert "stg" not in built.rows
    assert set(built.dropped) == {"its own answer does not score 1"}
    line = json.loads((tmp_path / "out/dropped.jsonl").read_text().splitlines()[0])
    assert (line["task"], line["detail"]) == ("stg", "made up")


def test_the_card_counts_what_was_built_and_says_that_it_is_simulated(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    built = read_build(folder)
    for task, counts in built.rows.items():
        assert f"| {task} | {' | '.join(str(counts.get(s, 0)) for s in ('train', 'validation', 'test'))} |" in text
    assert "simulated" in text.split("---")[1]
    assert "**simulated**" in text
    assert all(name.startswith("Simulated") for name in {s.source for s in all_rows(folder)})


# --- what is there already, what is broken, what is killed -----------------------------------------------------


def test_the_same_build_again_changes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert build("simulated", folder, videos=VIDEOS) == read_build(folder)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_another_build_does_not_replace_a_folder_unless_told_to(tmp_path: Path) -> None:
    build("simulated", tmp_path / "out", videos=4, media=False)
    with pytest.raises(InputError, match="not empty"):
        build("simulated", tmp_path / "out", videos=8, media=False)
    assert build("simulated", tmp_path / "out", videos=8, media=False, overwrite=True).found["videos"] == 8
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not empty"):
        build("simulated", tmp_path / "mine", videos=4, media=False)
    assert (tmp_path / "mine/thesis.tex").read_text() == "years of work"


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    root = nurvid_files.write(tmp_path / "NurViD")
    broken = root / "dataset/Original_videos/wash-7.mp4"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"not a video")
    with pytest.raises(InputError, match=r"wash-7\.mp4: does not decode"):
        build("nurvid", tmp_path / "out", root=root)
    with pytest.raises(InputError, match=r"wash-7\.mp4: does not decode"):
        build("nurvid", tmp_path / "out", root=root, num_proc=2)
    assert [p.name for p in tmp_path.iterdir()] == ["NurViD"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "nurvit"}, "unknown source 'nurvit'; known: simulated, nurvid"),
        ({"source": "nurvid"}, "--root"),
        ({"source": "simulated", "videos": 1}, "videos"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(out=tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_task_and_one_that_the_source_does_not_feed_are_named(tmp_path: Path) -> None:
    root = nurvid_files.write(tmp_path / "NurViD")
    with pytest.raises(InputError, match="unknown task 'tag'; known: tal, stg"):
        medvidbench_hf.load("tag", source="nurvid", root=root)
    with pytest.raises(InputError, match="nurvid feeds no stg; it feeds tal, next_action"):
        medvidbench_hf.load("stg", source="nurvid", root=root)


def test_what_is_no_data_set_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        list(read_samples(tmp_path / "nowhere", "test"))
    with pytest.raises(InputError, match="was not built"):
        list(read_samples(tmp_path, "test"))
    with pytest.raises(InputError, match="dev"):
        list(read_samples(folder, "dev"))


def test_an_error_in_a_worker_ends_the_build_however_much_is_left_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(sample: Sample) -> str | None:
        raise InputError("row 3 field fps: broken")

    monkeypatch.setattr(rows, "gold_problem", fail)  # the workers are forks and inherit it
    with pytest.raises(InputError, match="row 3 field fps: broken"):
        build("simulated", tmp_path / "out", videos=400, media=False, num_proc=2)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_is_killed_ends_the_build_with_a_sentence_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(rows, "gold_problem", lambda sample: os.kill(os.getpid(), signal.SIGKILL))
        with pytest.raises(OSError, match=r"a worker process was killed.*the same command goes on"):
            build("simulated", tmp_path / "out", videos=400, media=False, num_proc=2)
    assert [p.name for p in tmp_path.iterdir()] == ["out.building"]
    assert build("simulated", tmp_path / "out", videos=400, media=False, num_proc=2).found["videos"] == 400
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_two_builds_of_one_folder_at_once_are_refused(tmp_path: Path) -> None:
    with only_one(tmp_path / "out", "built"), pytest.raises(InputError, match="being built by another process"):
        build("simulated", tmp_path / "out", videos=4, media=False, wait_s=0)
    assert list(tmp_path.iterdir()) == []


def test_nothing_but_a_build_is_ever_replaced(tmp_path: Path) -> None:
    for name in ("out", "next.building"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds no build"):
        build("simulated", tmp_path / "out", videos=4, media=False, overwrite=True)
    with pytest.raises(InputError, match=r"next\.building is in the way"):
        build("simulated", tmp_path / "next", videos=4, media=False, overwrite=True)
    assert all((tmp_path / name / "thesis.tex").read_text() == "years of work" for name in ("out", "next.building"))


def test_an_old_build_comes_back_when_the_swap_was_cut_short(tmp_path: Path) -> None:
    """As a kill between the two renames leaves it."""
    old = build("simulated", tmp_path / "out", videos=4, media=False)
    (tmp_path / "out.building").mkdir()
    (tmp_path / "out.building/fingerprint").write_text("of the new build")
    (tmp_path / "out").rename(tmp_path / "out.building/.replaced")
    assert build("simulated", tmp_path / "out", videos=4, media=False) == old


def test_an_overwrite_that_fails_keeps_the_old_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = build("simulated", tmp_path / "out", videos=4, media=False)
    monkeypatch.setattr(rows, "gold_problem", lambda sample: "made up")
    with pytest.raises(InputError, match="no row could be built"):
        build("simulated", tmp_path / "out", videos=8, media=False, overwrite=True)
    assert read_build(tmp_path / "out") == old
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_swap_that_fails_half_way_puts_the_old_build_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = build("simulated", tmp_path / "out", videos=4, media=False)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == ".unfinished":
            raise OSError("no space left on device")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="no space left"):
            build("simulated", tmp_path / "out", videos=8, media=False, overwrite=True)
    assert read_build(tmp_path / "out") == old
    assert build("simulated", tmp_path / "out", videos=8, media=False, overwrite=True).found["videos"] == 8
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_broken_build_record_can_be_overwritten(tmp_path: Path) -> None:
    build("simulated", tmp_path / "out", videos=4, media=False)
    (tmp_path / "out/build.json").write_text("{")
    with pytest.raises(InputError, match="--overwrite"):
        build("simulated", tmp_path / "out", videos=4, media=False)
    build("simulated", tmp_path / "out", videos=4, media=False, overwrite=True)


def test_a_moved_build_is_not_taken_for_one_that_is_in_its_place(tmp_path: Path) -> None:
    build("simulated", tmp_path / "here", videos=4)
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(InputError, match="medvidbench data relocate"):
        build("simulated", tmp_path / "there", videos=4)
    relocate(tmp_path / "there")
    assert build("simulated", tmp_path / "there", videos=4).folder == str(tmp_path / "there")


def test_relocate_keeps_three_parts_of_a_path_and_takes_nothing_else(tmp_path: Path) -> None:
    build("simulated", tmp_path / "out", videos=4)
    path = next(tmp_path.glob("out/data/*/*.parquet"))
    table = pq.read_table(path)
    column = table.schema.get_field_index("video")
    field = table.schema.field(column)

    def write(clip: str) -> None:
        cells = pa.array([{"bytes": None, "path": clip}] * table.num_rows, field.type)
        pq.write_table(table.set_column(column, field, cells), path)

    for clip in ("/etc/hosts", "/a/clips/../../x.mp4"):
        write(clip)
        with pytest.raises(InputError, match="field video"):
            relocate(tmp_path / "out")
    clip = tmp_path / "out/clips/NurViD/clips/0-9.mp4"
    write("/old/clips/NurViD/clips/0-9.mp4")
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"0-9\.mp4 is not at .*move the clips along"):
        relocate(tmp_path / "out")
    assert path.read_bytes() == before
    clip.parent.mkdir(parents=True)
    clip.touch()
    relocate(tmp_path / "out")
    assert pq.read_table(path)["video"][0]["path"].as_py() == str(clip)


def test_a_source_is_the_same_in_any_case_and_with_its_defaults_written_out(tmp_path: Path) -> None:
    built = build("Simulated", tmp_path / "out", videos=4, media=False)
    assert "license: apache-2.0" in (tmp_path / "out/README.md").read_text()
    assert build("simulated", tmp_path / "out", videos=4, media=False, seed=0) == built


@pytest.mark.parametrize("name", ["json", "my data", "größe"])
def test_a_folder_may_have_any_name_that_datasets_can_load(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build("simulated", name, videos=4, media=False)
    assert next(read_samples(name, "train")).split == "train"


@pytest.mark.parametrize("name", ["exp[v2]", "do::ub", "a*", "x.py"])
def test_a_folder_whose_name_datasets_takes_for_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="for patterns"):
        build("simulated", tmp_path / name, videos=4, media=False)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_row_file_is_named(tmp_path: Path) -> None:
    build("simulated", tmp_path / "out", videos=4, media=False)
    path = next(tmp_path.glob("out/data/tal/*.parquet"))
    path.write_bytes(path.read_bytes()[:2000])
    for action in (lambda: list(read_samples(tmp_path / "out", "train")), lambda: relocate(tmp_path / "out")):
        with pytest.raises(InputError) as caught:
            action()
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_build_killed_at_any_time_loads_as_nothing_and_finishes_when_run_again(tmp_path: Path) -> None:
    """Real processes, killed at moments spread over the build."""
    whole = tmp_path / "whole"
    command = [sys.executable, "-m", "medvidbench_hf.cli", "data", "build", "--source", "simulated", "--videos", "24"]
    started = time.monotonic()
    subprocess.run([*command, "--out", str(whole)], check=True, capture_output=True)
    took = time.monotonic() - started
    out = tmp_path / "out"
    killed, kills = 0, int(os.environ.get("MEDVIDBENCH_KILLS", "6"))
    for k in range(kills):
        process = subprocess.Popen(
            [*command, "--out", str(out)], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(0.4 + took * k / kills)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed += process.returncode == -signal.SIGKILL
        if not out.exists():
            with pytest.raises(InputError):
                list(read_samples(out, "train"))
            for leftover in tmp_path.glob("out*"):
                with pytest.raises((datasets.exceptions.DatasetNotFoundError, FileNotFoundError)):
                    datasets.load_dataset(str(leftover))
    assert killed
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    relocate(whole)
    mine, theirs = files_below(out), files_below(whole)
    assert mine.keys() == theirs.keys()
    clips = [name for name in mine if name.startswith("clips/")]
    assert clips
    assert all(mine[name] == theirs[name] for name in clips)
    assert not list(tmp_path.glob("*.building"))
