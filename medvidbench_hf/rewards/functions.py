"""Reward functions for TRL: every dataset column arrives as a list, a reward or None comes back for each completion.

    rewards = reward_functions(Statistics.read("stats.json"), judge)
    trainer = GRPOTrainer(model, reward_funcs=rewards, args=GRPOConfig(scale_rewards="none", ...), train_dataset=rows)

One function a task; a row of another task gets None, so batches may be mixed. They call `tasks.*.score`. TRL's default
scale_rewards="group" divides each group of completions by its own spread, which undoes any normalisation by pair: the
functions see the trainer's setting and warn.

A row of which a judgement failed gets None from all of them, hence no advantage, unless another function in
reward_funcs rewards it too: TRL sums what there is, so None then counts as 0. The functions see that, too, and warn.

What is logged by "<source>/<task>/...": raw and reward (means), unjudged (share of None), advantage (mean |reward -
its group's mean|, over the group's spread under "group") and saturated (share within 0.01 of 0 or 1; of captions that
of the similarity or of the judge's score, whichever is larger). A group that is spread over several processes is seen
in part by each. Rows of an evaluation are logged, and neither counted for warnings nor taken in by a `Running`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any

from medvidbench_hf.endpoint.answers import without_surrogates
from medvidbench_hf.judge import Pair
from medvidbench_hf.rewards.captions import Judge, Similarity, caption_rewards, check_cosine, cosine
from medvidbench_hf.rewards.origin import doubts
from medvidbench_hf.rewards.raw import CAPTIONS, COLUMNS, caption_pair, plain, raw_reward, sample_of
from medvidbench_hf.rewards.running import Running
from medvidbench_hf.rewards.scaling import RewardFunction, Rewards, Scaling, is_column, placed
from medvidbench_hf.rewards.statistics import Statistics
from medvidbench_hf.rewards.watch import group_of
from medvidbench_hf.sample import TASKS, InputError, Sample

RECIPE = ("tal", "stg", "video_summary", "region_caption")


def reward_functions(
    statistics: Statistics | Running | None = None,
    judge: Judge | None = None,
    *,
    tasks: Sequence[str] = RECIPE,
    method: str = "logistic",
    similarity: Similarity = cosine,
    judge_timeout_s: float = 120.0,
) -> list[RewardFunction]:
    """A reward function for each task, named "<task>_reward"; those of captions are async.

    statistics       of the SFT model's raw rewards (`medvidbench rewards stats`), or a `Running` that follows training;
                     None leaves rewards raw
    judge            of captions; the offline lexicon judge by default. Statistics are of one judge and its rubric, and
                     serve that one: those of another are refused, and those that do not say are warned about
    tasks            the paper's four by default; the accuracy tasks and dense_captioning (its F1) can be added
    method           one of NORMALISERS
    similarity       of captions: (references, candidates) -> (n,) 0..1
    judge_timeout_s  how long a batch waits for its judgements: one that has not come by then is None, the others stand

    The functions raise InputError for a row without a needed column, and for a pair without statistics, before a judge
    is asked; and what the judge raises (JudgeStopped, BudgetSpent), so that training stops.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or isinstance(tasks, str):
        raise InputError(f"tasks: {unknown[0] if unknown else tasks!a}, expected some of {', '.join(TASKS)}")
    if not judge_timeout_s > 0:
        raise InputError(f"judge_timeout_s: {judge_timeout_s!r}, expected seconds, more than 0")
    scaling = Scaling(statistics, method)
    captions = [task for task in tasks if task in CAPTIONS]
    if captions and judge is None:
        from medvidbench_hf.judge import LexiconJudge

        judge = LexiconJudge()
    if scaling.fixed is not None:
        for doubt in doubts(scaling.about, judge if captions else None):
            warnings.warn(doubt, stacklevel=2)
    if not captions or judge is None:
        return [_scored(task, scaling) for task in tasks]
    if similarity is cosine:
        check_cosine()
    earn = functools.partial(caption_rewards, judge=judge, similarity=similarity, timeout_s=judge_timeout_s)
    return [_caption(task, scaling, earn) if task in captions else _scored(task, scaling) for task in tasks]


def completion_text(completion: Any) -> str:
    """The text of a completion, plain or conversational (of its last message). Raises InputError."""
    if isinstance(completion, list | tuple):
        completion = completion[-1] if completion else None
    if isinstance(completion, Mapping):
        completion = completion.get("content")
    if isinstance(completion, list | tuple):
        completion = "".join(part.get("text") or "" for part in completion if isinstance(part, Mapping))
    if completion is None:
        return ""
    if not isinstance(completion, str):
        raise InputError(f"a completion is {type(completion).__name__}, expected text or a list of messages")
    return without_surrogates(completion)


