"""What a video model receives is what the frames are: frames unchanged, times true, the region where it belongs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medvidbench_hf.sample import LONGEST_SIDE_PX, Box, Canvas, InputError, PublicSample, Region
from medvidbench_hf.video import FAMILIES, ModelInputs, choose, convert, encode, model_inputs, sample_frames
from medvidbench_hf.video.model import MAX_PIXELS_PER_FRAME, in_pairs, model_size
from medvidbench_hf.video.sampling import hold
from tests import make
from tests.tiny_processors import model, processor

N_FRAMES, WIDTH, HEIGHT = 11, 128, 96

#: lists with one step, by frames a second
REGULAR = {fps: tuple(k / fps for k in range(N_FRAMES)) for fps in (0.1, 0.25, 0.5, 1.0, 2.0, 3.0)}

#: lists as sources have them: a hole of 92 s, repeated frames, slips, an end off the cadence
IRREGULAR = {
    "a hole": (0.0, 1.0, 2.0, 3.0, 4.0, 96.0, 97.0, 98.0, 99.0, 100.0, 101.0),
    "repeats": (0.0, 1.0, 2.0, 2.0, 3.0, 4.5, 5.5, 6.5, 6.5, 7.5, 8.5),
    "slips": (0.0, 1.0, 2.066667, 3.666667, 4.6, 5.6, 6.6, 7.6, 8.666667, 9.733333, 11.6),
    "an odd end": (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 19.0),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models gain nothing from threads, and lose seconds where other programs want the cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


Medium = Callable[[tuple[float, ...]], str]


def grey(k: int) -> int:
    """Frame k is plain, and its grey tells which frame it is."""
    return 20 + 20 * k


@pytest.fixture(scope="module", params=["clip", "folder"])
def medium(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Medium:
    """Makes the clip with frames at the given times: a file whose container times are those, or a folder of frames."""
    root = tmp_path_factory.mktemp("media")
    pictures = np.stack([np.full((HEIGHT, WIDTH, 3), grey(k), np.uint8) for k in range(N_FRAMES)])
    for k, picture in enumerate(pictures):
        (root / "folder").mkdir(exist_ok=True)
        Image.fromarray(picture).save(root / "folder" / f"{k}.jpg")

    @lru_cache
    def made(times_s: tuple[float, ...]) -> str:
        if request.param == "folder":
            return str(root / "folder")
        path = root / f"{abs(hash(times_s))}.mp4"
        encode(pictures, times_s, path)
        return str(path)

    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of frames: the quickest clip."""
    folder = tmp_path_factory.mktemp("clip")
    for k in range(N_FRAMES):
        Image.new("RGB", (WIDTH, HEIGHT), (grey(k),) * 3).save(folder / f"{k}.png")
    return str(folder)


def row(video: str | None, times_s: tuple[float, ...] = REGULAR[0.5], fps: float = 0.5, **fields: Any) -> PublicSample:
    fields = {"task": "tal", "canvas": Canvas(WIDTH, HEIGHT), **fields}
    return make.sample(video=video, frame_times_s=times_s, fps=fps, **fields).public()


def process(family: str, inputs: ModelInputs) -> Any:
    """What the processor makes of the inputs, called directly."""
    prompt = "<|vision_start|><|video_pad|><|vision_end|>When?"
    return processor(family)(text=[prompt], return_tensors="pt", **inputs.processor_arguments())


def seen(family: str, out: Any) -> list[int]:
    """Which frames the model gets, two a pair, told by the pixels that the processor made."""
    images = processor(family).video_processor
    patches = out["pixel_values_videos"].reshape(
        -1, 3, 2, images.patch_size**2
    )  # (patches, channel, frame of pair, px)
    pairs = patches.reshape(int(out["video_grid_thw"][0, 0]), -1, *patches.shape[1:]).mean((1, 4))  # (pairs, 3, 2)
    mean, std = (np.array(x)[:, None] for x in (images.image_mean, images.image_std))
    values = ((pairs.numpy() * std + mean) * 255).mean(1).ravel()  # (2 pairs,)
    return [round((value - 20) / 20) for value in values]


