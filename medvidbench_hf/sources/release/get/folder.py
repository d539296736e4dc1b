"""The folder that is filled: its record, what is there, the room it has, and what its frames measured."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.release.get.listing import IMAGES, Frame

RECORD, SIZES, WORK = "get.json", "frame_sizes.json", ".get"
BLOCK_BYTES = 4096
JPEG_BYTES_A_PIXEL, PNG_BYTES_A_PIXEL = 0.3, 2.5  # of frames made smaller: on the high side


class Record(NamedTuple):
    """What a folder holds of a repository."""

    revision: str  # commit
    max_side_px: int | None


def read_record(root: Path, repo: str) -> Record | None:
    """The record of a repository in ROOT/get.json, None where it has none."""
    record = _read_json(root / RECORD).get(repo)
    if record is None:
        return None
    if (
        not isinstance(record, dict)
        or not isinstance(record.get("revision"), str)
        or not isinstance(record.get("max_side_px", ...), int | None)
    ):
        raise InputError(f"{root / RECORD} field {repo}: not a record of this command; choose another folder")
    return Record(record["revision"], record["max_side_px"])


def write_record(root: Path, repo: str, record: Record) -> None:
    _write_json(root / RECORD, {**_read_json(root / RECORD), repo: record._asdict()})


def missing(root: Path, frames: Sequence[Frame], sizes: Sizes | None) -> list[Frame]:
    """The frames that are not there as they should be. sizes: of frames that are made smaller."""
    there: dict[str, dict[str, int]] = {}  # folder -> file -> bytes
    found = []
    for frame in frames:
        folder, _, name = frame.path.rpartition("/")
        if folder not in there:
            there[folder] = {}
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(root / folder) as entries:
                there[folder] = {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
        size = there[folder].get(name)
        if size != frame.size if sizes is None else not (size and sizes.of(frame.path)):
            found.append(frame)
    return found


def has(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def free_bytes(root: Path) -> int:
    """The room on the disk of a folder that may not be there yet. InputError where it cannot be one."""
    place = root.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"{place} is a file, not a folder")
    return shutil.disk_usage(place).free


def disk_bytes(frame: Frame, max_side_px: int | None) -> int:
    """What a frame takes on the disk; guessed for one that is made smaller, as if it were 4:3."""
    size = frame.size
    if max_side_px is not None:
        a_pixel = PNG_BYTES_A_PIXEL if frame.path.lower().endswith(".png") else JPEG_BYTES_A_PIXEL
        size = min(size, int(0.75 * max_side_px**2 * a_pixel))
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


class Sizes:
    """ROOT/frame_sizes.json. A folder has one entry while all its frames measure the same, else each frame has one.

    Threads may share it.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._path = root, root / SIZES
        self._known: dict[str, list[int]] = _read_json(self._path)
        for key, size in self._known.items():
            if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)):
                raise InputError(f"{self._path} field {key!r:.80}: {size!r:.40}, expected [width, height]")
        self._mixed = {key.rpartition("/")[0] for key in self._known if key.lower().endswith(IMAGES)}
        self._added: dict[str, list[str]] = {}  # folder -> frames, some of them not in their place yet
        self._lock = Lock()

    def of(self, path: str) -> list[int] | None:
        """[width, height] of the original in pixels, None where it is not known."""
        return self._known.get(path) or self._known.get(path.rpartition("/")[0])

    def add(self, measured: Mapping[str, list[int]]) -> None:
        """Write down path -> [width, height]; when this returns the frames may be put in place."""
        with self._lock:
            news = [self._add(path, size) for path, size in measured.items()]
            if any(news):
                _write_json(self._path, self._known)

    def _add(self, path: str, size: list[int]) -> bool:
        """Whether the file is to be written again."""
        folder = path.rpartition("/")[0]
        added = self._added.setdefault(folder, [])
        if folder not in self._mixed:
            if self._known.get(folder) == size:
                added.append(path)
                return False
            if folder not in self._known:
                self._known[folder] = size
                added.append(path)
                return True
            common = self._known.pop(folder)
            there = [f"{folder}/{file.name}" for file in (self._root / folder).glob("*")]
            self._known |= dict.fromkeys([*there, *added], common)
            self._mixed.add(folder)
        news = self._known.get(path) != size
        self._known[path] = size
        return news


def _read_json(path: Path) -> dict[str, Any]:
    """An object that this command wrote, {} where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); choose another folder") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: a JSON {type(value).__name__}, expected an object; choose another folder")
    return value


def _write_json(path: Path, value: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
