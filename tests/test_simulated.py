"""The simulated benchmark: its truths are exact, its pictures show them, and nothing but looking scores well."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from medvidbench_hf.sample import Boxes, InputError, Sample, Scores, Segments, Spans
from medvidbench_hf.sources import simulated
from medvidbench_hf.sources.simulated import SOURCE_NAMES, WORLDS, Clip, simulate
from medvidbench_hf.sources.simulated.drawing import light_map
from medvidbench_hf.sources.simulated.script import REGULAR
from medvidbench_hf.sources.simulated.tools import TOOLS
from medvidbench_hf.tasks import gold_problem
from tests import probes

MOVING = tuple(name for name in SOURCE_NAMES if WORLDS[name].ring)


@pytest.fixture(scope="module")
def rows() -> list[Sample]:
    found = [row for video in simulated.read(videos=40).videos for row in simulated.samples(video)]
    assert all(isinstance(row, Sample) for row in found), "a row was dropped"
    return found  # type: ignore[return-value]


def clips(source: str, n: int = 40) -> list[Clip]:
    return [simulate(source, seed) for seed in range(n)]


# --- the interface -----------------------------------------------------------------------------------------------


def test_every_row_scores_full_marks_with_its_own_truth(rows: list[Sample]) -> None:
    assert [problem for row in rows if (problem := gold_problem(row))] == []


def test_the_default_size_is_about_1500_questions_and_every_source_has_its_tasks() -> None:
    found = [row for video in simulated.read().videos for row in simulated.samples(video)]
    assert 1400 <= len(found) <= 1600
    both = {"tal", "stg", "next_action", "dense_captioning", "video_summary", "region_caption"}
    tasks = {source: {row.task for row in found if row.source == source} for source in SOURCE_NAMES}
    assert tasks == {
        "SimulatedLaparoscopy": both | {"cvs_assessment"},
        "SimulatedOpenSurgery": both,
        "SimulatedNursing": both - {"stg", "region_caption"},
        "SimulatedRobotics": {"skill_assessment"},
    }


def test_splits_are_disjoint_by_video_and_have_about_their_shares_in_every_source() -> None:
    videos = simulated.read(videos=400).videos
    assert len({video.video_id for video in videos}) == 400
    for source in SOURCE_NAMES:
        splits = [video.split for video in videos if video.source == source]
        assert {s: splits.count(s) for s in set(splits)} == {"train": 60, "validation": 15, "test": 25}


def test_a_videos_split_does_not_depend_on_how_many_videos_there_are() -> None:
    few, many = simulated.read(videos=40).videos, simulated.read(videos=400).videos
    assert list(few) == list(many)[:40]


def test_index_counts_from_0_within_a_video_and_the_clip_has_one_path(rows: list[Sample]) -> None:
    video = simulated.read(videos=4).videos[0]
    found = list(simulated.samples(video))
    assert [row.index for row in found] == list(range(len(found)))
    assert {row.video for row in found} == {f"clips/{video.source}/{video.video_id}/{video.video_id}.mp4"}
    assert len({row.id for row in found}) == 1
    assert {row.video for row in simulated.samples(video._replace(media=False))} == {None}


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_clip_frames_have_one_frame_a_time_and_an_even_size_below_the_limit(source: str) -> None:
    video = next(video for video in simulated.read(videos=4).videos if video.source == source)
    sample = next(iter(simulated.samples(video)))
    frames = simulated.clip_frames(video, sample)
    n, height, width, channels = frames.shape
    assert (n, channels, frames.dtype) == (len(sample.frame_times_s), 3, np.uint8)
    assert height % 2 == 0
    assert width % 2 == 0
    assert 320 <= max(width, height) <= 426
    assert ((width, height) == sample.canvas) == (source != "SimulatedLaparoscopy")


def test_captions_come_in_the_two_variants_of_the_release(rows: list[Sample]) -> None:
    captioned = ("dense_captioning", "video_summary", "region_caption")
    for row in rows:
        assert (row.variant in ("gpt", "gemini")) == (row.task in captioned)
    for task in captioned:
        variants = [row.variant for row in rows if row.task == task]
        assert variants.count("gpt") == variants.count("gemini") > 0
    for row in rows:
        if isinstance(row.truth, Segments):
            assert all(s.caption.split(": ")[0] in row.options for s in row.truth.segments)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"videos": 3}, "videos 3"), ({"seed": -1}, "seed -1"), ({"videos": 10**10}, "videos 10000000000")],
)
def test_bad_options_are_refused_in_a_sentence(options: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        simulated.read(**options)  # type: ignore[arg-type]


def test_an_unknown_source_a_negative_seed_and_a_short_clip_are_refused() -> None:
    with pytest.raises(InputError, match="unknown simulated source 'CholecT50'; known: SimulatedLaparoscopy"):
        simulate("CholecT50", 0)
    with pytest.raises(InputError, match="seed -1 is negative"):
        simulate("SimulatedNursing", -1)
    with pytest.raises(InputError, match="n_frames 8 is too short"):
        simulate("SimulatedNursing", 0, n_frames=8)


# --- what happens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_a_clip_is_a_pure_function_of_source_and_seed(source: str) -> None:
    np.random.seed(1)
    first = simulate(source, 5)
    np.random.seed(2)
    simulated.render(simulate(source, 6), 48)
    again = simulate(source, 5)
    assert first == again
    assert simulated.clip_samples(first) == simulated.clip_samples(again)
    assert np.array_equal(simulated.render(first, 64), simulated.render(again, 64))
    assert first != simulate(source, 6)


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_frame_times_are_tenths_and_a_quarter_of_the_clips_is_irregular(source: str) -> None:
    rules = []
    for clip in clips(source, 400):
        times = clip.frame_times_s
        rules.append(clip.time_rule)
        assert 16 <= len(times) <= 32
        assert times[0] == 0.0
        assert all(round(t, 1) == t for t in times)
        regular = all(abs(b - a - 1 / clip.fps) < 1e-9 for a, b in pairwise(times))
        assert regular == (clip.time_rule == REGULAR) or clip.time_rule == "listed: slips"
        if clip.time_rule == "listed: repeat":
            assert any(a == b for a, b in pairwise(times))
    assert 0.15 < 1 - rules.count(REGULAR) / len(rules) < 0.35
    assert set(rules) == {REGULAR, "listed: hole", "listed: repeat", "listed: slips"}


def test_spans_begin_and_end_at_frame_times_so_that_a_perfect_looker_is_exact(rows: list[Sample]) -> None:
    for row in rows:
        if isinstance(row.truth, Spans | Segments):
            spans = row.truth.spans if isinstance(row.truth, Spans) else row.truth.segments
            marks = {*row.frame_times_s, row.frame_times_s[-1] + row.frame_interval_s}
            assert all(s.start_s in marks and s.end_s in marks for s in spans)
            assert all(a.end_s <= b.start_s for a, b in pairwise(spans))


def test_labels_recur_so_that_some_tal_truths_have_two_or_three_spans(rows: list[Sample]) -> None:
    counts = [len(row.truth.spans) for row in rows if isinstance(row.truth, Spans)]
    assert set(counts) == {1, 2, 3}


def test_boxes_lie_on_the_canvas_in_hundredths_and_requested_times_are_frames(rows: list[Sample]) -> None:
    tracked = [row for row in rows if isinstance(row.truth, Boxes)]
    assert tracked
    for row in tracked:
        assert 2 <= len(row.request_times_s) <= 6
        assert set(row.request_times_s) <= set(row.frame_times_s)
        strides = {round(b - a, 6) for a, b in pairwise(row.request_times_s)}
        assert len(strides) == 1
        assert strides.pop() % 1 == 0
        assert tuple(t for t, _ in row.truth.boxes) == row.request_times_s
        for _, (x1, y1, x2, y2) in row.truth.boxes:
            assert 0 <= x1 < x2 <= row.canvas.width
            assert 0 <= y1 < y2 <= row.canvas.height
            assert all(round(v, 2) == v for v in (x1, y1, x2, y2))


@pytest.mark.parametrize("source", MOVING)
def test_two_consecutive_actions_tell_the_next_one_and_one_does_not(source: str) -> None:
    ring = [step.label for step in WORLDS[source].ring]
    after: dict[int, set[str]] = {}
    for clip in clips(source, 300):
        steps = [a.step for a, b in pairwise(clip.actions) if a.step != b.step] + [clip.actions[-1].step]
        moves = {(b - a) % len(ring) for a, b in pairwise(steps)}
        assert moves == {clip.direction % len(ring)}
        assert clip.next_label == ring[(steps[-1] + clip.direction) % len(ring)]
        after.setdefault(steps[-1], set()).add(clip.next_label)
    assert all(len(labels) == 2 for labels in after.values())
    assert len(after) == len(ring)


def test_skill_levels_are_spread_evenly_and_overall_is_the_median() -> None:
    grades = np.array([clip.grades for clip in clips("SimulatedRobotics", 1500)])
    for column in (0, 1, 2, 3, 5):
        assert np.bincount(grades[:, column], minlength=6)[1:].min() > 0.16 * len(grades)
    assert np.array_equal(grades[:, 4], np.median(grades[:, [0, 1, 2, 3, 5]], axis=1))


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_perception_answers_agree_with_the_script(source: str) -> None:
    clip = simulate(source, 3)
    answers = dict(simulated.perception(clip))
    assert len(answers) >= len(set(clip.frame_times_s))
    for time_s in clip.frame_times_s:
        tools = answers[f"Which instruments are visible at {time_s} seconds?"]
        assert all(track.tool in tools for track in clip.visible_at(time_s))
        if clip.world.ring:
            action = clip.action_at(time_s)
            label = clip.world.ring[action.step].label if action else "none"
            assert answers[f"Which phase is shown at {time_s} seconds?"] == label


# --- what is seen ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", MOVING)
def test_the_colour_of_an_actions_tool_is_seen_inside_its_box_and_not_without_the_tool(source: str) -> None:
    shown, empty = [], []
    for clip in clips(source, 12):
        width, height = clip.canvas
        frames, light = simulated.render(clip, max(clip.canvas)), light_map(clip, width, height)
        pause = next((k for k, t in enumerate(clip.frame_times_s) if clip.action_at(t) is None), None)
        for frame, time_s in zip(frames, clip.frame_times_s, strict=True):
            action = clip.action_at(time_s)
            if action is None:
                continue
            x1, y1, x2, y2 = (round(v) for v in clip.box(action, time_s))
            if (x2 - x1) * (y2 - y1) < (0.4 * clip.world.head_px) ** 2:
                continue  # mostly out of the picture
            box = np.s_[y1:y2, x1:x2]
            colour, tint = np.array(TOOLS[action.tool].colour), clip.world.ring[action.step].tint
            seen = np.abs(frame[box] - np.clip(colour * tint * light[box], 0, 255)).max(2) < 16
            shown.append(seen.mean() > 0.02)
            if pause is not None and colour.min() < 200:  # white is also in highlights
                alike = np.abs(frames[pause][box] - np.clip(colour * light[box], 0, 255)).max(2) < 16
                empty.append(alike.mean() > 0.02)
    assert len(shown) > 80
    assert len(empty) > 30
    assert np.mean(shown) > 0.97  # smoke may hide a tool
    assert np.mean(empty) < 0.1


@pytest.mark.parametrize("source", [name for name in MOVING if WORLDS[name].helper])
def test_a_box_touches_what_is_drawn_on_all_four_sides(source: str) -> None:
    for clip in clips(source, 4):
        helper = clip.tracks[-1]
        size = max(clip.canvas)
        change = (
            np.abs(
                simulated.render(clip, size).astype(int)
                - simulated.render(replace(clip, tracks=clip.tracks[:-1]), size)
            ).sum(3)
            > 12
        )
        for k, time_s in enumerate(clip.frame_times_s):
            if clip.action_at(time_s) is not None:
                continue  # the action's tool may hide the helper
            x1, y1, x2, y2 = clip.box(helper, time_s)
            left, top, right, bottom = (round(v) for v in (x1, y1, x2, y2))
            inside = change[k, top:bottom, left:right]
            assert inside[:4].any()
            assert inside[-4:].any()
            assert inside[:, :4].any()
            assert inside[:, -4:].any()


def test_a_repeated_frame_time_shows_the_same_picture_twice() -> None:
    clip = next(clip for clip in clips("SimulatedNursing", 400) if clip.time_rule == "listed: repeat")
    at = next(k for k, (a, b) in enumerate(pairwise(clip.frame_times_s)) if a == b)
    frames = simulated.render(clip, 64)
    assert np.array_equal(frames[at], frames[at + 1])
    assert not np.array_equal(frames[0], frames[-1])


def test_each_grade_of_the_critical_view_changes_the_picture() -> None:
    clip = simulate("SimulatedLaparoscopy", 2)
    for place in range(3):
        shown = []
        for grade in range(3):
            grades = tuple(grade if k == place else 1 for k in range(3))
            shown.append(simulated.render(replace(clip, grades=grades), 112)[-1].astype(int))
        for a, b in pairwise(shown):
            assert (np.abs(a - b).max(2) > 40).sum() > 20  # pixels at 112


def test_each_skill_level_changes_the_last_picture_by_more_when_it_is_further_off() -> None:
    clip = simulate("SimulatedRobotics", 2)
    for place in (0, 1, 2, 3, 5):
        shown = []
        for level in range(1, 6):
            grades = tuple(level if k == place else 3 for k in range(6))
            shown.append(simulated.render(replace(clip, grades=grades), 112)[-1].astype(int))
        changed = [(np.abs(image - shown[0]).max(2) > 40).sum() for image in shown]
        assert changed[0] == 0
        assert min(changed[1:]) > 10
        assert changed[4] > changed[1]


def test_any_size_shows_the_same_picture() -> None:
    clip = simulate("SimulatedOpenSurgery", 4)
    small, large = simulated.render(clip, 104)[3].astype(float), simulated.render(clip, 416)[3].astype(float)
    shrunk = large.reshape(104, 4, 104, 4, 3).mean((1, 3))
    assert np.abs(small - shrunk).mean() < 12


def test_scores_of_a_form_are_in_the_order_of_the_form(rows: list[Sample]) -> None:
    forms = {row.task: [name for name, _ in row.truth.scores] for row in rows if isinstance(row.truth, Scores)}
    assert forms["cvs_assessment"] == ["Two structures", "Cystic plate", "Hepatocystic triangle"]
    assert forms["skill_assessment"][4] == "Overall performance"


# --- slow: probes ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_but_looking_scores_well() -> None:
    findings = probes.run()
    print("\n" + probes.table(findings))
    values = {(f.source, f.task, f.probe): f.value for f in findings}
    below = {"tal": 0.30, "stg": 0.20, "next_action": 0.35, "skill_assessment": 0.35, "cvs_assessment": 0.45}
    seen = set()
    for (source, task, probe), value in values.items():
        kind = task.split(":")[0]
        where = f"{source} {task} {probe}: {value:.3f}"
        if probe == "constant" and kind in below:
            assert value < below[kind], where
        elif probe == "blind":
            assert value <= values[source, task, "constant"] + 0.05, where
        elif probe == "single frame":
            assert value <= 0.6, where
        seen.add((source, kind, probe))
    for source in MOVING:
        for task in ("tal", "next_action"):
            assert {(source, task, probe) for probe in ("constant", "blind", "single frame")} <= seen
