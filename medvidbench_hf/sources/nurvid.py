"""NurViD: nursing procedures, 1,538 videos with timed actions (minghu0830/NurViD-benchmark).

Reads the repository's annotations as they are and feeds tal and next_action:

    annotations/NurViD_annotations.json      youtube id -> procedure, timed actions, duration, size
    annotations/Procedure&Action_ID.xlsx     names; its ids start at 0, those of the JSON at 1
    annotations/task1&3/{train,val,test}.csv the split by video (task2 splits segments of one video, so it would leak)
    dataset/Original_videos/<id>.mp4, dataset/Preprocessed videos/<id>.mp4   optional; without them rows are text-only

Licence: CC BY 4.0 with a disclaimer, research only. The videos are not redistributable.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medvidbench_hf.sample import Canvas, InputError, Label, Sample, Span, Spans, Truth
from medvidbench_hf.sources import Dropped, Reading
from medvidbench_hf.tasks import next_action, tal
from medvidbench_hf.tasks.question import question

SOURCE = "NurViD"
LICENCE = "CC BY 4.0, research only (NurViD disclaimer)"
KNOWN = {"videos": 1538, "segments": 5615}
SPLIT_FILES = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
VIDEO_FOLDERS = ("Preprocessed videos", "Original_videos")  # the small copies first
RATES = (1.0, 0.5, 0.25, 0.2, 0.1)  # the release's sampling rates for long clips, frames per second
MAX_FRAMES = 180  # of one clip, as in the release
MIN_CLIP_S = 20.0
LONGEST_S = 86_400.0  # no video lasts a day
DURATION_SLACK_S = 1.0  # `duration` is cut to whole seconds


class Action(NamedTuple):
    start_s: float
    end_s: float
    action_id: int
    name: str


class Video(NamedTuple):
    """One annotated video; times in seconds of the video."""

    video_id: str
    split: str
    procedure: str
    options: tuple[str, ...]  # the names of every action annotated for this procedure, sorted
    ambiguous: frozenset[str]  # names that stand for two actions of this procedure
    actions: tuple[Action, ...]  # by start
    duration_s: float
    canvas: Canvas
    file: str | None


def read(root: str | Path | None) -> Reading:
    """Read and check every annotation below `root` (the repository, or its annotations folder).

    Raises InputError that names the file, the video and the field of the first thing that is wrong.
    """
    if root is None:
        raise InputError("nurvid needs --root: the folder of the NurViD-benchmark repository")
    found = _files(Path(root))
    procedures, actions = _names(found["xlsx"])
    records = _json(found["json"])
    folders = [folder for name in VIDEO_FOLDERS if (folder := found["root"] / "dataset" / name).is_dir()]

    parsed = {}
    for video_id, record in records.items():
        parsed[video_id] = _video(found["json"], video_id, record, procedures, actions)
    splits = _splits(found, records)
    names: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for _, procedure, segments, _, _ in parsed.values():
        for segment in segments:
            names[procedure][segment.name].add(segment.action_id)

    videos, without_file = [], 0
    for video_id, procedure, segments, duration_s, canvas in parsed.values():
        if video_id not in splits:
            continue
        file = next((path for folder in folders if (path := folder / f"{video_id}.mp4").is_file()), None)
        without_file += file is None
        ids = names[procedure]
        videos.append(
            Video(
                video_id=video_id,
                split=splits[video_id],
                procedure=procedure,
                options=tuple(sorted(ids)),
                ambiguous=frozenset(name for name in ids if len(ids[name]) > 1),
                actions=tuple(sorted(segments)),
                duration_s=duration_s,
                canvas=canvas,
                file=None if file is None else str(file),
            )
        )
    warnings = []
    if len(videos) < len(records):
        warnings.append(f"{len(records) - len(videos)} annotated videos are in no split file and are left out")
    if folders and without_file:
        warnings.append(f"{without_file} videos have no file below {folders[0].parent}: their rows are text-only")
    return Reading(
        videos=videos,
        found={"videos": len(records), "segments": sum(len(item[2]) for item in parsed.values())},
        known=KNOWN,
        warnings=tuple(warnings),
        files=tuple(path for key, path in found.items() if key != "root"),
        media=bool(folders),
    )


def samples(video: Video) -> Iterator[Sample | Dropped]:
    """tal: one row for each action of the video, over the whole video. next_action: one for each pair of neighbours."""
    index = 0
    for row in (*_tal(video), *_next_action(video)):
        if isinstance(row, Dropped):
            yield row
        else:
            yield _sample(video, index, **row)
            index += 1


def clip_frames(video: Video, sample: Sample) -> np.ndarray:
    """The clip's frames out of the video file; (n, height, width, 3) uint8."""
    from medvidbench_hf.video import frames_at

    assert video.file is not None
    return frames_at(video.file, [sample.clip_start_s + t for t in sample.frame_times_s])


