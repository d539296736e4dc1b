"""What a video model is shown of a row: frames at its size, and the times it is told. Inference and training call this.

    inputs = model_inputs(sample.public(), "qwen3-vl")
    processor(text=prompt, **inputs.processor_arguments())
    convert(answered_box, inputs.box_space, sample.canvas)

What the model is told about time is what the frames are:

- Qwen3-VL and Qwen3.5 read a time as text before each pair of frames. Their processors compute it from frame numbers
  and a rate, so our frame numbers are milliseconds: any list of times, holes and slips included, is told as it is.
- Qwen2.5-VL is told one number, the step between frames, counted from 0 s. A clip with one step throughout is told as
  it is. Any other is shown on a regular grid as a player would show it: each grid time shows the frame that is up
  then, and a hole holds the frame before it (`sampling.hold`). `times_s` are the times told, `true_times_s` those of
  the frames; a told time lies between the true time of its frame and that of the next frame shown.

Models of all three families see frames in pairs and know one time a pair: Qwen3-VL and Qwen3.5 the mean of the two,
rounded to 0.1 s, so frames at 4 s and 5 s are both called "4.5 seconds"; Qwen2.5-VL the time of the first. A frame
without a partner, at the end or before a hole, is shown twice, so no pair gets a time from the middle of a hole.

The region of a region row is drawn in green on the frame it names, at the frame's full size, before the resize; where
that frame is shown more than once, each showing has it. No other frame is touched.

A processor may warn that it does not cap pixels per frame. The size is ours, so that does not apply; set
`processor.video_processor.cap_pixels_per_frame = False` to say so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor, log, sqrt
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from medvidbench_hf.sample import LONGEST_SIDE_PX, Canvas, InputError, PublicSample
from medvidbench_hf.video.boxes import THOUSAND, convert
from medvidbench_hf.video.draw import draw_boxes
from medvidbench_hf.video.sampling import (
    TOLERANCE_S,
    asked_times,
    check_policy,
    choose,
    hold,
    nearest,
    probe_clip,
    read_clip,
    row_name,
)

GREEN = (0, 255, 0)
REGION_LINE_PX = 8  # on the original frame, as in the official pipeline

# The official budget of a frame: 8 to 48 blocks of 28x28. All frames of a clip of the release fit the number of frames.
MAX_FRAMES = 180
MIN_PIXELS_PER_FRAME = 8 * 28 * 28
MAX_PIXELS_PER_FRAME = 48 * 28 * 28
MAX_PIXELS = 2 * 16_384 * 28 * 28  # of all frames: 16,384 tokens, half of the official context

_TICKS_PER_S = 1000


class Family(NamedTuple):
    """What a family of models needs to know about its input."""

    block_px: int  # sides are multiples of this: patch size x merge size
    boxes_in: Canvas | None  # the space it answers boxes in; None: pixels of the frames it was shown
    reads_times: bool  # a time in text before each pair of frames; else one step for the whole clip, counted from 0 s
    shortest_step_s: float = 0.0  # finer steps leave pairs of frames at the same temporal position


FAMILIES = {
    "qwen2.5-vl": Family(28, None, False, 0.25),  # 2 positions a second in the released models, 2 frames a pair
    "qwen3-vl": Family(32, THOUSAND, True),
    "qwen3.5": Family(32, THOUSAND, True),
}


class ModelInputs(NamedTuple):
    """Frames and times as one model family takes them; an even number of frames. Times are clip-local seconds."""

    pixels: np.ndarray  # (n, height, width, 3) uint8, at the model's size
    times_s: tuple[float, ...]  # (n,) what the model is told
    true_times_s: tuple[float, ...]  # (n,) what the frames are
    indices: tuple[int, ...]  # (n,) positions in the clip
    metadata: dict[str, Any]  # `video_metadata` of the processor
    size: Canvas  # model pixels
    box_space: Canvas  # the space in which this model answers boxes about these frames

    def processor_arguments(self) -> dict[str, Any]:
        """What to pass so that the processor changes neither frames nor times; all but `videos` also fit
        `apply_chat_template(..., processor_kwargs=...)`. For a batch, join the two lists.
        """
        numbers = list(self.metadata["frames_indices"])  # processors write into what they are given
        return {
            "videos": [self.pixels],
            "video_metadata": [{**self.metadata, "frames_indices": numbers}],
            "do_sample_frames": False,
            "do_resize": False,
        }


def model_inputs(
    sample: PublicSample,
    family: str,
    *,
    policy: str = "uniform",
    max_frames: int = MAX_FRAMES,
    min_pixels_per_frame: int = MIN_PIXELS_PER_FRAME,
    max_pixels_per_frame: int = MAX_PIXELS_PER_FRAME,
    max_pixels: int = MAX_PIXELS,
) -> ModelInputs:
    """The row's clip as a model of `family` (a key of `FAMILIES`) is shown it; see the module for times and regions.

    max_frames: at least 2; an odd number is rounded down. max_pixels: of all frames together. Frames keep their aspect
    but for the rounding to blocks, and all have one size. The frame named by a region is shown under every policy.
    InputError where the row has no clip, the clip is not the row's, or the budgets leave no room.
    """
    if family not in FAMILIES:
        raise InputError(f"model family {family!r}: expected one of {', '.join(FAMILIES)}")
    check_policy(policy)
    if max_frames < 2:
        raise InputError(f"max_frames {max_frames}: models take frames in pairs, so at least 2")
    block_px, boxes_in, reads_times, shortest_step_s = FAMILIES[family]
    times = sample.frame_times_s
    pair_frames = max_frames - max_frames % 2
    asked = asked_times(sample) if policy == "requested" or sample.region else ()
    if reads_times:
        indices = in_pairs(times, pair_frames, "requested" if policy == "uniform" and asked else policy, asked)
        step_s = None
    else:
        _check_told_from_zero(sample, family, policy, pair_frames)
        indices, step_s = hold(times, pair_frames, shortest_step_s, sample.frame_interval_s, nearest(times, asked))
        indices += indices[-1:] * (len(indices) % 2)
    clip = probe_clip(sample)
    most = min(max_pixels_per_frame, max_pixels // len(indices))
    size = model_size(Canvas(clip.width, clip.height), block_px, min_pixels_per_frame, most)

    pixels = read_clip(sample, indices, size)
    if sample.region is not None:
        marked = nearest(times, [sample.region.time_s])[0]
        pixels[np.equal(indices, marked)] = _with_region(sample, marked, size)

    true_times = tuple(times[k] for k in indices)
    if step_s is None:
        ticks = [round(time_s * _TICKS_PER_S) for time_s in true_times]
        told, numbers, fps, total = tuple(t / _TICKS_PER_S for t in ticks), ticks, float(_TICKS_PER_S), ticks[-1] + 1
    else:
        numbers, fps, total = list(range(len(indices))), 1 / step_s, len(indices)
        told = tuple(k * step_s for k in numbers)
    metadata = {
        "fps": fps,
        "frames_indices": numbers,
        "total_num_frames": total,
        "duration": total / fps,
        "width": size.width,
        "height": size.height,
    }
    return ModelInputs(pixels, told, true_times, tuple(indices), metadata, size, boxes_in or size)


def in_pairs(times_s: Sequence[float], max_frames: int, policy: str, around_s: Sequence[float]) -> list[int]:
    """Positions chosen by `policy`, pair after pair, at most `max_frames`.

    A frame more than two usual steps before the next one pairs with itself, as does a last one that is left over.
    """
    for count in range(max_frames, 0, -1):  # frames that pair with themselves leave room for fewer others
        chosen = choose(times_s, count, policy, around_s)
        steps = [b - a for a, b in pairwise(times_s[k] for k in chosen)]
        hole_s = 2 * median([step for step in steps if step > TOLERANCE_S] or [0.0]) + TOLERANCE_S
        paired: list[int] = []
        rest = deque(chosen)
        while rest:
            first = rest.popleft()
            alone = not rest or times_s[rest[0]] - times_s[first] > hole_s
            paired += [first, first if alone else rest.popleft()]
        if len(paired) <= max_frames:
            break
    return paired


def model_size(frame: Canvas, block_px: int, min_pixels: int, max_pixels: int) -> Canvas:
    """The size nearest to the frame's own in whole blocks, of at most `max_pixels`.

    A frame under `min_pixels` is enlarged to the nearest size of at least that, where one is within the limit.
    """
    fewest, most = ceil(min_pixels / block_px**2), max_pixels // block_px**2
    if most < 1 or fewest > most:
        raise InputError(
            f"no frame size in blocks of {block_px}x{block_px} has {min_pixels} to {max_pixels} pixels: "
            "show fewer frames or allow more pixels"
        )
    blocks = min(max(frame.width * frame.height / block_px**2, fewest), most)
    high, wide = sqrt(blocks * frame.height / frame.width), sqrt(blocks * frame.width / frame.height)
    sizes = set()
    for h in {max(1, floor(high)), ceil(high)}:
        for w in {max(1, floor(wide)), ceil(wide)}:
            sizes |= {(h, max(1, min(w, most // h))), (max(1, min(h, most // w)), w)}

    def badness(size: tuple[int, int]) -> tuple[bool, float, tuple[int, int]]:
        h, w = size
        return h * w < fewest, 2 * abs(log(w / h * high / wide)) + abs(log(h * w / blocks)), size

    h, w = min((size for size in sizes if size[0] * size[1] <= most), key=badness)
    return Canvas(w * block_px, h * block_px)


def _check_told_from_zero(sample: PublicSample, family: str, policy: str, max_frames: int) -> None:
    """InputError where a model that counts from 0 s cannot be told the truth."""
    row, first_s = row_name(sample), sample.frame_times_s[0]
    if abs(first_s) > TOLERANCE_S:
        raise InputError(f"{row} field frame_times_s: starts at {first_s} s, but {family} counts from 0 s: subtract it")
    if policy == "dense" and len(sample.frame_times_s) > max_frames:
        raise InputError(
            f'{row}: policy "dense" begins inside the clip, but {family} counts from 0 s: use "uniform" or "requested"'
        )


def _with_region(sample: PublicSample, index: int, size: Canvas) -> np.ndarray:
    """The frame with the region drawn on it at full size, then resized; (height, width, 3) uint8.

    The line is as thick as the official one, but at least a pixel of the model, and at most a quarter of the box.
    """
    assert sample.region is not None
    box, canvas = sample.region.box, sample.canvas
    if canvas == (LONGEST_SIDE_PX, LONGEST_SIDE_PX):
        raise InputError(
            f"{row_name(sample)} field canvas: unknown, so the region's box has no place on the frame: "
            "build the data with its frames"
        )
    frame = read_clip(sample, [index])[0]
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = convert(box, canvas, Canvas(width, height))
    line_px = max(REGION_LINE_PX * width / canvas.width, width / size.width)
    line_px = min(line_px, abs(x2 - x1) / 4, abs(y2 - y1) / 4)
    drawn = draw_boxes(frame, [(box, GREEN)], canvas, max(1, round(line_px)))
    return np.asarray(Image.fromarray(drawn).resize(size, Image.Resampling.BICUBIC))
