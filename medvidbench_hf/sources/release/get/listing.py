"""What a repository holds: its frames, in zip archives or plain, and what is not taken from it, with the reason.

Names, sizes and offsets come from others, so each is checked before anything is made of it.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.release.get.remote import File, Hub
from medvidbench_hf.sources.release.names import SOURCES
from medvidbench_hf.tasks.answer import fold

IMAGES = (".jpg", ".jpeg", ".png")
OTHER_ARCHIVES = re.compile(
    r"\.(tar|tgz|tbz2?|txz|gz|bz2|xz|zst|7z|rar|z\d\d|\d{3}|part[\w-]*)$|\.(zip|tar|tar\.gz|tgz)[._-]\w+$"
)
LARGEST_FRAME_BYTES = 64_000_000
HIGHEST_RATIO = 100  # of unpacked to packed bytes beyond the first million
LARGEST_DIRECTORY_BYTES = 256_000_000
TAIL_BYTES = 70_000  # where the end record of an archive lies
LOCAL_HEADER_BYTES = 30  # and two fields of 64 kB at most


class Frame(NamedTuple):
    """A frame to write at `path` below the root: a member of an archive, or a file of the repository as it is."""

    path: str
    group: str  # its source, or its folder where that is none we know
    file: File
    start: int  # bytes start..stop of `file`, a member's own header included
    stop: int
    packed: int  # bytes
    size: int  # bytes unpacked
    crc: int | None  # None: not a member
    deflated: bool


class Listed:
    """What was found: every path once, in the order of the bytes."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.by_hand: list[tuple[File, str | None]] = []  # archives of other kinds, with their source
        self.refused: list[str] = []  # "path: why"
        self.skipped = 0  # files and members that are no images
        self._taken: set[str] = set()

    def add(self, frame: Frame, name: str, problem: str | None) -> None:
        """name: as it stands where it was found. problem: what speaks against it, its name aside."""
        if reason := bad_name(name):
            self.refused.append(f"{name[:200]!a}: {reason}")
        elif _hidden(frame.path) or not frame.path.lower().endswith(IMAGES):
            self.skipped += 1
        elif problem:
            self.refused.append(f"{name!a}: {problem}")
        elif frame.path.casefold() in self._taken:
            self.refused.append(f"{name!a}: another one has its name, upper and lower case aside")
        else:
            self._taken.add(frame.path.casefold())
            self.frames.append(frame)

    def drop_folders(self) -> None:
        """Refuse a frame whose path is the folder of another."""
        folders: set[str] = set()
        for path in self._taken:
            while (path := path.rpartition("/")[0]) and path not in folders:
                folders.add(path)
        clashing = [frame for frame in self.frames if frame.path.casefold() in folders]
        self.refused += [f"{frame.path!a}: it is also a folder" for frame in clashing]
        self.frames = [frame for frame in self.frames if frame.path.casefold() not in folders]


def list_repository(hub: Hub) -> tuple[File, Listed]:
    """The file with the rows, and all else. Raises InputError where there are no rows or an archive is unreadable."""
    listed = Listed()
    rows = None
    files = hub.files()
    for file in files:
        path = file.path.lower()
        if file.path == hub.release.rows:
            rows = file
        elif not file.path.startswith(hub.release.folder):
            listed.skipped += 1
        elif reason := bad_name(file.path):
            listed.refused.append(f"{file.path[:200]!a}: {reason}")
        elif OTHER_ARCHIVES.search(path) or _is_split(path, files):
            listed.by_hand.append((file, source_of(file.path)))
        elif path.endswith(".zip"):
            _list_archive(hub, file, listed)
        elif path.endswith(IMAGES):
            group = _group(file.path, file)
            problem = f"it has {file.size} bytes" if file.size > LARGEST_FRAME_BYTES else None
            frame = Frame(file.path, group, file, 0, file.size, file.size, file.size, crc=None, deflated=False)
            listed.add(frame, file.path, problem)
        else:
            listed.skipped += 1
    if rows is None:
        raise InputError(f"{hub.release.repo} at {hub.commit} has no {hub.release.rows}: give another revision")
    listed.drop_folders()
    return rows, listed


