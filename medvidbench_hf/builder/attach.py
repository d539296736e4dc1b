"""Media joined to text-only rows: a data set from the Hub, and the holder's own videos or frames."""

from __future__ import annotations

from pathlib import Path

from medvidbench_hf.builder.dataset import read_samples, split_names
from medvidbench_hf.builder.folder import Built, make
from medvidbench_hf.sample import InputError
from medvidbench_hf.sources import attached


def attach(
    data: str | Path,
    root: str | Path,
    out: str | Path,
    *,
    num_proc: int = 1,
    overwrite: bool = False,
    progress: bool = False,
    codec: str = "h264",
) -> Built:
    """Build OUT with the rows of `data`, all in their place, and clips made from what is below `root`.

    Rows for which nothing is found stay text-only and are listed in OUT/flagged.jsonl. Raises InputError where nothing
    at all is found; a build that was killed goes on with the clips it has.
    """
    if Path(data).is_dir() and Path(data).resolve() == Path(out).resolve():
        raise InputError(f"{out} is the data itself: attach writes a folder of its own")
    if not overwrite and Path(out).is_dir() and any(Path(out).iterdir()) and not Path(out, "build.json").is_file():
        raise InputError(f"{out} is not empty and holds no build: choose another folder")
    rows = [sample for split in split_names(data) for sample in read_samples(data, split)]
    reading = attached.reading(str(data), rows, root)
    return make("attached", reading, out, num_proc, overwrite, progress, codec=codec)
