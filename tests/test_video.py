"""Clips: frames keep their pixels and true times, boxes land on known pixels, what is broken is named in one line."""

from __future__ import annotations

import itertools
import json
import struct
import subprocess
from math import inf, isnan, log10, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medvidbench_hf.sample import Box, Canvas, InputError
from medvidbench_hf.video import (
    THOUSAND,
    UNIT,
    container_times,
    convert,
    draw_boxes,
    encode,
    frame_files,
    frames,
    frames_at,
    probe,
    psnr,
)
from medvidbench_hf.video.clip import ticks
from medvidbench_hf.video.remote import RemoteFile
from tests.hub_stub import running
from tests.hub_stub.storage import Store

TIMES = [0.0, 2.0, 4.0, 4.0, 6.0, 30.2, 32.0, 34.5]  # a repeated time, a hole, a slip
GREEN = (0, 255, 0)
REAL = Path(__file__).parents[2] / "shared" / "real" / "video" / "nasa_13013.mp4"


def grey_frames(n: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Frame k is grey 20 + 25 k."""
    frames = np.zeros((n, height, width, 3), np.uint8)
    return frames + (20 + 25 * np.arange(n, dtype=np.uint8))[:, None, None, None]


def greys(frames: np.ndarray) -> list[int]:
    return [round((f.mean() - 20) / 25) for f in frames]


def noise(n: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (n, height, width, 3), np.uint8)


def saved(folder: Path, pixels: np.ndarray, suffix: str = ".jpg", **options: Any) -> list[Path]:
    """The frames as image files 0.jpg, 1.jpg, ..."""
    folder.mkdir()
    for k, frame in enumerate(pixels):
        Image.fromarray(frame).save(folder / f"{k}{suffix}", **options)
    return [folder / f"{k}{suffix}" for k in range(len(pixels))]


def stream(clip: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", str(clip)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]


def hashes(file: Path) -> list[str]:
    """SHA-256 of every frame as ffmpeg decodes it."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-fps_mode", "passthrough", "-pix_fmt", "rgb24"]
    said = subprocess.run([*command, "-f", "framehash", "-"], capture_output=True, check=True, text=True).stdout
    return [line.rpartition(" ")[2] for line in said.splitlines() if not line.startswith("#")]


# --- writing


@pytest.mark.parametrize(("codec", "suffix"), [("h264", ".mp4"), ("av1", ".mp4"), ("copy", ".mkv")])
def test_a_clip_of_files_keeps_the_true_time_of_every_frame_in_each_codec(
    tmp_path: Path, codec: str, suffix: str
) -> None:
    files = saved(tmp_path / "frames", grey_frames(8, 64, 80))
    written = encode(files, TIMES, tmp_path / "a" / f"clip{suffix}", codec=codec)
    clip = tmp_path / "a" / f"clip{suffix}"
    assert list((tmp_path / "a").iterdir()) == [clip]
    assert written == (clip, codec, 8, clip.stat().st_size, None)
    # Of two frames at 4.0 s the second is one millisecond late.
    assert container_times(clip) == pytest.approx([0.0, 2.0, 4.0, 4.001, 6.0, 30.2, 32.0, 34.5], abs=1e-6)
    assert greys(frames(clip)) == list(range(8))


def test_each_frame_comes_back_at_its_own_time_even_in_an_irregular_clip(tmp_path: Path) -> None:
    encode(grey_frames(8), TIMES, tmp_path / "clip.mp4")
    got = frames_at(tmp_path / "clip.mp4", TIMES)
    assert got.shape == (8, 48, 64, 3)
    # Two frames share 4.0 s; which of the two is shown then is not defined, the next time is.
    assert greys(got)[:2] + greys(got)[4:] == [0, 1, 4, 5, 6, 7]


def test_a_time_between_frames_gives_the_frame_that_is_shown_then(tmp_path: Path) -> None:
    encode(grey_frames(8), TIMES, tmp_path / "clip.mp4")
    assert greys(frames_at(tmp_path / "clip.mp4", [-5.0, 1.9, 29.0, 31.0, 999.0])) == [0, 0, 4, 5, 7]


def test_odd_sizes_are_padded_by_one_pixel(tmp_path: Path) -> None:
    encode(grey_frames(3, 31, 45), [0.0, 1.0, 2.0], tmp_path / "clip.mp4")
    assert frames_at(tmp_path / "clip.mp4", [0.0]).shape == (1, 32, 46, 3)


