"""Rows and frames in the form of the official release, made by us: its mix, shapes, clocks and traps, no row of it.

    rows = trainval_rows(seed=0, share=0.01, frames=(6, 12))
    write_frames(rows, tmp_path)                 # every named frame, small, with its source-frame id as a barcode
    frame_id_of(pixels)                          # reads the barcode back, after JPEG, resizing and video too
    broken = break_copy(tmp_path, seed=0)        # kind -> files that are broken now

Rows of one clip share their lists of paths and ids: copy a row deeply before changing it.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from medvidbench_hf.leaderboard.next_action import vocabularies
from medvidbench_hf.tasks.cvs_assessment import CRITERIA
from medvidbench_hf.tasks.skill_assessment import ASPECTS
from tests.official_files import COUNTS, WORDS

#: rows of TrainVal by qa_type; the counts of next_action, video_summary and skill_assessment are ours, 1,400 together
TRAINVAL_COUNTS = {
    "tal": 1700,
    "stg": 780,
    "dense_captioning_gpt": 750,
    "dense_captioning_gemini": 730,
    "next_action": 680,
    "cvs_assessment": 600,
    "video_summary_gpt": 270,
    "video_summary_gemini": 300,
    "region_caption_gpt": 140,
    "region_caption_gemini": 170,
    "skill_assessment": 150,
}
#: qa_type -> source -> rows of TrainVal, chosen so that NurViD has the 1,395 rows with bounds in seconds
BY_SOURCE = {
    "tal": {"AVOS": 275, "CholecT50": 275, "CoPESD": 275, "EgoSurgery": 275, "NurViD": 600},
    "stg": {"CholecTrack20": 260, "CoPESD": 260, "EgoSurgery": 260},
    "dense_captioning_gpt": {"AVOS": 120, "CholecT50": 120, "CoPESD": 120, "EgoSurgery": 120, "NurViD": 270},
    "dense_captioning_gemini": {"AVOS": 117, "CholecT50": 116, "CoPESD": 116, "EgoSurgery": 116, "NurViD": 265},
    "next_action": {"AVOS": 130, "CholecT50": 130, "CoPESD": 130, "EgoSurgery": 130, "NurViD": 160},
    "cvs_assessment": {"Cholec80_CVS": 600},
    "video_summary_gpt": {"CholecT50": 110, "CoPESD": 110, "NurViD": 50},
    "video_summary_gemini": {"CholecT50": 125, "CoPESD": 125, "NurViD": 50},
    "region_caption_gpt": {"CholecTrack20": 70, "EgoSurgery": 70},
    "region_caption_gemini": {"CholecTrack20": 85, "EgoSurgery": 85},
    "skill_assessment": {"JIGSAWS": 150},
}
N_IDS = 3975  # distinct ids of the test split
MORE_QUESTIONS = {"tal": 420, "stg": 130, "region_caption_gpt": 10, "region_caption_gemini": 12}  # on an asked clip
EXACT_REPEATS = {"tal": 20, "stg": 9}

ALIASES = {"Cholec80_CVS": "Cholec80-CVS", "JIGSAWS": "jigsaws"}
CANVAS_PX = {"CholecTrack20": (854, 480), "EgoSurgery": (1920, 1080), "CoPESD": (1306, 1009)}
STORED_PREFIX = "/root/data/"
LARGE_VIDEO, LARGE_PX = "CholecTrack20/Testing/VID01/", (960, 540)  # frames larger than the canvas of the boxes

PHASES = ("closing", "closure", "design", "dissection", "dressing", "hemostasis", "incision", "irrigation")
PROCEDURES = ("Bed Rubbing", "Penicillin Skin Testing", "Perineal Care", "Intravenous Blood Sampling")
ROLES = {
    "AVOS": ("You are an expert in open surgery.", "You are an expert in reading videos of operations."),
    "CholecT50": ("You are an expert in laparoscopic surgery.", "You are an expert in gallbladder removal."),
    "CholecTrack20": ("You are an expert in laparoscopic surgery.", "You are an expert in surgical instruments."),
    "Cholec80_CVS": ("You are an expert in laparoscopic surgery.",),
    "CoPESD": ("You are an expert in endoscopy.", "You are an expert in submucosal dissection."),
    "EgoSurgery": ("You are an expert in open surgery.", "You are an expert in egocentric video."),
    "JIGSAWS": ("You are an expert in robotic surgery.",),
    "NurViD": ("You are an expert in nursing.", "You are an expert in nursing procedures."),
}
TAL_LISTS = {
    "AVOS": (
        "This AVOS video shows an open surgery procedure. The video may contain actions such as {options_or}.",
        "This AVOS video shows an open surgery procedure. This video may include actions like {options_and}.",
    ),
    "CholecT50": ("Possible phases in this video include: {options}.", "The procedure may involve: {options}."),
    "CoPESD": (
        "Actions such as {options} may appear in this video.",
        "Possible actions in the video include {options}.",
    ),
    "EgoSurgery": ("Possible phases in this video include: {options}.", "The procedure may involve: {options}."),
    "NurViD": (
        "The video shows part of the {procedure} procedure. Possible actions include: {options}.",
        "In this {procedure} procedure video, possible actions are: {options}.",
    ),
}
TAL_ASKS = (
    "When does {label} happen?",
    "What is the time span of {label}?",
    "Find the segment(s) where {label} happens.",
    "When can I see {label} in the video?",
)
DENSE_ASKS = {
    "AVOS": (
        "Create an event list restricted to actions in {list}. For each event: (1) start_time, (2) end_time, "
        "(3) description of this event.",
        "Detect and caption only clinically relevant actions from {list}. Return start/end times with a brief, "
        "objective description.",
    ),
    "CholecT50": (
        "Construct a compact summary of all occurrences of {list}. For each, provide [start, end] and a one-sentence "
        "caption.",
    ),
    "CoPESD": (
        "Identify and describe ONLY segments where the video shows actions from this list: {list}. Skip all other "
        "content. For each qualifying segment, give [start, end] and a concise description that explicitly names the "
        "action from the list.",
    ),
    "EgoSurgery": (
        "Construct a compact summary of all occurrences of {list}. For each, provide [start, end] and a one-sentence "
        "caption.",
    ),
    "NurViD": (
        "This is a {procedure} procedure video. Find all occurrences of {options} and list them with time bounds and "
        "clear captions. Any content not demonstrating these actions must be omitted.",
        "This is a {procedure} procedure video. Filter the video for events matching {options}. Return a list of "
        "non-overlapping segments with [start_time, end_time] and a factual caption.",
    ),
}
STG_ASKS = {
    "CholecTrack20": (
        "Track the {object} from {start} to {end} seconds, predicting its location every {stride} seconds.",
        "List the positions of the {object} between {start} and {end} seconds, sampled every {stride} seconds.",
    ),
    "CoPESD": (
        "What are the bounding boxes of the {object} sampled every {stride} seconds from {start} to {end} seconds?",
        "Between {start} seconds and {end} seconds, where is the {object} every {stride} seconds?",
        "Give the bounding boxes for the {object} at every {stride} seconds between {start} and {end} seconds.",
    ),
}
REGION_ASKS = {
    "CholecTrack20": (
        "What is the object in the box at {start} seconds doing during the interval from {start} to {end} seconds?",
        "Describe what the object does between {start} and {end} seconds, starting from the given box at {start} "
        "seconds.",
    ),
    "EgoSurgery": (
        "From {start} seconds to {end} seconds, what is the object doing in the region given by the bounding box at "
        "{start} seconds?",
        "Describe the activity or state of the object inside the bounding box at {start} seconds, over the interval "
        "from {start} to {end} seconds.",
    ),
}
SUMMARY_ASKS = (
    "Summarize the video content in a short paragraph, focusing on the main idea or purpose.",
    "Give a concise overview of what the video is about, without going into detailed steps.",
)
CVS_ASK = (
    "Using Strasberg’s guidelines for the Critical View of Safety, assign a score (0,1,2) to each of the following: "
    "(1) whether exactly two structures are seen to enter the gallbladder, (2) the dissection of the cystic plate, "
    "and (3) the clearance of the hepatocystic triangle."
)
SKILL_ASK = f"Review the surgical procedure and score the following aspects (1,2,3,4,5 scale): {', '.join(ASPECTS)}."
OBJECTS = {
    "CholecTrack20": ("grasper", "bipolar", "hook", "scissors", "clipper", "irrigator", "specimen-bag"),
    "CoPESD": ("forceps", "knife"),
    "EgoSurgery": ("Tweezers", "Scissors", "Suction Cannula", "Own hands left"),
}

#: source -> (where its frames lie below the root, digits of the padded number, extension)
FILES = {
    "AVOS": ("AVOS/frames_15fps/{video}/", 1, "jpg"),
    "CholecT50": ("CAMMA_data/CholecT50/videos/{video}/", 6, "png"),
    "CholecTrack20": ("CAMMA_data/CholecTrack20/Testing/{video}/Frames/", 6, "png"),
    "Cholec80_CVS": ("Cholec80_CVS/{video}/", 6, "jpg"),
    "CoPESD": ("CoPESD/high_light_images/{video}/", 4, "jpg"),
    "EgoSurgery": ("EgoSurgery/images/{patient}/{video}_", 4, "jpg"),
    "JIGSAWS": ("JIGSAWS_frames/{video}/", 6, "png"),
    "NurViD": ("NurViD/frames_2fps/{video}/", 6, "jpg"),
}


class Clip(NamedTuple):
    """A frame list that many rows ask about."""

    source: str
    id: str
    metadata: dict[str, str]
    ids: list[int]  # source-frame ids, in the source's own clock
    paths: list[str]
    times_s: list[float]  # true time of each frame, the first at 0


class Asked(NamedTuple):
    """A question with its answer side."""

    question: str
    answer: str
    struc_info: Any
    region: dict[str, Any] | None = None


# --- rows ------------------------------------------------------------------------------------------------------


def test_rows(
    seed: int = 0,  # noqa: PT028
    share: float = 1.0,  # noqa: PT028
    *,
    frames: tuple[int, int] = (50, 180),  # noqa: PT028
    prefixes: tuple[str, ...] = (STORED_PREFIX, "testdata/"),  # noqa: PT028
) -> list[dict[str, Any]]:
    """6,245 rows at share 1, as the test JSON has them: no answers, RC_info kept.

    frames: fewest and most a row, 4 at least. prefixes: what stands before the paths; sources take turns.
    """
    rng = random.Random(seed)
    rows = []
    for kind, clip, asked in _asked(rng, COUNTS, share, frames, prefixes):
        row = _row(rng, kind, clip, asked)
        if rng.random() < 0.5:
            row["struc_info"] = []
        rows.append(row)
    return _with_repeats(rng, rows, share)


test_rows.__test__ = False  # type: ignore[attr-defined]  # a maker of rows: pytest is not to collect it


def trainval_rows(
    seed: int = 0,
    share: float = 1.0,
    *,
    frames: tuple[int, int] = (50, 180),
    prefixes: tuple[str, ...] = (STORED_PREFIX, "valdata/"),
) -> list[dict[str, Any]]:
    """6,270 rows at share 1, with answers and struc_info. Arguments as those of `test_rows`."""
    rng = random.Random(seed)
    rows = []
    for kind, clip, asked in _asked(rng, TRAINVAL_COUNTS, share, frames, prefixes):
        row = _row(rng, kind, clip, asked)
        row["conversations"].append({"from": "gpt", "value": asked.answer})
        row["struc_info"] = asked.struc_info
        row["train"] = "train"
        rows.append(row)
    return _with_repeats(rng, rows, share)


def _asked(
    rng: random.Random,
    counts: Mapping[str, int],
    share: float,
    frames: tuple[int, int],
    prefixes: tuple[str, ...],
) -> Iterable[tuple[str, Clip, Asked]]:
    """(qa_type, clip, question) of every row but the exact repeats; no two are the same."""
    first: dict[str, dict[str, int]] = {}  # rows that open a pair of clip and qa_type
    more: dict[str, dict[str, int]] = {}  # rows that ask something else of such a pair
    for kind, n in counts.items():
        rows = _split(max(1, round(n * share)) - round(EXACT_REPEATS.get(kind, 0) * share), BY_SOURCE[kind])
        extra = _split(round(MORE_QUESTIONS.get(kind, 0) * share), BY_SOURCE[kind])
        more[kind] = {source: min(extra[source], rows[source] // 2) for source in rows}
        first[kind] = {source: rows[source] - more[kind][source] for source in rows}
    n_clips = _clips_by_source(first, round(N_IDS * share))
    clips = {
        source: _clips(rng, source, n, frames, prefixes[list(FILES).index(source) % len(prefixes)])
        for source, n in n_clips.items()
    }
    at = dict.fromkeys(FILES, 0)
    half_rate: dict[str, Clip] = {}
    seen: set[tuple[str, str, str]] = set()
    for kind in counts:
        task = kind.removesuffix("_gpt").removesuffix("_gemini")
        for source, n in first[kind].items():
            if n == 0:
                continue
            pool, begin = clips[source], at[source]
            at[source] += n  # the next qa_type goes on from here, so that all clips are asked about
            chosen = [pool[(begin + k) % len(pool)] for k in range(n)]
            for clip in (*chosen, *rng.choices(chosen, k=more[kind][source])):
                if source == "EgoSurgery" and task == "region_caption":
                    clip = half_rate.setdefault(clip.id, _at_half_rate(clip, frames[1]))
                asked = ASK[task](rng, clip)
                while (clip.id, kind, asked.question) in seen:
                    asked = ASK[task](rng, clip)
                seen.add((clip.id, kind, asked.question))
                yield kind, clip, asked


def _clips_by_source(first: dict[str, dict[str, int]], total: int) -> dict[str, int]:
    """source -> clips, `total` together where that is enough for one qa_type and not more than all ask for."""
    sources = [source for source in FILES if any(rows.get(source) for rows in first.values())]
    most = {source: sum(rows.get(source, 0) for rows in first.values()) for source in sources}
    least = {source: max(rows.get(source, 0) for rows in first.values()) for source in sources}
    n = dict(least)
    while sum(n.values()) < min(total, sum(most.values())):
        emptiest = max(sources, key=lambda s: (most[s] - n[s]) / most[s])
        n[emptiest] += 1
    return n


def _split(n: int, weights: Mapping[str, int]) -> dict[str, int]:
    """n whole rows in proportion to the weights, by largest remainder."""
    total = sum(weights.values())
    parts = {source: n * weight // total for source, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda source: -(n * weights[source] % total))
    for source in by_remainder[: n - sum(parts.values())]:
        parts[source] += 1
    return parts


def _with_repeats(rng: random.Random, rows: list[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    for kind, n in EXACT_REPEATS.items():
        same = [row for row in rows if row["qa_type"] == kind]
        rows.extend(dict(row) for row in rng.choices(same, k=round(n * share)))
    rng.shuffle(rows)
    return rows


def _row(rng: random.Random, kind: str, clip: Clip, asked: Asked) -> dict[str, Any]:
    """The fields of both splits."""
    name = clip.source
    if name in ALIASES and rng.random() < 0.3:
        name = ALIASES[name]
    names: tuple[str, ...] = rng.choice((("data_source",), ("dataset_name",), ("data_source", "dataset_name")))
    return {
        "id": clip.id,
        "qa_type": kind,
        **dict.fromkeys(names, name),
        "conversations": [{"from": "human", "value": f"<video>\n{asked.question}"}],
        "video": clip.paths,
        "sampled_video_frames": clip.ids,
        "metadata": clip.metadata,
        "is_RC": asked.region is not None,
        "RC_info": asked.region or {},
    }


# --- clips -----------------------------------------------------------------------------------------------------


def _clips(rng: random.Random, source: str, count: int, frames: tuple[int, int], prefix: str) -> list[Clip]:
    videos = _videos(rng, source)
    clips: dict[str, Clip] = {}
    k = 0
    while len(clips) < count:
        # EgoSurgery's region rows list every frame where its other rows list every second one.
        most = max(frames[0], frames[1] // 2) if source == "EgoSurgery" else frames[1]
        clip = _clip(rng, source, videos[k % len(videos)], rng.randint(frames[0], most), prefix)
        clips.setdefault(clip.id, clip)
        k += 1
    return list(clips.values())


def _videos(rng: random.Random, source: str) -> list[str]:
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789-_"
    match source:
        case "AVOS" | "NurViD":  # the shape of a YouTube id: 11 characters, - and _ among them
            return ["made" + "".join(rng.choices(letters, k=7)) for _ in range(120)]
        case "CholecT50":
            return [f"VID{n:02d}" for n in range(1, 51)]
        case "CholecTrack20":
            return ["VID01", "VID06", "VID07", "VID12", "VID25", "VID39", "VID92", "VID111"]
        case "Cholec80_CVS":
            return [f"video{n:02d}" for n in range(1, 81)]
        case "CoPESD":
            return [f"{rng.randrange(10**6):06d}" for _ in range(40)]
        case "EgoSurgery":
            return [f"{patient:02d}_{part}" for patient in range(1, 16) for part in (1, 2)]
    return [f"{trial}_{surgeon}{n:03d}" for trial in ("Suturing", "Knot_Tying") for surgeon in "BCD" for n in (1, 2, 3)]


def _clip(rng: random.Random, source: str, video: str, n: int, prefix: str) -> Clip:
    fps, clock_hz = 1.0, 1.0
    start_s = round(rng.uniform(0, 900), 2)
    match source:
        case "AVOS":  # joins of parts give steps of 1
            clock_hz, first = 15.0, rng.randrange(40_000)
            steps = _steps(rng, n, 15, (16, 24, 29, 1), rng.choice((0.0, 0.15)))
        case "CholecT50":
            step = rng.choice((2, 2, 2, 4, 5, 10))
            fps, first = 1 / step, rng.randrange(1500)
            steps = _steps(rng, n, step, (1, 3), 0.05 if step == 2 else 0.0)
        case "CholecTrack20":  # holes of tens of seconds
            clock_hz, first = 25.0, 1 + 25 * rng.randrange(3000)
            steps = _steps(rng, n, 25, (), 0.0)
            for _ in range(min(rng.choice((0, 1, 2)), (n - 1) // 3)):
                steps[rng.randrange(n - 1)] = 25 * rng.randint(10, 92)
        case "CoPESD":
            step = rng.choice((2, 2, 1))
            fps, first = 1 / step, rng.randrange(1, 900)
            steps = _steps(rng, n, step, (), 0.0)
            if step == 2 and rng.random() < 0.5:
                steps[-1] = 1  # the end frame is listed although it is off the cadence
        case "EgoSurgery":
            fps, first = 0.5, rng.randrange(1, 900)
            steps = _steps(rng, n, 2, (), 0.0)
        case "NurViD":  # 0: the same frame twice
            clock_hz, first = 2.0, round(2 * start_s)
            steps = _steps(rng, n, 2, (3, 0), rng.choice((0.0, 0.1)))
        case "JIGSAWS":
            clock_hz, first = 30.0, rng.randrange(1, 300)
            steps = _steps(rng, n, 30, (), 0.0)
        case _:
            clock_hz, first = 25.0, 25 * rng.randrange(1200)
            steps = _steps(rng, n, 25, (), 0.0)
    ids = [first]
    for step in steps:
        ids.append(ids[-1] + step)
    end = ids[-1] + (14 if source == "AVOS" else 0)
    end_s = round(max(start_s, ids[-1] / 2) + rng.uniform(0, 0.9), 2)
    if source == "NurViD":
        bounds = {"input_video_start_time": str(start_s), "input_video_end_time": str(end_s)}
    elif source == "Cholec80_CVS":
        bounds = {"start_frame": str(first), "end_frame": str(end)}
    else:
        bounds = {"input_video_start_frame": str(first), "input_video_end_frame": str(end)}
    match source:
        case "NurViD":
            row_id = f"{video}&&{start_s:.2f}&&{end_s:.2f}&&{fps}"
        case "CoPESD":
            row_id = f"{fps}${video}_part{first // 300}${first}${end + 1}"
        case "EgoSurgery":
            row_id = f"{fps}${video}_part0${first}${end}"
        case "CholecT50" | "CholecTrack20":
            row_id = f"{fps}${video}${first}${end}"
        case _:
            row_id = f"{video}&&{first}&&{end}&&{fps}"
    metadata = {"video_id": video, "fps": str(fps), **bounds}
    times_s = [(i - first) / clock_hz for i in ids]
    return Clip(source, row_id, metadata, ids, _paths(source, video, prefix, ids), times_s)


def _steps(rng: random.Random, n: int, usual: int, odd: tuple[int, ...], share: float) -> list[int]:
    """Steps between n frames, `share` of them odd, the usual one the most frequent."""
    steps = [usual] * (n - 1)
    for k in rng.sample(range(n - 1), int((n - 1) * share)):
        steps[k] = rng.choice(odd)
    return steps


def _paths(source: str, video: str, prefix: str, ids: list[int]) -> list[str]:
    folder, digits, extension = FILES[source]
    stem = prefix + folder.format(video=video, patient=video[:2])
    return [f"{stem}{i:0{digits}d}.{extension}" for i in ids]


def _at_half_rate(clip: Clip, most: int) -> Clip:
    """EgoSurgery's other clock, that of its region rows: ids step by 1 and a step is 2 s. The row id stays."""
    ids = list(range(clip.ids[0], clip.ids[-1] + 1))[:most]
    prefix = clip.paths[0].removesuffix(_paths(clip.source, clip.metadata["video_id"], "", ids[:1])[0])
    paths = _paths(clip.source, clip.metadata["video_id"], prefix, ids)
    return clip._replace(ids=ids, paths=paths, times_s=[2.0 * k for k in range(len(ids))])