def _tal(video: Video) -> Iterator[dict[str, Any] | Dropped]:
    duration_s = _true_duration(video)
    by_name: dict[str, list[Action]] = {}
    for action in video.actions:
        by_name.setdefault(action.name, []).append(action)
    for name, actions in by_name.items():
        reason = _unusable(video, name, actions)
        if reason:
            yield Dropped(SOURCE, video.split, video.video_id, "tal", *reason)
            continue
        spans = _merged([Span(round(a.start_s, 1), round(a.end_s, 1)) for a in actions])
        yield {
            "task": "tal",
            "start_s": 0.0,
            "end_s": duration_s,
            "truth": Spans(spans),
            "raw": {"segments": [[a.start_s, a.end_s] for a in actions], "action_id": actions[0].action_id},
            "label": name,
        }


def _next_action(video: Video) -> Iterator[dict[str, Any] | Dropped]:
    for k, (current, following) in enumerate(zip(video.actions, video.actions[1:], strict=False)):
        reason = _unusable(video, following.name, [current, following])
        if reason is None and following.start_s < current.end_s:
            reason = (
                "the next action begins before the current one ends",
                f"{following.name} starts at {following.start_s} s, {current.name} ends at {current.end_s} s",
            )
        if reason:
            yield Dropped(SOURCE, video.split, video.video_id, "next_action", *reason)
            continue
        # Up to three actions are shown, so that the order is seen; a short clip begins earlier.
        start_s = min(a.start_s for a in video.actions[max(0, k - 2) : k + 1])
        start_s = max(0.0, min(start_s, current.end_s - MIN_CLIP_S))
        yield {
            "task": "next_action",
            "start_s": start_s,
            "end_s": current.end_s,
            "truth": Label(following.name),
            "raw": {"next_segment": [following.start_s, following.end_s], "action_id": following.action_id},
        }


def _sample(
    video: Video, index: int, task: str, start_s: float, end_s: float, truth: Truth, raw: dict[str, Any], **fields: str
) -> Sample:
    duration_s = end_s - start_s
    fps = next((rate for rate in RATES if duration_s * rate <= MAX_FRAMES), MAX_FRAMES / max(duration_s, 1.0))
    n_frames = max(1, int(duration_s * fps))
    render = tal.render if task == "tal" else next_action.render
    clip = f"{start_s:.2f}-{end_s:.2f}-{fps}"
    return Sample(
        index=index,
        split=video.split,
        id=f"{video.video_id}&&{start_s:.2f}&&{end_s:.2f}&&{fps}",
        task=task,
        source=SOURCE,
        domain="nursing",
        video_id=video.video_id,
        question=question(
            task,
            SOURCE,
            "nursing",
            f"{video.video_id} {index}",
            options=video.options,
            procedure=video.procedure,
            **fields,
        ),
        options=video.options,
        fps=fps,
        frame_times_s=tuple(round(k / fps, 6) for k in range(n_frames)),
        time_rule="k / fps",
        canvas=video.canvas,
        clip_start_s=start_s,
        clip_end_s=end_s,
        video=video.file and f"clips/{SOURCE}/{video.video_id}/{clip}.mp4",
        licence=LICENCE,
        answer=render(truth),  # type: ignore[arg-type]
        truth=truth,
        answer_extra=json.dumps(raw),
    )


def _true_duration(video: Video) -> float:
    """`duration`, or the last action's end where that lies within the second that the cut took away."""
    last = max((a.end_s for a in video.actions), default=0.0)
    return max(video.duration_s, last) if last <= video.duration_s + DURATION_SLACK_S else video.duration_s


def _unusable(video: Video, name: str, actions: list[Action]) -> tuple[str, str] | None:
    """(reason, particulars) for leaving a row out, or None."""
    for action in actions:
        if action.end_s > video.duration_s + DURATION_SLACK_S:
            detail = f"{action.name} ends at {action.end_s} s, the video lasts {video.duration_s} s"
            return "an action ends after the video does", detail
    if name in video.ambiguous:
        return "one name stands for two actions of the procedure", f"{name!r} in {video.procedure}"
    return None


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """Spans in order, those that overlap or touch joined."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start_s <= merged[-1].end_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, span.end_s))
        else:
            merged.append(span)
    return tuple(merged)


# --- files -----------------------------------------------------------------------------------------------------


def _files(root: Path) -> dict[str, Path]:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; --root is the folder of the NurViD-benchmark repository")
    annotations = next((p for p in sorted(root.iterdir()) if p.name.lower() == "annotations" and p.is_dir()), root)
    wanted = {"json": "NurViD_annotations.json", "xlsx": "Procedure&Action_ID.xlsx"}
    wanted |= {split: f"task1&3/{name}" for split, name in SPLIT_FILES.items()}
    present = {p.relative_to(annotations).as_posix().lower(): p for p in annotations.rglob("*") if p.is_file()}
    missing = [path for path in wanted.values() if path.lower() not in present]
    if missing:
        raise InputError(f"{annotations}: missing {', '.join(missing)}; is this the NurViD-benchmark repository?")
    found = {key: present[path.lower()] for key, path in wanted.items()}
    return {**found, "root": annotations.parent if annotations != root else root}


def _names(path: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Procedure and action names by the JSON's ids, which are the table's plus one."""
    import openpyxl

    try:
        rows = list(openpyxl.load_workbook(path, read_only=True).worksheets[0].iter_rows(min_row=3, values_only=True))
    except Exception as error:  # openpyxl passes on whatever zipfile, XML and its own readers raise
        raise InputError(f"{path}: not a readable xlsx table ({error})") from None
    tables: list[dict[int, str]] = []
    for kind, id_column, name_column in (("procedure", 0, 2), ("action", 6, 8)):
        names = {}
        for n, row in enumerate(rows, start=3):
            key = row[id_column] if len(row) > name_column else None
            if key is None:
                continue
            name = row[name_column]
            if not isinstance(key, int) or not isinstance(name, str) or not name.strip():
                raise InputError(
                    f"{path} row {n}: {kind} id {key!r} and English name {name!r} are not a number and a name"
                )
            names[key + 1] = name.strip()
        if not names:
            raise InputError(
                f"{path}: no {kind} found; expected ids in column {'AG'[id_column > 0]}, English names two columns on"
            )
        tables.append(names)
    return tables[0], tables[1]


