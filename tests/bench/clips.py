"""Measure clips: how fast frames at a model's size come out of them, and how many bytes they take.

    python -m tests.bench.clips

180 frames of 854x480 are drawn: a texture and shapes with sharp edges that move too far from frame to frame to be found
by a quick search, and a camera's grain, as much as gives JPEGs of quality 90 the bits per pixel of the release's frames
(174 kB at 1280x720). What is compared by time runs in turns, in one process; speeds are medians of the turns.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from medvidbench_hf.sample import Canvas
from medvidbench_hf.video import encode, frame_files, frames, psnr

N_FRAMES, SIZE, MODEL_SIZE = 180, Canvas(854, 480), Canvas(448, 252)
STEP_S = 2.0  # 63 % of the release's rows
JPEG_QUALITY = 90
GRAIN, SHIFT_PX = 2.5, 23
TURNS = 5


def measure(folder: Path) -> dict[str, Any]:
    """Speeds in frames a second on one process, sizes in bytes, quality in dB. Fills an empty folder.

    ready: `frames(..., size_px)` of an H.264 clip, a copy, an AV1 clip and the folder of JPEGs. decoded: torchcodec
    alone, the same H.264 frames at full size. pillow: open and resize the same frames as JPEGs, same filter.
    """
    jpegs = folder / "frames"
    jpegs.mkdir(parents=True)
    for k, frame in enumerate(textured()):
        Image.fromarray(frame).save(jpegs / f"{k}.jpg", quality=JPEG_QUALITY)
    files = frame_files(jpegs)
    jpeg_bytes = sum(file.stat().st_size for file in files)
    times = [STEP_S * k for k in range(N_FRAMES)]
    clips = {}
    for codec, suffix in (("h264", "mp4"), ("av1", "mp4"), ("copy", "mkv")):
        started = time.perf_counter()
        written = encode(files, times, folder / f"{codec}.{suffix}", codec=codec)
        seconds = time.perf_counter() - started
        clips[codec] = {
            "bytes": written.size_bytes,
            "of_jpegs": round(written.size_bytes / jpeg_bytes, 4),
            "psnr_db": round(psnr(written.path, files), 2),  # of a copy: what two decoders of JPEG differ by
            "written_fps": round(N_FRAMES / seconds),
        }
    h264 = folder / "h264.mp4"
    speeds = in_turns(
        {
            "ready": lambda: frames(h264, size_px=MODEL_SIZE),
            "decoded": lambda: decoded(h264),
            "pillow": lambda: [opened(file) for file in files],
            "ready_copy": lambda: frames(folder / "copy.mkv", size_px=MODEL_SIZE),
            "ready_av1": lambda: frames(folder / "av1.mp4", size_px=MODEL_SIZE),
            "ready_folder": lambda: frames(jpegs, size_px=MODEL_SIZE),
        }
    )
    return {
        "jpeg_bytes": jpeg_bytes,
        "clips": clips,
        "fps": {name: round(fps) for name, fps in speeds.items()},
        "ready_to_decoded": round(speeds["ready"] / speeds["decoded"], 2),
        "ready_to_pillow": round(speeds["ready"] / speeds["pillow"], 2),
    }


def in_turns(measured: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Frames a second of each, the first turn left out."""
    seconds: dict[str, list[float]] = {name: [] for name in measured}
    for turn in range(1 + TURNS):
        for name, run in measured.items():
            started = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: N_FRAMES / median(values) for name, values in seconds.items()}


def decoded(clip: Path) -> Any:
    from torchcodec.decoders import VideoDecoder

    return VideoDecoder(str(clip)).get_frames_at(list(range(N_FRAMES))).data


def opened(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB").resize(MODEL_SIZE, Image.Resampling.BICUBIC))


def textured() -> Iterator[np.ndarray]:
    """(height, width, 3) uint8, N_FRAMES times."""
    rng = np.random.default_rng(0)
    width, height = SIZE
    wide = width + SHIFT_PX * N_FRAMES

    def field(cell_px: int) -> np.ndarray:
        cells = rng.integers(0, 256, (height // cell_px + 2, wide // cell_px + 2), np.uint8)
        return np.asarray(Image.fromarray(cells).resize((wide, height), Image.Resampling.BICUBIC)).astype(np.float32)

    light, tint = 0.6 * field(40) + 0.25 * field(10) + 0.15 * field(5), field(60) / 255
    ground = np.stack([0.5 * light + 100, 0.45 * light + 40 + 20 * tint, 0.4 * light + 50 - 10 * tint], -1)
    grain = rng.normal(0, GRAIN, (height + 64, width + 64, 1)).astype(np.float32)
    for k in range(N_FRAMES):
        top, left = rng.integers(0, 64, 2)
        seen = ground[:, SHIFT_PX * k : SHIFT_PX * k + width] + grain[top : top + height, left : left + width]
        image = Image.fromarray(seen.clip(0, 255).astype(np.uint8))
        pen = ImageDraw.Draw(image)
        for tool in range(5):
            x = width / 2 + width / 3 * np.sin(k / 2 + 1.3 * tool)
            y = height / 2 + height / 3 * np.cos(k / 3 + 2.1 * tool)
            fill = (150 + 10 * tool, 150, 160 - 10 * tool)
            pen.ellipse((x - 40, y - 25, x + 40, y + 25), fill=fill, outline=(230, 230, 230), width=3)
        yield np.asarray(image)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measure(Path(place) / "clips"), indent=1))