# --- questions and answers -------------------------------------------------------------------------------------


def _tal(rng: random.Random, clip: Clip) -> Asked:
    procedure, labels = _labels(rng, clip.source)
    label = rng.choice(labels)
    listed = [name for name in labels if name != label] if clip.source == "CoPESD" and rng.random() < 0.01 else labels
    spans = _spans(rng, clip, rng.choice((1, 1, 1, 2, 2, 4)))
    if rng.random() < 0.01:
        spans[0] = (spans[0][0], spans[0][0])
    if rng.random() < 0.01:
        spans[-1] = (spans[-1][0], round(clip.times_s[-1] + rng.uniform(10, 60), 1))
    ask = f"{rng.choice(TAL_LISTS[clip.source])} {rng.choice(TAL_ASKS)}"
    item: dict[str, Any] = {"action": label, "spans": [{"start": a, "end": b} for a, b in spans]}
    if clip.source == "NurViD" or rng.random() < 0.5:
        item = {"procedure": procedure or clip.source, "action_list": list(listed), **item}
    answer = ", ".join(f"{a}-{b}" for a, b in spans) + " seconds."
    return Asked(_question(rng, clip, ask, listed, procedure=procedure, label=label), answer, [item])


def _dense(rng: random.Random, clip: Clip) -> Asked:
    procedure, labels = _labels(rng, clip.source)
    events = []
    for a, b in _spans(rng, clip, rng.randint(1, 8)):
        label = f"{rng.choice(labels)}: " if clip.source in ("AVOS", "NurViD") else ""
        events.append({"start": a, "end": b, "caption": label + _sentence(rng)})
    info: Any = rng.choice(([events], events))
    if clip.source == "NurViD":
        info = [{"dc_segments": events}]
    answer = "\n".join(f"{e['start']}-{e['end']} seconds: {e['caption']}" for e in events)
    ask = rng.choice(DENSE_ASKS[clip.source])
    return Asked(_question(rng, clip, ask, labels, procedure=procedure), answer, info)