def test_a_clip_of_hundreds_of_frames_keeps_the_time_of_each(tmp_path: Path) -> None:
    times = [7.0 + 0.5 * k + (k % 7) / 100 for k in range(400)]
    pixels = np.zeros((400, 16, 16, 3), np.uint8) + (np.arange(400) % 8 * 30).astype(np.uint8)[:, None, None, None]
    encode(pixels, times, tmp_path / "clip.mp4")
    assert container_times(tmp_path / "clip.mp4") == pytest.approx([t - 7 for t in times], abs=1e-3)
    shown = frames_at(tmp_path / "clip.mp4", [t - 7 for t in times]).mean((1, 2, 3)).round(-1)
    assert list(shown / 30) == pytest.approx([k % 8 for k in range(400)], abs=0.2)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(0, 3_000_000).map(lambda n: n / 1000), min_size=1, max_size=40, unique=True).map(sorted))
def test_container_times_are_the_frame_times_to_a_millisecond(tmp_path_factory: Any, times: list[float]) -> None:
    clip = tmp_path_factory.mktemp("clips") / "clip.mp4"
    encode(grey_frames(1, 16, 16).repeat(len(times), 0), times, clip)
    assert container_times(clip) == pytest.approx([t - times[0] for t in times], abs=1e-3)


@given(st.lists(st.integers(0, 10_000).map(lambda n: n / 1000), min_size=1, max_size=30).map(sorted))
def test_ticks_start_at_zero_and_always_move_on(times: list[float]) -> None:
    result = ticks(times)
    assert result[0] == 0
    assert all(b > a for a, b in itertools.pairwise(result))


def test_browsers_can_play_what_encode_writes_at_any_frame_rate(tmp_path: Path) -> None:
    for k, times in enumerate(([0.0, 0.03, 0.06], [0.0, 10.0, 20.0])):
        clip = tmp_path / f"{k}.mp4"
        encode(noise(3, 480, 854), times, clip)
        found = stream(clip)
        assert (found["codec_name"], found["pix_fmt"], found["color_space"]) == ("h264", "yuv420p", "smpte170m")
        assert found["level"] <= 31  # the one of DVDs and of old telephones
        content = clip.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")


def test_quality_does_not_depend_on_the_frame_rate(tmp_path: Path) -> None:
    sizes = [
        encode(noise(20), [step_s * k for k in range(20)], tmp_path / "clip.mp4").size_bytes
        for step_s in (0.04, 0.5, 10.0)
    ]
    assert max(sizes) - min(sizes) < 20


def test_a_copy_holds_the_very_bytes_and_decodes_as_the_files_alone_do(tmp_path: Path) -> None:
    pixels = noise(6)
    files = saved(tmp_path / "frames", pixels, quality=90)
    Image.fromarray(pixels[1]).save(files[1], progressive=True)
    Image.fromarray(pixels[2]).convert("L").save(files[2])
    Image.fromarray(pixels[3]).convert("CMYK").save(files[3])
    Image.fromarray(pixels[4]).save(files[4], subsampling=0)
    clip = tmp_path / "clip.mkv"
    assert encode([*files, files[0]], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 5.0], clip, codec="copy").psnr_db is None
    content = clip.read_bytes()
    assert all(file.read_bytes() in content for file in files)
    assert hashes(clip) == [hashes(file)[0] for file in [*files, files[0]]]
    got = frames(clip)
    # Grey is the same to everyone; colour at half the size is spread by Pillow in a way of its own.
    assert abs(got[2].astype(int) - np.asarray(Image.open(files[2]).convert("RGB"))).max() <= 1
    assert abs(got[4].astype(int) - np.asarray(Image.open(files[4]).convert("RGB"))).max() <= 4


def test_a_copy_of_png_files_is_exact_in_every_pixel(tmp_path: Path) -> None:
    pixels = noise(3, 31, 45)
    encode(saved(tmp_path / "frames", pixels, ".png"), [0.0, 0.5, 9.0], tmp_path / "clip.mkv", codec="copy")
    assert (frames(tmp_path / "clip.mkv") == pixels).all()
    assert psnr(tmp_path / "clip.mkv", pixels) == inf