def told(family: str, out: Any) -> list[float]:
    """The time of each pair, from what the processor made."""
    if family == "qwen2.5-vl":
        return [k * float(out["second_per_grid_ts"][0]) for k in range(int(out["video_grid_thw"][0, 0]))]
    text = processor(family).tokenizer.decode(out["input_ids"][0])
    return [float(time) for time in re.findall(r"<([\d.]+) seconds>", text)]


@pytest.mark.parametrize("fps", REGULAR)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_times_of_a_regular_clip_reach_every_family_as_they_are(family: str, fps: float, medium: Medium) -> None:
    times = REGULAR[fps]
    inputs = model_inputs(row(medium(times), times, fps), family)
    out = process(family, inputs)
    frames = seen(family, out)
    assert frames == [*range(N_FRAMES), N_FRAMES - 1] == list(inputs.indices)
    pairs = list(zip(frames[::2], frames[1::2], strict=True))
    if family == "qwen2.5-vl":
        assert float(out["second_per_grid_ts"][0]) == pytest.approx(2 / fps, rel=1e-6)
        assert told(family, out) == pytest.approx([times[first] for first, _ in pairs], rel=1e-6)
        assert inputs.times_s[:N_FRAMES] == pytest.approx(times)
    else:
        means = [(times[first] + times[second]) / 2 for first, second in pairs]
        assert told(family, out) == pytest.approx(means, abs=0.0506)  # printed to 0.1 s, from whole milliseconds
        assert inputs.times_s == pytest.approx(inputs.true_times_s, abs=0.0005)


@pytest.mark.parametrize("name", IRREGULAR)
@pytest.mark.parametrize("family", ["qwen3-vl", "qwen3.5"])
def test_the_times_of_an_irregular_clip_are_printed_as_they_are(family: str, name: str, medium: Medium) -> None:
    times = IRREGULAR[name]
    inputs = model_inputs(row(medium(times), times, 1.0), family)
    out = process(family, inputs)
    frames = seen(family, out)
    assert set(frames) == set(range(N_FRAMES))
    pairs = [(times[first], times[second]) for first, second in zip(frames[::2], frames[1::2], strict=True)]
    assert told(family, out) == pytest.approx([(a + b) / 2 for a, b in pairs], abs=0.0506)
    assert max(b - a for a, b in pairs) < 3, "no pair has a time from the middle of a hole"


@pytest.mark.parametrize("name", IRREGULAR)
def test_qwen25_sees_an_irregular_clip_as_a_player_shows_it(name: str, medium: Medium) -> None:
    times = IRREGULAR[name]
    inputs = model_inputs(row(medium(times), times, 1.0), "qwen2.5-vl")
    out = process("qwen2.5-vl", inputs)
    frames = seen("qwen2.5-vl", out)
    step_s = float(out["second_per_grid_ts"][0]) / 2
    assert inputs.times_s == pytest.approx([k * step_s for k in range(len(frames))], rel=1e-6)
    assert [times[k] for k in frames] == list(inputs.true_times_s)
    # The last frame at each time: of repeats only that one is up at a grid time.
    assert {times[k] for k in frames} == set(times)
    assert_held(times, frames, step_s)


def assert_held(times: tuple[float, ...], frames: list[int], step_s: float) -> None:
    """Each frame is shown from its own time on, until the next frame shown has its time."""
    assert frames == sorted(frames)
    for k, frame in enumerate(frames):
        assert times[frame] <= k * step_s + 0.0011
    for k, (frame, following) in enumerate(pairwise(frames)):
        if following != frame:
            assert k * step_s < times[following] + 0.0011


