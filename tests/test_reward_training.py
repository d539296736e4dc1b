"""Rewards inside the real GRPOTrainer of the pinned TRL, on a tiny random text model."""

from __future__ import annotations

import asyncio
import threading
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import datasets
import numpy as np
import pytest

from medvidbench_hf.judge import Pair, Verdicts
from medvidbench_hf.leaderboard import minilm
from medvidbench_hf.rewards import Running, Statistics, fit
from medvidbench_hf.rewards.captions import cosine
from medvidbench_hf.rewards.functions import reward_functions
from medvidbench_hf.rewards.wrapped import normalised
from medvidbench_hf.sample import Sample
from tests.make import sample
from tests.test_reward_functions import Judge, overlap

pytestmark = pytest.mark.slow

GROUP = 8  # completions a prompt


def trained(
    folder: Path, rewards: Any, rows: Sequence[dict[str, Any]], steps: int, resume: Path | None = None, **settings: Any
) -> Any:
    """The trainer after some steps. Its `seen` holds (rows, advantages) of every batch, as the loss gets them."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    from tests.tiny_processors import CHAT_TEMPLATE, tokenizer

    class Seeing(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            made = super()._generate_and_score_completions(inputs)
            self.seen.append((inputs, made["advantages"].tolist()))
            return made

    words = tokenizer()
    words.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )
    config = GRPOConfig(
        output_dir=str(folder),
        max_steps=steps,
        num_generations=GROUP,
        per_device_train_batch_size=8 * GROUP,
        max_completion_length=8,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        seed=0,
        **{"save_strategy": "no", **settings},
    )
    table = datasets.Dataset.from_list([dict(row) for row in rows])
    trainer = Seeing(
        model, reward_funcs=rewards, args=config, train_dataset=table, eval_dataset=table, processing_class=words
    )
    trainer.seen = []
    trainer.train(resume_from_checkpoint=resume)
    return trainer


# --- mixed tasks -----------------------------------------------------------------------------------------------

TASKS = ("tal", "stg", "video_summary", "region_caption", "next_action")


def mixed() -> list[dict[str, Any]]:
    """Rows of the four rewarded tasks and of one that nothing rewards, as load_dataset gives them."""
    rows: list[Sample] = [sample(task, index=k, split="train") for k, task in enumerate(TASKS * 2)]
    return [{**row.to_row(), "prompt": [{"role": "user", "content": row.question}]} for row in rows]


def statistics() -> Statistics:
    spread = fit(["any"] * 20, np.linspace(0, 1, 20)).of("any")
    score, halves = {"score": spread}, {"similarity": spread, "judge": spread}
    return Statistics({f"Made/{task}": score if task in ("tal", "stg") else halves for task in TASKS[:4]})


class Seen(Judge):
    """Remembers on which thread and loop it was asked; every third pair fails, every fourth hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.loops: set[tuple[str, int]] = set()

    async def ajudge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        self.loops.add((threading.current_thread().name, id(asyncio.get_running_loop())))
        n = len(self.asked)
        word = " failed" if n % 3 == 0 else " hung" if n % 4 == 0 else ""
        return await super().ajudge([pair._replace(candidate=pair.candidate + word) for pair in pairs])