def test_psnr_is_that_of_the_formula(tmp_path: Path) -> None:
    pixels = grey_frames(4)
    files = saved(tmp_path / "frames", pixels, ".png")
    encode(files, [0.0, 1.0, 2.0, 3.0], tmp_path / "clip.mkv", codec="copy")
    off = pixels.copy()
    off[0] += 3  # one frame of four by 3: a mean square of 9 / 4
    assert psnr(tmp_path / "clip.mkv", off) == pytest.approx(10 * log10(255**2 / (9 / 4)))
    with pytest.raises(InputError, match="a clip of 4 frames cannot be compared with 3"):
        psnr(tmp_path / "clip.mkv", pixels[:3])
    lossy = encode(files, [0.0, 1.0, 2.0, 3.0], tmp_path / "clip.mp4", measure=True)
    assert lossy.psnr_db == psnr(tmp_path / "clip.mp4", pixels)
    assert 30 < lossy.psnr_db < 70


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([0.0, 1.0], "3 frames do not fit 2 times"),
        ([0.0, nan, 2.0], "time 1 is nan"),
        ([0.0, 1.0, inf], "time 2 is inf"),
        ([0.0, 2.0, 1.0], r"time 2 runs backwards, from 2\.0 s to 1\.0 s"),
        ([0.0, 1.0, 1e9], "a clip lasts at most"),
    ],
)
def test_times_that_a_clip_cannot_keep_are_named(tmp_path: Path, times: list[float], said: str) -> None:
    with pytest.raises(InputError, match=rf"clip\.mp4: .*{said}"):
        encode(grey_frames(3), times, tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())


