"""Whether statistics belong to this judge and this scorer: raw rewards of others lie on other scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import medvidbench_hf
from medvidbench_hf.sample import InputError


def doubts(about: Mapping[str, Any], judge: Any = None) -> list[str]:
    """Sentences about what `Statistics.about` does not tell, or tells of another version of the scorer.

    judge: the one that is asked from now on; None where none is. Raises InputError where it is another than that of
    the statistics, or asks by another rubric.
    """
    found = []
    version, ours = about.get("scorer_version"), medvidbench_hf.__version__
    if version not in (None, ours):
        found.append(f"the statistics are of scorer version {version}, this is {ours}: fit them anew if scores changed")
    if judge is None:
        return found
    rubric = rubric_of(judge)
    for what, now in (("judge", judge.name), *([("rubric", rubric)] if rubric else [])):
        then = about.get(what)
        if then is None:
            found.append(f"the statistics do not say by which {what} captions were scored; now it is {now!a}")
        elif then != now:
            raise InputError(f"the statistics are of the {what} {then!a}, not of {now!a}: fit them with it")
    return found


def rubric_of(judge: Any) -> str:
    """As `Verdicts.rubric` names it; "" of a judge of one's own that has none."""
    return str(getattr(judge, "rubric", ""))