def _next(rng: random.Random, clip: Clip) -> Asked:
    procedure, labels = _labels(rng, clip.source)
    if clip.source == "NurViD":
        ask = "The video shows part of the {procedure} procedure. Possible actions include: {options}."
    else:
        # The release's own sentence has no full stop here.
        ask = "This video is taken from the {source} dataset The procedure includes the following step list: {list}."
    ask += " What comes next after the current video?"
    return Asked(_question(rng, clip, ask, labels, procedure=procedure), rng.choice(labels), [])


def _stg(rng: random.Random, clip: Clip) -> Asked:
    whole = clip.source == "CoPESD" or rng.random() < 0.2  # integer boxes, and keys and times without decimals
    stride, name = rng.choice((4, 8)), rng.choice(OBJECTS[clip.source])
    while True:
        start = rng.randrange(max(1, int(clip.times_s[-1])))
        end = start + stride * rng.randint(0, 8) + rng.randrange(stride)
        times = range(start, end + 1, stride)
        # A few rows ask about times in a hole or after the end.
        if all(_is_shown(clip, t) for t in times) or rng.random() < 0.02:
            break
    boxes = {str(t) if whole else f"{t}.0": _box(rng, clip.source, rng.random() < 0.3) for t in times}
    ask = rng.choice(STG_ASKS.get(clip.source) or [ask for asks in STG_ASKS.values() for ask in asks])
    shown = (start, end) if whole else (float(start), float(end))
    info: Any = rng.choice(
        (
            [{"start": start, "end": end, "stride": stride, "object": name, "bbox_dict": boxes}],
            [{"bbox_dict": boxes}],
            {"bbox_dict": boxes},
            boxes,
        )
    )
    answer = " ".join(f"{float(t)} seconds: {box}" for t, box in boxes.items())
    question = _question(rng, clip, ask, (), object=name, start=shown[0], end=shown[1], stride=stride)
    return Asked(question, answer, info)


