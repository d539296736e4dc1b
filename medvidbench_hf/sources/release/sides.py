"""Which fields of a row are the question's, and which may hold its answer.

What a model is handed is made from the fields named here and from nothing else; whatever is not known goes to the
answer side. A test file is searched for answers under every name that files of this kind give them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLAIN: frozenset[str] = frozenset()
#: Fields that belong to the question: of objects these keys, else a plain value.
QUESTION_FIELDS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("id", "qa_type", "data_source", "dataset_name", "is_RC"), _PLAIN),
    "metadata": frozenset(
        (
            *("video_id", "fps", "start_frame", "end_frame"),
            *("input_video_start_frame", "input_video_end_frame", "input_video_start_time", "input_video_end_time"),
        )
    ),
    "RC_info": frozenset(("start_frame", "start_frame_bbox")),
}
#: Keys, at any depth, under which files of this kind keep answers; compared without case, spaces and signs.
ANSWER_FIELDS = frozenset(
    (
        *("answers", "gnd", "gt", "truth", "label", "labels", "target", "targets", "solution", "response", "output"),
        *("reference", "caption", "captions", "bboxdict", "spans", "dcsegments", "skillscores", "skilllevel"),
        *("cvsscores", "strucinfo", "annotations"),
    )
)
ASKING = ("human", "system")


def sides(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields of the question, all others) of a row but for its turns and frames.

    What is empty tells nothing and goes with the question.
    """
    question: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for field, value in row.items():
        if field in ("conversations", "video", "sampled_video_frames"):
            continue
        keys = QUESTION_FIELDS.get(field)
        if keys and isinstance(value, dict):
            question[field] = {k: v for k, v in value.items() if k in keys and is_plain(v, k == "start_frame_bbox")}
            if len(question[field]) < len(value):
                other[field] = {k: v for k, v in value.items() if k not in question[field]}
        elif value in (None, "", [], {}) or (keys is _PLAIN and is_plain(value)):
            question[field] = value
        else:
            other[field] = value
    return question, other


def is_plain(value: Any, or_list: bool = False) -> bool:
    if or_list and isinstance(value, list):
        return len(value) <= 8 and all(map(is_plain, value))
    return value is None or isinstance(value, str | int | float)


def asks_only(turns: list[dict[str, Any]]) -> bool:
    return all(turn.get("from") in ASKING and set(turn) == {"from", "value"} for turn in turns)


def answer_key(value: Any, path: str = "") -> str | None:
    """The first place in a row's JSON that holds an answer, as a path of keys; None where none does.

    An empty list, object or text under such a key holds none. A turn of anybody who does not ask is an answer.
    """
    if isinstance(value, dict):
        if "from" in value and value["from"] not in ASKING and value.get("value"):
            return f"{path} (a turn from {str(value['from'])[:20]})"
        for key, inner in value.items():
            name = re.sub("[^a-z]", "", str(key).lower())
            told = name in ANSWER_FIELDS or "answer" in name or "groundtruth" in name
            if told and inner not in (None, "", [], {}):
                return f"{path}.{key}".lstrip(".")
            if found := answer_key(inner, f"{path}.{key}".lstrip(".")):
                return found
    if isinstance(value, list):
        for k, inner in enumerate(value):
            if found := answer_key(inner, f"{path}[{k}]"):
                return found
    return None