# --- one function of TRL each ----------------------------------------------------------------------------------


def _scored(task: str, scaling: Scaling) -> RewardFunction:
    def reward(
        completions: Sequence[Any], prompts: Sequence[Any] = (), log_metric: Any = None, **columns: Any
    ) -> Rewards:
        scaling.watch.start(log_metric)
        batch = _Batch(task, completions, prompts, columns)
        raws = [raw_reward(sample, text) for sample, text in zip(batch.samples, batch.texts, strict=True)]
        made = scaling(raws, batch.pairs, "score", log_metric)
        return batch.finish(scaling, raws, made, {"score": made}, log_metric)

    reward.__name__ = f"{task}_reward"
    return reward


def _caption(task: str, scaling: Scaling, earn: Callable[..., Awaitable[tuple[Rewards, Rewards]]]) -> RewardFunction:
    async def reward(
        completions: Sequence[Any], prompts: Sequence[Any] = (), log_metric: Any = None, **columns: Any
    ) -> Rewards:
        scaling.watch.start(log_metric)
        batch = _Batch(task, completions, prompts, columns)
        scaling.check(batch.pairs, ("similarity", "judge"))
        found = [caption_pair(sample, text) for sample, text in zip(batch.samples, batch.texts, strict=True)]
        similar, judged = await earn(
            [
                one and Pair(one.reference, one.candidate, task, question)
                for one, question in zip(found, batch.questions, strict=True)
            ]
        )
        raws = {"similarity": similar, "judge": judged}
        made = {name: scaling(values, batch.pairs, name, log_metric) for name, values in raws.items()}
        return batch.finish(scaling, _mean(*raws.values()), _mean(*made.values()), made, log_metric)

    reward.__name__ = f"{task}_reward"
    return reward


def _mean(a: Rewards, b: Rewards) -> Rewards:
    """Half and half; None where either is."""
    return [None if x is None or y is None else 0.5 * x + 0.5 * y for x, y in zip(a, b, strict=True)]


class _Batch:
    """The rows of one task in a batch."""

    def __init__(
        self, task: str, completions: Sequence[Any], prompts: Sequence[Any], columns: Mapping[str, Any]
    ) -> None:
        self.n = len(completions)
        fields = {name: values for name, values in columns.items() if is_column(values, self.n)}
        if "task" not in fields:
            raise InputError("no column task: keep the data set's columns for the reward functions")
        self.places = [k for k in range(self.n) if fields["task"][k] == task]
        rows = [{name: values[k] for name, values in fields.items()} for k in self.places]
        asked = [prompts[k] if len(prompts) else None for k in self.places]
        self.groups = [group_of(row, prompt) for row, prompt in zip(rows, asked, strict=True)]
        self.samples = _samples(rows, self.groups)
        self.texts = [completion_text(completions[k]) for k in self.places]
        self.pairs = [f"{sample.source}/{task}" for sample in self.samples]
        self.questions = [_question(row, prompt) for row, prompt in zip(rows, asked, strict=True)]

    def finish(
        self, scaling: Scaling, raws: Rewards, rewards: Rewards, components: Mapping[str, Rewards], log_metric: Any
    ) -> Rewards:
        """The rewards at their places in the batch, after what is to be logged and warned about."""
        if None in rewards:
            scaling.watch.unjudged(log_metric, __name__)
        scaling.watch.rewards(log_metric, self.pairs, self.groups, raws, rewards, components)
        return placed(self.places, rewards, self.n)


def _samples(rows: Sequence[Mapping[str, Any]], groups: Sequence[Hashable]) -> list[Sample]:
    """The rows as samples; completions of one row share theirs."""
    found, made = [], dict[Hashable, tuple[list[Any], Sample]]()
    for row, group in zip(rows, groups, strict=True):
        content = [row.get(name) for name in COLUMNS]
        if group not in made or not _same(made[group][0], content):
            made[group] = content, sample_of(row)
        found.append(made[group][1])
    return found


def _same(a: list[Any], b: list[Any]) -> bool:
    try:
        return a == b
    except ValueError:  # NumPy arrays, which have no one truth value
        return bool(plain(a) == plain(b))


def _question(row: Mapping[str, Any], prompt: Any) -> str:
    """What was asked, so that a judge notices a copy of it; "" where that is not known."""
    question = row.get("question")
    if isinstance(question, str):
        return question
    if isinstance(prompt, list):
        prompt = [message for message in prompt if isinstance(message, Mapping) and message.get("role") == "user"]
    return completion_text(prompt) if isinstance(prompt, str | list) else ""