@pytest.mark.parametrize("scale_rewards", ["none", "group"])
def test_training_on_mixed_tasks_runs_logs_every_pair_and_warns_where_normalisation_is_undone(
    tmp_path: Path, scale_rewards: str
) -> None:
    judge = Seen()
    rewards = reward_functions(statistics(), judge, similarity=overlap, judge_timeout_s=0.5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = trained(tmp_path, rewards, mixed(), 2, scale_rewards=scale_rewards)
    logged: dict[str, list[float]] = {}
    for entry in trainer.state.log_history:
        for name, value in entry.items():
            logged.setdefault(name, []).append(value)
    assert trainer.state.global_step == 2
    for task in TASKS[:4]:
        for name in ("raw", "reward", "unjudged", "advantage", "saturated"):
            assert all(0 <= value <= 1 for value in logged[f"Made/{task}/{name}"])
        assert f"rewards/{task}_reward/mean" in logged
    assert not any(name.startswith("Made/next_action") for name in logged)
    assert {loop for loop in judge.loops if "MainThread" in loop} == set()
    assert len(judge.loops) == 1  # TRL's own
    assert 0 < max(logged["Made/video_summary/unjudged"]) < 1
    ours = [str(one.message) for one in caught if "cancels the normalisation" in str(one.message)]
    assert len(ours) == (1 if scale_rewards == "group" else 0)


def test_a_judge_that_stops_ends_training_with_its_message(tmp_path: Path) -> None:
    class Stopping(Judge):
        async def ajudge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
            raise RuntimeError("the budget of 5 dollars is spent")

    rewards = reward_functions(statistics(), Stopping(), similarity=overlap)
    with pytest.raises(RuntimeError, match="the budget of 5 dollars is spent"):
        trained(tmp_path, rewards, mixed(), 1, scale_rewards="none")


def test_the_trainer_is_seen_by_the_function_that_it_hands_out_for_metrics(tmp_path: Path) -> None:
    """What the warning rests on: `log_metric` is a method of the trainer, which has these settings by these names."""
    found = []

    def spy(completions: Sequence[Any], log_metric: Any, **columns: Any) -> list[float]:
        found.append(log_metric.__self__)
        return [0.0] * len(completions)

    trainer = trained(tmp_path, spy, [{"prompt": "a"}] * 8, 1)
    assert found[0] is trainer
    assert (trainer.scale_rewards, trainer.multi_objective_aggregation) == ("group", "sum_then_normalize")


def numbers(completions: Sequence[str], level: Sequence[str], **columns: Any) -> list[float]:
    return [(zlib.crc32(text.encode()) % 1000) / 1000 for text in completions]


LEVELS = [{"prompt": f"easy {k}", "level": "easy"} for k in range(8)]


def test_an_evaluation_within_training_and_by_itself_teaches_running_statistics_nothing(tmp_path: Path) -> None:
    running = Running(fit(["easy"] * 20, np.linspace(0, 1, 20)))
    rewards = normalised(numbers, running, pair=lambda row: row["level"])
    trainer = trained(
        *(tmp_path, rewards, LEVELS, 2),
        **{"scale_rewards": "none", "eval_strategy": "steps", "eval_steps": 1, "eval_on_start": True},
    )
    assert len(trainer.seen) > 2  # evaluations, too
    seen = running.state_dict()["last"]["easy"]["score"]
    assert len(seen) == 2 * 8 * GROUP
    trainer.evaluate()
    assert running.state_dict()["last"]["easy"]["score"] == seen
    assert any(name.startswith("eval_easy/") for entry in trainer.state.log_history for name in entry)


def test_a_resumed_training_is_warned_of_running_statistics_that_were_not_loaded(tmp_path: Path) -> None:
    def go(state: Any, **settings: Any) -> tuple[Any, list[str]]:
        running = Running(fit(["easy"] * 20, np.linspace(0, 1, 20)), warm_up=32)
        if state:
            running.load_state_dict(state)
        rewards = normalised(numbers, running, pair=lambda row: row["level"])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trained(tmp_path, rewards, LEVELS, scale_rewards="none", save_strategy="steps", save_steps=1, **settings)
        return running.state_dict(), [str(one.message) for one in caught if "training goes on" in str(one.message)]

    saved, said = go(None, steps=1)
    assert said == []
    checkpoint = tmp_path / "checkpoint-1"
    _, said = go(None, steps=2, resume=checkpoint)
    assert [text.partition(",")[0] for text in said] == ["training goes on at step 1"]
    loaded, said = go(saved, steps=2, resume=checkpoint)
    assert said == []
    assert len(loaded["last"]["easy"]["score"]) == 2 * 8 * GROUP


def test_a_row_that_could_not_be_judged_counts_as_0_where_another_function_rewards_it(tmp_path: Path) -> None:
    """Why there is a warning: alone such rows have no advantage, beside another reward they lose to their group."""

    def alike(references: list[str], candidates: list[str]) -> np.ndarray:
        return np.full(len(references), 0.5)

    def polite(completions: Sequence[Any], **columns: Any) -> list[float]:
        return [1.0] * len(completions)

    rows = [row for row in mixed() if row["task"] == "video_summary"] * 4
    for others in ([], [polite]):
        rewards = reward_functions(None, Failing(), similarity=alike, tasks=["video_summary"])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer = trained(tmp_path, [*rewards, *others], rows, 1, scale_rewards="none")
        lost = sum(advantage < -0.01 for advantage in trainer.seen[0][1])  # an empty completion or two always do
        said = [str(one.message) for one in caught if "cannot be judged gets None" in str(one.message)]
        assert len(said) == len(others)
        assert (lost > GROUP) == bool(others)


class Failing(Judge):
    """Gives 3 to all that it judges, and fails on every third pair."""

    async def ajudge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        word = " failed" if len(self.asked) % 3 == 0 else ""
        return await super().ajudge([pair._replace(candidate=pair.candidate + word) for pair in pairs])


# --- the trap --------------------------------------------------------------------------------------------------

NORMAL = {"easy": NormalDist(0.49, 0.167), "hard": NormalDist(0.10, 0.12)}


def drawn(completions: Sequence[str], level: Sequence[str], **columns: Any) -> list[float]:
    """A raw reward of the row's level, drawn by the completion's text."""
    dice = [(zlib.crc32(text.encode()) + 0.5) / 2**32 for text in completions]
    return [min(max(NORMAL[one].inv_cdf(u), 0.0), 1.0) for one, u in zip(level, dice, strict=True)]


def easy_to_hard(trainer: Any) -> float:
    """Ratio of mean |advantage|, of the trainer's own advantages."""
    found: dict[str, list[float]] = {"easy": [], "hard": []}
    for rows, advantages in trainer.seen:
        for row, advantage in zip(rows, advantages, strict=True):
            found[row["level"]].append(abs(advantage))
    assert min(map(len, found.values())) >= 500
    return float(np.mean(found["easy"]) / np.mean(found["hard"]))


@pytest.mark.filterwarnings("ignore:scale_rewards")
def test_normalisation_brings_the_trainers_advantages_together_under_none_and_does_nothing_under_group(
    tmp_path: Path,
) -> None:
    rows = [{"prompt": f"{level} {k}", "level": level} for k in range(32) for level in NORMAL]
    quantiles = (np.arange(1000) + 0.5) / 1000
    raw = {level: [min(max(normal.inv_cdf(u), 0.0), 1.0) for u in quantiles] for level, normal in NORMAL.items()}
    known = fit(["easy"] * 1000 + ["hard"] * 1000, raw["easy"] + raw["hard"])
    rewards = {"raw": drawn, "normalised": normalised(drawn, known, pair=lambda row: row["level"])}
    ratio = {
        (name, scale): easy_to_hard(trained(tmp_path, function, rows, 16, scale_rewards=scale))
        for name, function in rewards.items()
        for scale in ("none", "group")
    }
    assert ratio["raw", "none"] > 1.4
    assert 0.9 < ratio["normalised", "none"] < 1.2
    assert 0.92 < ratio["raw", "group"] < 1.08
    assert abs(ratio["normalised", "group"] - ratio["raw", "group"]) < 0.05


# --- the similarity --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not minilm.installed(), reason="needs the offline extra")
def test_the_similarity_is_a_cosine_from_0_to_1_whatever_the_text_and_the_batch() -> None:
    references = ["The hook frees the cystic duct.", "A hand ties a knot."] * 2
    candidates = ["The hook frees the cystic duct.", "A \ud800 hand \udfff", "", "x" * 1_000_000]
    values = cosine(references, candidates)
    assert values[0] == pytest.approx(1.0, abs=1e-5)
    assert all(0 <= value <= 1 for value in values)
    alone = [cosine([reference], [text])[0] for reference, text in zip(references, candidates, strict=True)]
    assert values == pytest.approx(alone, abs=1e-5)
    assert cosine([], []).shape == (0,)
    row = replace(sample("video_summary"), index=1)
    [function] = reward_functions(None, Judge(), tasks=["video_summary"])
    given = {name: [value] for name, value in row.to_row().items()}
    [value] = asyncio.run(function(completions=["A hand ties a knot."], **given))  # type: ignore[arg-type]
    assert value == pytest.approx(1.0, abs=1e-5)
