"""Samples -> Parquet, a config per task, every clip stored once.

`build` writes a folder that `load_dataset(folder, "stg", split="test")` reads; `MedVidBench` is the same as a
`datasets` builder, and `load` is that in one line. `datasets` refuses loading scripts on the Hub since 4.0, so the
script is this module, run from Python, and what goes to the Hub is what it writes:

    OUT/README.md                          dataset card with the `configs:` YAML
    OUT/build.json                         what was read, built and left out
    OUT/dropped.jsonl                      each row left out, with its reason
    OUT/data/<task>/<split>-00000.parquet  rows; the `video` column holds the clip's absolute path
    OUT/clips/<source>/<video_id>/...      one file a clip, however many rows ask about it

All of it is made in OUT.building/.unfinished and renamed at the end: OUT is complete or absent. A killed build goes
on with the clips it has. Memory does not grow with the number of rows.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import shutil
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from datasets.builder import Key
from filelock import FileLock, Timeout
from huggingface_hub import DatasetCardData
from rich.progress import track

import medvidbench_hf
from medvidbench_hf.sample import SPLITS, TASKS, InputError, Sample, features
from medvidbench_hf.sources import Dropped, Reading, source_module
from medvidbench_hf.tasks import gold_problem

ROWS_PER_GROUP = 1_000  # a row with 100 frame times is about 1 kB, so a row group is about 1 MB
ROWS_PER_FILE = 100_000
VIDEOS_PER_CHUNK = 64
LOCK_WAIT_S = 3  # the workers of a build that was killed live on for a second

_CARD = Path("dataset_card", "template.md")


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
        rows, dropped = _write_rows(source, reading, partial, out, num_proc, progress)
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
        (partial / "README.md").write_text(_card(built, partial), encoding="utf-8")
        (partial / "build.json").write_text(json.dumps(asdict(built), indent=1) + "\n", encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
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
    card = folder / "README.md"
    written = re.sub(
        r"(?m)^(\s*description: rows )\w+$", rf"\g<1>{rows_digest(folder)}", card.read_text(encoding="utf-8")
    )
    card.write_text(written, encoding="utf-8")
    return changed


def rows_digest(folder: Path) -> str:
    """Names the rows of a folder. In the card it keeps the cache of `datasets` apart from that of an earlier build.

    For a local folder `datasets` 5.2 keys its cache on the card's configs alone: without this a folder that was built
    again, or relocated, would go on loading the old rows.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("data/*/*.parquet")):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def read_samples(data: str | Path, split: str, task: str = "all") -> Iterator[Sample]:
    """The rows of a built folder or a Hub data set as Samples, clips not decoded.

    Raises InputError for a folder that is no data set, and for a config or split that it does not have.
    """
    if Path(data).is_dir():
        read_build(data)
    elif str(data).count("/") != 1 or Path(data).is_absolute() or str(data).startswith("."):
        raise InputError(
            f"{data}: no such folder; --data takes a folder made by `medvidbench data build`, or ORG/NAME on the Hub"
        )
    try:
        rows = datasets.load_dataset(str(data), task, split=split)
    except ValueError as error:
        raise InputError(f"{data}: {str(error).splitlines()[0]}") from None
    for row in rows.cast_column("video", datasets.Video(decode=False)):
        yield Sample.from_row(row)


class MedVidBenchConfig(datasets.BuilderConfig):
    """A task of a source, or all of them. `fingerprint` keeps the cache apart when the annotations change."""

    def __init__(self, source: str = "", fingerprint: str = "", **kwargs: Any) -> None:
        super().__init__(version=datasets.Version(medvidbench_hf.__version__), **kwargs)
        self.source = source
        self.fingerprint = fingerprint