def test_no_frames_wrong_arrays_and_absurd_rates_are_named(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with pytest.raises(InputError, match=r"clip\.mp4: no frames"):
        encode(grey_frames(0), [], clip)
    with pytest.raises(InputError, match=r"frames \(3, 48, 64\) uint8 do not fit"):
        encode(grey_frames(3)[..., 0], [0.0, 1.0, 2.0], clip)
    with pytest.raises(InputError, match="more than 1000 frames a second up to frame 102"):
        encode(grey_frames(1, 2, 2).repeat(200, 0), [k * 1e-5 for k in range(200)], clip)
    with pytest.raises(InputError, match="codec 'vp9': expected one of h264, av1, copy"):
        encode(grey_frames(1), [0.0], clip, codec="vp9")
    with pytest.raises(InputError, match="it takes files"):
        encode(grey_frames(1), [0.0], tmp_path / "clip.mkv", codec="copy")
    with pytest.raises(InputError, match=r"clip\.mp4: a clip of codec copy is named \*\.mkv"):
        encode([clip], [0.0], clip, codec="copy")
    with pytest.raises(InputError, match="crf 52: h264 takes 0 to 51"):
        encode(grey_frames(1), [0.0], clip, crf=52)
    with pytest.raises(InputError, match=r"64x48 is too small for av1"):
        encode(grey_frames(1), [0.0], clip, codec="av1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", ["h264", "copy"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("missing", "no such image file"),
        ("empty", "does not decode as JPEG or PNG"),
        ("text", "does not decode as JPEG or PNG"),
        ("cut", "does not decode as JPEG or PNG"),
        ("last byte", "does not decode as JPEG or PNG"),
        ("size", "32x48, but the first frame is 64x48"),
        ("turned", "turned by its EXIF tag"),
        ("gif", "does not decode as JPEG or PNG"),
    ],
)
def test_an_image_file_that_is_no_frame_is_named_and_leaves_no_clip(
    tmp_path: Path, codec: str, fault: str, said: str
) -> None:
    files = saved(tmp_path / "frames", noise(3))
    bad, content = files[1], files[1].read_bytes()
    match fault:
        case "missing":
            bad.unlink()
        case "empty":
            bad.write_bytes(b"")
        case "text":
            bad.write_text("<html>404</html>")
        case "cut":
            bad.write_bytes(content[: len(content) * 2 // 3])
        case "last byte":
            bad.write_bytes(content[:-1])
        case "size":
            Image.fromarray(noise(1, 48, 32)[0]).save(bad)
        case "turned":
            turned = Image.Exif()
            turned[0x112] = 6
            Image.fromarray(noise(1)[0]).save(bad, exif=turned)
        case "gif":
            Image.fromarray(noise(1)[0]).save(bad, "GIF")
    with pytest.raises(InputError, match=rf"1\.jpg: {said}") as caught:
        encode(files, [0.0, 1.0, 2.0], tmp_path / "out" / f"clip.{'mkv' if codec == 'copy' else 'mp4'}", codec=codec)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").iterdir())


def test_transparent_deep_and_mixed_pictures_are_refused(tmp_path: Path) -> None:
    jpeg, png, clear, deep = (tmp_path / name for name in ("0.jpg", "1.png", "2.png", "3.png"))
    Image.fromarray(noise(1)[0]).save(jpeg)
    Image.fromarray(noise(1)[0]).save(png)
    faint = Image.fromarray(noise(1)[0]).convert("RGBA")
    faint.putpixel((3, 4), (9, 9, 9, 254))
    faint.save(clear)
    Image.fromarray(noise(1)[0, :, :, 0].astype(np.uint16) * 200).save(deep)
    with pytest.raises(InputError, match=r"1\.png: not JPEG, as .*0\.jpg: the frames of a copy have one format"):
        encode([jpeg, png], [0.0, 1.0], tmp_path / "clip.mkv", codec="copy")
    for file, why in ((clear, "partly transparent"), (deep, "pixels of mode I;16")):
        for codec, ending in (("h264", "mp4"), ("copy", "mkv")):
            with pytest.raises(InputError, match=rf"{file.name}: {why}"):
                encode([file], [0.0], tmp_path / f"clip.{ending}", codec=codec)


def test_an_alpha_channel_that_hides_nothing_changes_no_pixel(tmp_path: Path) -> None:
    plain, opaque = tmp_path / "0.png", tmp_path / "1.png"
    Image.fromarray(noise(1)[0]).save(plain)
    Image.fromarray(noise(1)[0]).convert("RGBA").save(opaque)
    for file in (plain, opaque):
        encode([file], [0.0], file.with_suffix(".mkv"), codec="copy")
    assert np.array_equal(frames(plain.with_suffix(".mkv")), frames(opaque.with_suffix(".mkv")))


def test_no_ffmpeg_is_said_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="apt-get install ffmpeg"):
        encode(grey_frames(1), [0.0], tmp_path / "clip.mp4")


# --- reading


def test_frames_come_by_position_in_any_order_and_as_often_as_asked(tmp_path: Path) -> None:
    pixels = grey_frames(9).repeat(5, 0)  # more than are decoded at a time
    clip = tmp_path / "clip.mkv"
    files = saved(tmp_path / "frames", pixels, ".png")
    encode(files, [0.5 * k for k in range(45)], clip, codec="copy")
    wanted = [44, 3, 3, 0, 20, 19, 44]
    for video in (clip, str(clip), clip.read_bytes(), tmp_path / "frames", str(tmp_path / "frames")):
        assert (frames(video, wanted) == pixels[wanted]).all()
        assert (frames(video) == pixels).all()
        small = frames(video, wanted, Canvas(32, 20))
        assert small.shape == (7, 20, 32, 3)
        assert (small == pixels[wanted][:, :1, :1]).all()


def test_frames_are_resized_as_by_pillow_s_bicubic_filter(tmp_path: Path) -> None:
    pixels = noise(2, 90, 160)
    files = saved(tmp_path / "frames", pixels, ".png")
    encode(files, [0.0, 1.0], tmp_path / "clip.mkv", codec="copy")
    for size in (Canvas(56, 28), Canvas(160, 90), Canvas(224, 112)):
        expected = np.stack([Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC) for frame in pixels])
        for video in (tmp_path / "clip.mkv", tmp_path / "frames"):
            assert abs(frames(video, size_px=size).astype(int) - expected).max() <= 2
    assert frames_at(tmp_path / "clip.mkv", [1.0, 0.0], Canvas(56, 28)).shape == (2, 28, 56, 3)
    with pytest.raises(InputError, match=r"size \(0, 28\)"):
        frames(tmp_path / "clip.mkv", size_px=Canvas(0, 28))


@pytest.mark.parametrize("kind", ["clip.mp4", "frames"])
def test_a_position_that_the_clip_does_not_have_is_named(tmp_path: Path, kind: str) -> None:
    files = saved(tmp_path / "frames", grey_frames(3))
    encode(files, [0.0, 1.0, 2.0], tmp_path / "clip.mp4")
    for indices, said in (
        ([0, 3], "no frame 3: it has 3"),
        ([-1], "no frame -1: it has 3"),
        ([], "one frame or more"),
        ([0.5], "one frame or more"),
    ):
        with pytest.raises(InputError, match=rf"{kind}: .*{said}"):
            frames(tmp_path / kind, indices)


def test_times_must_be_numbers_and_a_folder_has_none(tmp_path: Path) -> None:
    files = saved(tmp_path / "frames", grey_frames(3))
    encode(files, [0.0, 1.0, 2.0], tmp_path / "clip.mp4")
    for times, said in (([0.0, nan], "time nan is not"), ([inf], "time inf is not"), ([], "no time is asked for")):
        with pytest.raises(InputError, match=rf"clip\.mp4: {said}"):
            frames_at(tmp_path / "clip.mp4", times)
    with pytest.raises(InputError, match="a folder of frames has no times"):
        frames_at(tmp_path / "frames", [0.0])
    with pytest.raises(InputError, match="no such video file but a folder"):
        container_times(tmp_path / "frames")


def test_a_folder_is_read_in_natural_order_without_hidden_files(tmp_path: Path) -> None:
    for k, name in enumerate(["v_2_9.png", "v_2_10.png", "v_10_1.png"]):
        Image.fromarray(grey_frames(3)[k]).save(tmp_path / name)
    (tmp_path / "._v_2_9.png").write_bytes(b"left by a file manager")
    assert [file.name for file in frame_files(tmp_path)] == ["v_2_9.png", "v_2_10.png", "v_10_1.png"]
    assert greys(frames(tmp_path)) == [0, 1, 2]
    found = probe(tmp_path)
    assert found[:3] == (3, 64, 48)
    assert isnan(found.duration_s)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt: not a JPEG or PNG frame"):
        frames(tmp_path)


def test_a_folder_that_is_no_clip_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no JPEG or PNG frames"):
        probe(tmp_path)
    Image.fromarray(noise(1)[0]).save(tmp_path / "1.jpg")
    Image.fromarray(noise(1, 32, 32)[0]).save(tmp_path / "2.jpg")
    for read in (frames, probe):
        with pytest.raises(InputError, match=r"2\.jpg: 32x32, but the first frame is 64x48"):
            read(tmp_path)
    (tmp_path / "2.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:-300])
    with pytest.raises(InputError, match=r"2\.jpg: does not decode as JPEG or PNG \(image file is truncated"):
        frames(tmp_path)


def test_a_clip_of_one_frame_is_read_as_any_other(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    encode(grey_frames(1), [17.0], clip)
    assert probe(clip)[:3] == (1, 64, 48)
    assert container_times(clip) == [0.0]
    assert greys(frames(clip)) == greys(frames_at(clip, [0.0])) == [0]


@pytest.mark.parametrize("content", [b"", b"not a video", None])
def test_what_is_no_video_is_named_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "clip.mp4"
    videos: dict[str, Any] = {r"clip\.mp4": path}
    if content is not None:
        path.write_bytes(content)
        videos[rf"video of {len(content)} bytes"] = content
    for name, video in videos.items():
        for read in (frames, probe, container_times, lambda video: frames_at(video, [0.0])):
            with pytest.raises(InputError, match=f"{name}: ") as caught:
                read(video)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_file_that_broke_off_is_named_even_where_a_part_would_play(tmp_path: Path, suffix: str) -> None:
    encode(noise(8), TIMES, tmp_path / "clip.mp4")
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "clip.mp4", "-c", "copy", whole], check=True)
    assert probe(whole).n_frames == 8
    content = whole.read_bytes()
    for share in (0.3, 0.97):
        cut.write_bytes(content[: int(len(content) * share)])
        for read in (frames, probe):
            with pytest.raises(InputError, match=rf"cut{suffix}: cut off: [\d,]+ bytes of [\d,]+ are there"):
                read(cut)


def test_bytes_after_the_film_do_no_harm(tmp_path: Path) -> None:
    encode(grey_frames(3), [0.0, 1.0, 2.0], tmp_path / "clip.mp4")
    assert greys(frames((tmp_path / "clip.mp4").read_bytes() + b"\xff" * 100)) == [0, 1, 2]


@pytest.mark.parametrize("said_ticks", [0, 1, 3_600_000, 0xFFFFFFFF])
def test_a_header_that_lies_about_the_length_is_not_believed(tmp_path: Path, said_ticks: int) -> None:
    encode(grey_frames(8), TIMES, tmp_path / "clip.mp4")
    content = bytearray((tmp_path / "clip.mp4").read_bytes())
    for box, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        struct.pack_into(">I", content, content.index(box) + offset, said_ticks)
    found = probe(bytes(content))
    assert found.n_frames == 8
    assert 34.5 <= found.duration_s < 39.5  # with or without the time that the last frame is shown
    assert greys(frames_at(bytes(content), [0.0, 30.2, 34.5])) == [0, 5, 7]
    assert container_times(bytes(content))[-1] == 34.5


def test_a_file_without_frames_is_named(tmp_path: Path) -> None:
    for name, made in (("none", ["color=s=64x48:d=1", "-frames:v", "0"]), ("sound", ["sine=d=0.1", "-c:a", "aac"])):
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", *made, str(tmp_path / f"{name}.mp4")]
        subprocess.run(command, check=True)
        for read in (frames, probe, lambda video: frames_at(video, [0.0])):
            with pytest.raises(InputError, match=rf"{name}\.mp4: "):
                read(tmp_path / f"{name}.mp4")


@pytest.mark.skipif(not REAL.is_file(), reason="the folder of real inputs is not beside this checkout")
def test_a_real_file_of_two_films_with_sound_is_read_by_its_larger_film() -> None:
    found = probe(REAL)
    assert found[:3] == (390, 480, 270)
    assert found.duration_s == pytest.approx(13.013, abs=1e-3)
    assert frames_at(REAL, [0.0, 12.9], Canvas(56, 28)).shape == (2, 28, 56, 3)


# --- the Hub


def test_a_remote_frame_takes_a_small_part_of_its_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.mp4"
    encode(noise(60, 160, 208), TIMES[:2] + [5.0 + 0.3 * k for k in range(58)], clip)
    content, asked = clip.read_bytes(), []

    def ask(self: RemoteFile, start: int, end: int) -> tuple[int, bytes, int]:
        asked.append(len(content[start:end]))
        return start, content[start:end], len(content)

    monkeypatch.setattr(RemoteFile, "_ask", ask)
    address = f"hf://datasets/org/name@{'0' * 39}{{}}/clips/clip.mp4"
    one = frames_at(address.format(1), [14.0])
    assert sum(asked) < len(content) / 5
    assert (one == frames_at(clip, [14.0])).all()
    del asked[:]
    # Who looks at a clip and then reads it fetches it once.
    assert probe(address.format(2)) == probe(clip)
    assert (frames(address.format(2), [59, 7, 30]) == frames(clip, [59, 7, 30])).all()
    assert sum(asked) == len(content)
    assert len(asked) < 10


@pytest.mark.parametrize("address", ["hf://org/name/a.mp4", "hf://datasets/org/name/../a.mp4", "hf://datasets/o/n"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(InputError, match="not an address such as hf://datasets/<org>/<name>@<revision>/<path>"):
        probe(address)


def test_offline_a_remote_clip_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        probe("hf://datasets/org/name@main/a.mp4")


READ = """
import sys
from medvidbench_hf.sample import InputError
from medvidbench_hf.video import frames_at
try:
    print(frames_at(sys.argv[1], [4.0])[0].mean().round())
except InputError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_clip_on_the_hub_is_read_by_ranges_and_a_closed_one_is_refused(tmp_path: Path) -> None:
    encode(noise(60, 160, 208), [0.5 * k for k in range(60)], tmp_path / "clip.mp4")
    store = Store(tmp_path / "hub")
    store.create("datasets/org/name")
    file = store.large_file(tmp_path / "clip.mp4")
    commit = store.commit("datasets/org/name", "main", "clips", [(f"clips/{k:03d}.mp4", file) for k in range(300)])
    with running(tmp_path / "hub") as hub:
        address = f"hf://datasets/org/name@{commit}/clips/007.mp4"
        expected = frames_at(tmp_path / "clip.mp4", [4.0])[0].mean().round()
        assert hub.client(READ, address).stdout.split() == [str(expected)]
        reads = [line for line in hub.log() if "/resolve/" in line["path"]]
        assert {line["status"] for line in reads} == {206}
        assert sum(line["bytes"] for line in reads) < file.size / 5
        assert not [line for line in hub.log() if "/tree/" in line["path"]]
        assert "no such repository, revision or file" in hub.client(READ, address.replace("007", "nope")).stdout
        hub.gate("datasets/org/name")
        refused = hub.client(READ, address).stdout
        assert "not open to this login" in refused
        assert "hf_stub" not in refused


# --- boxes

CANVAS = Canvas(854, 480)
SPACES = st.builds(Canvas, st.integers(1, 5000), st.integers(1, 5000))
BOXES = st.builds(Box, *[st.floats(-1e6, 1e6)] * 4)


def test_a_box_has_the_same_place_in_every_space() -> None:
    box = Box(85.4, 120.0, 427.0, 480.0)
    assert convert(box, CANVAS, UNIT) == pytest.approx((0.1, 0.25, 0.5, 1.0))
    assert convert(box, CANVAS, THOUSAND) == pytest.approx((100.0, 250.0, 500.0, 1000.0))
    assert convert(box, CANVAS, Canvas(448, 252)) == pytest.approx((44.8, 63.0, 224.0, 252.0))
    assert convert(Box(0, 0, 1000, 1000), THOUSAND, Canvas(337, 911)) == (0, 0, 337, 911)


@given(BOXES, SPACES, SPACES)
def test_a_box_comes_back_from_any_space(box: Box, source: Canvas, target: Canvas) -> None:
    assert convert(convert(box, source, target), target, source) == pytest.approx(box, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("bad", [nan, inf, -inf])
@pytest.mark.parametrize("place", range(4))
def test_a_coordinate_that_is_no_number_is_named(bad: float, place: int) -> None:
    box = Box(*(bad if k == place else 1.0 for k in range(4)))
    with pytest.raises(InputError, match=rf"box \(.*{bad}.*\): a coordinate is not a finite number"):
        convert(box, CANVAS, UNIT)
    with pytest.raises(InputError, match="not a finite number"):
        draw_boxes(grey_frames(1)[0], [(box, GREEN)], CANVAS)


def test_a_space_without_extent_is_named() -> None:
    with pytest.raises(InputError, match="a space without width or height"):
        convert(Box(0, 0, 1, 1), Canvas(0, 10), UNIT)


def test_a_box_is_drawn_at_the_scaled_pixels_and_the_input_is_left_alone() -> None:
    frame = np.zeros((50, 100, 3), np.uint8)
    drawn = draw_boxes(frame, [(Box(200.0, 100.0, 600.0, 400.0), GREEN)], Canvas(1000, 500), width_px=2)
    assert not frame.any()
    green = (drawn == GREEN).all(-1)
    rows, columns = np.nonzero(green)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (20, 10, 59, 39)
    assert green[10, 20]
    assert green[39, 59]
    assert not green[25, 40]


def test_a_region_drawn_before_the_resize_is_at_the_converted_pixels_of_its_frame_alone(tmp_path: Path) -> None:
    pixels = np.zeros((4, 480, 854, 3), np.uint8)
    region = Box(200.0, 96.0, 640.0, 384.0)
    pixels[2] = draw_boxes(pixels[2], [(region, GREEN)], CANVAS, width_px=8)
    encode(saved(tmp_path / "frames", pixels, ".png"), TIMES[:4], tmp_path / "clip.mkv", codec="copy")
    small = Canvas(427, 240)
    got = frames(tmp_path / "clip.mkv", size_px=small)
    assert not got[[0, 1, 3]].any()
    x1, y1, x2, y2 = map(int, convert(region, CANVAS, small))
    assert (x1, y1, x2, y2) == (100, 48, 320, 192)
    edge_px = 4  # a line of 8 at half the size
    solid = np.zeros((240, 427), bool)
    solid[y1:y2, x1:x2] = True
    solid[y1 + edge_px : y2 - edge_px, x1 + edge_px : x2 - edge_px] = False
    # The filter spreads an edge by two pixels to each side.
    assert (abs(got[2].astype(int) - solid[..., None] * np.array(GREEN)).max(-1) > 60).sum() == 0
    assert (got[2][solid][:, 1] > 190).all()