def _region(rng: random.Random, clip: Clip) -> Asked:
    k = rng.randrange(len(clip.ids) - 1)
    start, end = clip.times_s[k], clip.times_s[rng.randrange(k + 1, len(clip.ids))]
    box = _box(rng, clip.source, rng.random() < 0.5)
    ask = rng.choice(REGION_ASKS[clip.source])
    question = _question(rng, clip, ask, (), start=start, end=end)
    inner = {
        "start": start,
        "end": end,
        "object": rng.choice(("left hand of the surgeon", *OBJECTS[clip.source])),
        "start_frame": clip.ids[k],
        "start_frame_bbox": box,
        "phase_info": {"phase_idx": 1, "phase_name": "dissection"},
    }
    region = {"start_frame": clip.paths[k], "start_frame_bbox": box}
    return Asked(question, _sentence(rng), [{"question": question, "struc_info": inner}], region)


def _summary(rng: random.Random, clip: Clip) -> Asked:
    return Asked(_question(rng, clip, rng.choice(SUMMARY_ASKS), ()), _sentence(rng), [])


def _cvs(rng: random.Random, clip: Clip) -> Asked:
    values = [rng.randrange(3) for _ in CRITERIA]
    scores = {name.lower().replace(" ", "_"): value for name, value in zip(CRITERIA, values, strict=True)}
    answer = ", ".join(f"{name}: {value}" for name, value in zip(CRITERIA, values, strict=True))
    return Asked(_question(rng, clip, CVS_ASK, ()), answer, [{"cvs_scores": scores}])


