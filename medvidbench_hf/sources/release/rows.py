"""A row of the release's test or train/val file as a Sample, and back, with nothing lost.

    {"id": "...", "qa_type": "tal", "data_source": "AVOS",
     "conversations": [{"from": "human", "value": "<video>\\n..."}, {"from": "gpt", "value": "22.0-78.0 seconds."}],
     "video": ["/root/data/AVOS/frames_15fps/v1/22425.jpg", ...], "sampled_video_frames": [22425, ...],
     "metadata": {"video_id": "v1", "fps": "1.0", ...}, "struc_info": [...], ...}

`row_of(sample_of(row).sample)` is the row again. Fields that a Sample has no place for stay in `extra`, if they are
known to be part of the question, else in `answer_extra`: what we do not know may hold the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from medvidbench_hf.sample import LONGEST_SIDE_PX, Box, Canvas, InputError, PublicSample, Region, Sample
from medvidbench_hf.sources.release.asked import label_list, requested_times
from medvidbench_hf.sources.release.names import QA_TYPES, Source, source_named
from medvidbench_hf.sources.release.sides import asks_only, is_plain, sides
from medvidbench_hf.sources.release.times import LARGEST_ID, Times, frame_times, usable_bounds
from medvidbench_hf.tasks.struc_info import as_dict, as_list, finite, read_truth, unread

VIDEO_TOKEN = "<video>\n"
UNKNOWN_CANVAS = Canvas(LONGEST_SIDE_PX, LONGEST_SIDE_PX)  # clips nothing
RELEASE_TERMS = {"test": "CC BY-NC-SA 4.0", "trainval": "gated, non-commercial, no redistribution"}

_NUMBER = re.compile(r"(?<![0-9])([0-9]{1,12})\.\w{1,5}$")

NO_VIDEO_ID = "no video id"
NO_REGION_FRAME = "the region's frame is not in the list"
BAD_BOX = "a box is not four finite numbers"
UNREADABLE = "its truth cannot be read"
PARTLY_READ = "part of its struc_info cannot be read"
NO_ANSWER = "a row without an answer among rows that have one"
UNKNOWN_FIELD = "a field that is not known to be part of the question"
SEVERAL_TURNS = "several questions in one row, the last is taken"
OUT_OF_STEP = "the numbers of the frame files are out of step with their ids"
OFF_START = "its stated start is not where its first frame is"


class Imported(NamedTuple):
    """A row as read. paths: its frames as the row lists them. flags: kind of problem -> particulars."""

    sample: Sample
    paths: tuple[str, ...]
    times: Times
    flags: dict[str, str]


def sample_of(
    row: Mapping[str, Any], index: int, split: str, number: int = 0, *, answered: bool, size: Canvas | None = None
) -> Imported:
    """Read one row.

    index: its key in the split. number: its place in the file, kept for the way back. answered: whether its file is
    one with answers. size: of the original frames in pixels, where they were seen. Raises InputError that names the
    field of a row that is not of the release's form; what is merely wrong with it is a flag.
    """
    task, variant = qa_type_of(row)
    source = source_of(row)
    metadata = row.get("metadata", {})
    if not isinstance(metadata, dict):
        raise InputError(f"field metadata: {str(metadata)[:60]!r} is not an object")
    human, question, reference, plain = _conversation(row)
    paths, listed = frame_list(row)
    times = row_times(row, paths)
    flags = dict(times.flags)
    video_id = str(metadata.get("video_id") or "").strip()
    if not video_id:
        flags[NO_VIDEO_ID] = "it is taken for a video of its own"
        video_id = f"row-{number}"
    region = _region(row, task, paths, times, flags)
    start_s, end_s = _extent(metadata, times, flags)
    truth = read_truth(task, row.get("struc_info"), reference or "") if answered else None
    if answered and reference is None:
        flags[NO_ANSWER] = "it can be asked, not scored"
    elif answered and truth is None:
        flags[UNREADABLE] = "neither struc_info nor the answer says it"
    if bad := _bad_box(row, task):
        flags[BAD_BOX] = bad
    elif answered and (lost := unread(task, row.get("struc_info"))):
        flags[PARTLY_READ] = lost
    if sum(turn.get("from") == "human" for turn in row["conversations"]) > 1:
        flags[SEVERAL_TURNS] = f"{len(row['conversations'])} turns"
    if out_of_step(paths, times):
        flags[OUT_OF_STEP] = "the ids say when each frame was"

    question_side, hidden_side = sides(row)
    extra: dict[str, Any] = {"row": number, "frames": listed, "fields": question_side}
    hidden: dict[str, Any] = {"fields": hidden_side} if hidden_side else {}
    if answered and "struc_info" in row:
        question_side.pop("struc_info", None)
        hidden_side.pop("struc_info", None)
        hidden["struc_info"] = row["struc_info"]
    if not plain or (reference is not None and not answered):
        (extra if not answered and asks_only(row["conversations"]) else hidden)["conversations"] = row["conversations"]
    elif not human.startswith(VIDEO_TOKEN):
        extra["human"] = human
    if hidden and not answered:
        flags[UNKNOWN_FIELD] = f"{', '.join([*hidden_side, *(['conversations'] * ('conversations' in hidden))])[:80]}"
    terms = f"MedVidBench release: {RELEASE_TERMS['trainval' if answered else 'test']}; {source.name}: {source.terms}"
    sample = Sample(
        index=index,
        split=split,
        id="" if row.get("id") is None or not is_plain(row["id"]) else str(row["id"]),
        task=task,
        variant=variant,
        source=source.name,
        domain=source.domain,
        video_id=video_id,
        question=question,
        options=label_list(question) if task in ("tal", "next_action", "dense_captioning") else (),
        region=region,
        request_times_s=requested_times(question) if task == "stg" else (),
        fps=times.fps,
        frame_times_s=times.times_s,
        time_rule=times.rule,
        canvas=source.canvas or size or UNKNOWN_CANVAS,
        clip_start_s=start_s,
        clip_end_s=end_s,
        licence=source.terms if source.simulated else terms,
        extra=json.dumps(extra, ensure_ascii=False),
        answer=reference if answered else None,
        truth=truth,
        answer_extra=json.dumps(hidden, ensure_ascii=False) if answered or hidden else None,
    )
    return Imported(sample, paths, times, flags)


def row_of(sample: Sample) -> dict[str, Any]:
    """The row that an imported sample was read from. InputError for a sample that was not."""
    extra, hidden = json.loads(sample.extra), json.loads(sample.answer_extra or "{}")
    if not {"row", "frames"} <= set(extra):
        raise InputError(f"{sample.split}[{sample.index}] was not read from the release")
    row: dict[str, Any] = json.loads(json.dumps(extra.get("fields", {})))
    for field, value in hidden.get("fields", {}).items():
        if isinstance(value, dict) and isinstance(row.get(field), dict):
            row[field].update(value)
        else:
            row[field] = value
    if "struc_info" in hidden:
        row["struc_info"] = hidden["struc_info"]
    row |= _unlisted(extra["frames"])
    raw = hidden if "conversations" in hidden else extra
    if "conversations" in raw:
        return row | {"conversations": raw["conversations"]}
    row["conversations"] = [{"from": "human", "value": extra.get("human", VIDEO_TOKEN + sample.question)}]
    if sample.answer is not None:
        row["conversations"].append({"from": "gpt", "value": sample.answer})
    return row


def qa_type_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """(task, variant) of a row. Raises InputError."""
    name = row.get("qa_type")
    if not isinstance(name, str) or name not in QA_TYPES:
        raise InputError(f"field qa_type: {str(name)[:60]!r}, expected one of {', '.join(QA_TYPES)}")
    return QA_TYPES[name]


def source_of(row: Mapping[str, Any]) -> Source:
    """The source that a row names, in either field. Raises InputError where it names none, or two."""
    named = {field: row[field] for field in ("data_source", "dataset_name") if row.get(field)}
    if not named:
        raise InputError("field data_source: empty, and so is dataset_name")
    try:
        found = {source_named(value) for value in named.values()}
    except InputError as error:
        raise InputError(f"field {'/'.join(named)}: {error}") from None
    if len(found) > 1:
        raise InputError(f"fields data_source and dataset_name name two sources: {str(list(named.values()))[:80]}")
    return found.pop()


def frame_list(row: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """A row's frame paths, and the same with the ids as something short that `_unlisted` undoes."""
    video = row.get("video")
    if video is not None and not (isinstance(video, list) and all(isinstance(path, str) for path in video)):
        raise InputError(f"field video: {str(video)[:60]!r} is not a list of paths")
    paths = tuple(video or ())
    raw = {field: row[field] for field in ("video", "sampled_video_frames") if field in row}
    ids = raw.get("sampled_video_frames")
    if paths and isinstance(ids, list) and len(ids) == len(paths) and all(type(tick) is int for tick in ids):
        match = re.search(r"([0-9]{1,12})([^0-9]*)$", paths[0][-40:])
        if match:
            pattern = {"prefix": paths[0][: -len(match[0])], "digits": len(match[1]), "suffix": match[2], "ids": ids}
            for digits in (len(match[1]), 0):
                pattern["digits"] = digits
                if _paths(pattern) == list(paths):
                    return paths, pattern
    return paths, raw


