"""Measure what streaming costs: seconds and bytes from `load_dataset(..., streaming=True)` to a decoded frame.

    python -m tests.bench.streaming

6,000 rows over 4,000 clips lie on the Hub stub, in the files and row groups that the builder makes. The clips go
straight into the stub's storage, as one upload of 4,000 files takes minutes and measures nothing of ours. Each
measurement is a process of its own with empty caches; importing datasets and torchcodec is timed apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from medvidbench_hf.builder import build
from medvidbench_hf.video import encode
from tests.hub_stub import CHECKOUT, Hub, running
from tests.hub_stub.storage import File, Store

ROWS, CLIPS = 6_000, 4_000
SOURCES, VIDEOS = 8, 60  # of the clips; 8 or 9 clips in a video's folder
BUILT_VIDEOS = 4_150  # of the simulated source, which feed a little more than ROWS rows of stg
TASK = "stg"  # the task with the longest rows
REPO = "org/streamed"

#: what is read -> how the row is reached
ROWS_READ = {"first": "ds", "skipped": "ds.skip(5_500)", "shuffled": "ds.shuffle(seed=1, buffer_size=100)"}

#: part of a request's path -> what the bytes were for
READ_FOR = {
    "/revision/": "info_bytes",  # names every file of the repository
    "/tree/": "listing_bytes",
    ".parquet": "parquet_bytes",
    ".mp4": "clip_bytes",
}

CLIENT = """
import json, os, sys, time
started = time.perf_counter()
import datasets, torchcodec.decoders
imported = time.perf_counter()
ds = datasets.load_dataset(sys.argv[1], sys.argv[2], split="train", streaming=True)
loaded = time.perf_counter()
stream = iter({rows})
row = next(stream)
reached = time.perf_counter()
assert row["video"][0].shape[0] == 3
done = time.perf_counter()
times = {{"import_s": imported - started, "load_s": loaded - imported, "row_s": reached - loaded}}
times |= {{"frame_s": done - reached, "s": done - imported}}
print(json.dumps([times, row["video"]._hf_encoded["path"]]), flush=True)
os._exit(0)  # closing a shuffled stream makes `datasets` sleep for 5 s
"""


def measure(folder: Path) -> dict[str, float | int]:
    """Put the data set on a stub in an empty folder and stream from it. Times in s, sizes in bytes of body."""
    sizes = publish(folder)
    measured: dict[str, float | int] = dict(sizes)
    with running(folder / "hub") as hub:
        places = set()
        for name, rows in ROWS_READ.items():
            told, clip = stream(hub, rows)
            places.add(clip.rpartition("/")[0])
            measured |= {f"{name}_{key}": value for key, value in told.items()}
        assert len(places) == len(ROWS_READ), f"the rows' clips share a folder: {places}"
    return measured


def publish(folder: Path) -> dict[str, int]:
    """Clips, then rows that name the clips' commit, then the tag."""
    store, repo = Store(folder / "hub"), f"datasets/{REPO}"
    store.create(repo)
    files = [store.large_file(clip) for clip in made_clips(folder / "made")]
    names = [
        f"clips/Source{k % SOURCES}/video_{k // SOURCES % VIDEOS:03d}/{k // (SOURCES * VIDEOS) * 30}-{k:08x}.mp4"
        for k in range(CLIPS)
    ]
    clips = store.commit(repo, "main", "clips", [(name, files[k % len(files)]) for k, name in enumerate(names)])
    build("simulated", folder / "built", videos=BUILT_VIDEOS, media=False, num_proc=2)
    addresses = [f"hf://{repo}@{clips}/{names[row * CLIPS // ROWS]}" for row in range(ROWS)]
    tables = [store.large_file(path) for path in with_clips(folder / "built", folder / "made", addresses)]
    rows: list[tuple[str, File | None]] = [
        (f"data/{TASK}/train-{k:05d}.parquet", table) for k, table in enumerate(tables)
    ]
    card = f"""\
---
configs:
- config_name: {TASK}
  data_files:
  - split: train
    path: data/{TASK}/train-*.parquet
---
"""
    rows.append(("README.md", store.text_file(card.encode())))
    commit = store.commit(repo, "main", "rows", rows)
    with store.changed_meta(repo) as meta:
        meta["tags"]["v1"] = commit
    sizes = {"rows": ROWS, "clips": CLIPS, "clip_bytes": sum(f.size for f in files) // len(files)}
    return {**sizes, "parquet_files": len(tables), "parquet_bytes": sum(t.size for t in tables)}


def made_clips(folder: Path) -> list[Path]:
    """Four clips of 32 frames, about 0.2 MB each: coloured blocks that move."""
    random, paths = np.random.default_rng(0), []
    for k in range(4):
        picture = random.integers(0, 255, (28, 32, 3), np.uint8).repeat(8, 0).repeat(8, 1)  # (224, 256, 3)
        frames = np.stack([np.roll(picture, (5 * n, 3 * n), (0, 1)) for n in range(32)])
        paths.append(folder / f"{k}.mp4")
        encode(frames, [2.0 * n for n in range(32)], paths[-1])
    return paths


def with_clips(built: Path, out: Path, addresses: list[str]) -> list[Path]:
    """The first rows of the built task, in the files and row groups that the builder made, with a clip each."""
    paths, n_rows = [], 0
    for path in sorted(built.glob(f"data/{TASK}/train-*.parquet")):
        table = pq.ParquetFile(path)
        paths.append(out / path.name)
        compression = table.metadata.row_group(0).column(0).compression
        with pq.ParquetWriter(paths[-1], table.schema_arrow, compression=compression) as writer:
            for group in range(table.num_row_groups):
                rows = table.read_row_group(group).slice(0, len(addresses) - n_rows)
                column = rows.schema.get_field_index("video")
                field = rows.schema.field(column)
                cells = [{"bytes": None, "path": a} for a in addresses[n_rows : n_rows + rows.num_rows]]
                writer.write_table(rows.set_column(column, field, pa.array(cells, field.type)))
                n_rows += rows.num_rows
        if n_rows == len(addresses):
            return paths
    raise ValueError(f"{n_rows} rows of {TASK} were built, {len(addresses)} are needed: raise BUILT_VIDEOS")


def stream(hub: Hub, rows: str) -> tuple[dict[str, float | int], str]:
    """One client with empty caches: its times and the bytes that moved, by what they were for; the clip it read."""
    hub.clear_log()
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, **hub.environment(), "HF_HOME": home}
        command = [sys.executable, "-c", CLIENT.format(rows=rows), REPO, TASK]
        done = subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"streaming {rows} failed: {done.stderr}")
    times, clip = json.loads(done.stdout)
    told: dict[str, float | int] = {key: round(value, 3) for key, value in times.items()}
    told |= dict.fromkeys(("requests", "bytes", *READ_FOR.values()), 0)
    for line in hub.log():
        told["requests"] += 1
        told["bytes"] += line["bytes"]
        for mark, purpose in READ_FOR.items():
            told[purpose] += line["bytes"] if mark in line["path"] else 0
    return told, clip


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measure(Path(place)), indent=1))