class MedVidBench(datasets.ArrowBasedBuilder):
    """The `datasets` builder: one config a task, and `all`; the caption variants are the column `variant`.

        builder = MedVidBench(config_name="tal", source="nurvid", root="NurViD-benchmark")
        builder.download_and_prepare()
        builder.as_dataset(split="test")

    The eight configs share one built folder in the cache, so a source is read and its clips are cut once.
    """

    BUILDER_CONFIG_CLASS = MedVidBenchConfig
    BUILDER_CONFIGS: ClassVar = [MedVidBenchConfig(name=name) for name in (*TASKS, "all")]
    DEFAULT_CONFIG_NAME = "all"

    def __init__(
        self,
        *,
        source: str,
        root: str | Path | None = None,
        config_name: str = "all",
        cache_dir: str | None = None,
        num_proc: int = 1,
        **options: Any,
    ) -> None:
        if config_name not in (*TASKS, "all"):
            raise InputError(f"unknown task {config_name!r}; known: {', '.join(TASKS)}, all")
        stamp = fingerprint(source, source_module(source).read(root, **options), options)
        self.source_root, self.options, self.num_proc = root, options, num_proc
        super().__init__(
            cache_dir=cache_dir, dataset_name="medvidbench", config_name=config_name, source=source, fingerprint=stamp
        )

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=features(), homepage="https://arxiv.org/abs/2512.06581")

    def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
        folder = Path(self._cache_dir_root, "medvidbench", "built", f"{self.config.source}-{self.config.fingerprint}")
        build(self.config.source, folder, root=self.source_root, num_proc=self.num_proc, progress=True, **self.options)
        generators = []
        for split, files in data_files(folder, self.config.name).items():
            generators.append(datasets.SplitGenerator(name=split, gen_kwargs={"files": files}))
        if not generators:
            raise InputError(
                f"{self.config.source} feeds no {self.config.name}; it feeds {', '.join(read_build(folder).rows)}"
            )
        return generators

    def _generate_tables(self, files: list[Path]) -> Iterator[tuple[Key, pa.Table]]:
        # Tables, not examples: the rows are Arrow already, and encoding them again one by one takes 15 times as long.
        for n, path in enumerate(files):
            for k, batch in enumerate(pq.ParquetFile(path).iter_batches(ROWS_PER_GROUP)):
                yield Key(n, k), pa.Table.from_batches([batch])


def load(
    task: str = "all", split: str | None = None, *, source: str, root: str | Path | None = None, **options: Any
) -> Any:
    """Build a source, or take it from the cache, and load one config: `load("stg", split="test", source="simulated")`.

    Returns a `datasets.Dataset`, or a `DatasetDict` without `split`.
    """
    builder = MedVidBench(config_name=task, source=source, root=root, **options)
    builder.download_and_prepare()
    return builder.as_dataset(split=split)


def data_files(folder: Path, config: str) -> dict[str, list[Path]]:
    """split -> the Parquet files of a config, by task and shard."""
    tasks = TASKS if config == "all" else (config,)
    found = {
        split: [p for task in tasks for p in sorted(folder.glob(f"data/{task}/{split}-*.parquet"))] for split in SPLITS
    }
    return {split: files for split, files in found.items() if files}


# --- rows ------------------------------------------------------------------------------------------------------


@dataclass
class _Chunk:
    """The rows of some videos of one split: task -> table, numbered from 0 over all tasks."""

    split: str
    tables: dict[str, pa.Table]
    n_rows: int
    dropped: list[Dropped]


def _write_rows(
    source: str, reading: Reading, partial: Path, out: Path, num_proc: int, progress: bool
) -> tuple[dict[str, dict[str, int]], Counter[str]]:
    """Make every row and clip; (task -> split -> rows, reason -> rows left out)."""
    chunks = [(source, videos, partial, out) for videos in _chunks(reading.videos, num_proc)]
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