def listed_paths(sample: PublicSample) -> tuple[str, ...]:
    """The frame paths of a row that was read from the release; () of any other."""
    listed = json.loads(sample.extra).get("frames")
    return tuple(_unlisted(listed).get("video", ())) if isinstance(listed, dict) else ()


def place_is_known(sample: PublicSample) -> bool:
    """Whether `clip_start_s` says where in its video the clip is: a row of the release may have no clock for it."""
    return "frames" not in json.loads(sample.extra) or sample.time_rule.startswith("ids /")


def _unlisted(listed: dict[str, Any]) -> dict[str, Any]:
    if "prefix" not in listed:
        return listed
    return {"video": _paths(listed), "sampled_video_frames": listed["ids"]}


def _paths(pattern: dict[str, Any]) -> list[str]:
    return [f"{pattern['prefix']}{tick:0{pattern['digits']}d}{pattern['suffix']}" for tick in pattern["ids"]]


def row_times(row: Mapping[str, Any], paths: tuple[str, ...]) -> Times:
    """When each of the row's frames is."""
    metadata = as_dict(row.get("metadata"))
    ids = row.get("sampled_video_frames")
    if not ids:
        ids = _path_numbers(paths)
    else:
        ids = [_tick(tick) for tick in ids] if isinstance(ids, list) else [None]
        if None in ids:
            raise InputError(f"field sampled_video_frames: {str(row['sampled_video_frames'])[:60]!r} is no list of ids")
    fps = metadata.get("fps")
    start, end = (finite(metadata.get(f"input_video_{side}_time")) for side in ("start", "end"))
    bounds = (start, end) if start is not None and end is not None else None
    rate = None if isinstance(fps, bool) else finite(fps)
    return frame_times(len(paths), ids, rate, bounds, paths[0].rpartition("/")[0] if paths else "")


