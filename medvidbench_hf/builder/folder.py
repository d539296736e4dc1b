"""A data set folder: build it whole or not at all, read its record, move it."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

import medvidbench_hf
from medvidbench_hf.builder.card import stamp_card, write_card
from medvidbench_hf.builder.rows import ROWS_PER_GROUP, write_rows
from medvidbench_hf.sample import InputError
from medvidbench_hf.sources import Reading, source_module

LOCK_WAIT_S = 3  # the workers of a build that was killed live on for a second


@dataclass(frozen=True)
class Built:
    """What a build made, as build.json keeps it."""

    folder: str
    source: str
    options: dict[str, Any]
    fingerprint: str
    version: str
    found: dict[str, int]
    known: dict[str, int]
    warnings: list[str]
    rows: dict[str, dict[str, int]]  # task -> split -> rows
    dropped: dict[str, int]  # reason -> rows
    clips: int
    seconds: float = field(default=0.0, compare=False)

    @property
    def n_rows(self) -> int:
        return sum(sum(splits.values()) for splits in self.rows.values())


def build(
    source: str,
    out: str | Path,
    *,
    root: str | Path | None = None,
    num_proc: int = 1,
    overwrite: bool = False,
    progress: bool = False,
    **options: Any,
) -> Built:
    """Build a data set folder from a source.

    root: the folder with the source's annotations. options: the source's own (the simulated source takes seed,
    videos, media). An existing `out` that is the same build is returned as it is; any other content raises InputError
    unless `overwrite`. Raises InputError on bad input, naming file, row and field, and leaves nothing behind.
    """
    started = time.monotonic()
    reading = source_module(source).read(root, **options)
    stamp = fingerprint(source, reading, options)
    out = Path(out).resolve()
    if (out / "build.json").is_file() and read_build(out).fingerprint == stamp:
        return read_build(out)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a folder")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise InputError(f"{out} is not empty and holds something else: choose another folder, or --overwrite")

    building = out.with_name(out.name + ".building")
    partial = building / ".unfinished"  # `datasets` finds no file in a hidden folder, so it cannot load half a build
    marker = building / "fingerprint"
    building.mkdir(parents=True, exist_ok=True)
    lock = FileLock(building / ".lock", timeout=LOCK_WAIT_S)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{out} is being built by another process") from None
    try:
        if not (marker.is_file() and marker.read_text() == stamp):
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        marker.write_text(stamp)
        shutil.rmtree(partial / "data", ignore_errors=True)
        for torn in (partial / "clips").rglob("*.partial"):
            torn.unlink()
        rows, dropped = write_rows(source, reading, partial, out, num_proc, progress)
        if not rows:
            raise InputError(f"{source}: no row could be built ({sum(dropped.values())} left out: {dict(dropped)})")
        built = Built(
            folder=str(out),
            source=source,
            options=options,
            fingerprint=stamp,
            version=medvidbench_hf.__version__,
            found=reading.found,
            known=reading.known,
            warnings=[*reading.warnings, *_count_warnings(reading)],
            rows=rows,
            dropped=dict(dropped),
            clips=sum(1 for path in (partial / "clips").rglob("*") if path.is_file()),
            seconds=round(time.monotonic() - started, 1),
        )
        write_card(built, partial)
        (partial / "build.json").write_text(json.dumps(asdict(built), indent=1) + "\n", encoding="utf-8")
        if out.exists():
            out.rename(building / ".replaced")
        partial.rename(out)
        shutil.rmtree(building)
    except (InputError, OSError):
        shutil.rmtree(building, ignore_errors=True)
        raise
    finally:
        lock.release()
    return built


def read_build(folder: str | Path) -> Built:
    """The build.json of a folder; InputError where there is none."""
    path = Path(folder) / "build.json"
    try:
        return Built(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: not there; {folder} was not built by `medvidbench data build`") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a build record ({error}); build the folder again with --overwrite") from None


def fingerprint(source: str, reading: Reading, options: dict[str, Any]) -> str:
    """Names a build: package version, source, options, the annotation files' bytes, and which videos have files."""
    digest = hashlib.sha256(json.dumps([medvidbench_hf.__version__, source, sorted(options.items())]).encode())
    for path in reading.files:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    digest.update(str([getattr(video, "file", None) for video in reading.videos]).encode())
    return digest.hexdigest()[:16]


def relocate(folder: str | Path) -> int:
    """Rewrite the clip paths of a folder that was moved; the number of rows that changed.

    `datasets` resolves no relative path inside Parquet, so rows hold absolute ones.
    """
    folder = Path(folder).resolve()
    changed = 0
    files = sorted(folder.glob("data/*/*.parquet"))
    if not files:
        raise InputError(f"{folder}: no data/<task>/<split>.parquet below it")
    for path in files:
        partial = path.with_suffix(".partial")
        with pq.ParquetFile(path) as table, pq.ParquetWriter(partial, table.schema_arrow) as writer:
            for batch in table.iter_batches(ROWS_PER_GROUP):
                clips = batch.column("video").to_pylist()
                for clip in clips:
                    if clip and clip["path"] and not clip["path"].startswith("hf://"):
                        place = folder / "clips" / clip["path"].rpartition("/clips/")[2]
                        changed += str(place) != clip["path"]
                        clip["path"] = str(place)
                column = batch.schema.get_field_index("video")
                writer.write_batch(batch.set_column(column, "video", pa.array(clips, batch.schema.field(column).type)))
        partial.replace(path)
    stamp_card(folder)
    return changed


def _count_warnings(reading: Reading) -> list[str]:
    differing = {name: n for name, n in reading.known.items() if reading.found.get(name) != n}
    return [f"{reading.found.get(name, 0)} {name} found, its owners count {n}" for name, n in differing.items()]
