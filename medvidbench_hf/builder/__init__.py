"""Samples -> Parquet, a config per task, every clip stored once.

`build` writes a folder that `load_dataset(folder, "stg", split="test")` reads; `MedVidBench` is the same as a
`datasets` builder, and `load` is that in one line. `datasets` refuses loading scripts on the Hub since 4.0, so the
script is this module, run from Python, and what goes to the Hub is what it writes:

    OUT/README.md                          dataset card with the `configs:` YAML
    OUT/build.json                         what was read, built and left out
    OUT/dropped.jsonl                      each row left out, with its reason
    OUT/flagged.jsonl                      each row that is odd and kept, with its reason
    OUT/data/<task>/<split>-00000.parquet  rows; the `video` column holds the clip's absolute path
    OUT/clips/<source>/<video_id>/...      one file a clip, however many rows ask about it

All of it is made in OUT.building/.unfinished and renamed at the end: OUT is complete or absent. A killed build goes
on with the clips it has. Memory does not grow with the number of rows.
"""

from medvidbench_hf.builder.attach import attach
from medvidbench_hf.builder.dataset import MedVidBench, load, read_samples, split_names
from medvidbench_hf.builder.folder import Built, build, read_build, relocate

__all__ = [
    "Built",
    "MedVidBench",
    "attach",
    "build",
    "load",
    "read_build",
    "read_samples",
    "relocate",
    "split_names",
]
