"""The release's JSON files below a folder: found, read whole, refused where test rows carry answers, and split."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.release.names import PUBLISHED_ROWS
from medvidbench_hf.sources.release.rows import answer_key, qa_type_of, source_of
from medvidbench_hf.sources.splits import video_splits

_DEPTH = 2
_KINDS = {"test": ("test",), "trainval": ("train", "val")}


class ReleaseFile(NamedTuple):
    """A file of the release as read. kind: "test" has no answers, "trainval" has."""

    path: Path
    kind: str
    rows: list[dict[str, Any]]


def read_files(root: str | Path) -> list[ReleaseFile]:
    """The test file and the train/val file below a folder, or the one file that `root` is.

    Raises InputError that names file, row and field: of a file that is not the release's, of two files of one kind,
    and of a test file with answers.
    """
    root = Path(root)
    candidates = [root] if root.is_file() else _candidates(root)
    files: dict[str, ReleaseFile] = {}
    for path in candidates:
        read = _read(path)
        if read.kind in files:
            raise InputError(f"{path} and {files[read.kind].path} are both a {read.kind} file: keep one")
        files[read.kind] = read
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
            low = name.lower()
            if low.endswith(".json") and any(word in low for words in _KINDS.values() for word in words):
                found.append(Path(folder, name))
    if not found:
        raise InputError(
            f"{root}: no JSON file of the release (its name has test, train or val in it) here or two folders down"
        )
    return found


def _read(path: Path) -> ReleaseFile:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not usable as JSON ({error}); download it again?") from None
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: expected a list of rows, found {str(rows)[:40]!r}")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"{path} row {number}: {str(row)[:40]!r} is not an object")
        try:
            qa_type_of(row)
            source_of(row)
        except InputError as error:
            raise InputError(f"{path} row {number} {error}") from None
    return ReleaseFile(path, _kind(path, rows), rows)


def _kind(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """Test or trainval, by name, else by whether it has answers. Raises InputError for a test file with answers."""
    name = path.name.lower()
    answered = [number for number, row in enumerate(rows) if _answered(row)]
    named = next((kind for kind, words in _KINDS.items() if any(word in name for word in words)), None)
    kind = named or ("trainval" if answered else "test")
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