def _chunks(videos: Sequence[Any], num_proc: int) -> Iterator[list[Any]]:
    """The videos in portions of one split each, in order within their split."""
    size = max(
        1, min(VIDEOS_PER_CHUNK, len(videos) // (8 * num_proc))
    )  # small enough to share out and to show progress
    for split in SPLITS:
        of_split = [video for video in videos if video.split == split]
        for first in range(0, len(of_split), size):
            yield of_split[first : first + size]


def _in_order(chunks: list[tuple[Any, ...]], num_proc: int) -> Iterator[_Chunk]:
    """The chunks made by worker processes, in order, a few ahead of the writer at most."""
    if num_proc <= 1 or len(chunks) <= 1:
        yield from map(_make_chunk, chunks)
        return
    ahead = threading.Semaphore(4 * num_proc)

    def feed() -> Iterator[tuple[Any, ...]]:
        for chunk in chunks:
            ahead.acquire()
            yield chunk

    with multiprocessing.Pool(num_proc, initializer=_die_with_parent) as pool:
        for made in pool.imap(_make_chunk, feed()):
            yield made
            ahead.release()


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work forever."""
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


# --- card ------------------------------------------------------------------------------------------------------


def _count_warnings(reading: Reading) -> list[str]:
    differing = {name: n for name, n in reading.known.items() if reading.found.get(name) != n}
    return [f"{reading.found.get(name, 0)} {name} found, its owners count {n}" for name, n in differing.items()]


def _card(built: Built, folder: Path) -> str:
    """The data set card: YAML with the configs, then the template filled from the build."""
    configs: list[dict[str, Any]] = []
    for name in ("all", *built.rows):
        files = data_files(folder, name)
        patterns = {
            s: list(dict.fromkeys(f"data/{p.parent.name}/{s}-*.parquet" for p in paths)) for s, paths in files.items()
        }
        config = {
            "config_name": name,
            "description": f"rows {rows_digest(folder)}",
            "data_files": [
                {"split": split, "path": paths if len(paths) > 1 else paths[0]} for split, paths in patterns.items()
            ],
        }
        configs.append({**config, "default": True} if name == "all" else config)
    sources = Counter[tuple[str, str]]()
    for path in sorted(folder.glob("data/*/*.parquet")):
        table = pq.read_table(path, columns=["source", "licence"])
        for pair in table.group_by(["source", "licence"]).aggregate([([], "count_all")]).to_pylist():
            sources[pair["source"], pair["licence"]] += pair["count_all"]
    simulated = built.source == "simulated"
    data = DatasetCardData(
        pretty_name="MedVidBench (simulated)"
        if simulated
        else f"MedVidBench built from {', '.join(sorted({s for s, _ in sources}))}",
        license="apache-2.0" if simulated else "other",
        language=["en"],
        task_categories=["video-text-to-text", "visual-question-answering"],
        tags=["medical", "video", "temporal-grounding", "medvidbench", *(["simulated"] if simulated else [])],
        configs=configs,
    )
    splits = [split for split in SPLITS if any(split in counts for counts in built.rows.values())]
    count_rows = [
        f"| {task} | {' | '.join(str(counts.get(s, 0)) for s in splits)} |" for task, counts in built.rows.items()
    ]
    body = _template().format(
        title=data.pretty_name,
        origin=(
            "Every video, question and answer here is **simulated**: drawn and written by code, from a seed. Nothing "
            "in it is a medical recording, and no score on it says anything about medical ability."
            if simulated
            else "Built from the annotations of the sources below by `medvidbench data build`."
        ),
        media=f"{built.clips} clips, each stored once." if built.clips else "Text only: the `video` column is empty.",
        splits=f"| task | {' | '.join(splits)} |\n|---|{'---|' * len(splits)}\n" + "\n".join(count_rows),
        sources="| source | licence | rows |\n|---|---|---|\n"
        + "\n".join(f"| {name} | {licence} | {n} |" for (name, licence), n in sorted(sources.items())),
        dropped="\n".join(f"- {n} rows: {reason}" for reason, n in built.dropped.items()) or "None.",
        warnings="\n".join(f"- {warning}" for warning in built.warnings) or "None.",
        version=built.version,
    )
    return f"---\n{data.to_yaml()}\n---\n{body}"


def _template() -> str:
    """The card's text, out of the wheel or out of a checkout."""
    here = Path(medvidbench_hf.__file__).parent
    return next(p for p in (here / _CARD, here.parent / _CARD) if p.is_file()).read_text(encoding="utf-8")
