"""The merged form: what the release's inference writes and its board evaluates.

An object keyed by row index, each row with `metadata`, `qa_type`, `struc_info`, `question`, `gnd`, `answer` and
`data_source`. It has no frame list, so a sample made from it can be scored and says so in `time_rule`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medvidbench_hf.sample import VARIANTS, InputError, Sample
from medvidbench_hf.sources.release.names import Source, source_named
from medvidbench_hf.sources.release.rows import UNKNOWN_CANVAS
from medvidbench_hf.tasks.struc_info import as_dict, finite, read_truth


def merged_sample(index: int, record: Mapping[str, Any], task: str, options: Sequence[str] = ()) -> Sample:
    """A record of the merged form as a Sample of `task`.

    Truth is read from struc_info in every shape the release has, else from gnd; where neither holds one it is None.
    options: the question's label list, which the form does not have apart.
    """
    name = str(record.get("qa_type"))
    variant = next((variant for variant in VARIANTS if variant and name.endswith(f"_{variant}")), "")
    metadata = as_dict(record.get("metadata"))
    source = next((str(record[k]) for k in ("data_source", "dataset_name", "dataset") if record.get(k)), "Unknown")
    known = _known(source)
    reference = gnd if isinstance(gnd := record.get("gnd"), str) else ""
    fps = finite(record.get("fps", metadata.get("fps")))
    return Sample(
        index=index,
        split="test",
        id=str(record.get("id", "")),
        task=task,
        variant=variant,
        source=source,
        domain=known.domain if known else "laparoscopic",  # scoring does not look at it
        video_id=str(metadata.get("video_id") or "unknown"),
        question=str(record.get("question") or "(the form holds none)"),
        options=tuple(options),
        fps=fps if fps is not None and fps > 0 else 1.0,
        frame_times_s=(0.0,),
        time_rule="none: the merged form has no frame list",
        canvas=(known and known.canvas) or UNKNOWN_CANVAS,
        clip_start_s=0.0,
        clip_end_s=0.0,
        licence="not stated in the merged form",
        answer=reference,
        truth=read_truth(task, record.get("struc_info"), reference),
    )


def _known(source: str) -> Source | None:
    try:
        return source_named(source)
    except InputError:  # such files are also written by others, and are scored all the same
        return None
