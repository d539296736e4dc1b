"""From a clip to rows: questions of the eight tasks with their truths, and questions about single frames."""

from __future__ import annotations

from typing import Any

from medvidbench_hf.sample import (
    Box,
    Boxes,
    Label,
    NamedScore,
    Region,
    Sample,
    Scores,
    Segment,
    Segments,
    Span,
    Spans,
    Text,
    TimedBox,
    Truth,
)
from medvidbench_hf.sources.simulated.script import Clip, Dice, Track, video_name
from medvidbench_hf.sources.simulated.world import SOURCE_NAMES
from medvidbench_hf.tasks import TASKS
from medvidbench_hf.tasks.answer import number
from medvidbench_hf.tasks.cvs_assessment import CRITERIA
from medvidbench_hf.tasks.question import question
from medvidbench_hf.tasks.skill_assessment import ASPECTS

LICENCE = "Apache-2.0"
ROWS_STREAM = 3  # the draws of what is asked are apart from the draws of what happens
STRIDES_S = (1, 2, 3, 4, 6, 8)
TRACKED = {"SimulatedLaparoscopy": 5, "SimulatedOpenSurgery": 5}  # stg questions asked of a clip at most
DESCRIBED = 2  # objects with region captions


def clip_samples(clip: Clip, split: str = "train", video: str | None = None) -> list[Sample]:
    """Every row about a clip, with its truth; index counts from 0. video: the clip's path, None for text-only rows."""
    world, source = clip.world, clip.source
    dice = Dice(SOURCE_NAMES.index(source), clip.seed, ROWS_STREAM)
    video_id = video_name(source, clip.seed)
    start_frame = round(clip.clip_start_s * clip.fps)
    shared: dict[str, Any] = {
        "split": split,
        "id": f"{video_id}&&{start_frame}&&{start_frame + round(clip.end_s * clip.fps)}&&{clip.fps}",
        "source": source,
        "domain": world.domain,
        "video_id": video_id,
        "fps": clip.fps,
        "frame_times_s": clip.frame_times_s,
        "time_rule": clip.time_rule,
        "canvas": clip.canvas,
        "clip_start_s": round(clip.clip_start_s, 3),
        "clip_end_s": round(clip.clip_start_s + clip.end_s, 3),
        "video": video,
        "licence": LICENCE,
    }
    rows: list[Sample] = []

    def add(task: str, truth: Truth, *, variant: str = "", options: tuple[str, ...] = (), **more: Any) -> None:
        fields = more.pop("fields", {})
        shown = more.pop("shown", options)
        text = question(task, source, world.domain, f"{video_id} {len(rows)}", options=shown, **fields)
        answer = TASKS[task].render(truth)
        rows.append(
            Sample(
                index=len(rows), task=task, variant=variant, question=text, options=options, answer=answer,
                truth=truth, **shared, **more,
            )
        )  # fmt: skip

    if source == "SimulatedRobotics":
        add("skill_assessment", Scores(tuple(map(NamedScore, ASPECTS, clip.grades))), shown=ASPECTS)
        return rows

    labels = tuple(step.label for step in world.ring)
    procedure = {"procedure": world.procedure} if world.procedure else {}
    add("next_action", Label(clip.next_label), options=labels, fields=procedure)
    for variant in ("gpt", "gemini"):
        segments = tuple(Segment(a.start_s, a.end_s, _event(clip, a, variant)) for a in clip.actions)
        add("dense_captioning", Segments(segments), variant=variant, options=labels, fields=procedure)
    for variant in ("gpt", "gemini"):
        add("video_summary", Text(_summary(clip, variant)), variant=variant, fields=procedure)
    if source in TRACKED:
        for k in range(DESCRIBED):
            track = clip.tracks[-1] if k == 0 and dice.uniform() < 0.5 else dice.pick(clip.actions)
            box = _rounded(clip.box(track, track.start_s))
            fields = {"start": number(track.start_s), "end": number(track.end_s)}
            for variant in ("gpt", "gemini"):
                caption = Text(_region(clip, track, box, variant))
                add("region_caption", caption, variant=variant, fields=fields, region=Region(track.start_s, box))
    if source == "SimulatedLaparoscopy":
        add("cvs_assessment", Scores(tuple(map(NamedScore, CRITERIA, clip.grades))))
    for _ in range(TRACKED.get(source, 0)):
        asked = _tracking(clip, dice)
        if asked is not None:
            track, times, stride = asked
            boxes = tuple(TimedBox(t, _rounded(clip.box(track, t))) for t in times)
            about = {"object": track.tool, "start": number(times[0]), "end": number(times[-1]), "stride": stride}
            raw = _raw_boxes(clip, track, times)
            add("stg", Boxes(boxes), fields=about, request_times_s=times, answer_extra=raw)
    spans_of = _spans(clip)
    # Not in order of time, nor along the ring: a row's place in the table must not tell when its action happens;
    # and last, because their number tells how much happens.
    for label in sorted(spans_of, key=lambda _: dice.uniform()):
        spans = spans_of[label]
        add("tal", Spans(spans), options=labels, fields={"label": label, **procedure})
    return rows