def _json(path: Path) -> dict[str, Any]:
    try:
        records = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not usable as JSON ({error}); download it again?") from None
    if not isinstance(records, dict) or not records:
        raise InputError(f"{path}: expected an object of videos, found {str(records)[:40]!r}")
    return records


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; json.loads alone would keep the last of two equal keys."""
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in names if names.count(key) > 1)!r} comes twice")
    return record


def _video(
    path: Path, video_id: str, record: Any, procedures: dict[int, str], actions: dict[int, str]
) -> tuple[str, str, list[Action], float, Canvas]:
    def wrong(field: str, value: object, expected: str) -> InputError:
        return InputError(f"{path} video {video_id!r} field {field}: {str(value)[:80]!r}, expected {expected}")

    if not re.fullmatch(r"[\w-]{1,64}", video_id):
        raise wrong("(key)", video_id, "a YouTube id of letters, digits, - and _")
    if not isinstance(record, dict):
        raise wrong("(record)", record, "an object")
    procedure = record.get("operationID")
    if type(procedure) is not int or procedure not in procedures:
        raise wrong("operationID", procedure, f"1..{max(procedures)}")
    size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", str(record.get("resolution")))
    if not size:
        raise wrong("resolution", record.get("resolution"), "WIDTHxHEIGHT")
    duration_s = record.get("duration")
    if duration_s is None or not _is_time(duration_s):
        raise wrong("duration", duration_s, "seconds")
    annotations = record.get("annotations")
    if not isinstance(annotations, list):
        raise wrong("annotations", annotations, "a list")
    segments = []
    for k, item in enumerate(annotations):
        action = item.get("actionID") if isinstance(item, dict) else None
        if type(action) is not int or action not in actions:
            raise wrong(f"annotations[{k}].actionID", action, f"1..{max(actions)}")
        times = item.get("segment")
        if not (isinstance(times, list) and len(times) == 2 and all(map(_is_time, times)) and times[0] <= times[1]):
            raise wrong(f"annotations[{k}].segment", times, "[start, end] in seconds")
        segments.append(Action(float(times[0]), float(times[1]), action, actions[action]))
    return video_id, procedures[procedure], segments, float(duration_s), Canvas(int(size[1]), int(size[2]))


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= LONGEST_S


def _splits(found: dict[str, Path], records: dict[str, Any]) -> dict[str, str]:
    """video id -> split, each row checked against the JSON's procedure id."""
    splits: dict[str, str] = {}
    for split in SPLIT_FILES:
        path = found[split]
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error})") from None
        # "csv" by name: a header, spelled in two ways, then a path and a number with a space between
        for n, text in enumerate(map(str.strip, lines), start=1):
            match = re.fullmatch(r"(?:[^\s/]*/)*([\w-]{1,64})\.mp4 (\d{1,6})", text)
            if match is None:
                if n == 1 or not text:
                    continue
                raise InputError(f"{path} row {n}: {text[:80]!r}, expected '/video_path/<id>.mp4 <procedure id>'")
            video_id, procedure = match[1], int(match[2])
            if video_id in splits:
                raise InputError(f"{path} row {n}: video {video_id!r} is in the {splits[video_id]} split already")
            if video_id not in records:
                raise InputError(f"{path} row {n}: video {video_id!r} is not in {found['json'].name}")
            if records[video_id]["operationID"] != procedure:
                said = f"{found['json'].name} says {records[video_id]['operationID']}"
                raise InputError(f"{path} row {n}: video {video_id!r} has procedure {procedure}, but {said}")
            splits[video_id] = split
    return splits