def _skill(rng: random.Random, clip: Clip) -> Asked:
    scores = {name: rng.randint(1, 5) for name in ASPECTS}
    answer = ", ".join(f"{name}: {value}/5" for name, value in scores.items())
    info = [{"skill_level": rng.choice("NIE"), "skill_scores": scores}]
    return Asked(_question(rng, clip, SKILL_ASK, ()), answer, info)


ASK = {
    "tal": _tal,
    "stg": _stg,
    "next_action": _next,
    "dense_captioning": _dense,
    "video_summary": _summary,
    "region_caption": _region,
    "skill_assessment": _skill,
    "cvs_assessment": _cvs,
}


def _question(rng: random.Random, clip: Clip, ask: str, labels: Collection[str], **fields: object) -> str:
    names = list(labels)
    lists = {
        "options": ", ".join(names),
        "options_or": ", ".join([*names[:-1], f"or {names[-1]}"]) if names else "",
        "options_and": ", ".join([*names[:-1], f"and {names[-1]}"]) if names else "",
        "list": names,
        "source": clip.source,
    }
    return f"{rng.choice(ROLES[clip.source])} {ask.format(**lists, **fields)}"


def _labels(rng: random.Random, source: str) -> tuple[str, list[str]]:
    """(procedure or "", labels)."""
    if source == "NurViD":
        procedure = rng.choice(PROCEDURES)
        return procedure, vocabularies()["NurViD"][procedure]
    return "", list(vocabularies()["labels"].get(source, PHASES))


