"""A built data set back in the release's own form."""

from __future__ import annotations

import json
from pathlib import Path

from medvidbench_hf.builder.dataset import read_samples, split_names
from medvidbench_hf.lock import only_one
from medvidbench_hf.sample import SPLITS, InputError, Sample
from medvidbench_hf.sources.release.write import WrittenRelease, write_release

#: what a file of the release is made of
KINDS = {"test": ("test",), "train": ("train",), "validation": ("validation",), "trainval": ("train", "validation")}


def export_release(
    data: str | Path, split: str, out: str | Path, *, task: str = "all", frames: bool = True
) -> WrittenRelease:
    """Write OUT/medvidbench_<split>.json and, with `frames`, the frames that it names.

    split: test is written without answers, trainval is train and validation together, in the order of their file where
    they come from one. Raises InputError for a split without answers that is not test.
    """
    if split not in KINDS:
        raise InputError(f"unknown split {split!r}; the release's form takes {', '.join(KINDS)}")
    there = split_names(data)
    parts = [part for part in KINDS[split] if part in there] or [split]  # a split that is not there says so itself
    samples = [sample for part in parts for sample in read_samples(data, part, task)]
    samples.sort(key=lambda sample: (_place(sample), SPLITS.index(sample.split), sample.index))
    with only_one(Path(out), "written"):
        return write_release(samples, split, out, frames=frames)


def _place(sample: Sample) -> int:
    """The row's place in the file of the release that it was read from."""
    return int(json.loads(sample.extra).get("row", 0))
