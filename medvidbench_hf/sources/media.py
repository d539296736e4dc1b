"""A holder's own frames and videos: found below a folder, whatever prefix the rows have, and never outside it.

Linked folders in the root and in the folders directly in it are a user's own arrangement of disks: they are followed
wherever they lead. Any link below them, and any linked file, must lead to a place inside the root or inside one of the
folders that it was reached by, of those two levels.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from medvidbench_hf.sample import LONGEST_SIDE_PX, Canvas, InputError
from medvidbench_hf.tasks.answer import fold

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v")
SIZES_FILE = "frame_sizes.json"  # written beside frames that were made smaller: folder -> original size

PATH_LEADS_OUT = "a path that points outside the root"
LINK_LEADS_OUT = "a link that leads outside the root"
TOO_LONG = "longer than any path on a disk"

_PREFIX_DEPTH = 2  # folders between the root and a path's own first folder, such as testdata/ or MedVidBench/testdata/
_SAYS_NOTHING = ("root", "data")  # rows of either file have /root/data; testdata and valdata are told apart
_LONGEST_NAME, _LONGEST_PATH = 255, 4096  # characters


class Found(NamedTuple):
    """A row's frames on disk. missing: those that are not there. problem: why the first of these was not looked at."""

    files: tuple[Path, ...]
    missing: tuple[str, ...] = ()
    problem: str = ""


class FrameTree:
    """The frames below a root, asked for by the paths that rows list.

    Rows hold "/root/data/AVOS/...", "testdata/AVOS/..." or other prefixes, and archives unpack to other folders still.
    A path's folder is looked for in the root and in the folders to two levels below it, with none or some of its first
    parts left out: the longest rest that exists is it. Where several folders have that rest, as below testdata/ and
    valdata/ for /root/data, a frame is in the first that has it.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"{root}: no such folder; --root is the folder that holds the frames or videos")
        self._places: dict[str, tuple[list[_Folder], str]] = {}

    def find(self, paths: Sequence[str]) -> Found:
        """Where these frames are; a row's frames lie in one folder as a rule, in any number of them by right."""
        files, missing = [], []
        for path in paths:
            parent, _, name = path.replace("\\", "/").rpartition("/")
            if parent not in self._places:
                self._places[parent] = self._look(parent)
            folders, problem = self._places[parent]
            for folder in folders:
                if folder.files.get(name):
                    files.append(folder.path / name)
                    break
            else:
                if len(name) > _LONGEST_NAME:
                    problem = TOO_LONG
                elif any(name in folder.files for folder in folders):
                    problem = LINK_LEADS_OUT
                else:
                    problem = problem or next((folder.closed for folder in folders if folder.closed), "")
                if problem:
                    return Found((), (path,), problem)
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
        way_out = "move it away and run `medvidbench data get --max-side` again"
        try:
            sizes = json.loads(path.read_text("utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: not JSON ({error}); {way_out}") from None
        if not isinstance(sizes, dict):
            raise InputError(f"{path}: a JSON {type(sizes).__name__}, expected an object; {way_out}")
        for key, size in sizes.items():
            if not (isinstance(size, list) and len(size) == 2 and all(map(_is_side, size))):
                expected = f"expected [width, height] of 1 to {LONGEST_SIDE_PX} pixels"
                raise InputError(f"{path} field {key!r:.80}: {size!r:.40}, {expected}; {way_out}")
        return {key: Canvas(*size) for key, size in sizes.items()}

    def _look(self, parent: str) -> tuple[list[_Folder], str]:
        """(the folders that may hold the files of this one, the likeliest first; why one was not looked at)."""
        parts = tuple(part for part in PurePosixPath(parent).parts if part not in ("/", "."))
        if ".." in parts or any("\0" in part or ":" in part for part in parts):
            return [], PATH_LEADS_OUT
        if len(parent) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in parts):
            return [], TOO_LONG
        found: list[_Folder] = []
        problem = ""
        # A rest of a single part is not enough: another source may have a folder of that name.
        for left_out in range(len(parts) - 1 or len(parts)):
            if found and parts[left_out - 1] not in _SAYS_NOTHING:
                break
            for holder in self._holders.get(parts[left_out], ()):
                folder, why_not = _down(holder, parts[left_out + 1 :])
                if folder is not None and folder not in found:
                    found.append(folder)
                problem = problem or why_not
        return found, problem

    @cached_property
    def _holders(self) -> dict[str, list[_Folder | None]]:
        """Name -> the folders of that name in the root and in the folders below it, to the depth of prefixes."""
        holders: dict[str, list[_Folder | None]] = {}
        level = [_Folder(self.root, ())]
        for _ in range(_PREFIX_DEPTH + 1):
            for folder in level:
                for name, inner in folder.folders.items():
                    holders.setdefault(name, []).append(inner)
            level = [inner for folder in level for inner in folder.folders.values() if inner is not None]
        return holders


class _Folder:
    """A folder below the root, each of its two listings read once, when asked for.

    bases: of the root and the folders to the depth of prefixes, those that it was reached by. closed: why it cannot be
    read, once that was tried.
    """

    def __init__(self, path: Path, bases: tuple[Path, ...]) -> None:
        self.path = path
        self.bases = bases if len(bases) > _PREFIX_DEPTH else (*bases, path)
        self._may_lead_anywhere = len(bases) < _PREFIX_DEPTH
        self.closed = ""

    @cached_property
    def files(self) -> dict[str, bool]:
        """The files in it, and whether they may be read: not those that a link leads out to."""
        found = {}
        for entry in self._entries():
            with suppress(OSError):  # a link in a circle
                if entry.is_file():
                    found[entry.name] = not entry.is_symlink() or self._holds(entry)
        return found

    @cached_property
    def folders(self) -> dict[str, _Folder | None]:
        """The folders in it by name, None for one that a link leads out to."""
        found: dict[str, _Folder | None] = {}
        for entry in self._entries():
            with suppress(OSError):
                if entry.is_dir():
                    stays = self._may_lead_anywhere or not entry.is_symlink() or self._holds(entry)
                    found[entry.name] = _Folder(self.path / entry.name, self.bases) if stays else None
        return dict(sorted(found.items()))

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.path) as entries:
                yield from entries
        except OSError as error:
            self.closed = f"a folder that cannot be read ({error.strerror})"

    def _holds(self, link: os.DirEntry[str]) -> bool:
        """Whether a link leads to a place inside the bases."""
        place = Path(link.path).resolve()
        return any(place.is_relative_to(base) for base in self._real_bases)

    @cached_property
    def _real_bases(self) -> tuple[Path, ...]:
        return tuple(base.resolve() for base in self.bases)


def _down(folder: _Folder | None, parts: Sequence[str]) -> tuple[_Folder | None, str]:
    """(the folder that these parts lead to from another, why there is none if something is in the way)."""
    for part in parts:
        if folder is None:
            break
        if part not in folder.folders:
            return None, folder.closed
        folder = folder.folders[part]
    return folder, "" if folder is not None else LINK_LEADS_OUT


def _is_side(value: object) -> bool:
    return type(value) is int and 0 < value <= LONGEST_SIDE_PX


def video_files(root: str | Path) -> dict[str, list[Path]]:
    """Video name -> its files, for every video file below the root; a link that leads nowhere is none."""
    if not Path(root).is_dir():
        raise InputError(f"{root}: no such folder of videos")
    found: dict[str, list[Path]] = {}
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted(files):
            file = Path(folder, name)
            if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file():
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
