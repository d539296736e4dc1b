"""The release's frames: found under any prefix, examined, built into clips whose every frame is the right one."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image, features

from medvidbench_hf.builder import attach, build, read_samples
from medvidbench_hf.builder.official import export_release
from medvidbench_hf.builder.stats import picture, stats
from medvidbench_hf.sample import Canvas, InputError, Sample
from medvidbench_hf.sources.media import FrameTree, cholec_number, video_file, video_files
from medvidbench_hf.sources.release import NO_FRAMES_HERE
from medvidbench_hf.sources.release.doctor import (
    EMPTY,
    MIS_SIZED,
    MISSING,
    MIXED,
    OUTSIDE,
    UNREADABLE,
    examine,
    frame_size,
)
from medvidbench_hf.video import container_times, encode, frames
from medvidbench_hf.video import picture as image_files
from tests import release_files

KINDS = {"test": "cleaned_test", "trainval": "trainval"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the release as unpacked: two JSON files, and frames that each carry their own id."""
    root = tmp_path_factory.mktemp("release")
    rows = {
        "test": release_files.test_rows(1, 0.01, frames=(4, 8)),
        "trainval": release_files.trainval_rows(1, 0.01, frames=(4, 8)),
    }
    for kind, name in KINDS.items():
        (root / f"{name}.json").write_text(json.dumps(rows[kind]), encoding="utf-8")
    release_files.write_frames([*rows["test"], *rows["trainval"]], root)
    return root


@pytest.fixture
def broken(copy: Path, tmp_path: Path) -> Iterator[tuple[Path, dict[str, list[str]]]]:
    root = tmp_path / "medvidbench"
    shutil.copytree(copy, root)
    yield root, release_files.break_copy(root, 0)
    for link in tmp_path.glob("outside*"):
        link.unlink()


