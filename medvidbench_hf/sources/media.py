"""A holder's own frames and videos: found below a folder, whatever prefix the rows have, and never outside it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from medvidbench_hf.sample import Canvas, InputError
from medvidbench_hf.tasks.answer import fold

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v")
SIZES_FILE = "frame_sizes.json"  # written beside frames that were made smaller: folder -> original size
_PREFIX_DEPTH = 2  # folders between the root and a path's own first folder, such as testdata/ or MedVidBench/testdata/


class Found(NamedTuple):
    """A row's frames on disk. missing: those that are not there. problem: why the first of these was not looked at."""

    files: tuple[Path, ...]
    missing: tuple[str, ...] = ()
    problem: str = ""


class FrameTree:
    """The frames below a root, asked for by the paths that rows list.

    Rows hold "/root/data/AVOS/...", "testdata/AVOS/..." or other prefixes, and archives unpack to other folders still.
    A path's folder is looked for below the root and below the folders in it, with none or some of its first parts
    left out: the longest rest that exists is it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder; --root is the folder that holds the release's files")
        self._listing: dict[str, tuple[Path | None, str, dict[str, bool]]] = {}
        self._ways: list[tuple[Path, int]] = []  # (base, parts left out) that worked, the latest first

    def find(self, paths: Sequence[str]) -> Found:
        """Where these frames are; a row's frames lie in one folder as a rule, in any number of them by right."""
        files, missing = [], []
        for path in paths:
            parent, _, name = path.replace("\\", "/").rpartition("/")
            if parent not in self._listing:
                self._listing[parent] = self._look(parent)
            folder, problem, names = self._listing[parent]
            if folder is None or name in ("", ".", ".."):
                if problem:
                    return Found((), (path,), problem)
                missing.append(path)
            elif name in names and not names[name]:
                return Found((), (path,), "a link that leads outside the root")
            elif name in names:
                files.append(folder / name)
            else:
                missing.append(path)
        return Found(tuple(files), tuple(missing))

    def size(self, file: Path) -> Canvas | None:
        """The original size of a frame that was made smaller, None where it is stored as it was."""
        try:
            relative = file.relative_to(self.root).as_posix()
        except ValueError:
            return None
        return self._sizes.get(relative) or self._sizes.get(PurePosixPath(relative).parent.as_posix())

    @cached_property
    def _sizes(self) -> dict[str, Canvas]:
        path = self.root / SIZES_FILE
        if not path.is_file():
            return {}
        try:
            return {key: Canvas(int(w), int(h)) for key, (w, h) in json.loads(path.read_text("utf-8")).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not the sizes that `medvidbench data get --max-side` writes ({error})") from None

    def _look(self, parent: str) -> tuple[Path | None, str, dict[str, bool]]:
        """(folder, why there is none, its files and whether they lie below the root)."""
        parts = tuple(part for part in PurePosixPath(parent).parts if part not in ("/", "."))
        if ".." in parts or any("\0" in part or ":" in part for part in parts):
            return None, "a path that points outside the root", {}
        longest_first = [(base, left_out) for left_out in range(len(parts)) for base in self._bases]
        for way in [*self._ways, *longest_first]:
            base, left_out = way
            # A single part is not enough: another source may have a folder of that name.
            if len(parts) - left_out < min(2, len(parts)):
                continue
            folder = base.joinpath(*parts[left_out:])
            if not folder.is_dir():
                continue
            if not folder.resolve().is_relative_to(base.resolve()):
                return None, "a path that points outside the root", {}
            if way in self._ways:
                self._ways.remove(way)
            self._ways.insert(0, way)
            del self._ways[8:]
            return folder, "", self._inside(folder)
        return None, "", {}

    def _inside(self, folder: Path) -> dict[str, bool]:
        """The files of a folder, and whether they lie below the root; a link may not."""
        root = self.root.resolve()
        return {
            entry.name: not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(root)
            for entry in os.scandir(folder)
        }

    @cached_property
    def _bases(self) -> list[Path]:
        """The root and the folders in it, to the depth at which prefixes lie."""
        bases, level = [self.root], [self.root]
        for _ in range(_PREFIX_DEPTH):
            level = [
                Path(entry.path)
                for folder in level
                for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
                if entry.is_dir()
            ]
            if len(bases) + len(level) > 1000:  # inside the frames already
                break
            bases += level
        return bases


def video_files(root: str | Path) -> dict[str, list[Path]]:
    """Video name -> its files, for every video file below the root."""
    if not Path(root).is_dir():
        raise InputError(f"{root}: no such folder of videos")
    found: dict[str, list[Path]] = {}
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted(files):
            file = Path(folder, name)
            if file.suffix.lower() in VIDEO_SUFFIXES:
                found.setdefault(file.stem, []).append(file)
    return found


def video_file(files: Mapping[str, Sequence[Path]], source: str, video_id: str) -> Path | None:
    """The file of a source's video, by its name: VID01 of the Cholec sources is also video01.

    Of several files of that name it is the one below a folder named like the source. InputError where that leaves
    several.
    """
    number = cholec_number(source, video_id)
    others = () if number is None else (f"VID{number:02d}", f"video{number:02d}", f"vid{number:02d}")
    named = next((files[name] for name in (video_id, *others) if name in files), ())
    folder = fold(source)
    of_source = [file for file in named if any(fold(part) == folder for part in file.parts[:-1])]
    chosen = of_source or named
    if len(chosen) > 1:
        raise InputError(f"{chosen[0]} and {chosen[1]} are both {source} video {video_id!r}: keep one below --root")
    return chosen[0] if chosen else None


_CHOLEC = {"CholecT50", "CholecTrack20", "Cholec80_CVS"}
_CHOLEC_NAME = re.compile(r"(?:vid|video)?_?0*(\d{1,3})(?:\D.*)?", re.IGNORECASE)


def cholec_number(source: str, video_id: str) -> int | None:
    """The video number that CholecT50, CholecTrack20 and Cholec80-CVS share: VID01 is video01 is 1. None elsewhere.

    45 of the 50 and 15 of the 20 videos are Cholec80's own, under its numbers (sources' documentation).
    """
    match = _CHOLEC_NAME.fullmatch(video_id) if source in _CHOLEC else None
    return int(match[1]) if match else None
