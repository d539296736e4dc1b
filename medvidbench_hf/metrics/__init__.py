"""`evaluate` modules, each a folder that can be a Space of the Hub. Over the one scorer, rows in and columns out:

    medvidbench            the ten columns
    medvidbench_miou       TAG_mIoU@0.3, TAG_mIoU@0.5, STG_mIoU, DVC_F1
    medvidbench_accuracy   CVS_acc, NAP_acc, SA_acc

and over plain values:

    medvidbench_judge               captions and references in, five scores from 1 to 5 out
    medvidbench_normalized_reward   raw rewards and their pairs in, rewards that can be mixed out

    metric = evaluate.load(medvidbench_hf.metrics.path("medvidbench_miou"))

The folders are not packages: `evaluate` copies their one file into its cache and imports it there, so what they share
is imported from here, the installed package.
"""

from __future__ import annotations

from pathlib import Path

from medvidbench_hf.sample import InputError

ROW_METRICS = ("medvidbench", "medvidbench_accuracy", "medvidbench_miou")
NAMES = (*ROW_METRICS, "medvidbench_judge", "medvidbench_normalized_reward")


def path(name: str) -> str:
    """The installed folder of a module, for `evaluate.load`. Raises InputError for a name that is none of NAMES."""
    if name not in NAMES:
        raise InputError(f"unknown metric {name!r}; known: {', '.join(NAMES)}")
    return str(Path(__file__).parent / name)