@pytest.fixture(scope="module")
def built(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "release"
    build("release", out, root=copy, num_proc=2)
    return out


def rows_of(data: Path) -> Iterator[Sample]:
    for split in ("test", "train", "validation"):
        yield from read_samples(data, split)


def frame_file_ids(sample: Sample) -> list[int]:
    return json.loads(sample.extra)["frames"]["ids"]


# --- frames on disk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "testdata", "MedVidBench/testdata", "root/data"])
def test_frames_are_found_under_whatever_folders_they_were_unpacked_to(tmp_path: Path, prefix: str) -> None:
    folder = tmp_path / prefix / "AVOS" / "frames_15fps" / "v1"
    folder.mkdir(parents=True)
    (folder / "15.jpg").touch()
    for stored in ("/root/data/", "testdata/", "valdata/", "/elsewhere/deep/er/"):
        found = FrameTree(tmp_path).find([f"{stored}AVOS/frames_15fps/v1/15.jpg"])
        assert found.files == (folder / "15.jpg",), stored


def test_two_sources_with_folders_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    for source in ("CholecT50/videos", "CholecTrack20/videos"):
        (tmp_path / "data" / "CAMMA_data" / source / "VID01").mkdir(parents=True)
        (tmp_path / "data" / "CAMMA_data" / source / "VID01" / "1.png").touch()
    tree = FrameTree(tmp_path)
    for source in ("CholecT50", "CholecTrack20", "CholecT50"):
        (file,) = tree.find([f"/root/data/CAMMA_data/{source}/videos/VID01/1.png"]).files
        assert source in file.parts


@pytest.mark.parametrize(
    "path", ["testdata/../../secret/1.jpg", "/root/data/../../etc/passwd", "C:/data/x/1.jpg", "..\\x\\y\\1.jpg"]
)
def test_a_path_that_points_outside_the_root_is_named_and_not_followed(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "1.jpg").touch()
    (tmp_path / "root").mkdir()
    found = FrameTree(tmp_path / "root").find([path])
    assert not found.files
    assert "outside the root" in found.problem


def test_links_are_followed_inside_the_root_only(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    (root / "AVOS" / "v1").mkdir(parents=True)
    secret.mkdir()
    (secret / "1.jpg").touch()
    (root / "AVOS" / "v1" / "2.jpg").touch()
    (root / "AVOS" / "v1" / "1.jpg").symlink_to(secret / "1.jpg")
    (root / "AVOS" / "v1" / "3.jpg").symlink_to("2.jpg")
    (root / "AVOS" / "f").mkdir()
    (root / "AVOS" / "f" / "v2").symlink_to(secret)
    tree = FrameTree(root)
    assert "outside" in tree.find(["AVOS/v1/1.jpg"]).problem
    assert "outside" in tree.find(["AVOS/f/v2/1.jpg"]).problem
    assert tree.find(["AVOS/v1/3.jpg"]).files == (root / "AVOS" / "v1" / "3.jpg",)
    linked = tmp_path / "linked"
    linked.symlink_to(root)
    assert FrameTree(linked).find(["AVOS/v1/2.jpg"]).files


def test_a_whole_copy_is_healthy_but_for_its_size(copy: Path) -> None:
    examined = examine(copy)
    assert not examined.faults
    assert examined.frames["found"] == len(list(copy.rglob("*.jpg"))) + len(list(copy.rglob("*.png")))
    assert not examined.healthy  # it has fewer rows than were published
    assert all("published" in line for line in examined.differing)


def test_every_seeded_fault_is_found_and_nothing_else(broken: tuple[Path, dict[str, list[str]]]) -> None:
    root, seeded = broken
    kinds = {
        "missing": MISSING,
        "truncated": UNREADABLE,
        "text": UNREADABLE,
        "empty": EMPTY,
        "resized": MIS_SIZED,
        "link": OUTSIDE,
    }
    expected = {(kinds[kind], path) for kind, paths in seeded.items() for path in paths}
    for num_proc in (1, 2):
        found = {(f.kind, f.path.removeprefix("/root/data/")) for f in examine(root, num_proc=num_proc).faults}
        assert found == expected
    quick = {fault.kind for fault in examine(root, decode=False).faults}
    assert {MISSING, EMPTY, MIS_SIZED, OUTSIDE} <= quick


def test_the_readme_shows_what_doctor_says_of_a_broken_copy(
    broken: tuple[Path, dict[str, list[str]]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from medvidbench_hf import cli
    from medvidbench_hf.cli import tables

    root, _ = broken
    monkeypatch.chdir(root.parent)
    monkeypatch.setattr(tables.console, "width", 110)
    monkeypatch.setattr("sys.argv", ["medvidbench", "data", "doctor", "--root", root.name, "--num-proc", "1"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    said = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines() if "reading frames" not in line)
    page = Path(__file__).parent.parent / "medvidbench_hf" / "sources" / "release" / "README.md"
    text = page.read_text(encoding="utf-8")
    before, shown, after = re.split(r"(?s)(?<=<!-- doctor -->\n)(.*)(?=<!-- end of doctor -->)", text)
    if os.environ.get("MEDVIDBENCH_SNAPSHOT"):
        page.write_text(f"{before}```\n{said.strip()}\n```\n{after}", encoding="utf-8")
    else:
        assert shown.strip("`\n") == said.strip()


# --- clips -----------------------------------------------------------------------------------------------------


def test_every_clip_holds_the_frames_its_row_names_at_the_times_the_row_has(built: Path) -> None:
    seen = set()
    for sample in rows_of(built):
        assert sample.video is not None
        if sample.video in seen:
            continue
        seen.add(sample.video)
        pixels = frames(sample.video)
        assert [release_files.frame_id_of(frame) for frame in pixels] == frame_file_ids(sample)
        assert len(pixels) == len(sample.frame_times_s)
        shown, steps = container_times(sample.video), np.diff(sample.frame_times_s)
        # A repeated time is kept one millisecond apart from the one before it.
        tolerance = 0.0011 + 0.001 * int((steps == 0).sum())
        assert np.allclose(shown, sample.frame_times_s, atol=tolerance)


def test_rows_stay_in_their_place_and_come_out_as_they_went_in(copy: Path, built: Path, tmp_path: Path) -> None:
    for kind, name in KINDS.items():
        original = json.loads((copy / f"{name}.json").read_text(encoding="utf-8"))
        written = export_release(built, kind, tmp_path / kind, frames=False)
        assert json.loads(written.json.read_text(encoding="utf-8")) == original
    rows = datasets.load_dataset(str(built), "all", split="test")
    assert sorted(rows["index"]) == list(range(rows.num_rows))


@pytest.mark.slow
def test_clips_are_shared_and_two_workers_make_the_same_files(copy: Path, built: Path, tmp_path: Path) -> None:
    build("release", tmp_path / "one", root=copy, num_proc=1)
    one, two = (
        {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*.mp4")}
        for place in (tmp_path / "one", built)
    )
    assert one == two
    assert len(one) < sum(1 for _ in rows_of(built))
    assert not list(built.rglob("*.partial")) + list(built.rglob(".locks"))


def test_the_canvas_is_the_annotators_whatever_the_size_of_the_file(built: Path) -> None:
    large = 0
    for sample in rows_of(built):
        assert sample.video is not None
        height, width = frames(sample.video, [0]).shape[1:3]
        if sample.source == "CholecTrack20":
            assert sample.canvas == (854, 480)
            large += width > 854
        elif sample.source == "EgoSurgery":
            assert sample.canvas == (1920, 1080)
        else:
            assert sample.canvas == (width, height)
    assert large


@pytest.mark.slow
def test_a_smaller_frame_cache_keeps_the_canvas_of_the_original_frames(copy: Path, tmp_path: Path) -> None:
    root = tmp_path / "small"
    shutil.copytree(copy, root)
    sizes = {}
    for file in root.rglob("*.jpg"):
        sizes[file.parent.relative_to(root).as_posix()] = [640, 480]
        image = Image.open(file)
        image.resize((32, 24)).save(file)
    (root / "frame_sizes.json").write_text(json.dumps(sizes))
    assert FrameTree(root).size(file) == Canvas(640, 480)
    build("release", tmp_path / "built", root=root, num_proc=2)
    canvases = {sample.canvas for sample in rows_of(tmp_path / "built") if sample.source == "CoPESD"}
    assert canvases == {Canvas(640, 480)}


@pytest.mark.slow
def test_a_broken_copy_builds_every_row_and_names_those_without_a_clip(
    broken: tuple[Path, dict[str, list[str]]], tmp_path: Path
) -> None:
    root, seeded = broken
    record = build("release", tmp_path / "built", root=root, num_proc=2)
    assert record.n_rows == sum(len(json.loads((root / f"{name}.json").read_text())) for name in KINDS.values())
    assert record.flagged[NO_FRAMES_HERE]
    assert record.flagged["its clip cannot be made"]
    marks = [json.loads(line) for line in (tmp_path / "built" / "flagged.jsonl").read_text().splitlines()]
    without = {(sample.split, sample.index) for sample in rows_of(tmp_path / "built") if sample.video is None}
    named = {(m["split"], m["index"]) for m in marks if m["reason"] in (NO_FRAMES_HERE, "its clip cannot be made")}
    assert named == without
    bad = {path for paths in seeded.values() for path in paths}
    for sample in rows_of(tmp_path / "built"):
        listed = {path.removeprefix("/root/data/") for path in _paths(sample)}
        assert (sample.video is None) == bool(listed & bad), sample.id
    for mark in marks:
        assert mark["detail"]


def _paths(sample: Sample) -> list[str]:
    pattern = json.loads(sample.extra)["frames"]
    return [f"{pattern['prefix']}{tick:0{pattern['digits']}d}{pattern['suffix']}" for tick in pattern["ids"]]


# --- videos ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rows_without_media_take_their_clips_from_the_holders_frames(copy: Path, built: Path, tmp_path: Path) -> None:
    build("release", tmp_path / "text", root=copy, media=False)
    record = attach(tmp_path / "text", copy, tmp_path / "attached", num_proc=2)
    assert not record.flagged
    again = {(s.split, s.index): s for s in rows_of(tmp_path / "attached")}
    for sample in rows_of(built):
        other = again[sample.split, sample.index]
        assert other.video is not None
        assert sample.video is not None
        assert Path(other.video).read_bytes() == Path(sample.video).read_bytes()
    with pytest.raises(InputError, match="has nothing for these"):
        attach(tmp_path / "text", built / "data", tmp_path / "none")


@pytest.fixture(scope="module")
def source_videos(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few videos of NurViD and CholecT50 whose frame at second t of the source shows its own half second."""
    folder = tmp_path_factory.mktemp("videos")
    wanted: dict[str, dict[str, float]] = {"NurViD": {}, "CholecT50": {}}
    for kind in KINDS.values():
        for row in json.loads((copy / f"{kind}.json").read_text()):
            ends = wanted.get(row.get("data_source") or row.get("dataset_name"))
            if ends is not None:
                video, last = row["metadata"]["video_id"], row["sampled_video_frames"][-1]
                ends[video] = max(ends.get(video, 0.0), last / (2.0 if ends is wanted["NurViD"] else 1.0) + 1)
    shortest = [pair for ends in wanted.values() for pair in sorted(ends.items(), key=lambda pair: pair[1])[:2]]
    for video, end_s in shortest:
        frame = folder / "frame.png"
        count = int(2 * end_s) + 1
        pixels = []
        for k in range(count):
            release_files.write_frame(frame, k, (64, 48))
            pixels.append(np.asarray(Image.open(frame).convert("RGB")))
        encode(np.stack(pixels), [k / 2 for k in range(count)], folder / f"{video.replace('VID', 'video')}.mp4")
    return folder


@pytest.mark.slow
def test_clips_are_cut_from_the_source_videos_at_the_true_times(
    copy: Path, source_videos: Path, tmp_path: Path
) -> None:
    record = build("release", tmp_path / "built", root=copy, num_proc=2, from_videos=source_videos)
    assert record.flagged["its video is missing"]
    cut = [sample for sample in rows_of(tmp_path / "built") if sample.video is not None]
    assert {sample.source for sample in cut} >= {"NurViD", "CholecT50"}  # and other Cholec rows of that number
    for sample in cut:
        if sample.source not in ("NurViD", "CholecT50"):
            continue
        shown = [release_files.frame_id_of(frame) for frame in frames(sample.video)]
        expected = [int(2 * (sample.clip_start_s + t) + 1e-6) for t in sample.frame_times_s]
        assert shown == expected, sample.id


def test_a_cholec_number_finds_its_video_under_either_name_and_two_files_are_refused(tmp_path: Path) -> None:
    assert [cholec_number("CholecT50", name) for name in ("VID07", "video07", "7", "x")] == [7, 7, 7, None]
    assert cholec_number("NurViD", "VID07") is None
    for name in ("a/video07.mp4", "NurViD/v1.mp4", "b/v1.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = video_files(tmp_path)
    assert video_file(files, "CholecT50", "VID07") == tmp_path / "a" / "video07.mp4"
    assert video_file(files, "NurViD", "v1") == tmp_path / "NurViD" / "v1.mp4"
    assert video_file(files, "NurViD", "v2") is None
    with pytest.raises(InputError, match="are both AVOS video 'v1'"):
        video_file(files, "AVOS", "v1")


# --- counts ----------------------------------------------------------------------------------------------------


def test_stats_count_what_is_there_and_name_the_videos_that_two_splits_share(built: Path) -> None:
    found = stats(built)
    all_rows = list(rows_of(built))
    assert {split: sum(counts.values()) for split, counts in found.rows.items()} == {
        split: sum(sample.split == split for sample in all_rows) for split in ("train", "validation", "test")
    }
    assert sum(found.clips.values()) == len({(s.split, s.video) for s in all_rows})
    assert "test" not in {split for counts in found.answer_words.values() for split in counts if not counts}
    assert not [where for where in found.leaks.values() if set(where) == {"train", "validation"}]
    svg = picture(found)
    assert svg.startswith("<svg")
    assert "NurViD" in svg


def test_the_row_of_an_imported_sample_is_its_own_json_and_no_more(built: Path) -> None:
    row: dict[str, Any] = next(rows_of(built)).to_row()
    assert row["answer"] is None
    assert row["truth"] is None
    assert row["answer_extra"] is None


# --- frames and folders that someone broke, or arranged in an unusual way ----------------------------------------


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def row_of(paths: list[str]) -> dict[str, Any]:
    return {
        "id": "x",
        "qa_type": "tal",
        "data_source": "CoPESD",
        "conversations": [{"from": "human", "value": "<video>\nWhen does it happen?"}],
        "video": paths,
        "sampled_video_frames": list(range(1, len(paths) + 1)),
        "metadata": {"video_id": "v1", "fps": "1.0"},
        "is_RC": False,
        "RC_info": {},
    }


def write_rows(root: Path, *rows: list[str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "test.json").write_text(json.dumps([row_of(paths) for paths in rows]), encoding="utf-8")
    return root


@pytest.mark.parametrize("folders", [("testdata", "valdata"), ("data", "valdata"), ("MedVidBench/testdata", "")])
def test_frames_of_one_video_in_two_folders_are_all_found(tmp_path: Path, folders: tuple[str, str]) -> None:
    video = "AVOS/frames_15fps/v1"
    files = [tmp_path / folder / video / f"{k}.jpg" for k, folder in enumerate(folders)]
    touch(*files)
    for stored in ("/root/data/", "/elsewhere/"):
        found = FrameTree(tmp_path).find([f"{stored}{video}/{k}.jpg" for k in (0, 1, 2)])
        assert sorted(found.files) == sorted(files), stored
        assert found.missing == (f"{stored}{video}/2.jpg",)


def test_a_frame_that_is_missing_is_not_taken_from_another_source_or_another_file_of_rows(tmp_path: Path) -> None:
    for folder in ("CholecT50", "CholecTrack20", "testdata/AVOS", "valdata/AVOS"):
        touch(tmp_path / folder / "videos" / "VID01" / ("2.jpg" if "k" in folder or "val" in folder else "1.jpg"))
    tree = FrameTree(tmp_path)
    for folder in ("/root/data/CholecT50", "testdata/AVOS"):
        assert tree.find([f"{folder}/videos/VID01/1.jpg"]).files
        assert tree.find([f"{folder}/videos/VID01/2.jpg"]).missing


STORED = ("/root/data/", "testdata/", "valdata/", "deep/er/testdata/", "")


def test_linked_folders_down_to_the_prefix_depth_are_followed_for_every_stored_prefix(tmp_path: Path) -> None:
    disk, root = tmp_path / "disk", tmp_path / "root"
    touch(disk / "AVOS" / "f" / "v1" / "1.jpg", disk / "pool" / "2.jpg", tmp_path / "secret" / "3.jpg")
    (disk / "AVOS" / "f" / "v1" / "2.jpg").symlink_to(disk / "pool" / "2.jpg")
    (disk / "AVOS" / "f" / "v1" / "3.jpg").symlink_to(tmp_path / "secret" / "3.jpg")
    (disk / "AVOS" / "f" / "v2").symlink_to(tmp_path / "secret")
    for place in ("testdata", "MedVidBench/testdata"):
        link = root / place
        link.parent.mkdir(parents=True)
        link.symlink_to(disk)
        for stored in STORED:
            tree = FrameTree(root)
            found = tree.find([f"{stored}AVOS/f/v1/{k}.jpg" for k in (1, 2)])
            assert found.files == tuple(link / "AVOS" / "f" / "v1" / f"{k}.jpg" for k in (1, 2)), stored
            for path in ("AVOS/f/v1/3.jpg", "AVOS/f/v2/3.jpg"):
                assert tree.find([stored + path]).problem == "a link that leads outside the root", (stored, path)
        shutil.rmtree(root)


def test_a_link_below_the_prefix_depth_is_refused_for_every_stored_prefix(tmp_path: Path) -> None:
    touch(tmp_path / "secret" / "v1" / "1.jpg")
    (tmp_path / "root" / "testdata" / "AVOS").mkdir(parents=True)
    (tmp_path / "root" / "testdata" / "AVOS" / "f").symlink_to(tmp_path / "secret")
    for stored in STORED:
        found = FrameTree(tmp_path / "root").find([f"{stored}AVOS/f/v1/1.jpg"])
        assert (found.files, found.problem) == ((), "a link that leads outside the root"), stored


def test_links_in_a_circle_and_what_is_no_file_are_no_frames_and_no_videos(tmp_path: Path) -> None:
    touch(tmp_path / "AVOS" / "f" / "v1" / "1.jpg", tmp_path / "v1.mp4")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "AVOS" / "f" / "v1" / "2.jpg").symlink_to("2.jpg")
    (tmp_path / "AVOS" / "f" / "v1" / "3.jpg").symlink_to("nowhere")
    (tmp_path / "AVOS" / "f" / "v1" / "4.jpg").mkdir()
    os.mkfifo(tmp_path / "AVOS" / "f" / "v1" / "5.jpg")
    found = FrameTree(tmp_path).find([f"AVOS/f/v1/{k}.jpg" for k in range(1, 6)])
    assert len(found.files) == 1
    assert len(found.missing) == 4
    (tmp_path / "v2.mp4").symlink_to("nowhere")
    (tmp_path / "v3.mp4").symlink_to("v3.mp4")
    os.mkfifo(tmp_path / "v4.mp4")
    assert set(video_files(tmp_path)) == {"v1"}


@pytest.mark.parametrize("path", ["x/" * 3000 + "1.jpg", f"AVOS/{'f' * 300}/1.jpg", f"AVOS/f/v1/{'1' * 300}.jpg"])
def test_a_path_that_no_disk_can_hold_is_missing_and_says_why(tmp_path: Path, path: str) -> None:
    touch(tmp_path / "AVOS" / "f" / "v1" / "1.jpg", tmp_path / "x" / "x" / "1.jpg")
    found = FrameTree(tmp_path).find([path])
    assert found == ((), (path,), "longer than any path on a disk")
    (fault,) = examine(write_rows(tmp_path, [path])).faults
    assert (fault.kind, fault.detail) == (MISSING, found.problem)


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "AVOS" / "f" / "v1" / "1.jpg", tmp_path / "lost+found" / "x" / "y" / "1.jpg")
    scandir = os.scandir

    def refuse(folder: Path) -> Any:
        if Path(folder).name in ("v1", "lost+found"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = FrameTree(tmp_path).find(["AVOS/f/v1/1.jpg"])
    assert found.problem == "a folder that cannot be read (Permission denied)"
    assert FrameTree(tmp_path).find(["AVOS/f/v2/1.jpg"]).problem == ""


def test_any_number_of_unrelated_folders_hides_no_frames_and_missing_ones_cost_no_time(tmp_path: Path) -> None:
    file = tmp_path / "MedVidBench" / "testdata" / "AVOS" / "frames_15fps" / "v1" / "1.jpg"
    touch(file)
    for k in range(1001):
        (tmp_path / "other" / f"d{k}").mkdir(parents=True)
    tree = FrameTree(tmp_path)
    assert tree.find(["/root/data/AVOS/frames_15fps/v1/1.jpg"]).files == (file,)
    started = time.perf_counter()
    for k in range(10_000):
        assert not tree.find([f"/root/data/AVOS/frames_2fps/v{k}/1.jpg"]).files
    assert time.perf_counter() - started < 2  # 0.1 s; a look at every folder for each took two minutes


@pytest.mark.parametrize(
    "size", ["[1e999, 3]", "[0, 0]", "[-1, 3]", "[true, 3]", "[1000001, 3]", "[640.0, 480]", "[640]", "{}", '"6x4"']
)
def test_a_size_of_frames_that_cannot_be_is_an_error_that_names_the_file_and_the_key(tmp_path: Path, size: str) -> None:
    (tmp_path / "frame_sizes.json").write_text(f'{{"testdata/ok": [640, 480], "AVOS/v\\n1": {size}}}')
    with pytest.raises(InputError, match=r"frame_sizes\.json field 'AVOS/v\\n1': .*--max-side` again$"):
        FrameTree(tmp_path).size(tmp_path / "1.jpg")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, "[]", "9" * 5000, "\udcff", '{"a": [1, 2}'])
def test_sizes_of_frames_that_are_no_object_are_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "frame_sizes.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"^[^\n]*frame_sizes\.json: [^\n]*--max-side` again$"):
        FrameTree(tmp_path).size(tmp_path / "1.jpg")


def test_the_size_of_a_frame_goes_before_the_size_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "frame_sizes.json").write_text('{"AVOS/v1": [640, 480], "AVOS/v1/2.jpg": [320, 240]}')
    tree = FrameTree(tmp_path)
    sizes = [tree.size(tmp_path / "AVOS" / name) for name in ("v1/1.jpg", "v1/2.jpg", "v2/1.jpg")]
    assert sizes == [(640, 480), (320, 240), None]


def test_doctor_calls_whole_only_what_the_build_can_use(tmp_path: Path) -> None:
    folder = tmp_path / "CoPESD" / "f" / "v1"
    folder.mkdir(parents=True)
    image = Image.new("RGB", (64, 48))
    turned = Image.Exif()
    turned[0x112] = 6
    image.save(folder / "turned.jpg", exif=turned)
    Image.new("I;16", (64, 48)).save(folder / "deep.png")
    image.convert("P").save(folder / "glass.png", transparency=0)
    formats = ["WEBP", "GIF", "DDS", "EPS", "BMP", *(["JPEG2000"] if features.check("jpg_2000") else [])]
    for name in formats:
        image.save(folder / f"{name}.jpg", format=name)
    (folder / "bomb.png").write_bytes(_png_head(30_000, 30_000))
    names = sorted(file.name for file in folder.iterdir())
    write_rows(tmp_path, [f"CoPESD/f/v1/{name}" for name in names])
    details = {Path(fault.path).name: fault.detail for fault in examine(tmp_path).faults if fault.kind == UNREADABLE}
    assert sorted(details) == names
    assert "EXIF" in details["turned.jpg"]
    assert "I;16" in details["deep.png"]
    assert "transparent" in details["glass.png"]
    assert {details[f"{name}.jpg"] for name in formats} == {"does not decode as JPEG or PNG"}
    assert not [detail for detail in details.values() if str(tmp_path) in detail]
    quick = {Path(fault.path).name for fault in examine(tmp_path, decode=False).faults if fault.kind == UNREADABLE}
    assert quick == set(names) - {"glass.png"}


def _png_head(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + bytes(12)


def test_a_frame_that_does_not_fit_in_memory_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(path: Path) -> str:
        raise MemoryError

    monkeypatch.setattr(image_files, "check", exhausted)
    release_files.write_frame(tmp_path / "1.jpg", 1, (64, 48))
    with pytest.raises(InputError, match="too large"):
        frame_size(tmp_path / "1.jpg", decode=True)


def test_png_and_jpeg_in_one_row_is_a_line_and_not_a_fault(tmp_path: Path) -> None:
    folder = tmp_path / "CoPESD" / "f" / "v1"
    folder.mkdir(parents=True)
    for k in (1, 2):
        release_files.write_frame(folder / f"{k}.jpg", k, (64, 48))
    release_files.write_frame(folder / "3.png", 3, (64, 48))
    (folder / "3.png").rename(folder / "3.jpg")
    one, two, three = (f"CoPESD/f/v1/{k}.jpg" for k in (1, 2, 3))
    write_rows(tmp_path, [one, two], [one, two, three], [three])
    for decode in (True, False):
        examined = examine(tmp_path, decode=decode)
        assert not examined.faults
        assert examined.flags[MIXED] == [f"test 1: {three} is a PNG, {one} a JPEG"]


def test_a_row_that_lists_a_frame_three_times_needs_it_once(tmp_path: Path) -> None:
    gone = "CoPESD/f/v1/1.jpg"
    (fault,) = examine(write_rows(tmp_path, [gone] * 3, [gone, gone])).faults
    assert fault.rows == ("test 0", "test 1")


def test_control_characters_of_a_path_are_escaped_in_what_doctor_says(tmp_path: Path) -> None:
    folder = tmp_path / "CoPESD" / "f\x1b[31m" / "v\n1"
    folder.mkdir(parents=True)
    (folder / "手\t1.jpg").write_text("not a frame")
    path = "CoPESD/f\x1b[31m/v\n1"
    examined = examine(write_rows(tmp_path, [f"{path}/手\t1.jpg", f"{path}/gone\r.jpg"]))
    assert [fault.path for fault in examined.faults] == [
        r"CoPESD/f\x1b[31m/v\n1/gone\r.jpg",
        r"CoPESD/f\x1b[31m/v\n1/手\t1.jpg",
    ]
    assert examined.folders == {r"CoPESD/f\x1b[31m": 1}
    assert all(fault.detail.isprintable() for fault in examined.faults)
