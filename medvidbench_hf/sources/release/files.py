"""The release's JSON files below a folder: found, read whole, refused where test rows carry answers, and split."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.release.names import PUBLISHED_ROWS
from medvidbench_hf.sources.release.rows import qa_type_of, source_of
from medvidbench_hf.sources.release.sides import answer_key
from medvidbench_hf.sources.splits import video_splits

_DEPTH = 2
_NAMES_SHOWN = 8
_KINDS = {  # as words of a file's name: "latest" is no test, "evaluation" no val
    "test": re.compile(r"(?<![a-z])test(?:data|set)?(?![a-z])"),
    "trainval": re.compile(r"(?<![a-z])(?:train(?:ing|val)?|val(?:idation)?)(?:data|set)?(?![a-z])"),
}
_SURROGATE = re.compile("[\ud800-\udfff]")


class ReleaseFile(NamedTuple):
    """A file of the release as read. kind: "test" has no answers, "trainval" has."""

    path: Path
    kind: str
    rows: list[dict[str, Any]]


def read_files(root: str | Path) -> list[ReleaseFile]:
    """The test file and the train/val file below a folder, or the one file that `root` is.

    Other JSON beside them, such as predictions or a report, is passed over with a warning. Raises InputError that names
    file, row and field: of a file that is no JSON, of two files of one kind, of a test file with answers, and where
    none is the release's.
    """
    root = Path(root)
    candidates = [root] if root.is_file() else _candidates(root)
    files: dict[str, ReleaseFile] = {}
    others: list[str] = []
    for path in candidates:
        rows, escapes = _parsed(path)
        if problem := _not_the_release(rows):
            others.append(f"{path}{problem}")
            continue
        read = _checked(path, rows, escapes)
        if read.kind in files:
            raise InputError(
                f"{path} and {files[read.kind].path} are both a {read.kind} file: keep one, or pass one as --root"
            )
        files[read.kind] = read
    if not files:
        more = f"; and {len(others) - _NAMES_SHOWN} more" if len(others) > _NAMES_SHOWN else ""
        raise InputError("; ".join(others[:_NAMES_SHOWN]) + f"{more}; pass the release's JSON itself as --root")
    for other in others:
        warnings.warn(f"{other}; passed over", stacklevel=2)
    return [files[kind] for kind in ("trainval", "test") if kind in files]


def row_splits(file: ReleaseFile, validation: float, seed: int) -> list[str]:
    """The split of each row: test, or train and validation by video."""
    if file.kind == "test":
        return ["test"] * len(file.rows)
    videos = [_video(row, number) for number, row in enumerate(file.rows)]
    splits = video_splits(Counter(videos), validation=validation, seed=seed)
    return [splits[video] for video in videos]


def _video(row: dict[str, Any], number: int) -> tuple[str, str]:
    metadata = row.get("metadata")
    named = metadata.get("video_id") if isinstance(metadata, dict) else None
    return source_of(row).name, str(named or f"row-{number}").strip()


def _candidates(root: Path) -> list[Path]:
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; --root is the folder that `medvidbench data get` filled")
    found = []
    for folder, names, files in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        names[:] = sorted(names) if depth < _DEPTH else []
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix.lower() == ".json" and _named_kind(path) and path.is_file():
                found.append(path)
    if not found:
        raise InputError(
            f"{root}: no JSON file of the release (with test, train or val as a word of its name) "
            "here or two folders down"
        )
    return found


def _parsed(path: Path) -> tuple[Any, bool]:
    """A file's JSON, and whether it may hold half a surrogate pair, which UTF-8 can only spell as an escape."""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text), "\\ud" in text or "\\uD" in text
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not usable as JSON ({error}); download it again, or move it away if it is not the release's"
        ) from None


def _half_pair(row: dict[str, Any]) -> str | None:
    """Where in a row's JSON a text or a key holds half a surrogate pair: no character, so no file can store it."""
    left: list[tuple[Any, tuple[Any, ...]]] = [(row, ())]  # values, with their keys from the innermost outwards
    while left:
        value, place = left.pop()
        if isinstance(value, str) and _SURROGATE.search(value):
            keys: list[str] = []
            while place:
                place, key = place
                keys.append(f"[{key}]" if isinstance(key, int) else f".{key}")
            return ascii("".join(reversed(keys)).lstrip(".")[:200])[1:-1]
        if isinstance(value, dict):
            left += [(part, (place, key)) for key, inner in value.items() for part in (key, inner)]
        elif isinstance(value, list):
            left += [(inner, (place, k)) for k, inner in enumerate(value)]
    return None


def _not_the_release(rows: Any) -> str | None:
    """Why a file's JSON is not the release's; None where it is."""
    if not isinstance(rows, list) or not rows:
        found = "an empty one" if isinstance(rows, list) else f"a JSON {type(rows).__name__}"
        return f": expected a list of rows, found {found}"
    if any(isinstance(row, dict) and {"qa_type", "conversations"} <= row.keys() for row in rows):
        return None
    if not isinstance(rows[0], dict):
        return f" row 0: {str(rows[0])[:40]!r} is not an object"
    missing = next(field for field in ("qa_type", "conversations") if field not in rows[0])
    return f" row 0 field {missing}: missing; no row has both qa_type and conversations"


def _checked(path: Path, rows: list[Any], escapes: bool) -> ReleaseFile:
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"{path} row {number}: {str(row)[:40]!r} is not an object")
        if escapes and (place := _half_pair(row)):
            raise InputError(
                f"{path} row {number} field {place}: half a surrogate pair, which is no character; "
                "download the file again, or write \\ufffd in its place"
            )
        try:
            qa_type_of(row)
            source_of(row)
        except InputError as error:
            raise InputError(f"{path} row {number} {error}") from None
    return ReleaseFile(path, _kind(path, rows), rows)


def _named_kind(path: Path) -> str | None:
    return next((kind for kind, words in _KINDS.items() if words.search(path.stem.lower())), None)


def _kind(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """Test or trainval, by name, else by whether it has answers. Raises InputError for a test file with answers."""
    answered = [number for number, row in enumerate(rows) if _answered(row)]
    kind = _named_kind(path) or ("trainval" if answered else "test")
    if kind == "test" or len(rows) == PUBLISHED_ROWS["test"]:
        for number, row in enumerate(rows):
            if place := answer_key(row):
                raise InputError(
                    f"{path} row {number} field {place}: a test file that carries answers, possibly a leak; "
                    "it is not read: use the current revision of the test set"
                )
    elif not answered:
        raise InputError(
            f"{path}: no row has an answer, so this is no train/val file; a test file has test in its name"
        )
    return kind


def _answered(row: dict[str, Any]) -> bool:
    turns = row.get("conversations")
    return isinstance(turns, list) and any(isinstance(turn, dict) and turn.get("from") == "gpt" for turn in turns)
