"""Who is in which split, and small selections: always by video, so that no split has seen another's.

    video_splits({("CholecT50", "VID01"): 40, ("Cholec80_CVS", "video01"): 3, ...}, validation=0.15, seed=0)

CholecT50, CholecTrack20 and Cholec80-CVS share videos under one numbering, so a number is one video for all three.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medvidbench_hf.sample import InputError, PublicSample
from medvidbench_hf.sources.media import cholec_number

SUBSETS = {"smoke": 2, "lite": 10}  # rows a qa_type: 22 and 110 of the release's eleven
_PART = re.compile(r"_part\d+$")


def recording(source: str, video_id: str) -> str:
    """What must not be shared out: the recording that a video id is of.

    Cholec videos go by their shared number. An id of EgoSurgery is <video>_<segment>, so its first part counts; a
    part of a CoPESD clip is the clip.
    """
    number = cholec_number(source, video_id)
    if number is not None:
        return f"Cholec/{number}"
    name = _PART.sub("", video_id)
    return f"{source}/{name.split('_')[0] if source == 'EgoSurgery' else name}"


def video_splits(
    rows: Mapping[tuple[str, str], int], *, validation: float = 0.15, seed: int = 0
) -> dict[tuple[str, str], str]:
    """(source, video id) -> "train" or "validation", for videos with this many rows each.

    The recordings of each source family are put in an order drawn from the seed, and go to validation until it has
    its share of the family's rows; a family of several recordings has at least one in each split. The same rows and
    seed give the same splits, and a video keeps its place in the order when others come or go.
    """
    if not 0 <= validation < 1:
        raise InputError(f"validation {validation} is not a share from 0 to below 1")
    families: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for video in rows:
        name = recording(*video)
        families[name.split("/")[0]][name].append(video)
    splits = {}
    for recordings in families.values():
        wanted = validation * sum(rows[video] for videos in recordings.values() for video in videos)
        given = 0
        order = sorted(recordings, key=lambda name: _draw(seed, name))
        for place, name in enumerate(order):
            n = sum(rows[video] for video in recordings[name])
            # The one that passes the share belongs where it leaves the smaller error; the last one is for training.
            chosen = validation > 0 and place < len(order) - 1 and (given == 0 or given + n / 2 <= wanted)
            given += n if chosen else 0
            splits.update(dict.fromkeys(recordings[name], "validation" if chosen else "train"))
    return splits


def subset(samples: Iterable[PublicSample], name: str, seed: int = 0) -> list[int]:
    """The indices of a small selection of one split, in order: "smoke" has 2 rows of each qa_type, "lite" 10.

    Rows are drawn from the seed, each from a source and a video that were drawn least so far.
    """
    if name not in SUBSETS:
        raise InputError(f"unknown subset {name!r}; known: {', '.join(SUBSETS)}")
    kinds: dict[tuple[str, str], list[PublicSample]] = defaultdict(list)
    for sample in samples:
        kinds[sample.task, sample.variant].append(sample)
    chosen: list[int] = []
    for kind, rows in kinds.items():
        waiting = sorted(rows, key=lambda sample: _draw(seed, *kind, sample.index))
        taken: dict[Any, int] = defaultdict(int)
        for _ in range(min(SUBSETS[name], len(waiting))):
            least = min(waiting, key=lambda s: (taken[s.source], taken[s.source, s.video_id]))  # the first of equals
            waiting.remove(least)
            taken[least.source] += 1
            taken[least.source, least.video_id] += 1
            chosen.append(least.index)
    return sorted(chosen)


def leaks(splits: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, list[str]]:
    """Recordings that several splits have -> those splits. splits: name -> (source, video id) pairs."""
    seen: dict[str, list[str]] = defaultdict(list)
    for split, videos in splits.items():
        for name in sorted({recording(*video) for video in videos}):
            seen[name].append(split)
    return {name: where for name, where in seen.items() if len(where) > 1}


def _draw(seed: int, *name: object) -> bytes:
    return hashlib.sha256(f"{seed}/{'/'.join(map(str, name))}".encode()).digest()
