"""The raw rewards of a run's answers, by source and task: what reward statistics are made of."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
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
from medvidbench_hf.rewards.statistics import Statistics, fit, merge, number_of
from medvidbench_hf.sample import InputError, Sample

Fallback = Literal["", "task", "all"]
COMPONENTS = ("score", "similarity", "judge")


class RawReward(NamedTuple):
    """One component of one answer's raw reward. value: 0..1, or None where it could not be judged."""

    pair: str  # "<source>/<task>"
    component: str  # one of COMPONENTS: "score", or "similarity" and "judge" of a caption
    row: int  # index of the row, which is the prompt
    value: float | None


def raw_rewards(
    answered: Answered,
    judge: Judge,
    tasks: Sequence[str] = RECIPE,
    similarity: Similarity = cosine,
    progress: bool = False,
) -> tuple[list[RawReward], str | None]:
    """The raw rewards of every answered row of the tasks that has a truth, as the reward functions compute them; and
    the judge's rubric, None where it was not asked."""
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
    rubric = None
    if pairs:
        similar = similarity([pair.reference for pair in pairs], [pair.candidate for pair in pairs])
        verdicts = judge.judge(pairs, progress)
        rubric, judged = verdicts.rubric, dict(zip(pairs, verdicts.judgements, strict=True))
        cosines = dict(zip(pairs, map(float, similar), strict=True))
    for name, index, pair in captions:
        if pair is None:
            found += [RawReward(name, component, index, 0.0) for component in ("similarity", "judge")]
            continue
        found.append(RawReward(name, "similarity", index, cosines[pair]))
        found.append(RawReward(name, "judge", index, of_judgement(judged[pair])))
    return found, rubric


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
    rows, rubric = raw_rewards(answered, judge, tasks, progress=progress)
    if not rows:
        raise InputError(f"{run}: no answered row of {', '.join(tasks)} has a ground truth to take statistics with")
    judged = Counter(row.pair for row in rows if row.component == "judge")
    failed = Counter(row.pair for row in rows if row.component == "judge" and row.value is None)
    recorded = read_run(run) if (Path(run) / "run.json").is_file() else {}
    about = {
        "model": answered.model,
        "model_revision": None,
        "scorer_version": medvidbench_hf.__version__,
        "data_hash": recorded.get("data", answered.data),
        "split": answered.split,
        "decoding": recorded.get("decoding", {}),
        "judge": judge.name if judged else None,
        "rubric": rubric,
        "failed_judgements": failed.total(),
    }
    notes = [f"{pair} judge: {n} of {judged[pair]} judgements failed and are left out" for pair, n in failed.items()]
    made = fitted(rows, about, min_rows, fallback)
    return replace(made, notes=(*made.notes, *notes))


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
    """(pair, row, raw reward) of several answer files to the same rows: k samples a prompt.

    Raises InputError, also where the files answer different rows.
    """
    found: list[tuple[str, int, float | None]] = []
    first: dict[int, tuple[Sample, str]] = {}  # row -> what it is, in the first file that has it
    for run in runs:
        answered = read_answered(run, data, split)
        rows = f"{run}, on {f'the {answered.split} split of ' if answered.split else ''}{answered.data}"
        for sample in answered.samples:
            known, known_rows = first.setdefault(sample.index, (sample, rows))
            if _asks(known) != _asks(sample):
                raise InputError(
                    f"{known_rows}, and {rows}: row {sample.index} is not the same in both, so they are no samples of "
                    "one prompt; compare runs on the same data and split"
                )
        made, _ = raw_rewards(answered, judge, tasks)
        found += [(reward.pair, reward.row, reward.value) for reward in made if reward.component == component]
    if not found:
        raise InputError(f"no answered row has a raw reward {component!r}: known are {', '.join(COMPONENTS)}")
    return found


def _asks(sample: Sample) -> tuple[Any, ...]:
    return sample.task, sample.source, sample.question, sample.truth


def read_raw_csv(path: Path, min_rows: int, fallback: Fallback) -> Statistics:
    """Statistics of the raw rewards in a CSV with the columns pair, raw and, where there are several, component."""
    rows = []
    for line, row, value in _csv_rows(path, ("pair", "raw")):
        component = row.get("component") or "score"
        if component not in COMPONENTS:
            raise InputError(
                f"{path} line {line} column component: {component!a:.80}, expected one of {', '.join(COMPONENTS)}"
            )
        rows.append(RawReward(row["pair"], component, line, value))
    return fitted(rows, {}, min_rows, fallback)


def read_samples_csv(path: Path) -> list[tuple[str, str, float | None]]:
    """(pair, prompt, raw reward) from a CSV with these columns; an empty reward is None."""
    return [(row["pair"], row["prompt"], value) for _, row, value in _csv_rows(path, ("pair", "prompt", "raw"))]


def _csv_rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str], float | None]]:
    """(line, row, its `raw` as a number). Raises InputError that names line and column; only `raw` may be empty."""
    try:
        reader = csv.reader(StringIO(_utf8(path), newline=""))
        names = next(reader, [])
        for name in needed:
            if name not in names:
                raise InputError(f"{path}: no column {name}; expected {', '.join(needed)}")
        if twice := [name for name, n in Counter(names).items() if n > 1]:
            raise InputError(f"{path} line 1 column {twice[0]}: is there twice")
        found = []
        for cells in reader:
            where = f"{path} line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(names):
                raise InputError(f"{where}: cells: {len(cells)}, but the columns are {', '.join(names)}")
            row = dict(zip(names, cells, strict=True))
            for name in needed:
                if name != "raw" and not row[name].strip():
                    raise InputError(f"{where} column {name}: empty")
            try:
                found.append((reader.line_num, row, number_of(row["raw"])))
            except ValueError as error:
                raise InputError(f"{where} column raw: {error}") from None
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}") from None
    if not found:
        raise InputError(f"{path}: no row")
    return found


def _utf8(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(f"{path} line {line}: is not UTF-8 ({error.reason})") from None
