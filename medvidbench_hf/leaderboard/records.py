"""The board's record, the merged form: what every metric of the board reads.

    {"metadata": {"video_id": "v1", "fps": "1.0"}, "qa_type": "tal", "data_source": "AVOS",
     "question": "...", "gnd": "22.0-78.0 seconds.", "struc_info": [...], "answer": "20.0-80.0 seconds."}

A file of them is an object keyed "0", "1", ...; fields hold whatever JSON the file had, so the metrics meet the
values that the board meets. What would raise there raises `TaskLost` here: on the board such a record loses its
whole task.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from medvidbench_hf import tasks
from medvidbench_hf.sample import PublicSample, Sample
from medvidbench_hf.tasks.struc_info import struc_info

Record = Mapping[str, Any]

#: A number as the board's patterns have it: no sign, no exponent, no thousands comma. The look-behind only saves
#: starts inside a number, which fail where the number's own start failed: reading stays linear.
NUMBER = r"(?<!\d)\d++(?:\.\d++)?+"

CVS_COMPONENTS = {
    "two_structures": "two structures",
    "cystic_plate": "cystic plate",
    "hepatocystic_triangle": "hepatocystic triangle",
}

SOURCES = ("AVOS", "CholecT50", "CholecTrack20", "Cholec80_CVS", "CoPESD", "EgoSurgery", "JIGSAWS", "NurViD")


class TaskLost(Exception):
    """The board's code raises on this record: the task's columns become 0.0 for the whole submission."""


def text_of(record: Record, field: str) -> str:
    """A field that the board treats as text; absent is empty, but an answer has to be there. Raises TaskLost."""
    value = record.get(field, None if field == "answer" else "")
    if not isinstance(value, str):
        raise TaskLost(f"field {field} is {kind_of(value)}, not text")
    return value


def number_of(value: Any, field: str) -> int | float:
    """A number that the board calculates with. Raises TaskLost where it is none."""
    if not isinstance(value, int | float):
        raise TaskLost(f"field {field} is {kind_of(value)}, not a number")
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise TaskLost(f"field {field} is a number too large to calculate with")
    return value


def fps_of(record: Record) -> int | float:
    """Top-level fps, else metadata.fps, else 1.0; text goes through float(). Raises TaskLost."""
    metadata = record.get("metadata")
    if "fps" in record:
        value = record["fps"]
    elif metadata is None or isinstance(metadata, dict):
        value = (metadata or {}).get("fps", 1.0)
    else:
        raise TaskLost(f"field metadata is {kind_of(metadata)}, not an object")
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise TaskLost(f"field fps is {value[:40]!a}, not a number") from None
    return number_of(value, "fps")


def source_of(record: Record) -> Any:
    """The data set of a record for tal, stg and dense_captioning: a present data_source counts even if empty."""
    for field in ("data_source", "dataset", "dataset_name"):
        if field in record:
            return record[field]
    return "Unknown"


def guessed_source(record: Record) -> Any:
    """The same for stg and dense_captioning, which guess from the video id where the source is "Unknown"."""
    source = source_of(record)
    return _from_video_id(record) if source == "Unknown" else source


def sure_source(record: Record, question_first: bool = False) -> str:
    """The same for the other tasks, which also guess where it is empty: by video id, then by question.

    How the board reads a question for this is not documented; here the first source that it names is taken.
    """
    source = record.get("data_source")
    if source and source != "Unknown":
        return str(source)
    guesses = [_from_video_id(record), _from_question(record)]
    if question_first:
        guesses.reverse()
    return next((guess for guess in guesses if guess != "Unknown"), "Unknown")


def video_id(record: Record) -> str:
    metadata = record.get("metadata")
    return str(metadata.get("video_id", "")) if isinstance(metadata, dict) else ""


def qa_type(sample: PublicSample) -> str:
    """The release's name of a row's task: "tal", "dense_captioning_gpt"."""
    return f"{sample.task}_{sample.variant}" if sample.variant else sample.task


def record_of(sample: Sample, answer: Any) -> dict[str, Any]:
    """A sample and an answer as the board's record.

    `struc_info` is the release's own where `answer_extra` keeps it, so that the board's outcome on rows of the release
    is exact; for rows that we build it is written from the truth in the release's shape.
    """
    extra = json.loads(sample.answer_extra or "{}")
    written = None if sample.truth is None else struc_info(sample.truth)
    return {
        "metadata": {"video_id": sample.video_id, "fps": str(sample.fps)},
        "qa_type": qa_type(sample),
        "data_source": sample.source,
        "question": sample.question,
        "gnd": tasks.render(sample) if sample.answer is None and sample.truth is not None else sample.answer or "",
        "struc_info": extra.get("struc_info", written),
        "answer": answer,
    }


def kind_of(value: Any) -> str:
    """A JSON value's kind in words."""
    if value is None:
        return "null"
    kinds = {bool: "true or false", dict: "an object", list: "a list", str: "text", int: "a number", float: "a number"}
    return kinds[type(value)]


def _from_video_id(record: Record) -> str:
    name = video_id(record)
    if len(name) == 11 and any(c.isalpha() for c in name):
        return "AVOS"
    if "_part" in name:
        return "CoPESD"
    return "CholecT50" if "video" in name else "Unknown"


def _from_question(record: Record) -> str:
    question = str(record.get("question", "")).lower()
    return next((name for name in SOURCES if name.lower() in question), "Unknown")