def _tick(value: Any) -> int | None:
    """A frame id: a whole number, or a text that is one."""
    number = None if isinstance(value, bool) else finite(value)
    return None if number is None or number != int(number) or abs(number) > 10**12 else int(number)


def _extent(metadata: Mapping[str, Any], times: Times, flags: dict[str, str]) -> tuple[float, float]:
    """Start and end of the clip in seconds of its source. It starts at its first frame, where the clock tells when."""
    last_s = times.times_s[-1]
    start_s = 0.0 if times.clock_hz is None else round(times.first_id / times.clock_hz, 6)
    from_s, to_s = (finite(metadata.get(f"input_video_{side}_time")) for side in ("start", "end"))
    if from_s is not None and to_s is not None and usable_bounds(from_s, to_s):
        if times.clock_hz is None:
            start_s = from_s
        elif abs(from_s - start_s) > times.step / times.clock_hz:
            flags[OFF_START] = f"stated are {from_s:g} s, its first frame is at {start_s:g} s"
        return start_s, round(start_s + max(to_s - from_s, last_s), 6)
    if times.clock_hz is not None:
        for pair in (("input_video_start_frame", "input_video_end_frame"), ("start_frame", "end_frame")):
            first, last = (finite(metadata.get(key)) for key in pair)
            if first is None or last is None or abs(first - times.first_id) > times.step:
                continue
            if first <= last <= LARGEST_ID:
                return start_s, round(start_s + max((last - first) / times.clock_hz, last_s), 6)
    return start_s, round(start_s + last_s + 1 / times.fps, 6)


