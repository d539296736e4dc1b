"""Clips: frames keep their true times, boxes land on known pixels."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvidbench_hf.sample import Box, Canvas, InputError
from medvidbench_hf.video import draw_boxes, encode, frames_at
from medvidbench_hf.video.clip import ticks

TIMES = [0.0, 2.0, 4.0, 4.0, 6.0, 30.2, 32.0, 34.5]  # a repeated time, a hole, a slip


def grey_frames(n: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frame k is grey 20 + 25 k."""
    frames = np.zeros((n, height, width, 3), np.uint8)
    return frames + (20 + 25 * np.arange(n, dtype=np.uint8))[:, None, None, None]


def greys(frames: np.ndarray) -> list[int]:
    return [round((f.mean() - 20) / 25) for f in frames]


def test_each_frame_comes_back_at_its_own_time_even_in_an_irregular_clip(tmp_path: Path) -> None:
    encode(grey_frames(8), TIMES, tmp_path / "a" / "clip.mp4")
    got = frames_at(tmp_path / "a" / "clip.mp4", TIMES)
    assert got.shape == (8, 48, 64, 3)
    # Two frames share 4.0 s; which of the two is shown then is not defined, the next time is.
    assert greys(got)[:2] + greys(got)[4:] == [0, 1, 4, 5, 6, 7]
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "clip.mp4"]


def test_a_time_between_frames_gives_the_frame_that_is_shown_then(tmp_path: Path) -> None:
    encode(grey_frames(8), TIMES, tmp_path / "clip.mp4")
    assert greys(frames_at(tmp_path / "clip.mp4", [-5.0, 1.9, 29.0, 31.0, 999.0])) == [0, 0, 4, 5, 7]


def test_odd_sizes_are_padded_by_one_pixel(tmp_path: Path) -> None:
    encode(grey_frames(3, 31, 45), [0.0, 1.0, 2.0], tmp_path / "clip.mp4")
    assert frames_at(tmp_path / "clip.mp4", [0.0]).shape == (1, 32, 46, 3)


def test_a_clip_of_hundreds_of_frames_keeps_the_time_of_each(tmp_path: Path) -> None:
    times = [0.5 * k + (k % 7) / 100 for k in range(400)]
    frames = np.zeros((400, 16, 16, 3), np.uint8) + (np.arange(400) % 8 * 30).astype(np.uint8)[:, None, None, None]
    encode(frames, times, tmp_path / "clip.mp4")
    shown = frames_at(tmp_path / "clip.mp4", times).mean((1, 2, 3)).round(-1)
    assert list(shown / 30) == pytest.approx([k % 8 for k in range(400)], abs=0.2)


@given(st.lists(st.integers(0, 10_000).map(lambda n: n / 1000), min_size=1, max_size=30).map(sorted))
def test_ticks_start_at_zero_and_always_move_on(times: list[float]) -> None:
    result = ticks(times)
    assert result[0] == 0
    assert all(b > a for a, b in itertools.pairwise(result))


def test_frames_and_times_must_agree(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        encode(grey_frames(3), [0.0, 1.0], tmp_path / "clip.mp4")


@pytest.mark.parametrize("content", [b"", b"not a video", None])
def test_a_file_that_does_not_decode_is_named_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"clip\.mp4: ") as caught:
        frames_at(path, [0.0])
    assert "\n" not in str(caught.value)


def test_a_clip_cut_in_half_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    encode(rng.integers(0, 255, (8, 48, 64, 3), np.uint8), TIMES, tmp_path / "clip.mp4")
    content = (tmp_path / "clip.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"half\.mp4: does not decode"):
        frames_at(tmp_path / "half.mp4", TIMES)


def test_no_ffmpeg_is_said_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="apt-get install ffmpeg"):
        encode(grey_frames(1), [0.0], tmp_path / "clip.mp4")


def test_a_box_is_drawn_at_the_scaled_pixels_and_the_input_is_left_alone() -> None:
    frame = np.zeros((50, 100, 3), np.uint8)
    drawn = draw_boxes(frame, [(Box(200.0, 100.0, 600.0, 400.0), (0, 255, 0))], Canvas(1000, 500), width_px=2)
    assert not frame.any()
    green = (drawn == (0, 255, 0)).all(-1)
    rows, columns = np.nonzero(green)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (20, 10, 59, 39)
    assert green[10, 20]
    assert green[39, 59]
    assert not green[25, 40]
