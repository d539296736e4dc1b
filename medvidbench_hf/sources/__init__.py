"""The sources, one module each: annotation files as their owners have them -> Samples.

A source module has three functions, called by the builder in this order:

    read(root, **options) -> Reading             everything checked, one light picklable record a video
    samples(video) -> Iterator of Sample, Dropped, Flagged   the rows of one video; pure, run in worker processes
    clip_frames(video, sample) -> frames          (n, height, width, 3) uint8 at sample.frame_times_s, or the image
                                                  files they are in; only if media

`samples` numbers `index` from 0 within the video, the builder renumbers; where `Reading.keeps_rows`, rows bring their
own index and keep it. `Sample.video` is the clip's path below the data set's folder,
`clips/<source>/<video_id>/<clip>.mp4`, or None without media.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from medvidbench_hf.sample import InputError

SOURCES = ("simulated", "nurvid", "release")


class Dropped(NamedTuple):
    """A row that was left out: the kind of reason, and the particulars."""

    source: str
    split: str
    video_id: str
    task: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Flagged:
    """Something odd about a row that is kept: the kind of oddity, the particulars, and the row's index."""

    source: str
    split: str
    video_id: str
    task: str
    reason: str
    detail: str
    index: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A source as read.

    videos: one record a video, each with `split` and `video_id`. found: counts for the summary. known: the counts the
    owner states, to compare with. warnings: one line each. options: the source's options with their defaults. files:
    the annotation files that were read. media: whether `clip_frames` works. keeps_rows: no row may be dropped or moved;
    what would drop one is a flag, and a clip that cannot be made leaves it text-only.
    """

    videos: Sequence[Any]
    found: dict[str, int]
    known: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    media: bool = False
    keeps_rows: bool = False


def read_source(name: str, root: str | Path | None, options: dict[str, Any]) -> Reading:
    """Read a source; InputError for an option that it does not have."""
    module = source_module(name)
    known = [option for option in signature(module.read).parameters if option != "root"]
    for option in options:
        if option not in known:
            raise InputError(f"source {name} takes no option {option!r}; it takes {', '.join(known) or 'none'}")
    return module.read(root, **options)


def source_module(name: str) -> ModuleType:
    """The module of a source by its name, in any case; InputError lists the names there are."""
    if name.lower() not in (*SOURCES, "attached"):
        raise InputError(f"unknown source {name!r}; known: {', '.join(SOURCES)}")
    return importlib.import_module(f"{__name__}.{name.lower()}")


def clip_parts(clip: str) -> tuple[str, ...]:
    """source, video and clip of a clip's path .../clips/<source>/<video>/<clip>. InputError for any other path."""
    parts = Path(clip).parts[-4:]
    if len(parts) < 4 or parts[0] != "clips" or ".." in parts:
        raise InputError(f"field video: {clip!r} is not .../clips/<source>/<video>/<clip>")
    return parts[1:]
