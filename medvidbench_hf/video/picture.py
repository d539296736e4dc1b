"""Image files as frames: JPEG and PNG that mean the same pixels to everyone who opens them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from medvidbench_hf.sample import Canvas, InputError

_FORMATS = ("JPEG", "PNG")
_MODES = ("1", "L", "P", "RGB", "CMYK", "LA", "RGBA")
_ORIENTATION = 0x112  # of EXIF; 1 is upright


def size_of(path: Path, like: Canvas | None = None) -> Canvas:
    """Width and height, from the head of the file. InputError where they are not `like`, the clip's."""
    with _opened(path, like) as image:
        return Canvas(*image.size)


def check(path: Path, like: Canvas | None = None) -> str:
    """Read all of a file; "JPEG" or "PNG"."""
    with _opened(path, like) as image:
        image.draft(None, (1, 1))  # a JPEG is decoded at an eighth of its size: all of its bits, few of its pixels
        image.load()
        _check_opaque(path, image)
        return str(image.format)


def pixels(path: Path, like: Canvas | None = None) -> np.ndarray:
    """(height, width, 3) uint8."""
    with _opened(path, like) as image:
        _check_opaque(path, image)
        return np.asarray(image.convert("RGB"))


def stacked(paths: Sequence[Path], size: Canvas) -> np.ndarray:
    """(n, height, width, 3) uint8."""
    found = np.empty((len(paths), size.height, size.width, 3), np.uint8)
    for k, path in enumerate(paths):
        found[k] = pixels(path, size)
    return found


def _check_opaque(path: Path, image: Image.Image) -> None:
    """InputError where what shows through is in doubt. An alpha channel that hides nothing is fine."""
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
        raise InputError(f"{path}: partly transparent: save it opaque, as 8-bit RGB or greyscale")


@contextmanager
def _opened(path: Path, like: Canvas | None) -> Iterator[Image.Image]:
    """InputError for a file that is missing or cut off, has another size, or whose pixels are in doubt."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.mode not in _MODES:
                raise InputError(f"{path}: pixels of mode {image.mode}: save it as 8-bit RGB or greyscale")
            if image.getexif().get(_ORIENTATION, 1) != 1:
                raise InputError(
                    f"{path}: turned by its EXIF tag, which not every reader follows: "
                    "save it upright (PIL.ImageOps.exif_transpose)"
                )
            if like is not None and image.size != like:
                sizes = f"{image.width}x{image.height}, but the first frame is {like.width}x{like.height}"
                raise InputError(f"{path}: {sizes}: the frames of a clip have one size")
            yield image
    except FileNotFoundError:
        raise InputError(f"{path}: no such image file") from None
    except InputError:
        raise
    # All that Pillow raises for broken files of these two formats.
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: does not decode as JPEG or PNG ({' '.join(str(error).split())[:160]})") from None