def _spans(rng: random.Random, clip: Clip, n: int) -> list[tuple[float, float]]:
    """n spans apart from each other inside the clip, in tenths of a second."""
    last = max(2 * n, int(10 * clip.times_s[-1]))
    bounds = sorted(rng.sample(range(last + 1), 2 * n))
    return [(a / 10, b / 10) for a, b in zip(bounds[::2], bounds[1::2], strict=True)]


def _is_shown(clip: Clip, time_s: float) -> bool:
    """Whether a frame lies within half a frame interval."""
    k = bisect(clip.times_s, time_s)
    nearest = min(abs(time_s - t) for t in clip.times_s[max(0, k - 1) : k + 1])
    return nearest <= 0.5 / float(clip.metadata["fps"])


def _box(rng: random.Random, source: str, whole: bool) -> list[float]:
    width, height = CANVAS_PX[source]
    x, y = rng.uniform(0, 0.7 * width), rng.uniform(0, 0.7 * height)
    # Up to 3 pixels over the border, as the release's own boxes.
    box = [x, y, min(x + rng.uniform(20, 0.5 * width), width + 3), min(y + rng.uniform(20, 0.5 * height), height)]
    return [int(v) if whole else round(v, 2) for v in box]


def _sentence(rng: random.Random) -> str:
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(8, 24)))
    return (words if rng.random() < 0.8 else f"the surgeon’s hand rests; {words}").capitalize() + "."


