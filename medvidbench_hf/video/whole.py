"""Is a video file all there? Downloads break off, and what plays up to the break looks like a shorter video."""

from __future__ import annotations

import io
from typing import Protocol

from medvidbench_hf.sample import InputError


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int, /) -> int: ...


def check_whole(name: str, file: Readable) -> None:
    """InputError where an mp4, mov, mkv, webm or avi file is shorter than its boxes say. Only box heads are read."""
    there = file.seek(0, io.SEEK_END)
    if there == 0:
        raise InputError(f"{name}: empty file")
    file.seek(0, io.SEEK_SET)
    head = file.read(64)
    promised = 0
    if head[4:8] == b"ftyp":
        promised = _mp4_bytes(file, there)
    elif head[:4] == b"\x1aE\xdf\xa3":
        promised = _matroska_bytes(head)
    elif head[:4] == b"RIFF":
        promised = 8 + int.from_bytes(head[4:8], "little")
    if promised > there:
        raise InputError(f"{name}: cut off: {there:,} bytes of {promised:,} are there; fetch it again")


def _mp4_bytes(file: Readable, there: int) -> int:
    """Where the last box ends. Bytes after the film, which are no box of a film, promise nothing."""
    at, promised = 0, 0
    while at < there:
        file.seek(at, io.SEEK_SET)
        head = file.read(16)
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8 or kind not in (b"ftyp", b"free", b"skip", b"wide", b"uuid", b"moov", b"mdat", b"moof", b"sidx"):
            break  # 0: up to the end of the file
        at += size
        promised = at
    return promised


def _matroska_bytes(head: bytes) -> int:
    """Where the segment ends, which holds all but the first header; 0 where it does not say, as when recorded live."""
    header_bytes, at = _number(head, 4)
    at += header_bytes
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    segment_bytes, begin = _number(head, at + 4)
    unknown = (1 << 7 * (begin - at - 4)) - 1
    return 0 if segment_bytes == unknown else begin + segment_bytes


def _number(head: bytes, at: int) -> tuple[int, int]:
    """A Matroska number and the place after it: the zero bits it begins with tell how many bytes it has."""
    n_bytes = 9 - head[at : at + 1].ljust(1, b"\0")[0].bit_length()
    value = int.from_bytes(head[at : at + n_bytes], "big")
    return value & ((1 << 7 * n_bytes) - 1), at + n_bytes