@pytest.mark.parametrize("family", FAMILIES)
def test_the_processor_changes_neither_size_nor_frames(family: str, clip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = processor(family).video_processor
    handed: list[Any] = []
    preprocess = images._preprocess

    def spy(videos: list[Any], **kwargs: Any) -> Any:
        handed.extend(videos)
        return preprocess(videos, **kwargs)

    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the processor samples or resizes")

    monkeypatch.setattr(images, "_preprocess", spy)
    monkeypatch.setattr(images, "sample_frames", never)
    monkeypatch.setattr(images, "resize", never)
    inputs = model_inputs(row(clip), family)
    out = process(family, inputs)
    assert np.array_equal(handed[0].numpy(), inputs.pixels.transpose(0, 3, 1, 2))
    pairs, high, wide = out["video_grid_thw"][0].tolist()
    assert (2 * pairs, len(inputs.pixels)) == (12, 12)
    assert (high * images.patch_size, wide * images.patch_size) == (inputs.size.height, inputs.size.width)
    assert FAMILIES[family].block_px == images.patch_size * images.merge_size
    assert images.temporal_patch_size == 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "times",
    [REGULAR[0.1], REGULAR[3.0], IRREGULAR["a hole"], IRREGULAR["slips"], tuple(k / 8 for k in range(N_FRAMES))],
)
def test_later_frames_have_later_positions_in_the_model(family: str, times: tuple[float, ...], clip: str) -> None:
    out = process(family, model_inputs(row(clip, times, 1.0), family))
    positions, _ = model(family).model.get_rope_index(**out)
    pairs = int(out["video_grid_thw"][0, 0])
    temporal = positions[0][out["mm_token_type_ids"] == 2].reshape(pairs, -1)  # (pairs, tokens of a pair)
    assert (temporal == temporal[:, :1]).all()
    assert (temporal.diff(dim=0) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_training_and_inference_give_the_model_the_same(family: str, clip: str) -> None:
    """The chat template with an answer, as a trainer renders it, and without, as generation does."""
    inputs = model_inputs(row(clip, IRREGULAR["slips"], 1.0), family)
    arguments = inputs.processor_arguments()
    ask = {"role": "user", "content": [{"type": "video", "video": arguments.pop("videos")[0]}]}
    answer = {"role": "assistant", "content": [{"type": "text", "text": "0.0-2.0 seconds."}]}
    made = [
        processor(family).apply_chat_template(
            turns, tokenize=True, return_dict=True, return_tensors="pt", processor_kwargs=dict(arguments), **options
        )
        for turns, options in (([ask], {"add_generation_prompt": True}), ([ask, answer], {}))
    ]
    direct = process(family, inputs)
    video = [name for name in direct if "video" in name or name == "second_per_grid_ts"]
    assert len(video) == 2 + (family == "qwen2.5-vl")
    for out in made:
        assert all((out[name] == direct[name]).all() for name in video)
        assert told(family, out) == told(family, direct)
        assert seen(family, out) == seen(family, direct)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_join_to_a_batch_and_the_model_answers_from_what_the_processor_made(family: str, clip: str) -> None:
    two = [model_inputs(row(clip, times, 1.0), family) for times in (REGULAR[0.5], IRREGULAR["a hole"])]
    joined = [inputs.processor_arguments() for inputs in two]
    arguments = {**joined[0], **{key: [a[key][0] for a in joined] for key in ("videos", "video_metadata")}}
    prompt = "<|vision_start|><|video_pad|><|vision_end|>When?"
    out = processor(family)(text=[prompt, prompt + "?"], padding=True, return_tensors="pt", **arguments)
    assert out["video_grid_thw"][:, 0].tolist() == [len(inputs.pixels) // 2 for inputs in two]
    if family == "qwen2.5-vl":
        assert out["second_per_grid_ts"].tolist() == pytest.approx([4.0, 2 * two[1].times_s[1]])
    answer = model(family).generate(**out, max_new_tokens=2, do_sample=False)
    assert answer.shape[1] - out["input_ids"].shape[1] in (1, 2)


def test_the_step_told_to_qwen25_moves_its_answer(clip: str) -> None:
    """So the number does reach the model in a plain forward."""
    out = process("qwen2.5-vl", model_inputs(row(clip), "qwen2.5-vl"))
    logits = model("qwen2.5-vl")(**out).logits
    out["second_per_grid_ts"] = out["second_per_grid_ts"] * 3
    assert not np.allclose(logits.detach(), model("qwen2.5-vl")(**out).logits.detach(), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_many_frames_are_thinned_to_the_budget_and_stay_true(family: str, clip: str) -> None:
    inputs = model_inputs(row(clip), family, max_frames=7)
    assert len(inputs.indices) <= 6
    assert len(inputs.indices) % 2 == 0
    assert inputs.true_times_s == tuple(2.0 * k for k in inputs.indices)
    assert inputs.times_s == pytest.approx(inputs.true_times_s)  # 0, 4, ... 20 s: the step divides the clip
    assert seen(family, process(family, inputs)) == list(inputs.indices)


# --- the region -------------------------------------------------------------------------------------------------

CHOLECTRACK = Canvas(854, 480)  # the release's boxes; its stored frames are larger
REGION = Region(4.0, Box(100.0, 60.0, 180.0, 120.0))  # its unscaled numbers lie inside a model's frame too


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("large")
    for k in range(5):
        Image.new("RGB", (1280, 720), (60 + 20 * k,) * 3).save(folder / f"{k}.png", compress_level=1)
    return str(folder)


def region_row(video: str, **fields: Any) -> PublicSample:
    values = {"task": "region_caption", "region": REGION, "canvas": CHOLECTRACK, **fields}
    return row(video, values.pop("frame_times_s", (0.0, 2.0, 4.0, 6.0, 8.0)), **values)


def green(pixels: np.ndarray) -> np.ndarray:
    """Where green stands out; (..., height, width) bool."""
    values = pixels.astype(int)
    return values[..., 1] - values[..., 0] > 40


@pytest.mark.parametrize("family", FAMILIES)
def test_the_region_is_drawn_at_its_scaled_place_on_its_frame_alone(family: str, large: str) -> None:
    inputs = model_inputs(region_row(large), family)
    plain = model_inputs(row(large, (0.0, 2.0, 4.0, 6.0, 8.0)), family)
    assert inputs.indices == plain.indices == (0, 1, 2, 3, 4, 4)
    others = [0, 1, 3, 4, 5]
    assert np.array_equal(inputs.pixels[others], plain.pixels[others])
    painted = green(inputs.pixels[2])
    rows, columns = np.nonzero(painted)
    x1, y1, x2, y2 = convert(REGION.box, CHOLECTRACK, inputs.size)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == pytest.approx((x1, y1, x2, y2), abs=1.5)
    assert painted[round((y1 + y2) / 2), columns.min()]
    assert painted[rows.min(), round((x1 + x2) / 2)]
    assert not painted[round(y1 + y2) // 2, round(x1 + x2) // 2], "the inside stays visible"
    assert not painted[60:120, 100:180].any(), "the place of the unscaled numbers"
    shown = seen_green(family, process(family, inputs))
    assert shown == [False, False, True, False, False, False]


def seen_green(family: str, out: Any) -> list[bool]:
    """Which frames have green on them, told by the pixels that the processor made."""
    images = processor(family).video_processor
    patches = out["pixel_values_videos"].reshape(int(out["video_grid_thw"][0, 0]), -1, 3, 2, images.patch_size**2)
    mean, std = (np.array(x)[:, None, None] for x in (images.image_mean, images.image_std))
    values = (patches.numpy() * std + mean) * 255  # (pairs, patches, 3, 2, px)
    return (values[:, :, 1] - values[:, :, 0] > 40).any((1, 3)).ravel().tolist()


def test_each_showing_of_a_held_frame_has_its_region(large: str) -> None:
    times = (0.0, 2.0, 4.0, 10.0, 12.0)
    inputs = model_inputs(region_row(large, frame_times_s=times), "qwen2.5-vl")
    assert inputs.indices == (0, 1, 2, 2, 2, 3, 4, 4)
    assert green(inputs.pixels).any((1, 2)).tolist() == [k == 2 for k in inputs.indices]


@pytest.mark.parametrize("policy", ["uniform", "requested"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_frame_of_a_region_is_shown_however_few_frames_are(family: str, policy: str, clip: str) -> None:
    for k in range(N_FRAMES):
        sample = region_row(clip, frame_times_s=REGULAR[0.5], region=Region(2.0 * k + 0.3, REGION.box))
        inputs = model_inputs(sample, family, max_frames=4, policy=policy)
        assert k in inputs.indices
        assert len(inputs.indices) <= 4
        if family == "qwen2.5-vl":
            assert_held(REGULAR[0.5], list(inputs.indices), inputs.times_s[1])


def test_a_small_region_keeps_its_inside_and_its_line_is_seen(large: str) -> None:
    sample = region_row(large, region=Region(4.0, Box(400.0, 200.0, 424.0, 224.0)))
    inputs = model_inputs(sample, "qwen3-vl", max_pixels_per_frame=1280 * 720)
    assert inputs.size == Canvas(1280, 704)
    inside = convert(Box(407.0, 207.0, 417.0, 217.0), CHOLECTRACK, inputs.size)
    x1, y1, x2, y2 = map(round, inside)
    assert not green(inputs.pixels[2])[y1:y2, x1:x2].any()
    assert green(inputs.pixels[2]).sum() > 100


def test_a_region_on_an_unknown_canvas_is_refused(large: str) -> None:
    unknown = Canvas(LONGEST_SIDE_PX, LONGEST_SIDE_PX)
    with pytest.raises(InputError, match=r"test\[0\].* field canvas: unknown.*build the data with its frames"):
        model_inputs(region_row(large, canvas=unknown), "qwen3-vl")


# --- sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "block_px", "size"),
    [
        (Canvas(1280, 720), 28, Canvas(252, 140)),  # 45 blocks of 48; the official code finds 32
        (Canvas(720, 1280), 28, Canvas(140, 252)),
        (Canvas(224, 168), 28, Canvas(224, 168)),
        (Canvas(1920, 1080), 32, Canvas(256, 128)),
        (Canvas(8, 6), 28, Canvas(112, 84)),
        (Canvas(4000, 2), 28, Canvas(48 * 28, 28)),
        (Canvas(2, 4000), 28, Canvas(28, 48 * 28)),
    ],
)
def test_frames_get_the_nearest_size_in_whole_blocks(frame: Canvas, block_px: int, size: Canvas) -> None:
    assert model_size(frame, block_px, 8 * 28 * 28, MAX_PIXELS_PER_FRAME) == size


sides = st.integers(1, 5000)


@given(sides, sides, st.sampled_from([28, 32]), st.integers(1, 60), st.integers(0, 800))
def test_a_size_is_whole_blocks_within_the_budget_and_close_in_shape(
    width: int, height: int, block_px: int, fewest: int, more: int
) -> None:
    least, most = fewest * block_px**2, (fewest + more) * block_px**2
    size = model_size(Canvas(width, height), block_px, least, most)
    assert size.width % block_px == size.height % block_px == 0
    assert 0 < size.width * size.height <= most
    if min(size) >= 3 * block_px and more >= fewest:  # in a narrow budget the number of blocks decides the shape
        assert 0.6 < (size.width / size.height) / (width / height) < 1.6


def test_all_frames_share_one_total_budget(clip: str) -> None:
    inputs = model_inputs(row(clip), "qwen2.5-vl", max_pixels=12 * 12 * 28 * 28)
    assert inputs.size == Canvas(112, 84)
    assert inputs.pixels.shape == (12, 84, 112, 3)
    assert inputs.box_space == inputs.size
    assert model_inputs(row(clip), "qwen3.5").box_space == Canvas(1000, 1000)
    with pytest.raises(InputError, match="show fewer frames or allow more pixels"):
        model_inputs(row(clip), "qwen2.5-vl", max_pixels=12 * 7 * 28 * 28)


# --- which frames -----------------------------------------------------------------------------------------------

time_lists = st.lists(st.integers(0, 400).map(lambda n: n / 4), min_size=1, max_size=60).map(
    lambda times: tuple(t - min(times) for t in sorted(times))
)
goals = st.lists(st.integers(-40, 500).map(lambda n: n / 4), max_size=5)
policies = st.sampled_from(["uniform", "dense", "requested"])


@given(time_lists, st.integers(1, 70), policies, goals)
def test_chosen_frames_are_in_order_without_repeats_and_as_many_as_fit(
    times: tuple[float, ...], most: int, policy: str, around: list[float]
) -> None:
    chosen = choose(times, most, policy, around if policy != "uniform" else ())
    assert len(chosen) == min(most, len(times))
    assert all(a < b for a, b in pairwise(chosen))
    assert set(chosen) <= set(range(len(times)))


@given(time_lists, st.integers(2, 70))
def test_uniform_frames_span_the_clip_and_leave_no_part_of_it_out(times: tuple[float, ...], most: int) -> None:
    chosen = choose(times, most)
    assert chosen[0] == 0
    assert chosen[-1] == len(times) - 1
    step = times[-1] / (most - 1)
    assert all(min(abs(t - times[k]) for k in chosen) <= step + 1e-9 for t in times)


@given(st.integers(2, 200), st.integers(2, 60))
def test_uniform_frames_of_a_regular_list_are_evenly_spaced(n: int, most: int) -> None:
    steps = {b - a for a, b in pairwise(choose([2.0 * k for k in range(n)], most))}
    assert max(steps) - min(steps) <= 1


def test_uniform_frames_of_a_list_with_a_hole_are_even_on_both_sides_of_it() -> None:
    times = [float(t) for t in (*range(11), *range(102, 113))]
    assert [times[k] for k in choose(times, 10)] == [0, 2, 5, 7, 10, 102, 104, 107, 109, 112]


@given(time_lists, st.integers(1, 70), st.integers(-40, 500).map(lambda n: n / 4))
def test_dense_frames_are_neighbours_round_the_time(times: tuple[float, ...], most: int, around: float) -> None:
    chosen = choose(times, most, "dense", [around])
    assert chosen == list(range(chosen[0], chosen[0] + len(chosen)))
    nearest = min(abs(t - around) for t in times)
    assert min(abs(times[k] - around) for k in chosen) == nearest


@given(time_lists, st.integers(5, 70), goals)
def test_requested_frames_are_the_nearest_to_each_time(
    times: tuple[float, ...], most: int, around: list[float]
) -> None:
    chosen = choose(times, most, "requested", around)
    for goal in around:
        assert min(abs(times[k] - goal) for k in chosen) == min(abs(t - goal) for t in times)
    if not around:
        assert chosen == choose(times, most)


@given(time_lists, st.integers(1, 30).map(lambda n: 2 * n), st.sampled_from([0.0, 0.25, 1.0]), st.data())
def test_a_held_clip_fits_its_budget_and_shows_each_frame_in_its_own_time(
    times: tuple[float, ...], most: int, shortest: float, data: st.DataObject
) -> None:
    kept = data.draw(st.lists(st.sampled_from(range(len(times))), max_size=1))
    frames, step = hold(times, most, shortest, 2.0, kept)
    assert 1 <= len(frames) <= most
    assert set(kept) <= set(frames)
    moves = [b - a for a, b in pairwise(times) if b > a]
    if moves:
        assert step >= max(shortest, min(moves) - 1e-9)
        assert_held(times, frames, step)
        even = len(set(np.round(moves, 6))) == 1 and len(moves) == len(times) - 1
        if not even:
            assert frames[-1] == len(times) - 1 or kept, "the last frame is shown"
        elif not kept:
            assert [times[k] for k in frames] == pytest.approx([k * step for k in range(len(frames))])


@given(time_lists, st.integers(1, 30).map(lambda n: 2 * n), policies, goals)
def test_pairs_fit_the_budget_and_never_straddle_a_hole(
    times: tuple[float, ...], most: int, policy: str, around: list[float]
) -> None:
    around = around if policy != "uniform" else []
    paired = in_pairs(times, most, policy, around)
    assert len(paired) <= most
    assert len(paired) % 2 == 0
    assert paired == sorted(paired)
    steps = sorted(times[b] - times[a] for a, b in pairwise(sorted(set(paired))))
    for a, b in zip(paired[::2], paired[1::2], strict=True):
        assert times[b] - times[a] <= 2 * max(steps, default=0)
    if len(around) == 1 and policy == "requested":
        assert min(abs(times[k] - around[0]) for k in paired) == min(abs(t - around[0]) for t in times)


def test_a_hole_after_an_odd_frame_costs_one_repeat_and_no_other_frame() -> None:
    times = (0.0, 1.0, 2.0, 94.0, 95.0)
    assert in_pairs(times, 10, "uniform", ()) == [0, 1, 2, 2, 3, 4]
    assert in_pairs(times, 4, "uniform", ()) == [0, 2, 3, 4]


@pytest.mark.parametrize("fps", [4.0, 30.0])
def test_a_fast_clip_is_thinned_until_the_model_can_tell_its_frames_apart(fps: float) -> None:
    frames, step = hold([k / fps for k in range(60)], 180, 0.25, 1 / fps)
    assert 0.25 <= step < 0.25 + 1 / fps
    assert [k / fps for k in frames] == pytest.approx([k * step for k in range(len(frames))])


def test_frames_come_with_their_true_times_around_the_times_that_the_row_asks_for(clip: str) -> None:
    sample = row(clip, IRREGULAR["a hole"], 1.0, task="stg", request_times_s=(3.2, 98.0))
    frames = sample_frames(sample, 4, "requested")
    assert frames.indices == (0, 3, 7, 10)
    assert frames.times_s == (0.0, 3.0, 98.0, 101.0)
    assert [round((f.mean() - 20) / 20) for f in frames.pixels] == [0, 3, 7, 10]
    assert sample_frames(sample, 3, "dense").indices == (4, 5, 6)  # 96 s is the nearest to the middle, 50.5 s
    assert sample_frames(sample, 3, "dense", around_s=[97.0]).indices == (5, 6, 7)
    assert sample_frames(sample, 1, "requested", around_s=[50.2]).indices == (5,)
    assert sample_frames(sample, 2, size_px=Canvas(20, 10)).pixels.shape == (2, 10, 20, 3)
    region = region_row(clip, frame_times_s=REGULAR[0.5])
    assert sample_frames(region, 1, "requested").indices == (2,)


# --- bad input --------------------------------------------------------------------------------------------------


def test_what_cannot_be_chosen_is_named() -> None:
    for arguments, message in (
        ((3, "random"), "policy 'random': expected one of uniform, dense, requested"),
        ((0,), "max_frames 0: at least 1"),
        ((1, "uniform", [2.0]), "leave around_s out"),
        ((1, "dense", [float("nan")]), "not a finite number"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            choose([0.0, 1.0], *arguments)  # type: ignore[arg-type]


def test_a_row_that_cannot_be_shown_is_named(clip: str, tmp_path: Path) -> None:
    (tmp_path / "not.mp4").write_bytes(b"not a video")
    for sample, message in (
        (row(None), r"field video: this data has no clips"),
        (row(clip, REGULAR[0.5][:-1]), r"holds 11 frames, but frame_times_s has 10 times"),
        (row(str(tmp_path / "not.mp4")), r"not\.mp4"),
    ):
        for show in (lambda s: sample_frames(s, 4), lambda s: model_inputs(s, "qwen2.5-vl")):
            with pytest.raises(InputError, match=r"^test\[0\] \(id .*" + message) as caught:
                show(sample)
            assert "\n" not in str(caught.value)


def test_what_a_family_cannot_be_told_is_refused(clip: str) -> None:
    late = row(clip, tuple(t + 5 for t in REGULAR[0.5]))
    for arguments, message in (
        ((row(clip), "llava"), "model family 'llava': expected one of qwen2.5-vl, qwen3-vl, qwen3.5"),
        ((late, "qwen2.5-vl"), "starts at 5.0 s, but qwen2.5-vl counts from 0 s"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            model_inputs(*arguments)
    with pytest.raises(InputError, match='use "uniform" or "requested"'):
        model_inputs(row(clip), "qwen2.5-vl", policy="dense", max_frames=4)
    with pytest.raises(InputError, match="at least 2"):
        model_inputs(row(clip), "qwen3-vl", max_frames=1)
    assert model_inputs(late, "qwen3-vl", policy="dense", max_frames=4).times_s == (11.0, 13.0, 15.0, 17.0)
