"""From samples to Parquet: rows made in worker processes, checked, numbered and written in order."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from rich.progress import track

from medvidbench_hf.sample import TASKS, Sample, features
from medvidbench_hf.sources import Dropped, Reading, source_module
from medvidbench_hf.tasks import gold_problem

ROWS_PER_GROUP = 1_000  # a row with 100 frame times is about 1 kB, so a row group is about 1 MB
ROWS_PER_FILE = 100_000
VIDEOS_PER_CHUNK = 64


@dataclass
class _Chunk:
    """The rows of some videos of one split: task -> table, numbered from 0 over all tasks."""

    split: str
    tables: dict[str, pa.Table]
    n_rows: int
    dropped: list[Dropped]


def write_rows(
    source: str, reading: Reading, partial: Path, out: Path, num_proc: int, progress: bool
) -> tuple[dict[str, dict[str, int]], Counter[str]]:
    """Make every row and clip; (task -> split -> rows, reason -> rows left out)."""
    chunks = [(source, videos, partial, out) for videos in _chunks(reading, num_proc)]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    next_index: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    writers = _Writers(partial / "data")
    try:
        with (partial / "dropped.jsonl").open("w", encoding="utf-8") as log:
            done = _in_order(chunks, num_proc)
            for chunk in track(done, description=f"building {source}", total=len(chunks), disable=not progress):
                for task, table in chunk.tables.items():
                    column = table.schema.get_field_index("index")
                    index = pa.compute.add(table.column(column), next_index[chunk.split])
                    writers.write(task, chunk.split, table.set_column(column, table.schema.field(column), index))
                    counts[task][chunk.split] += table.num_rows
                next_index[chunk.split] += chunk.n_rows
                for row in chunk.dropped:
                    dropped[row.reason] += 1
                    log.write(json.dumps(row._asdict()) + "\n")
    finally:
        writers.close()
    return {task: dict(counts[task]) for task in TASKS if task in counts}, dropped


def _chunks(reading: Reading, num_proc: int) -> Iterator[list[Any]]:
    """The videos in portions of one split each, in order within their split."""
    # Small enough to share out, to show progress, and to stop soon.
    size = 1 if reading.media else max(1, min(VIDEOS_PER_CHUNK, len(reading.videos) // (8 * num_proc)))
    # Of the splits there are, not of those there should be: a wrong one has to reach the sample's own check.
    for split in dict.fromkeys(video.split for video in reading.videos):
        of_split = [video for video in reading.videos if video.split == split]
        for first in range(0, len(of_split), size):
            yield of_split[first : first + size]


def _in_order(chunks: list[tuple[Any, ...]], num_proc: int) -> Iterator[_Chunk]:
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


def _make_chunk(job: tuple[str, Sequence[Any], Path, Path]) -> _Chunk:
    """Rows, clips and gold checks of some videos of one split."""
    source, videos, partial, out = job
    module = source_module(source)
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    dropped, n_rows = [], 0
    for video in videos:
        for sample in module.samples(video):
            if isinstance(sample, Dropped):
                dropped.append(sample)
                continue
            problem = gold_problem(sample)
            if problem:
                row = (
                    sample.source,
                    sample.split,
                    sample.video_id,
                    sample.task,
                    "its own answer does not score 1",
                    problem,
                )
                dropped.append(Dropped(*row))
                continue
            row = sample.to_row()
            if sample.video is not None:
                _write_clip(module, video, sample, partial / sample.video)
                row["video"]["path"] = str(out / sample.video)
            row["index"] = n_rows
            rows[sample.task].append(row)
            n_rows += 1
    schema = features().arrow_schema
    tables = {task: pa.Table.from_pylist(rows[task], schema=schema) for task in TASKS if task in rows}
    return _Chunk(videos[0].split, tables, n_rows, dropped)


def _write_clip(module: Any, video: Any, sample: Sample, path: Path) -> None:
    """Write the sample's clip unless it is there: a clip file appears whole, so one that exists is complete."""
    if not path.exists():
        from medvidbench_hf.video import encode

        encode(module.clip_frames(video, sample), sample.frame_times_s, path)


class _Writers:
    """One open Parquet file a task and split, filled by whole row groups, followed by the next when it is full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: dict[tuple[str, str], list[pa.Table]] = defaultdict(list)
        self.open: dict[tuple[str, str], pq.ParquetWriter] = {}
        self.files: Counter[tuple[str, str]] = Counter()
        self.rows: Counter[tuple[str, str]] = Counter()

    def write(self, task: str, split: str, table: pa.Table) -> None:
        key = task, split
        self.waiting[key].append(table)
        if sum(t.num_rows for t in self.waiting[key]) >= ROWS_PER_GROUP:
            self._flush(key)

    def _flush(self, key: tuple[str, str]) -> None:
        table = pa.concat_tables(self.waiting.pop(key))
        if key not in self.open:
            path = self.folder / key[0] / f"{key[1]}-{self.files[key]:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            self.open[key] = pq.ParquetWriter(path, table.schema)
            self.files[key] += 1
        self.open[key].write_table(table, row_group_size=ROWS_PER_GROUP)
        self.rows[key] += table.num_rows
        if self.rows[key] >= ROWS_PER_FILE:
            self.open.pop(key).close()
            self.rows[key] = 0

    def close(self) -> None:
        for key in list(self.waiting):
            self._flush(key)
        for writer in self.open.values():
            writer.close()
