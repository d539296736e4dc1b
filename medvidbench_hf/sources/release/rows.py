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
from collections.abc import Mapping
from typing import Any, NamedTuple

from medvidbench_hf.sample import LONGEST_SIDE_PX, Box, Canvas, InputError, PublicSample, Region, Sample
from medvidbench_hf.sources.release.asked import label_list, requested_times
from medvidbench_hf.sources.release.names import QA_TYPES, Source, source_named
from medvidbench_hf.sources.release.times import Times, frame_times
from medvidbench_hf.tasks.struc_info import as_dict, as_list, finite, read_truth

VIDEO_TOKEN = "<video>\n"
UNKNOWN_CANVAS = Canvas(LONGEST_SIDE_PX, LONGEST_SIDE_PX)  # clips nothing
RELEASE_TERMS = {"test": "CC BY-NC-SA 4.0", "trainval": "gated, non-commercial, no redistribution"}

#: Fields that belong to the question. `None`: any value; a set: an object of which these keys do.
QUESTION_FIELDS: dict[str, frozenset[str] | None] = {
    "id": None,
    "qa_type": None,
    "data_source": None,
    "dataset_name": None,
    "is_RC": None,
    "metadata": frozenset(
        (
            *("video_id", "fps", "start_frame", "end_frame"),
            *("input_video_start_frame", "input_video_end_frame", "input_video_start_time", "input_video_end_time"),
        )
    ),
    "RC_info": frozenset(("start_frame", "start_frame_bbox")),
}
#: Keys, at any depth, under which files of this kind keep answers.
ANSWER_FIELDS = frozenset(
    (
        *("answer", "answers", "gnd", "gt", "ground_truth", "truth", "label", "labels", "target", "solution"),
        *("response", "output", "reference", "caption", "bbox_dict", "spans", "dc_segments"),
        *("skill_scores", "skill_level", "cvs_scores"),
    )
)

NO_VIDEO_ID = "no video id"
NO_REGION_FRAME = "the region's frame is not in the list"
BAD_BOX = "a box is not four finite numbers"
UNREADABLE = "its truth cannot be read"
NO_ANSWER = "a row without an answer among rows that have one"


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
    start_s, end_s = _extent(metadata, times)
    truth = read_truth(task, row.get("struc_info"), reference or "") if answered else None
    if answered and reference is None:
        flags[NO_ANSWER] = "it can be asked, not scored"
    elif answered and truth is None:
        flags[UNREADABLE] = f"neither struc_info nor the answer {str(reference)[:40]!r} says it"
    if bad := _bad_box(row, task):
        flags[BAD_BOX] = bad

    extra: dict[str, Any] = {"row": number, "frames": listed}
    hidden: dict[str, Any] = {}
    for field, value in row.items():
        if field in ("conversations", "video", "sampled_video_frames"):
            continue
        known = QUESTION_FIELDS.get(field, frozenset())
        if known is None or not answered:
            extra.setdefault("fields", {})[field] = value
        elif known and isinstance(value, dict):
            extra.setdefault("fields", {})[field] = {k: v for k, v in value.items() if k in known}
            if rest := {k: v for k, v in value.items() if k not in known}:
                hidden.setdefault("fields", {})[field] = rest
        elif field == "struc_info":
            hidden[field] = value
        else:
            hidden.setdefault("fields", {})[field] = value
    if not plain or (reference is not None and not answered):
        (hidden if answered else extra)["conversations"] = row.get("conversations")
    elif not human.startswith(VIDEO_TOKEN):
        extra["human"] = human
    terms = RELEASE_TERMS["trainval" if answered else "test"]
    sample = Sample(
        index=index,
        split=split,
        id=str(row.get("id", "")),
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
        licence=f"MedVidBench release: {terms}; {source.name}: {source.terms}",
        extra=json.dumps(extra, ensure_ascii=False),
        answer=reference if answered else None,
        truth=truth,
        answer_extra=json.dumps(hidden, ensure_ascii=False) if answered else None,
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
        match = re.fullmatch(r"(.*?)(\d+)(\D*)", paths[0], re.DOTALL)
        if match:
            pattern = {"prefix": match[1], "digits": len(match[2]), "suffix": match[3], "ids": ids}
            for digits in (len(match[2]), 0):
                pattern["digits"] = digits
                if _paths(pattern) == list(paths):
                    return paths, pattern
    return paths, raw


def listed_paths(sample: PublicSample) -> tuple[str, ...]:
    """The frame paths of a row that was read from the release; () of any other."""
    listed = json.loads(sample.extra).get("frames")
    return tuple(_unlisted(listed).get("video", ())) if isinstance(listed, dict) else ()


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
        stems = [re.search(r"(\d+)\.\w+$", path) for path in paths]
        ids = [int(stem[1]) for stem in stems if stem] if paths and all(stems) else None
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


def _extent(metadata: Mapping[str, Any], times: Times) -> tuple[float, float]:
    """Start and end of the clip in seconds of its source."""
    start_s, end_s = (finite(metadata.get(f"input_video_{side}_time")) for side in ("start", "end"))
    if start_s is not None and end_s is not None and end_s >= start_s:
        return start_s, start_s + max(end_s - start_s, times.times_s[-1])
    last_s = times.times_s[-1]
    if times.clock_hz is None:
        return 0.0, round(last_s + 1 / times.fps, 6)
    start_s = round(times.first_id / times.clock_hz, 6)
    for pair in (("input_video_start_frame", "input_video_end_frame"), ("start_frame", "end_frame")):
        first, last = (finite(metadata.get(key)) for key in pair)
        if first is not None and last is not None and abs(first - times.first_id) <= times.step and last >= first:
            return start_s, round(start_s + max((last - first) / times.clock_hz, last_s), 6)
    return start_s, round(start_s + last_s + 1 / times.fps, 6)


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
            return f"{name}: {str(box)[:60]}"
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


def answer_key(value: Any, path: str = "") -> str | None:
    """The first place in a row's JSON that holds an answer, as a path of keys; None where none does.

    An empty list, object or text under such a key holds none.
    """
    if isinstance(value, dict):
        if value.get("from") == "gpt" and value.get("value"):
            return f"{path} (a turn from gpt)"
        for key, inner in value.items():
            if inner not in (None, "", [], {}) and (key == "struc_info" or str(key).lower() in ANSWER_FIELDS):
                return f"{path}.{key}".lstrip(".")
            if found := answer_key(inner, f"{path}.{key}".lstrip(".")):
                return found
    if isinstance(value, list):
        for k, inner in enumerate(value):
            if found := answer_key(inner, f"{path}[{k}]"):
                return found
    return None