# --- frames ----------------------------------------------------------------------------------------------------

GRID = (6, 8)  # blocks of the barcode: 24 bits of the id, then the same bits inverted
_BITS = GRID[0] * GRID[1] // 2


def file_of(path: str) -> str:
    """A stored path below the folder that the frames were written to."""
    return path.removeprefix(STORED_PREFIX)


def write_frames(
    rows: Iterable[Mapping[str, Any]],
    root: str | Path,
    *,
    size_px: tuple[int, int] = (64, 48),
    only: Collection[str] | None = None,
) -> int:
    """Write each frame that the rows name once, below root; the number of files written.

    `/root/data/X` becomes `root/X`, a relative path keeps its first folder. size_px: (width, height); frames of
    LARGE_VIDEO are LARGE_PX whatever it says. only: sources by their official names; all when None.
    """
    root, written = Path(root), set[str]()
    official = {alias: name for name, alias in ALIASES.items()}
    for row in rows:
        source = row.get("data_source") or row.get("dataset_name")
        if only is not None and official.get(source, source) not in only:
            continue
        for path, frame_id in zip(row["video"], row["sampled_video_frames"], strict=True):
            if path in written:
                continue
            file = root / file_of(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_frame(file, frame_id, LARGE_PX if LARGE_VIDEO in path else size_px)
            written.add(path)
    return len(written)


def write_frame(file: Path, frame_id: int, size_px: tuple[int, int]) -> None:
    """One JPEG or PNG that shows the id as black and white blocks; size_px: (width, height)."""
    width, height = size_px
    bits = np.array([frame_id >> k & 1 for k in range(_BITS)], np.uint8)
    blocks = np.concatenate([bits, 1 - bits]).reshape(GRID) * 255
    pixels = blocks[np.arange(height) * GRID[0] // height][:, np.arange(width) * GRID[1] // width]
    image = Image.fromarray(np.repeat(pixels[..., None], 3, axis=2))
    image.save(file, **({"compress_level": 1} if file.suffix == ".png" else {"quality": 85}))


def frame_id_of(pixels: np.ndarray) -> int:
    """The source-frame id that a frame of any size shows; (height, width[, channels]), uint8.

    Raises ValueError where no barcode can be read.
    """
    grey = np.asarray(pixels, float).reshape(*pixels.shape[:2], -1).mean(axis=2)
    height, width = grey.shape
    # The middle of a block: its edges are blurred by compression and resizing.
    y = ((np.arange(GRID[0])[:, None] + np.array([0.4, 0.5, 0.6])) * height / GRID[0]).astype(int)
    x = ((np.arange(GRID[1])[:, None] + np.array([0.4, 0.5, 0.6])) * width / GRID[1]).astype(int)
    blocks = grey[y[:, None, :, None], x[None, :, None, :]].mean(axis=(2, 3)).ravel()  # (48,)
    contrast = blocks[:_BITS] - blocks[_BITS:]
    if np.abs(contrast).min() < 64:
        raise ValueError(f"no barcode in a frame of {width}x{height}: contrast {np.abs(contrast).min():.0f} of 255")
    return int(sum(1 << k for k in range(_BITS) if contrast[k] > 0))


def break_copy(root: str | Path, seed: int = 0) -> dict[str, list[str]]:
    """Break some of the frames below root, in place; kind -> paths relative to root.

    Kinds: missing, truncated (JPEGs), empty (2 % of the files each, one at least), resized, text, link (one each; the
    link leads to a readable frame beside root). Needs at least 8 files.
    """
    root, rng = Path(root), random.Random(seed)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if len(files) < 8:
        raise ValueError(f"{root}: {len(files)} frames are too few to break six kinds of them")
    rng.shuffle(files)
    files.sort(key=lambda path: path.suffix != ".jpg")  # JPEGs first: truncation takes its share of them
    some = max(1, len(files) // 50)
    truncated, rest = files[:some], files[some:]
    rng.shuffle(rest)
    chosen = {"truncated": truncated, "missing": rest[:some], "empty": rest[some : 2 * some]}
    resized, text, link = rest[2 * some : 2 * some + 3]
    chosen |= {"resized": [resized], "text": [text], "link": [link]}

    for file in truncated:
        data = file.read_bytes()
        pixels_at = max(0, data.find(b"\xff\xda"))  # the header stays whole: only decoding finds out
        file.write_bytes(data[: (pixels_at + len(data)) // 2])
    for file in chosen["missing"]:
        file.unlink()
    for file in chosen["empty"]:
        file.write_bytes(b"")
    with Image.open(resized) as image:
        image.load()
        image.resize((image.width + 16, image.height + 16)).save(resized)
    text.write_text("not a frame\n")
    outside = root.parent / f"outside-of-{root.name}{link.suffix}"
    link.replace(outside)
    link.symlink_to(outside)
    return {kind: sorted(path.relative_to(root).as_posix() for path in paths) for kind, paths in chosen.items()}
