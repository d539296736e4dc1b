"""A data set folder: build it whole or not at all, read its record, move it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import medvidbench_hf
from medvidbench_hf.builder.card import stamp_card, write_card
from medvidbench_hf.builder.rows import LOCKS, ROWS_PER_GROUP, write_rows
from medvidbench_hf.lock import only_one
from medvidbench_hf.sample import InputError
from medvidbench_hf.sources import Reading, clip_parts, read_source

UNFINISHED = ".unfinished"  # `datasets` finds no file in a hidden folder, so it cannot load half a build
REPLACED = ".replaced"
CODECS = ("h264", "av1", "copy")  # of clips, as `video.encode` has them


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
    dropped: dict[str, int]  # reason -> rows left out
    flagged: dict[str, int] = field(default_factory=dict, kw_only=True)  # reason -> rows that are kept
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
    wait_s: float = 3.0,
    codec: str = "h264",
    **options: Any,
) -> Built:
    """Build a data set folder from a source.

    root: the folder with the source's annotations. options: the source's own (the simulated source takes seed,
    videos, media). wait_s: how long to wait for another process that builds the same folder, -1 without end; the
    workers of a build that was killed live on for a second. codec: of the clips, as `video.encode` takes it.

    An existing `out` that is the same build is returned as it is. With `overwrite` another build is replaced, once the
    new one is complete; a folder that is no build never is. Raises InputError on bad input, naming file, row and
    field, and leaves nothing behind. On OSError (a full disk, a killed worker) what was done stays in OUT.building,
    and the same call goes on with it.
    """
    source = source.lower()
    reading = read_source(source, root, options)
    return make(source, reading, out, num_proc, overwrite, progress, wait_s, codec)


def make(
    source: str,
    reading: Reading,
    out: str | Path,
    num_proc: int = 1,
    overwrite: bool = False,
    progress: bool = False,
    wait_s: float = 3.0,
    codec: str = "h264",
) -> Built:
    """`build` for a source that was read."""
    if codec not in CODECS:
        raise InputError(f"unknown codec {codec!r}; known: {', '.join(CODECS)}")
    stamp = fingerprint(source, reading, codec)
    out = loadable(out)
    building = out.with_name(out.name + ".building")
    with only_one(out, "built", wait_s):
        _restore(out, building)
        present = _present(out, stamp, overwrite)
        if present:
            return present
        if building.exists() and any(building.iterdir()) and not (building / "fingerprint").is_file():
            raise InputError(f"{building} is in the way and was not made by a build: move it")
        try:
            return _make(source, reading, stamp, out, building, num_proc, codec, progress)
        except InputError:
            _clear(building)
            raise
        except OSError as error:
            _restore(out, building)
            raise OSError(f"{error}; what is done stays in {building}, the same command goes on with it") from error


def _make(
    source: str,
    reading: Reading,
    stamp: str,
    out: Path,
    building: Path,
    num_proc: int,
    codec: str,
    progress: bool,
) -> Built:
    """Make everything in OUT.building, then put it in the place of OUT."""
    started = time.monotonic()
    partial, marker = building / UNFINISHED, building / "fingerprint"
    building.mkdir(parents=True, exist_ok=True)
    if not marker.is_file() or marker.read_text() != stamp:
        shutil.rmtree(partial, ignore_errors=True)  # before the marker, which says whose clips these are
        marker.write_text(stamp)
    partial.mkdir(exist_ok=True)
    shutil.rmtree(partial / "data", ignore_errors=True)
    for torn in (partial / "clips").rglob("*.partial"):
        torn.unlink()
    written = write_rows(source, reading, partial, out, num_proc, codec, progress)
    shutil.rmtree(partial / LOCKS, ignore_errors=True)
    if not written.rows:
        lost = written.dropped
        raise InputError(f"{source}: no row could be built ({lost.total()} left out: {dict(lost)})")
    built = Built(
        folder=str(out),
        source=source,
        options=reading.options,
        fingerprint=stamp,
        version=medvidbench_hf.__version__,
        found=reading.found,
        known=reading.known,
        warnings=[*reading.warnings, *_count_warnings(reading)],
        rows=written.rows,
        dropped=dict(written.dropped),
        flagged=dict(written.flagged),
        clips=sum(1 for path in (partial / "clips").rglob("*") if path.is_file()),
        seconds=round(time.monotonic() - started, 1),
    )
    write_card(built, partial)
    _write_build(built, partial)
    if out.exists():
        out.rename(building / REPLACED)
    partial.rename(out)
    _clear(building)  # and with it the replaced build, which until now could come back
    return built


def loadable(out: str | Path) -> Path:
    """OUT as an absolute path that `datasets` can load from; InputError where it is none, or a file."""
    try:
        place = Path(out).resolve()
    except RuntimeError as error:  # a loop of symbolic links
        raise InputError(f"{out}: {error}") from None
    if any(mark in str(place) for mark in ("*", "?", "[", "]", "::")) or place.suffix == ".py":
        raise InputError(
            f"{place}: `datasets` takes *, ?, [, ], :: and .py for patterns or scripts: choose another name"
        )
    if place.exists() and not place.is_dir():
        raise InputError(f"{place} is a file, not a folder")
    return place


def _present(out: Path, stamp: str, overwrite: bool) -> Built | None:
    """The build in OUT where it is the wanted one; None where OUT is free or may be replaced."""
    if not out.is_dir() or not any(out.iterdir()):
        return None
    if not (out / "build.json").is_file():
        raise InputError(f"{out} is not empty and holds no build: choose another folder")
    try:
        built = read_build(out)
    except InputError:
        if overwrite:
            return None
        raise
    if built.fingerprint != stamp:
        if overwrite:
            return None
        raise InputError(f"{out} is not empty and holds another build: choose another folder, or --overwrite")
    if built.folder != str(out):
        raise InputError(f"{out} was built as {built.folder} and moved: medvidbench data relocate {out}")
    return built


def _restore(out: Path, building: Path) -> None:
    """Finish or undo a swap that a kill or an error cut short."""
    replaced = building / REPLACED
    if replaced.exists() and not out.exists():
        replaced.rename(out)
    elif replaced.exists():
        shutil.rmtree(replaced)


def _clear(building: Path) -> None:
    """Remove what a build made in OUT.building, and the folder."""
    shutil.rmtree(building / UNFINISHED, ignore_errors=True)
    shutil.rmtree(building / REPLACED, ignore_errors=True)
    (building / "fingerprint").unlink(missing_ok=True)
    with suppress(OSError):  # something of the user's lies in it
        building.rmdir()


def _write_build(built: Built, folder: Path) -> None:
    (folder / "build.json").write_text(json.dumps(asdict(built), indent=1) + "\n", encoding="utf-8")


def read_build(folder: str | Path) -> Built:
    """The build.json of a folder; InputError where there is none."""
    path = Path(folder) / "build.json"
    try:
        return Built(**json.loads(path.read_text(encoding="utf-8")))
    except NotADirectoryError:
        raise InputError(f"{folder} is a file, not a built folder") from None
    except FileNotFoundError:
        if not Path(folder).is_dir():
            raise InputError(f"{folder}: no such folder") from None
        told = f"; the release's own files are built with --source release --root {folder}"
        told = told if any(Path(folder).glob("*.json")) else ""
        raise InputError(f"{path}: not there; {folder} was not built by `medvidbench data build`{told}") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: not a build record ({error}); build the folder again with --overwrite") from None


def fingerprint(source: str, reading: Reading, codec: str = "h264") -> str:
    """Names a build: package version, source, options, codec, annotation files' bytes, videos' sizes and dates."""
    named = [medvidbench_hf.__version__, source, sorted(reading.options.items()), codec]
    digest = hashlib.sha256(json.dumps(named).encode())
    for path in reading.files:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    seen: set[str | None] = set()
    for video in reading.videos:
        for file in getattr(video, "frames", ()) or (getattr(video, "file", None),):
            if file not in seen:
                seen.add(file)
                stat = file and os.stat(file)  # noqa: PTH116 - of every frame of a data set
                digest.update(str(stat and (file, stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]


def relocate(folder: str | Path) -> int:
    """Rewrite the clip paths of a folder that was moved; the number of rows that changed.

    `datasets` resolves no relative path inside Parquet, so rows hold absolute ones. Only the last three parts of a
    path, source, video and clip, are kept. InputError, and nothing changed, where a clip is not in the folder.
    """
    folder = Path(folder).resolve()
    built = read_build(folder)
    tables = sorted(folder.glob("data/*/*.parquet"))
    places = {path: _places(path, folder) for path in tables}
    changed = 0
    for path in tables:
        partial = path.with_suffix(".partial")
        try:
            with pq.ParquetFile(path) as table, pq.ParquetWriter(partial, table.schema_arrow) as writer:
                for batch in table.iter_batches(ROWS_PER_GROUP):
                    clips = batch.column("video").to_pylist()
                    for clip in clips:
                        place = clip and places[path].get(clip["path"])
                        if place:
                            changed += place != clip["path"]
                            clip["path"] = place
                    column = batch.schema.get_field_index("video")
                    kind = batch.schema.field(column).type
                    writer.write_batch(batch.set_column(column, "video", pa.array(clips, kind)))
            partial.replace(path)
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: not a readable Parquet file ({error})") from None
        finally:
            partial.unlink(missing_ok=True)
    stamp_card(folder)
    _write_build(replace(built, folder=str(folder)), folder)
    return changed


def _places(table: Path, folder: Path) -> dict[str, str]:
    """Clip path in a table -> where that clip is in the folder."""
    try:
        with pq.ParquetFile(table) as rows:
            paths = {
                clip["path"]
                for batch in rows.iter_batches(ROWS_PER_GROUP, columns=["video"])
                for clip in batch.column("video").to_pylist()
                if clip and clip["path"] and not clip["path"].startswith("hf://")
            }
    except pa.ArrowInvalid as error:
        raise InputError(f"{table}: not a readable Parquet file ({error})") from None
    places = {}
    for path in sorted(paths):
        try:
            place = folder / "clips" / Path(*clip_parts(path))
        except InputError as error:
            raise InputError(f"{table} {error}") from None
        if not place.is_file():
            raise InputError(f"{table} field video: {path} is not at {place}: move the clips along with the rows")
        places[path] = str(place)
    return places


def _count_warnings(reading: Reading) -> list[str]:
    differing = {name: n for name, n in reading.known.items() if reading.found.get(name) != n}
    return [f"{reading.found.get(name, 0)} {name} found, its owners count {n}" for name, n in differing.items()]
