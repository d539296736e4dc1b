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
its group got, which is advantage 0, as None is in TRL where nothing else rewards the row; or the middle of the range
where the call holds no other, as in verl, which asks for one completion at a time. Such rows have `judged` 0 beside
their reward, to be counted.

Trainers send these to other processes, each of which makes for itself what captions need. An `LLMJudge` holds
connections and cannot go: give as judge a function that makes one, such as functools.partial(my_judge, "gpt-4.1"),
which each process calls once. Of verl's reward managers
    naive, dapo   take the dict that comes back, as does the reward loop that has taken their place
    prime         takes a float: verl(..., only_score=True). It starts new processes for each batch, which is dear where
                  there are captions, and gives 0 to whatever raises, so look for "[Error]" in its log.
    batch         asks for lists, which these do not take
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from medvidbench_hf.judge import LLMJudge
from medvidbench_hf.rewards.captions import Judge
from medvidbench_hf.rewards.functions import RECIPE, reward_functions
from medvidbench_hf.rewards.raw import CAPTIONS
from medvidbench_hf.rewards.scaling import RewardFunction, Rewards, is_column
from medvidbench_hf.rewards.statistics import Statistics
from medvidbench_hf.rewards.watch import group_of
from medvidbench_hf.sample import InputError

Row = Mapping[str, Any]
#: a judge, or what makes one where it is needed
JudgeOrMaker = Judge | Callable[[], Judge]


def verl(
    statistics: Statistics | None = None, judge: JudgeOrMaker | None = None, *, only_score: bool = False, **options: Any
) -> Callable[..., Any]:
    """verl's `compute_score(data_source, solution_str, ground_truth, extra_info)`; options: of `reward_functions`.

    ground_truth: the row as JSON text; or the reference text, with the row's other columns in extra_info. data_source
    says the row's source, or "<source>/<task>", where the row does not. It gives {"score", "judged"}, or with
    only_score a float. Named in verl by reward.custom_reward_function.path (custom_reward_function.path before that
    section).
    """
    return functools.partial(_verl, _Scorer(statistics, judge, **options), only_score)


def easyr1(
    statistics: Statistics | None = None, judge: JudgeOrMaker | None = None, **options: Any
) -> Callable[..., list[dict[str, float]]]:
    """EasyR1's batch `compute_score([{"response", "response_length", "ground_truth"}, ...])`.

    ground_truth: the row as JSON text (data.answer_key=row). Named in EasyR1 by
    worker.reward.reward_function=FILE:compute_score.
    """
    return functools.partial(_easyr1, _Scorer(statistics, judge, **options))


def ms_swift(
    statistics: Statistics | None = None, judge: JudgeOrMaker | None = None, **options: Any
) -> Callable[..., MedGRPO]:
    """What ms-swift takes for a class of rewards: `orms["medgrpo"] = ms_swift(...)` in a file of --external_plugins,
    then --reward_funcs medgrpo."""
    return functools.partial(MedGRPO, _Scorer(statistics, judge, **options))


def _verl(
    score: _Scorer,
    only_score: bool,
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Row | None = None,
    **_: Any,
) -> dict[str, float] | float:
    source, _slash, task = str(data_source).partition("/")
    row: dict[str, Any] = {"source": source, "task": task or None}
    for part in (extra_info or {}, _row(ground_truth)):
        row |= {name: value for name, value in part.items() if value is not None}
    [(reward, judged)] = score([solution_str], [row])
    return reward if only_score else {"score": reward, "judged": judged}


def _easyr1(score: _Scorer, reward_inputs: Sequence[Row], **_: Any) -> list[dict[str, float]]:
    rows = [_row(given["ground_truth"]) for given in reward_inputs]
    scored = score([given["response"] for given in reward_inputs], rows)
    return [{"overall": reward, "judged": judged} for reward, judged in scored]


class MedGRPO:
    """A reward of ms-swift, which logs it by the name of this class."""

    def __init__(self, score: _Scorer, args: Any = None, **kwargs: Any) -> None:
        self.score = score

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        lists = {name: values for name, values in columns.items() if is_column(values, len(completions))}
        rows = [{name: values[k] for name, values in lists.items()} for k in range(len(completions))]
        return [reward for reward, _ in self.score(completions, rows)]


class _Scorer:
    """(completions, their rows) -> (reward, 1.0 or 0.0 where it could not be judged) each.

    It travels to other processes as its arguments.
    """

    def __init__(
        self,
        statistics: Statistics | None,
        judge: JudgeOrMaker | None,
        *,
        tasks: Sequence[str] = RECIPE,
        **options: Any,
    ) -> None:
        # Refuses now what could never work, without what only captions need.
        reward_functions(statistics, tasks=[task for task in tasks if task not in CAPTIONS], **options)
        self.statistics, self.judge, self.tasks, self.options = statistics, judge, tasks, options
        self.middle = 0.0 if options.get("method") == "zscore" else 0.5
        self._functions: dict[str, RewardFunction] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self.judge, LLMJudge):
            raise InputError(f"{self.judge!r} cannot go to another process: give the function that makes it as judge")
        return functools.partial(_Scorer, tasks=self.tasks, **self.options), (self.statistics, self.judge)

    @functools.cached_property
    def _asked(self) -> Judge | None:
        return self.judge() if callable(self.judge) else self.judge

    def _function(self, task: str) -> RewardFunction:
        """Made for its first row: who has no captions needs nothing of theirs."""
        if task not in self._functions:
            judge = self._asked if task in CAPTIONS else None
            [self._functions[task]] = reward_functions(self.statistics, judge, tasks=[task], **self.options)
        return self._functions[task]

    def __call__(self, completions: Sequence[Any], rows: Sequence[Row]) -> list[tuple[float, float]]:
        for row in rows:
            if row.get("task") not in self.tasks:
                raise InputError(f"a row of task {row.get('task')!a}: rewarded are {', '.join(self.tasks)}; see tasks=")
        columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(n for row in rows for n in row)}
        found: Rewards = [None] * len(rows)
        for task in dict.fromkeys(row["task"] for row in rows):
            rewards = self._function(task)(completions=list(completions), **columns)
            for k, reward in enumerate(rewards if isinstance(rewards, list) else _run(rewards)):
                found[k] = reward if rows[k]["task"] == task else found[k]
        groups = [group_of(row, None) for row in rows]
        judged = defaultdict(list)
        for group, reward in zip(groups, found, strict=True):
            if reward is not None:
                judged[group].append(reward)
        means = {group: sum(rewards) / len(rewards) for group, rewards in judged.items()}
        return [
            (means.get(group, self.middle), 0.0) if reward is None else (reward, 1.0)
            for group, reward in zip(groups, found, strict=True)
        ]


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
