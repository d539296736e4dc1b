"""The `datasets` side: the builder class, `load` in one line, and rows back as Samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.builder import Key

import medvidbench_hf
from medvidbench_hf.builder.card import data_files
from medvidbench_hf.builder.folder import build, fingerprint, read_build
from medvidbench_hf.builder.rows import ROWS_PER_GROUP
from medvidbench_hf.sample import SPLITS, TASKS, InputError, Sample, features
from medvidbench_hf.sources import read_source


def read_samples(data: str | Path, split: str, task: str = "all") -> Iterator[Sample]:
    """The rows of a built folder or a Hub data set as Samples, clips not decoded.

    Raises InputError for a folder that is no data set, and for a config or split that it does not have.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    try:
        rows = datasets.load_dataset(address(data), task, split=split)
    except (ValueError, datasets.exceptions.DatasetGenerationError) as error:
        problem = error.__cause__ or error
        raise InputError(f"{data}: {' '.join(str(problem).split())[:300]}") from None
    for row in rows.cast_column("video", datasets.Video(decode=False)):
        yield Sample.from_row(row)


def split_names(data: str | Path) -> list[str]:
    """The splits of a data set."""
    return datasets.get_dataset_split_names(address(data), "all")


def address(data: str | Path) -> str:
    """What `datasets` is told: a built folder's whole path (a bare "json" would be its JSON reader), or ORG/NAME."""
    folder = Path(data)
    if folder.is_dir():
        read_build(folder)
        return str(folder.resolve())
    on_the_hub = str(data).count("/") == 1 and not str(data).startswith((".", "~", "/")) and not folder.parent.is_dir()
    if not on_the_hub:
        raise InputError(f"{data}: no such folder; give one made by `medvidbench data build`, or ORG/NAME on the Hub")
    return str(data)


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
        source = source.lower()
        stamp = fingerprint(source, read_source(source, root, options))
        self.source_root, self.options, self.num_proc = root, options, num_proc
        super().__init__(
            cache_dir=cache_dir, dataset_name="medvidbench", config_name=config_name, source=source, fingerprint=stamp
        )

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=features(), homepage="https://arxiv.org/abs/2512.06581")

    def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
        folder = Path(self._cache_dir_root, "medvidbench", "built", f"{self.config.source}-{self.config.fingerprint}")
        build(
            self.config.source,
            folder,
            root=self.source_root,
            num_proc=self.num_proc,
            progress=True,
            wait_s=-1,  # several processes of one training may load at once
            **self.options,
        )
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
