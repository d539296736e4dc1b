"""Frames as they come: several with one request, each unpacked, checked, made smaller where asked, put in its place."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from medvidbench_hf.sources.release.get.folder import Sizes
from medvidbench_hf.sources.release.get.listing import LOCAL_HEADER_BYTES, Frame
from medvidbench_hf.sources.release.get.remote import Hub

REQUEST_BYTES = 16_000_000  # about 90 frames
GAP_BYTES = 250_000  # between two frames that is read over rather than asked around
JPEG_QUALITY = 90
PNG_LEVEL = 4  # of 9: as small as 6 on such frames, in 60 % of the time
LARGEST_FRAME_PX = 64_000_000
ORIENTATION = 0x0112  # EXIF tag


class Done(NamedTuple):
    """What became of some frames."""

    written: int
    resized: int  # of them made smaller
    refused: list[str]  # "path: why"


class BadFrame(Exception):
    """A frame that cannot be taken; says why."""


def batches(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Neighbours in one file, for one request each."""
    batch: list[Frame] = []
    for frame in frames:
        if batch:
            last = batch[-1]
            near = frame.file == last.file and 0 <= frame.start - last.stop <= GAP_BYTES
            if not near or frame.stop - batch[0].start > REQUEST_BYTES:
                yield batch
                batch = []
        batch.append(frame)
    if batch:
        yield batch


def get_batch(
    hub: Hub, batch: Sequence[Frame], partial: Path, root: Path, max_side_px: int | None, sizes: Sizes
) -> Done:
    """Fetch neighbours with one request. partial: how the names of files on their way begin."""
    ready: list[tuple[Path, Path]] = []
    measured: dict[str, list[int]] = {}
    refused: list[str] = []
    resized = 0
    for number, (frame, span) in enumerate(_spans(hub, batch)):
        try:
            content = unpacked(frame, span)
            if max_side_px is not None:
                content, measured[frame.path], smaller = shrunk(content, max_side_px)
                resized += smaller
        except BadFrame as error:
            refused.append(f"{frame.path!a}: {error}")
            continue
        file = partial.with_name(f"{partial.name}-{number}.frame")
        file.write_bytes(content)
        ready.append((file, root / frame.path))
    sizes.add(measured)
    for folder in {place.parent for _, place in ready}:
        folder.mkdir(parents=True, exist_ok=True)
    for file, place in ready:
        file.replace(place)
    return Done(len(ready), resized, refused)


def _spans(hub: Hub, batch: Sequence[Frame]) -> Iterator[tuple[Frame, bytes]]:
    """The frames of a batch with their bytes in the archive."""
    position = batch[0].start  # of the first byte held
    held = bytearray()
    number = 0
    for chunk in chain((b"",), hub.read(batch[0].file, position, batch[-1].stop)):  # a frame may have no bytes
        held += chunk
        while number < len(batch) and position + len(held) >= batch[number].stop:
            frame = batch[number]
            yield frame, bytes(held[frame.start - position : frame.stop - position])
            del held[: frame.stop - position]
            position = frame.stop
            number += 1


def unpacked(frame: Frame, span: bytes) -> bytes:
    """The content of a frame from its bytes in the archive; BadFrame where they are not what its directory says."""
    if frame.crc is None:
        if frame.file.sha256 not in (None, hashlib.sha256(span).hexdigest()):
            raise BadFrame("what came has another SHA-256")
        return span
    if span[:4] != b"PK\x03\x04":
        raise BadFrame("the archive has no member where its directory says")
    start = LOCAL_HEADER_BYTES + sum(struct.unpack("<HH", span[26:30]))  # behind its name and extra field
    content = packed = span[start : start + frame.packed]
    if len(packed) < frame.packed:
        raise BadFrame("its bytes are also those of another member")
    if frame.deflated:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, frame.size + 1)
        except zlib.error as error:
            raise BadFrame(f"it cannot be unpacked ({error})") from None
    if len(content) != frame.size:
        raise BadFrame(f"it does not unpack to the {frame.size} bytes that the directory says")
    if zlib.crc32(content) != frame.crc:
        raise BadFrame("its CRC is wrong")
    return content


def shrunk(content: bytes, max_side_px: int) -> tuple[bytes, list[int], bool]:
    """(bytes, [width, height] of the original in pixels, whether it was made smaller) of an image file.

    By Lanczos; JPEG stays JPEG, at quality 90, and PNG stays PNG, each with its colour profile and orientation tag. An
    image that is small enough keeps its bytes. BadFrame where it cannot be read.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as opened:
            width, height = opened.size
            if width * height > LARGEST_FRAME_PX:
                raise BadFrame(f"it has {width}x{height} pixels")
            if max(width, height) <= max_side_px:
                opened.load()  # what is no image is found here too
                return content, [width, height], False
            image: Image.Image = opened
            profile, orientation = opened.info.get("icc_profile"), opened.getexif().get(ORIENTATION)
            if opened.mode in ("P", "1"):
                image = opened.convert("RGBA" if "transparency" in opened.info else "RGB")
            if image.mode not in ("RGB", "RGBA", "L", "LA", "CMYK"):
                raise BadFrame(f"pixels of the kind {image.mode} cannot be made smaller")
            image.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
            exif = Image.Exif()
            if orientation in range(2, 9):
                exif[ORIENTATION] = orientation
            target = io.BytesIO()
            image.save(
                target, opened.format, quality=JPEG_QUALITY, compress_level=PNG_LEVEL, icc_profile=profile, exif=exif
            )
            return target.getvalue(), [width, height], True
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise BadFrame(f"it cannot be read as an image ({str(error)[:80]})") from None
