"""The same rewards for trainers other than TRL: verl, EasyR1, ms-swift. Each loads a file that you write:

    from medvidbench_hf.rewards import Statistics, verl                # or easyr1, ms_swift

    compute_score = verl(Statistics.read("stats.json"))

A row comes as JSON text, the column `row` of `medvidbench data export --format easyr1`, or (ms-swift) as the columns of
`--format ms-swift`.

Each divides a group's advantages by the group's own spread unless told otherwise, which cancels the normalisation:
    verl       algorithm.norm_adv_by_std_in_grpo=False
    EasyR1     algorithm.adv_estimator=rloo; its grpo always divides
    ms-swift   --scale_rewards none

Each wants a number for every row: verl and EasyR1 put the reward into a tensor, where None fails and NaN spoils the
whole group, and ms-swift counts None as 0. So a caption that could not be judged gets the mean of what the others of
its group got, which is advantage 0, as None is in TRL; or the middle of the range where the call holds no other, as in
verl, which asks for one completion at a time. Such rows have `judged` 0 beside their reward, to be counted.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medvidbench_hf.rewards.captions import Judge
from medvidbench_hf.rewards.functions import RECIPE, reward_functions
from medvidbench_hf.rewards.raw import CAPTIONS
from medvidbench_hf.rewards.scaling import RewardFunction, Rewards
from medvidbench_hf.rewards.statistics import Statistics
from medvidbench_hf.rewards.watch import group_of
from medvidbench_hf.sample import InputError

Row = Mapping[str, Any]
#: (completions, their rows) -> (reward, 1.0 or 0.0 where it could not be judged) each
Scorer = Callable[[Sequence[Any], Sequence[Row]], list[tuple[float, float]]]


def verl(
    statistics: Statistics | None = None, judge: Judge | None = None, **options: Any
) -> Callable[..., dict[str, float]]:
    """verl's `compute_score(data_source, solution_str, ground_truth, extra_info)`; options: of `reward_functions`.

    ground_truth: the row as JSON text; or the reference text, with the row's other columns in extra_info. data_source
    says the row's source, or "<source>/<task>", where the row does not. Named in verl by
    reward.custom_reward_function.path (custom_reward_function.path before that section).
    """
    score = _scorer(statistics, judge, **options)

    def compute_score(
        data_source: str, solution_str: str, ground_truth: Any, extra_info: Row | None = None, **_: Any
    ) -> dict[str, float]:
        source, _slash, task = str(data_source).partition("/")
        named = {"source": source, "task": task} if task else {"source": source}
        [(reward, judged)] = score([solution_str], [{**named, **(extra_info or {}), **_row(ground_truth)}])
        return {"score": reward, "judged": judged}

    return compute_score


def easyr1(
    statistics: Statistics | None = None, judge: Judge | None = None, **options: Any
) -> Callable[..., list[dict[str, float]]]:
    """EasyR1's batch `compute_score([{"response", "response_length", "ground_truth"}, ...])`.

    ground_truth: the row as JSON text (data.answer_key=row). Named in EasyR1 by
    worker.reward.reward_function=FILE:compute_score.
    """
    score = _scorer(statistics, judge, **options)

    def compute_score(reward_inputs: Sequence[Row], **_: Any) -> list[dict[str, float]]:
        rows = [_row(given["ground_truth"]) for given in reward_inputs]
        scored = score([given["response"] for given in reward_inputs], rows)
        return [{"overall": reward, "judged": judged} for reward, judged in scored]

    return compute_score


def ms_swift(statistics: Statistics | None = None, judge: Judge | None = None, **options: Any) -> type:
    """A class for ms-swift's rewards: `orms["medgrpo"] = ms_swift(...)` in a file of --external_plugins, then
    --reward_funcs medgrpo."""
    score = _scorer(statistics, judge, **options)

    class MedGRPO:
        def __init__(self, args: Any = None, **kwargs: Any) -> None:
            self.args = args

        def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
            n = len(completions)
            lists = {name: v for name, v in columns.items() if isinstance(v, list | tuple) and len(v) == n}
            rows = [{name: values[k] for name, values in lists.items()} for k in range(n)]
            return [reward for reward, _ in score(completions, rows)]

    return MedGRPO


def _scorer(
    statistics: Statistics | None, judge: Judge | None, *, tasks: Sequence[str] = RECIPE, **options: Any
) -> Scorer:
    # Refuses now what could never work, without what only captions need.
    reward_functions(statistics, tasks=[task for task in tasks if task not in CAPTIONS], **options)
    middle = 0.0 if options.get("method") == "zscore" else 0.5

    @functools.cache
    def function(task: str) -> RewardFunction:  # made for its first row: who has no captions needs nothing of theirs
        [made] = reward_functions(statistics, judge, tasks=[task], **options)
        return made

    def score(completions: Sequence[Any], rows: Sequence[Row]) -> list[tuple[float, float]]:
        for row in rows:
            if row.get("task") not in tasks:
                raise InputError(f"a row of task {row.get('task')!a}: rewarded are {', '.join(tasks)}; see tasks=")
        columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(n for row in rows for n in row)}
        found: Rewards = [None] * len(rows)
        for task in dict.fromkeys(row["task"] for row in rows):
            rewards = function(task)(completions=list(completions), **columns)
            for k, reward in enumerate(rewards if isinstance(rewards, list) else _run(rewards)):
                found[k] = reward if rows[k]["task"] == task else found[k]
        groups = [group_of(row, None) for row in rows]
        judged = defaultdict(list)
        for group, reward in zip(groups, found, strict=True):
            if reward is not None:
                judged[group].append(reward)
        means = {group: sum(rewards) / len(rewards) for group, rewards in judged.items()}
        return [
            (means.get(group, middle), 0.0) if reward is None else (reward, 1.0)
            for group, reward in zip(groups, found, strict=True)
        ]

    return score


def _run(awaitable: Any) -> Any:
    """The result of an async reward function, from a thread that may be running a loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaitable)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, awaitable).result()


def _row(ground_truth: Any) -> Row:
    """The columns of a row from its JSON text; plain text is the reference alone. Raises InputError."""
    if isinstance(ground_truth, Mapping):
        return ground_truth
    if not isinstance(ground_truth, str):
        raise InputError(f"ground_truth is {type(ground_truth).__name__}, expected a row as JSON text")
    if not ground_truth.lstrip().startswith("{"):
        return {"answer": ground_truth}
    try:
        row: Row = json.loads(ground_truth)
    except (ValueError, RecursionError) as error:
        raise InputError(f"ground_truth is not JSON ({error}): give the column `row` of data export") from None
    return row


#: raw rewards, for verl without a file of one's own
compute_score = verl()
