"""A split as the files that other trainers load: TRL, LLaMA-Factory, ms-swift, EasyR1.

    OUT/train.jsonl          TRL: one file. The others: train-fps-0.5.jsonl, ..., a file for each sampling rate
    OUT/dataset_info.json    LLaMA-Factory's own list of data sets
    OUT/README.md            what to set in that trainer, and what is lost on the way
    OUT/left_out.jsonl       each row that is left out, with its reason
    OUT/export.json          what was exported

All of it is made in OUT.partial and renamed at the end: OUT is complete or absent. Rows are written as they are read.

The target, or what a reward compares with, is the answer text and nothing else of the truth. `index` and `split` find
the row again, so that a reward can call the scorer of the tables on the sample itself.

A question about a region says "the box", which this package draws on the frame. A trainer that cannot draw gets the
box in words after the question, in canvas pixels with the canvas named: the space of every box in our answers.

Time: but for TRL, whose rows carry their own times, a run samples every clip at one rate and tells the model times
from the clip's mean rate. So a file holds the rows of one sampling rate (to two digits), which is the rate to set, and
what is uneven in the frame times is lost. No loader here reads `hf://`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import medvidbench_hf
from medvidbench_hf.builder.dataset import read_samples
from medvidbench_hf.builder.folder import loadable
from medvidbench_hf.builder.trainers import FORMATS, Export, Format, RowFile, dataset_info, json_line
from medvidbench_hf.lock import only_one
from medvidbench_hf.sample import InputError, Sample

NO_CLIP = "no clip"
ONE_FRAME = "a clip of one frame, where the loader needs two"
NO_BOX = "a question about a region without its box"
MEDIA_TAG = "a text with a tag that loaders take for media"

_RECORD = "export.json"
_TAGS = re.compile(r"<(?:video|image|audio|bbox|ref-object)>")
_READ_AS_OPTIONS = ("@", "#")  # EasyR1's @split and ms-swift's #count, besides what `datasets` takes for patterns


class Exported(NamedTuple):
    """What an export wrote."""

    folder: Path
    files: tuple[Path, ...]  # of rows
    n_rows: int
    left_out: dict[str, int]  # reason -> rows
    uneven: int  # rows written whose frames are not evenly spaced in time

    @property
    def without_video(self) -> int:
        return self.left_out.get(NO_CLIP, 0)


def export(data: str | Path, split: str, format: str, out: str | Path, *, task: str = "all") -> Exported:
    """Write a split in a trainer's format into the folder `out`, which must not exist or be empty.

    format: a key of `FORMATS`. Rows that cannot be trained on are left out, counted and listed. Raises InputError
    for a split without answers, for a clip that is not a file here, and where no row is left.
    """
    if format not in FORMATS:
        raise InputError(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    out = loadable(out)
    if any(mark in str(out) for mark in _READ_AS_OPTIONS):
        raise InputError(f"{out}: loaders take {' and '.join(_READ_AS_OPTIONS)} for options: choose another name")
    partial = out.with_name(out.name + ".partial")
    with only_one(out, "written"):
        _check_free(out, partial)
        shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
        partial.mkdir(parents=True)
        try:
            (partial / _RECORD).write_text("{}")
            exported = _write(data, split, format, task, partial, out)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return exported


def _check_free(out: Path, partial: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        holds = "an earlier export: remove it, or" if (out / _RECORD).is_file() else "something else:"
        raise InputError(f"{out} is not empty and holds {holds} choose another folder")
    left_behind = partial.is_dir() and ((partial / _RECORD).is_file() or not any(partial.iterdir()))
    if partial.exists() and not left_behind:
        raise InputError(f"{partial} is in the way and was not made by an export: move it")


def _write(data: str | Path, split: str, format: str, task: str, partial: Path, out: Path) -> Exported:
    """Everything of OUT, made in OUT.partial."""
    form = FORMATS[format]
    files: dict[str, RowFile] = {}
    left_out: Counter[str] = Counter()
    sources: Counter[tuple[str, str]] = Counter()
    uneven = 0
    with ExitStack() as stack:
        log = stack.enter_context((partial / "left_out.jsonl").open("w", encoding="utf-8"))
        for sample in read_samples(data, split, task):
            if sample.answer is None:
                raise InputError(f"{data}: the {split} split has no answers to train on: export a split that has some")
            reason = _reason(sample, form)
            if reason:
                left_out[reason] += 1
                log.write(json_line({"index": sample.index, "task": sample.task, "id": sample.id, "reason": reason}))
                continue
            _check_clip(data, sample)
            fps = _rate(sample.fps) if form.one_rate else ""
            if fps not in files:
                path = partial / (f"{split}-fps-{fps}.jsonl" if fps else f"{split}.jsonl")
                files[fps] = RowFile(path, stack.enter_context(path.open("w", encoding="utf-8")), fps)
            file = files[fps]
            file.stream.write(json_line(form.row(sample)))
            file.n_rows += 1
            file.most_frames = max(file.most_frames, len(sample.frame_times_s))
            sources[sample.source, sample.licence] += 1
            uneven += not _even(sample)
    if not files:
        why = ", ".join(f"{n} rows: {reason}" for reason, n in left_out.items())
        raise InputError(
            f"{data}: no row of the {split} split can be exported ({why}): medvidbench data attach adds clips"
        )
    written = sorted(files.values(), key=lambda file: float(file.fps or 0))
    made = Export(str(data), split, task, out, written)
    exported = Exported(
        folder=out,
        files=tuple(out / file.path.name for file in written),
        n_rows=sum(file.n_rows for file in written),
        left_out=dict(left_out),
        uneven=uneven,
    )
    if format == "llamafactory":
        (partial / "dataset_info.json").write_text(json.dumps(dataset_info(made), indent=2) + "\n", encoding="utf-8")
    (partial / "README.md").write_text(_readme(format, made, exported, sources), encoding="utf-8")
    record = {
        "format": format,
        "data": str(data),
        "split": split,
        "task": task,
        "version": medvidbench_hf.__version__,
        "files": {f.path.name: {"rows": f.n_rows, "fps": float(f.fps) if f.fps else None} for f in written},
        "left_out": exported.left_out,
        "uneven": uneven,
    }
    (partial / _RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return exported


def _reason(sample: Sample, form: Format) -> str | None:
    """Why a row cannot be trained on; None for one that can."""
    if sample.video is None:
        return NO_CLIP
    if len(sample.frame_times_s) < form.least_frames:
        return ONE_FRAME
    if sample.task == "region_caption" and sample.region is None:
        return NO_BOX
    if _TAGS.search(sample.question) or _TAGS.search(sample.answer or ""):
        return MEDIA_TAG
    return None


def _check_clip(data: str | Path, sample: Sample) -> None:
    """InputError for a clip that a loader could not open."""
    clip = sample.video or ""
    where = f"{data} {sample.split}[{sample.index}] field video: {clip!r}"
    if "://" in clip:
        raise InputError(
            f"{where} is an address, which no loader opens: make clips here, medvidbench data build or attach"
        )
    if not Path(clip).is_absolute() or not Path(clip).is_file():
        raise InputError(f"{where} is no file here: was the folder moved? medvidbench data relocate {data}")


def _rate(fps: float) -> str:
    """The rate to set for a row, to two digits, so that odd rates cannot make a file for every row."""
    return f"{float(f'{fps:.2g}'):g}"


def _even(sample: Sample) -> bool:
    """Whether the frames are evenly spaced between the first and the last, to half a frame interval."""
    first, *_, last = (*sample.frame_times_s, sample.frame_times_s[-1])
    step_s = (last - first) / max(1, len(sample.frame_times_s) - 1)
    return all(abs(t - first - k * step_s) <= step_s / 2 for k, t in enumerate(sample.frame_times_s))


_TIME = """One run has one rate ({rates}). The loader picks frames by their place in the clip and tells the model times
from the clip's mean rate: within two frame intervals of the truth where frames are evenly spaced. Uneven (holes,
repeats, slips of the source): {uneven} of {n_rows} rows, whose true times do not reach the model. Files of several
rates can share a run at the highest rate: a loader takes no more frames than a clip has."""


def _readme(format: str, made: Export, exported: Exported, sources: Counter[tuple[str, str]]) -> str:
    form = FORMATS[format]
    left_out = ", ".join(f"{n} ({reason})" for reason, n in exported.left_out.items()) or "none"
    parts = [
        f"# MedVidBench for {form.title}",
        f"{exported.n_rows} rows of the {made.split} split ({made.task}) of {made.data}, by medvidbench_hf"
        f" {medvidbench_hf.__version__}. Left out: {left_out}.",
        "| file | rows | fps to set | frames at most |\n|---|---|---|---|\n"
        + "\n".join(f"| {f.path.name} | {f.n_rows} | {f.fps or 'per row'} | {f.most_frames} |" for f in made.files),
        "## What to set",
        form.settings(made),
    ]
    if form.one_rate:
        rates = ", ".join(f.fps for f in made.files)
        parts += ["## Time", _TIME.format(rates=rates, uneven=exported.uneven, n_rows=exported.n_rows)]
    parts += [
        "## Boxes",
        "Boxes are in pixels of the row's `canvas` (width, height), whatever the size of the clip. The box that a\n"
        "region question points at stands in words after the question.",
        "## Licences",
        "\n".join(f"- {source}: {licence} (rows: {n})" for (source, licence), n in sorted(sources.items())),
    ]
    return "\n\n".join(parts) + "\n"
