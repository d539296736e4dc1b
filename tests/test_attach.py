"""Small copies of the release by hand: what is mended is built again, what is kept stays, sizes and places are true."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medvidbench_hf.builder import attach, build, read_build, read_samples, relocate
from medvidbench_hf.builder.rows import NO_CLIP
from medvidbench_hf.sample import Canvas, InputError, Sample
from medvidbench_hf.sources.release import NO_CANVAS, NO_PLACE
from medvidbench_hf.sources.release.rows import UNKNOWN_CANVAS
from medvidbench_hf.video import encode, frames
from tests.release_files import frame_id_of, write_frame

FOLDER = "CoPESD/high_light_images"


def row(video: str, ids: list[int], folder: str = FOLDER, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"0.5${video}$1$9",
        "qa_type": "stg",
        "data_source": "CoPESD",
        "conversations": [{"from": "human", "value": "<video>\nTrack the knife from 0 to 2 seconds every 1 seconds."}],
        "video": [f"/root/data/{folder}/{video}/{tick:04d}.jpg" for tick in ids],
        "sampled_video_frames": ids,
        "metadata": {"video_id": video, "fps": "1.0"},
        "struc_info": [],
        "is_RC": False,
        "RC_info": {},
        **fields,
    }


def copy_of(root: Path, *rows: dict[str, Any], size_px: tuple[int, int] = (64, 48)) -> Path:
    """A copy of the release with these test rows, and a frame for every path."""
    root.mkdir(exist_ok=True)
    (root / "test.json").write_text(json.dumps(rows), encoding="utf-8")
    for listed in rows:
        for path, tick in zip(listed["video"], listed["sampled_video_frames"], strict=True):
            file = root / path.removeprefix("/root/data/")
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                write_frame(file, tick, size_px)
    return root


def built(out: Path) -> list[Sample]:
    return sorted(read_samples(out, "test"), key=lambda sample: sample.index)


def shown(sample: Sample) -> list[int]:
    assert sample.video is not None
    return [frame_id_of(frame) for frame in frames(sample.video)]


def test_a_frame_that_was_mended_is_taken_by_the_next_build(tmp_path: Path) -> None:
    root = copy_of(tmp_path / "root", row("c1", [1, 2, 3]))
    file = root / FOLDER / "c1" / "0002.jpg"
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    record = build("release", tmp_path / "out", root=root)
    assert record.flagged == {NO_CLIP: 1}
    assert str(file) in (tmp_path / "out" / "flagged.jsonl").read_text()
    file.write_bytes(whole)
    assert build("release", tmp_path / "out", root=root, overwrite=True).flagged == {}
    assert shown(built(tmp_path / "out")[0]) == [1, 2, 3]
    (root / "frame_sizes.json").write_text(json.dumps({f"{FOLDER}/c1": [640, 480]}))
    build("release", tmp_path / "out", root=root, overwrite=True)
    assert built(tmp_path / "out")[0].canvas == Canvas(640, 480)


def test_a_frame_that_no_encoder_takes_leaves_its_row_text_only_and_the_others_whole(tmp_path: Path) -> None:
    root = copy_of(tmp_path / "root", row("c1", [1, 2]), row("c2", [1, 2]))
    for file in (root / FOLDER / "c1").iterdir():
        Image.new("RGB", (20_000, 16)).save(file)
    record = build("release", tmp_path / "out", root=root)
    assert record.flagged == {NO_CLIP: 1}
    without, whole = built(tmp_path / "out")
    assert without.video is None
    assert shown(whole) == [1, 2]


def test_the_canvas_is_that_of_the_rows_own_frames(tmp_path: Path) -> None:
    large, small, first_gone = row("c1", [1, 2]), row("c1", [7, 8]), row("c2", [1, 2])
    root = copy_of(tmp_path / "root", large, small, first_gone)
    for tick in (1, 2):
        write_frame(root / FOLDER / "c1" / f"{tick:04d}.jpg", tick, (128, 96))
    (root / FOLDER / "c2" / "0001.jpg").write_bytes(b"")
    build("release", tmp_path / "out", root=root)
    assert [sample.canvas for sample in built(tmp_path / "out")] == [(128, 96), (64, 48), (64, 48)]


def test_attached_rows_learn_the_size_of_their_frames_and_keep_their_place(tmp_path: Path) -> None:
    root = copy_of(tmp_path / "root", row("c1", [1, 2, 3]), row("c2", [4, 5]))
    build("release", tmp_path / "text", root=root, media=False)
    attach(tmp_path / "text", root, tmp_path / "out")
    first, second = built(tmp_path / "out")
    assert (first.canvas, second.canvas) == ((64, 48), (64, 48))
    assert (shown(first), shown(second)) == ([1, 2, 3], [4, 5])


def test_clips_that_rows_have_already_go_along_and_nothing_of_the_old_folder_is_touched(tmp_path: Path) -> None:
    rows = row("c1", [1, 2, 3]), row("c2", [4, 5])
    (tmp_path / "root").mkdir()
    whole = copy_of(tmp_path / "whole", *rows)
    part = copy_of(tmp_path / "part", *rows)
    for file in (part / FOLDER / "c2").iterdir():
        file.unlink()
    build("release", tmp_path / "data", root=part)
    with pytest.raises(InputError, match="is the data itself"):
        attach(tmp_path / "data", whole, tmp_path / "data", overwrite=True)
    record = attach(tmp_path / "data", whole, tmp_path / "out", codec="copy")
    assert record.clips == 2
    assert not record.flagged
    (tmp_path / "out").rename(tmp_path / "moved")
    (tmp_path / "data").rename(tmp_path / "gone")
    relocate(tmp_path / "moved")
    kept, new = built(tmp_path / "moved")
    assert (shown(kept), shown(new)) == ([1, 2, 3], [4, 5])
    assert (str(kept.video).endswith(".mp4"), str(new.video).endswith(".mkv")) == (True, True)
    assert read_build(tmp_path / "moved").clips == 2


def test_a_row_without_a_clock_is_not_cut_from_just_anywhere_in_its_video(tmp_path: Path) -> None:
    backwards = row("c1", [40, 42, 41])
    root = copy_of(tmp_path / "root", row("c1", [40, 41, 42]), backwards)
    (tmp_path / "videos").mkdir()
    pixels = np.zeros((60, 48, 64, 3), np.uint8)
    for second in range(60):
        write_frame(tmp_path / "frame.png", second, (64, 48))
        pixels[second] = np.asarray(Image.open(tmp_path / "frame.png").convert("RGB"))
    encode(pixels, range(60), tmp_path / "videos" / "c1.mp4")
    record = build("release", tmp_path / "out", root=root, from_videos=tmp_path / "videos")
    assert record.flagged[NO_PLACE] == 1
    cut, not_cut = built(tmp_path / "out")
    assert (shown(cut), not_cut.video) == ([40, 41, 42], None)
    build("release", tmp_path / "text", root=root, media=False)
    assert attach(tmp_path / "text", tmp_path / "videos", tmp_path / "attached").flagged
    cut, not_cut = built(tmp_path / "attached")
    assert (shown(cut), not_cut.video) == ([40, 41, 42], None)


def test_a_video_whose_header_lies_about_its_length_is_named_and_not_believed(tmp_path: Path) -> None:
    copy_of(tmp_path / "root", row("c1", [1, 2, 3]), row("c1", [40, 41, 42]))
    (tmp_path / "videos").mkdir()
    encode(np.zeros((9, 48, 64, 3), np.uint8), range(9), tmp_path / "whole.mp4")
    file = tmp_path / "videos" / "c1.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "whole.mp4", "-c", "copy", file], check=True)
    content = bytearray(file.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3  # the duration of the segment in milliseconds, eight bytes
    struct.pack_into(">d", content, at, 3_600_000.0)
    file.write_bytes(content)
    record = build("release", tmp_path / "out", root=tmp_path / "root", from_videos=tmp_path / "videos")
    assert any("its header says 3600.0 s, its frames last 9.0 s" in warning for warning in record.warnings)
    assert record.flagged[NO_CLIP] == 1
    cut, beyond = built(tmp_path / "out")
    assert (len(frames(cut.video or "")), beyond.video) == (3, None)


def test_the_size_of_a_holders_video_is_not_taken_for_that_of_the_frames_that_boxes_are_in(tmp_path: Path) -> None:
    question = [{"from": "human", "value": "<video>\nWhen does cutting happen?"}]
    rows = row("c1", [1, 2, 3]), row("c1", [1, 2, 3], qa_type="tal", conversations=question)
    root = copy_of(tmp_path / "root", *rows)
    (tmp_path / "videos").mkdir()
    encode(np.zeros((9, 24, 32, 3), np.uint8), range(9), tmp_path / "videos" / "c1.mp4")
    made = [build("release", tmp_path / "cut", root=root, from_videos=tmp_path / "videos")]
    build("release", tmp_path / "text", root=root, media=False)
    made.append(attach(tmp_path / "text", tmp_path / "videos", tmp_path / "attached"))
    for record in made:
        assert record.flagged == {NO_CANVAS: 1}
        boxed, timed = built(Path(record.folder))
        assert boxed.canvas == UNKNOWN_CANVAS
        assert timed.canvas == Canvas(32, 24)