def perception(clip: Clip) -> list[tuple[str, str]]:
    """(question, answer) pairs about each frame, in order of time: what is done, with what, and where it is."""
    pairs = []
    width, height = clip.canvas
    for time_s in dict.fromkeys(clip.frame_times_s):
        at = f"at {number(time_s)} seconds"
        visible = clip.visible_at(time_s)
        if clip.world.ring:
            action = clip.action_at(time_s)
            label = clip.world.ring[action.step].label if action else "none"
            pairs.append((f"Which phase is shown {at}?", label))
        tools = ", ".join(dict.fromkeys(track.tool for track in visible)) or "none"
        pairs.append((f"Which instruments are visible {at}?", tools))
        if clip.world.ring:
            for track in visible:
                box = ", ".join(map(number, _rounded(clip.box(track, time_s))))
                pairs.append((f"Where is the {track.tool} {at}, on a canvas of {width}x{height} pixels?", f"[{box}]"))
    if clip.source == "SimulatedRobotics":
        tissue, needle, _, flow, _, quality = clip.grades
        counts = {"tears": 2 * (5 - tissue), "dropped needles": 5 - needle, "knots": 5 - flow, "stitches": quality}
        pairs += [(f"How many {what} are there at the end of the video?", str(n)) for what, n in counts.items()]
    elif clip.grades:
        tubes, plate, triangle = clip.grades
        pairs += [
            ("How many tubes leave the gall bladder?", str(tubes)),
            ("How much of the plate is cleared?", ("nothing", "half", "all")[plate]),
            ("How many lumps of fat cover the triangle?", str((7, 3, 0)[triangle])),
        ]
    return pairs


def _spans(clip: Clip) -> dict[str, tuple[Span, ...]]:
    spans: dict[str, tuple[Span, ...]] = {}
    for action in clip.actions:
        label = clip.world.ring[action.step].label
        spans[label] = (*spans.get(label, ()), Span(action.start_s, action.end_s))
    return spans


def _tracking(clip: Clip, dice: Dice) -> tuple[Track, tuple[float, ...], int] | None:
    """A tool, two to six times at which frames show it, and the whole seconds between them; None if luck is out.

    The helper is there all the time and drawn more often than any other tool, but not more than all of them.
    """
    for _ in range(6):
        track = clip.tracks[-1] if dice.uniform() < 0.4 else dice.pick(clip.actions)
        frames = clip.frame_times_s[track.first : track.end]
        # Whole tenths, because sums of floats miss frame times.
        tenths = {round(10 * t) for t in frames}
        start = round(10 * frames[dice.integer(0, len(frames) - 1)])
        strides = [stride for stride in STRIDES_S if start + 10 * stride in tenths]
        if not strides:
            continue
        stride = dice.pick(strides)
        most = dice.integer(2, 6)
        times = [start]
        while len(times) < most and times[-1] + 10 * stride in tenths:
            times.append(times[-1] + 10 * stride)
        return track, tuple(t / 10 for t in times), stride
    return None


def _rounded(box: Box) -> Box:
    return Box(*(round(value, 2) for value in box))


def _raw_boxes(clip: Clip, track: Track, times: tuple[float, ...]) -> str:
    """The boxes before rounding, as JSON."""
    boxes = ", ".join(str(list(clip.box(track, t))) for t in times)
    return f'{{"raw_boxes": [{boxes}]}}'


# --- captions ----------------------------------------------------------------------------------------------------


def _event(clip: Clip, action: Track, variant: str) -> str:
    """`<label>: <sentence>`, as the release writes captions of events."""
    step = clip.world.ring[action.step]
    return f"{step.label}: {step.gpt if variant == 'gpt' else step.gemini}"


def _summary(clip: Clip, variant: str) -> str:
    world = clip.world
    steps = [world.ring[a.step] for k, a in enumerate(clip.actions) if not k or clip.actions[k - 1].step != a.step]
    labels, tools = [step.label for step in steps], [step.tool for step in steps]
    if variant == "gpt":
        return f"The clip shows {world.scene}: {_then(labels)}. The {world.actor} works with the {_then(tools)}."
    repeated = " Some steps pause and go on." if len(steps) < len(clip.actions) else ""
    first, last = f"{labels[0]} with the {tools[0]}", f"{labels[-1]}, using the {tools[-1]}"
    return f"First comes {first}; {len(steps) - 1} steps later the {world.actor} ends with {last}.{repeated}"


def _then(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and then {words[-1]}" if len(words) > 1 else words[0]


def _region(clip: Clip, track: Track, box: Box, variant: str) -> str:
    x, y = (box.x1 + box.x2) / 2 / clip.canvas.width, (box.y1 + box.y2) / 2 / clip.canvas.height
    place = f"{('upper', 'middle', 'lower')[min(2, int(3 * y))]} {('left', 'centre', 'right')[min(2, int(3 * x))]}"
    if track.step < 0:
        if variant == "gpt":
            return f"The {track.tool} holds tissue in the {place} of the view and moves slowly in a circle."
        return f"In the {place}, the {track.tool} stays close to the field and keeps tissue under tension."
    step = clip.world.ring[track.step]
    if variant == "gpt":
        return f"{step.gpt} It works in the {place} of the view."
    return f"In the {place}, {step.gemini[0].lower()}{step.gemini[1:]}"
