"""The raw rewards of a run's answers, by source and task: what reward statistics are made of."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import medvidbench_hf
from medvidbench_hf.evaluation.answered import Answered, read_answered
from medvidbench_hf.evaluation.judged import Judge
from medvidbench_hf.evaluation.run import read_run
from medvidbench_hf.judge import Pair
from medvidbench_hf.rewards.captions import Similarity, cosine
from medvidbench_hf.rewards.functions import RECIPE
from medvidbench_hf.rewards.raw import CAPTIONS, caption_pair, of_judgement, raw_reward
from medvidbench_hf.rewards.statistics import Statistics, fit, merge
from medvidbench_hf.sample import InputError

Fallback = Literal["", "task", "all"]


class RawReward(NamedTuple):
    """One component of one answer's raw reward. value: 0..1, or None where it could not be judged."""

    pair: str  # "<source>/<task>"
    component: str  # "score", or "similarity" and "judge" of a caption
    row: int  # index of the row, which is the prompt
    value: float | None


def raw_rewards(
    answered: Answered,
    judge: Judge,
    tasks: Sequence[str] = RECIPE,
    similarity: Similarity = cosine,
    progress: bool = False,
) -> list[RawReward]:
    """The raw rewards of every answered row of the tasks that has a truth, as the reward functions compute them."""
    found: list[RawReward] = []
    captions: list[tuple[str, int, Pair | None]] = []
    for sample in answered.samples:
        if sample.task not in tasks or not answered.has(sample.index) or sample.truth is None:
            continue
        text = answered.texts[sample.index]
        text, name = text if isinstance(text, str) else "", f"{sample.source}/{sample.task}"
        if sample.task in CAPTIONS:
            said = caption_pair(sample, text)
            pair = None if said is None else Pair(said.reference, said.candidate, sample.task, sample.question)
            captions.append((name, sample.index, pair))
        else:
            found.append(RawReward(name, "score", sample.index, raw_reward(sample, text)))
    pairs = list(dict.fromkeys(pair for _, _, pair in captions if pair))
    if pairs:
        similar = similarity([pair.reference for pair in pairs], [pair.candidate for pair in pairs])
        verdicts = judge.judge(pairs, progress)
        judged = dict(zip(pairs, verdicts.judgements, strict=True))
        cosines = dict(zip(pairs, map(float, similar), strict=True))
    for name, index, pair in captions:
        if pair is None:
            found += [RawReward(name, component, index, 0.0) for component in ("similarity", "judge")]
            continue
        found.append(RawReward(name, "similarity", index, cosines[pair]))
        found.append(RawReward(name, "judge", index, of_judgement(judged[pair])))
    return found


def reward_statistics(
    run: str | Path,
    data: str | Path | None,
    split: str | None,
    judge: Judge,
    *,
    tasks: Sequence[str] = RECIPE,
    min_rows: int = 20,
    fallback: Fallback = "",
    progress: bool = False,
) -> Statistics:
    """The statistics of a run's raw rewards. Raises InputError, also where a pair has fewer than min_rows answers."""
    answered = read_answered(run, data, split)
    rows = raw_rewards(answered, judge, tasks, progress=progress)
    if not rows:
        raise InputError(f"{run}: no answered row of {', '.join(tasks)} has a ground truth to take statistics with")
    recorded = read_run(run) if (Path(run) / "run.json").is_file() else {}
    about = {
        "model": answered.model,
        "model_revision": None,
        "scorer_version": medvidbench_hf.__version__,
        "data_hash": recorded.get("data", answered.data),
        "split": answered.split,
        "decoding": recorded.get("decoding", {}),
        "judge": judge.name if any(row.component == "judge" for row in rows) else None,
    }
    return fitted(rows, about, min_rows, fallback)


def fitted(rows: Sequence[RawReward], about: Mapping[str, Any], min_rows: int, fallback: Fallback) -> Statistics:
    """Statistics of raw rewards, each component by itself. Raises InputError."""
    components = dict.fromkeys(row.component for row in rows)
    return merge(
        *(
            fit(
                [row.pair for row in rows if row.component == component],
                [row.value for row in rows if row.component == component],
                component=component,
                min_rows=min_rows,
                fallback=fallback,
                about=about,
            )
            for component in components
        )
    )


def reward_samples(
    runs: Sequence[str | Path],
    data: str | Path | None,
    split: str | None,
    judge: Judge,
    tasks: Sequence[str] = RECIPE,
    component: str = "score",
) -> list[tuple[str, int, float | None]]:
    """(pair, row, raw reward) of several answer files to the same rows: k samples a prompt. Raises InputError."""
    found = []
    for run in runs:
        answered = read_answered(run, data, split)
        found += [(r.pair, r.row, r.value) for r in raw_rewards(answered, judge, tasks) if r.component == component]
    if not found:
        raise InputError(f"no answered row has a raw reward {component!r}: known are score, similarity and judge")
    return found


def read_raw_csv(path: Path, min_rows: int, fallback: Fallback) -> Statistics:
    """Statistics of the raw rewards in a CSV with the columns pair, raw and, where there are several, component."""
    rows = [
        RawReward(row["pair"], row.get("component") or "score", k, value)
        for k, (row, value) in enumerate(_csv_rows(path, ("pair", "raw")))
    ]
    return fitted(rows, {}, min_rows, fallback)


def read_samples_csv(path: Path) -> list[tuple[str, str, float | None]]:
    """(pair, prompt, raw reward) from a CSV with these columns; an empty reward is None."""
    return [(row["pair"], row["prompt"], value) for row, value in _csv_rows(path, ("pair", "prompt", "raw"))]


def _csv_rows(path: Path, needed: Sequence[str]) -> list[tuple[dict[str, str], float | None]]:
    """Each row with its `raw` as a number. Raises InputError that names line and column."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: no column {missing[0]}; expected {', '.join(needed)}")
        found = []
        for row in reader:
            text = (row["raw"] or "").strip()
            try:
                value = float(text) if text else None
            except ValueError:
                raise InputError(f"{path} line {reader.line_num} column raw: {text!r:.80} is no number") from None
            if not row["pair"]:
                raise InputError(f"{path} line {reader.line_num} column pair: empty")
            found.append((row, value))
    if not found:
        raise InputError(f"{path}: no row")
    return found