def _list_archive(hub: Hub, file: File, listed: Listed) -> None:
    """The members of a zip archive; it unpacks where it lies."""
    try:
        with zipfile.ZipFile(_Directory(hub, file)) as archive:
            members, directory = sorted(archive.infolist(), key=lambda m: m.header_offset), archive.start_dir
    except InputError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, EOFError) as error:
        raise InputError(f"{hub.release.repo} {file.path}: not a readable zip archive ({error})") from None
    folder = "".join(file.path.rpartition("/")[:2])
    stops = [member.header_offset for member in members[1:]] + [directory]
    for member, stop in zip(members, stops, strict=True):
        name = member.orig_filename
        if name.endswith("/") and not bad_name(name[:-1]):
            continue
        path, start = folder + name, member.header_offset
        frame = Frame(
            path=path,
            group=_group(path, file),
            file=file,
            start=start,
            stop=min(stop, start + LOCAL_HEADER_BYTES + 2 * 65_535 + member.compress_size),
            packed=member.compress_size,
            size=member.file_size,
            crc=member.CRC,
            deflated=member.compress_type == zipfile.ZIP_DEFLATED,
        )
        listed.add(frame, name, _bad_member(member, frame))


def bad_name(name: str) -> str | None:
    """Why no file may be written under a relative path, or None."""
    parts = name.split("/")
    if any(ord(character) < 32 or character in "\\:\x7f" for character in name):
        return "its name has a control character, a backslash or a colon"
    if any(part in ("", ".", "..") for part in parts):
        return "its name leads out of the folder"
    if len(name) > 1000 or any(len(part.encode()) > 200 for part in parts):
        return "its name is too long"
    return None


def _bad_member(member: zipfile.ZipInfo, frame: Frame) -> str | None:
    """Why a member must not be unpacked, or None."""
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return "it is no plain file but a link or a device"
    if member.filename != member.orig_filename:
        return "it has two names"
    if member.flag_bits & 1:
        return "it is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"it is packed by method {member.compress_type}; stored and deflated can be read"
    if frame.size > LARGEST_FRAME_BYTES or frame.size > 1_000_000 + HIGHEST_RATIO * frame.packed:
        return f"it would unpack from {frame.packed} to {frame.size} bytes"
    if frame.start < 0 or frame.stop - frame.start < LOCAL_HEADER_BYTES + len(member.orig_filename) + frame.packed:
        return "its bytes are also those of another member"
    return None


def _hidden(path: str) -> bool:
    """macOS puts files beside images that have their names and are none."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _is_split(path: str, files: Sequence[File]) -> bool:
    """Whether a .zip is the last of several parts: x.z01, x.z02, x.zip."""
    return path.endswith(".zip") and any(other.path.lower() == f"{path[:-4]}.z01" for other in files)


class _Directory(io.RawIOBase):
    """A remote archive as zipfile wants it for reading the directory: its end in one request, then what is asked."""

    def __init__(self, hub: Hub, file: File) -> None:
        self._hub, self._file, self._position = hub, file, 0
        self._tail_start = max(0, file.size - TAIL_BYTES)
        self._tail = b"".join(hub.read(file, self._tail_start, file.size))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence] + offset
        if start < 0:
            raise OSError("before the start of the file")
        self._position = start
        return start

    def read(self, size: int = -1) -> bytes:
        start = self._position
        stop = self._file.size if size < 0 else min(start + size, self._file.size)
        if stop - start > LARGEST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"its directory has {stop - start} bytes")
        if start >= self._tail_start:
            data = self._tail[start - self._tail_start : max(start, stop) - self._tail_start]
        else:
            data = b"".join(self._hub.read(self._file, start, stop))
        self._position += len(data)
        return data


def source_of(path: str) -> str | None:
    """The source of a path by its folders, which are not always named just like it; None of an unknown one."""
    return next((source for part in path.split("/") if (source := _source_named_by(part))), None)


def _group(path: str, file: File) -> str:
    """The source of a frame; where none is known, the first two folders of its path."""
    folder = path.rpartition("/")[0]
    return source_of(folder) or source_of(file.path) or "/".join(folder.split("/")[:2]) or "."


_FOLDED = {fold(name).replace(" ", ""): name for name in SOURCES}


@lru_cache(maxsize=65_536)
def _source_named_by(part: str) -> str | None:
    """A folder is named like its source, or begins so: "JIGSAWS_frames"."""
    folded = fold(part).replace(" ", "")
    return next((name for start, name in _FOLDED.items() if folded.startswith(start)), None)