def out_of_step(paths: Sequence[str], times: Times) -> bool:
    """Whether the numbers that the frame files end with are not those of the ids, shifted by one number."""
    if times.clock_hz is None:
        return False
    numbers = _path_numbers(paths)
    ids = [times.first_id + round(t * times.clock_hz) for t in times.times_s]
    return numbers is not None and len({number - tick for number, tick in zip(numbers, ids, strict=True)}) > 1


def _path_numbers(paths: Sequence[str]) -> list[int] | None:
    """The numbers that file names end with, None where one ends without; 0260.jpg -> 260."""
    stems = [_NUMBER.search(path[-40:]) for path in paths]
    return [int(stem[1]) for stem in stems if stem] if paths and all(stems) else None


def _region(
    row: Mapping[str, Any], task: str, paths: tuple[str, ...], times: Times, flags: dict[str, str]
) -> Region | None:
    """What RC_info points at: the frame by its path, the box in canvas pixels."""
    info = as_dict(row.get("RC_info"))
    if task != "region_caption" or not info:
        if task == "region_caption":
            flags[NO_REGION_FRAME] = "RC_info is empty"
        return None
    values = [finite(v) for v in as_list(info.get("start_frame_bbox"))]
    numbers = [v for v in values if v is not None]
    if len(values) != 4 or len(numbers) != 4:
        return None  # `_bad_box` says so
    frame = str(info.get("start_frame", ""))
    if frame not in paths:
        flags[NO_REGION_FRAME] = frame[-80:]
        return None
    return Region(times.times_s[paths.index(frame)], Box(*numbers))


def _bad_box(row: Mapping[str, Any], task: str) -> str | None:
    """The first box of the row that is not four finite numbers."""
    info = as_dict(row.get("RC_info"))
    boxes = [("RC_info.start_frame_bbox", info["start_frame_bbox"])] if "start_frame_bbox" in info else []
    if task == "stg":
        truth = row.get("struc_info")
        for item in map(as_dict, truth if isinstance(truth, list) else [truth]):
            boxes += [(f"struc_info {time}", box) for time, box in as_dict(item.get("bbox_dict", item)).items()]
    for name, box in boxes:
        values = as_list(box)
        if len(values) != 4 or any(isinstance(v, bool) or finite(v) is None for v in values):
            return name
    return None


def _conversation(row: Mapping[str, Any]) -> tuple[str, str, str | None, bool]:
    """(human turn, question, answer, whether the turns are one question and at most one answer and nothing else)."""
    turns = row.get("conversations")
    if not isinstance(turns, list) or not all(isinstance(t, dict) and isinstance(t.get("value"), str) for t in turns):
        raise InputError(f"field conversations: {str(turns)[:60]!r} is not a list of turns with a value each")
    # The last of each, as the board's merge takes them.
    human = next((turn["value"] for turn in reversed(turns) if turn.get("from") == "human"), None)
    if human is None:
        raise InputError("field conversations: no turn is from human, so there is no question")
    question = human.removeprefix("<video>").removeprefix("\n")
    if not question:
        raise InputError("field conversations: the question is empty")
    reference = next((turn["value"] for turn in reversed(turns) if turn.get("from") == "gpt"), None)
    written = [("human", human), *([("gpt", reference)] if reference is not None else [])]
    plain = turns == [{"from": speaker, "value": value} for speaker, value in written]
    return human, question, reference, plain
