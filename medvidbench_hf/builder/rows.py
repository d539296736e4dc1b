"""From samples to Parquet: rows made in worker processes, checked, numbered and written in order."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from zlib import crc32

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from filelock import FileLock
from rich.progress import track

from medvidbench_hf.sample import TASKS, InputError, Sample, features
from medvidbench_hf.sources import Dropped, Flagged, Reading, source_module
from medvidbench_hf.tasks import gold_problem

ROWS_PER_GROUP = 1_000  # a row with 100 frame times is about 1 kB, so a row group is about 1 MB
ROWS_IN_FIRST_FILE = 250
ROWS_PER_FILE = 16_000
VIDEOS_PER_CHUNK = 64
LOCKS = ".locks"
NO_CLIP = "its clip cannot be made"


@dataclass
class _Chunk:
    """The rows of some videos of one split: task -> table, numbered from 0 over all tasks."""

    split: str
    tables: dict[str, pa.Table]
    n_rows: int
    dropped: list[Dropped]
    flagged: list[Flagged]


class _Job(NamedTuple):
    """Some videos of one split, for a worker."""

    source: str
    videos: list[Any]
    partial: Path
    out: Path
    codec: str
    keeps_rows: bool


class Written(NamedTuple):
    """What was written: task -> split -> rows, and reason -> rows left out, reason -> rows kept all the same."""

    rows: dict[str, dict[str, int]]
    dropped: Counter[str]
    flagged: Counter[str]


def write_rows(
    source: str, reading: Reading, partial: Path, out: Path, num_proc: int, codec: str, progress: bool
) -> Written:
    """Make every row and clip."""
    chunks = [_Job(source, videos, partial, out, codec, reading.keeps_rows) for videos in _portions(reading, num_proc)]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    next_index: Counter[str] = Counter()
    written = Written({}, Counter(), Counter())
    writers = _Writers(partial / "data")
    try:
        with _log(partial / "dropped.jsonl") as dropped, _log(partial / "flagged.jsonl") as flagged:
            done = _in_order(chunks, num_proc)
            for chunk in track(done, description=f"building {source}", total=len(chunks), disable=not progress):
                for task, table in chunk.tables.items():
                    if not reading.keeps_rows:
                        column = table.schema.get_field_index("index")
                        index = pa.compute.add(table.column(column), next_index[chunk.split])
                        table = table.set_column(column, table.schema.field(column), index)
                    writers.write(task, chunk.split, table)
                    counts[task][chunk.split] += table.num_rows
                next_index[chunk.split] += chunk.n_rows
                for row in chunk.dropped:
                    written.dropped[row.reason] += 1
                    dropped.write(json.dumps(row._asdict()) + "\n")
                for mark in chunk.flagged:
                    written.flagged[mark.reason] += 1
                    flagged.write(json.dumps(asdict(mark)) + "\n")
    finally:
        writers.close()
    written.rows.update({task: dict(counts[task]) for task in TASKS if task in counts})
    return written


def _log(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8")


def _portions(reading: Reading, num_proc: int) -> Iterator[list[Any]]:
    """The videos in portions of one split each, in order within their split."""
    # Small enough to share out, to show progress, and to stop soon; a row that is kept brings one clip at most.
    most = VIDEOS_PER_CHUNK if not reading.media else 8 if reading.keeps_rows else 1
    size = max(1, min(most, len(reading.videos) // (8 * num_proc)))
    # Of the splits there are, not of those there should be: a wrong one has to reach the sample's own check.
    for split in dict.fromkeys(video.split for video in reading.videos):
        of_split = [video for video in reading.videos if video.split == split]
        for first in range(0, len(of_split), size):
            yield of_split[first : first + size]


def _in_order(chunks: list[_Job], num_proc: int) -> Iterator[_Chunk]:
    """The chunks made by worker processes, in order, a few ahead of the writer at most."""
    if num_proc <= 1 or len(chunks) <= 1:
        yield from map(_make_chunk, chunks)
        return
    waiting: deque[Future[_Chunk]] = deque()
    with ProcessPoolExecutor(num_proc, initializer=_start_worker) as pool:
        try:
            for chunk in chunks:
                waiting.append(pool.submit(_make_chunk, chunk))
                if len(waiting) == 4 * num_proc:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise OSError("a worker process was killed, perhaps for memory: try a smaller --num-proc") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it: a worker whose parent was killed would wait for work forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _make_chunk(job: _Job) -> _Chunk:
    """Rows, clips and gold checks of some videos of one split."""
    module = source_module(job.source)
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    dropped: list[Dropped] = []
    flagged: list[Flagged] = []
    n_rows = 0
    for video in job.videos:
        for sample in module.samples(video):
            if isinstance(sample, Dropped):
                dropped.append(sample)
                continue
            if isinstance(sample, Flagged):
                flagged.append(sample)
                continue
            about = (sample.source, sample.split, sample.video_id, sample.task)
            problem = None if job.keeps_rows else gold_problem(sample)
            if problem:
                dropped.append(Dropped(*about, "its own answer does not score 1", problem))
                continue
            row = sample.to_row()
            # A path of an attached row may be another machine's: only clips of this build are made.
            if sample.video is not None and sample.video.startswith("clips/"):
                clip, there = Path(sample.video), getattr(video, "clip", None)
                if there is None:
                    clip = clip.with_suffix(".mkv" if job.codec == "copy" else ".mp4")
                try:
                    _write_clip(module, video, sample, job.partial, clip, job.codec, there)
                    row["video"]["path"] = str(job.out / clip)
                except InputError as error:
                    if not job.keeps_rows:
                        raise
                    row["video"] = None
                    flagged.append(Flagged(*about, NO_CLIP, str(error), sample.index))
            if not job.keeps_rows:
                row["index"] = n_rows
            rows[sample.task].append(row)
            n_rows += 1
    schema = features().arrow_schema
    tables = {task: pa.Table.from_pylist(rows[task], schema=schema) for task in TASKS if task in rows}
    return _Chunk(job.videos[0].split, tables, n_rows, dropped, flagged)


def _write_clip(
    module: Any, video: Any, sample: Sample, partial: Path, clip: Path, codec: str, there: str | None
) -> None:
    """Write the sample's clip unless it is done: a clip file appears whole, so one that exists is complete.

    there: a clip of another data set, which is taken over as it is.
    """
    path = partial / clip
    if path.exists():
        return
    from medvidbench_hf.video import encode

    locks = partial / LOCKS
    locks.mkdir(exist_ok=True)
    # Rows that share a clip may be with other workers; a few locks are enough, and the build takes them away.
    with FileLock(locks / f"{crc32(bytes(clip)) % 64}"):
        if path.exists():
            return
        if there is not None:
            _take_over(Path(there), path)
        else:
            encode(module.clip_frames(video, sample), sample.frame_times_s, path, codec=codec)


def _take_over(file: Path, path: Path) -> None:
    """The file at another place too: the same bytes on the disk where that can be, else a copy."""
    if not file.is_file():
        raise InputError(f"{file}: no such clip; after a move run `medvidbench data relocate`")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            os.link(file, partial)
        except OSError:
            shutil.copyfile(file, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class _Writers:
    """One open Parquet file a task and split, filled by whole row groups, followed by the next when it is full.

    Readers of a stream fetch a file whole before its first row, so the first file of a config is small and each
    later one twice as large as the one before, up to a limit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: dict[tuple[str, str], list[pa.Table]] = defaultdict(list)
        self.open: dict[tuple[str, str], pq.ParquetWriter] = {}
        self.files: Counter[tuple[str, str]] = Counter()
        self.room: dict[tuple[str, str], int] = {}  # rows that still go into the open file

    def write(self, task: str, split: str, table: pa.Table) -> None:
        key = task, split
        self.waiting[key].append(table)
        n_waiting = sum(t.num_rows for t in self.waiting[key])
        while n_waiting >= min(ROWS_PER_GROUP, self.room.get(key, ROWS_IN_FIRST_FILE)):
            n_waiting -= self._write_group(key)

    def _write_group(self, key: tuple[str, str]) -> int:
        """Write the next row group of what is waiting; its rows."""
        if key not in self.open:
            path = self.folder / key[0] / f"{key[1]}-{self.files[key]:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.open[key] = pq.ParquetWriter(path, self.waiting[key][0].schema, compression="zstd")
            self.room[key] = min(ROWS_IN_FIRST_FILE << self.files[key], ROWS_PER_FILE)
            self.files[key] += 1
        table = pa.concat_tables(self.waiting[key])
        n_rows = min(table.num_rows, ROWS_PER_GROUP, self.room[key])
        self.open[key].write_table(table.slice(0, n_rows), row_group_size=n_rows)
        self.waiting[key] = [table.slice(n_rows)]
        self.room[key] -= n_rows
        if not self.room[key]:
            self.open.pop(key).close()
            self.room[key] = min(ROWS_IN_FIRST_FILE << self.files[key], ROWS_PER_FILE)
        return n_rows

    def close(self) -> None:
        for key, tables in self.waiting.items():
            while sum(t.num_rows for t in tables):
                self._write_group(key)
                tables = self.waiting[key]
        for writer in self.open.values():
            writer.close()
