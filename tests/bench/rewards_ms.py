"""What rewards cost inside a training step, without a judge.

python -m tests.bench.rewards_ms
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from medvidbench_hf import tasks
from medvidbench_hf.rewards import fit
from medvidbench_hf.rewards.functions import reward_functions
from medvidbench_hf.sample import Box, Boxes, Sample, Span, Spans, TimedBox
from tests.make import sample

PROMPTS, COMPLETIONS, FRAMES = 8, 8, 60


def reward_batch_ms(n: int = 200) -> dict[str, float]:
    """Milliseconds for a batch of 64, best of n: four tal and four stg prompts on rows of 60 frames, 8 answers each,
    one in four not in the release's form, normalised, with metrics logged as in training."""
    batch = columns(np.random.default_rng(0))
    pairs = [f"{source}/{task}" for source, task in zip(batch["source"], batch["task"], strict=True)]
    statistics = fit(pairs, np.random.default_rng(0).random(len(pairs)), min_rows=1)
    functions = reward_functions(statistics, tasks=("tal", "stg"))
    times = []
    for _ in range(n):
        started = time.perf_counter()
        for function in functions:
            function(log_metric=lambda name, value: None, **batch)
        times.append(time.perf_counter() - started)
    return {"reward_batch_ms": round(1000 * min(times), 2)}


def columns(random: np.random.Generator) -> dict[str, list[Any]]:
    """A batch as TRL hands it out."""
    rows, answers = [], []
    for k in range(PROMPTS):
        one = prompt(k, random)
        for _ in range(COMPLETIONS):
            rows.append({**one.to_row(), "prompt": one.question})
            answers.append([{"role": "assistant", "content": answer(one, random)}])
    batch = {name: [row[name] for row in rows] for name in rows[0]}
    return {"prompts": batch.pop("prompt"), "completions": answers, **batch}


def prompt(k: int, random: np.random.Generator) -> Sample:
    """A tal row with up to four spans, or an stg row with three to eight requested times: 5.3 on the release's rows."""
    times = tuple(float(t) for t in range(FRAMES))
    if k % 2:
        asked = times[5 :: random.integers(7, 21)]
        truth: Spans | Boxes = Boxes(tuple(TimedBox(t, box(random)) for t in asked))
        more: dict[str, Any] = {"task": "stg", "source": "CoPESD", "request_times_s": asked}
    else:
        ends = np.sort(random.choice(600, 2 * random.integers(1, 5), replace=False)) / 10
        truth = Spans(tuple(Span(*map(float, pair)) for pair in ends.reshape(-1, 2)))
        more = {"task": "tal", "source": "AVOS"}
    return sample(**more, index=k, fps=1.0, frame_times_s=times, clip_end_s=60.0, truth=truth)


def answer(one: Sample, random: np.random.Generator) -> str:
    """The truth, moved a little; one in four with words or brackets that the release does not write."""
    if isinstance(one.truth, Boxes):
        text = tasks.stg.render(Boxes(tuple(TimedBox(t, box(random)) for t, _ in one.truth.boxes)))
    else:
        assert isinstance(one.truth, Spans)
        moved = [Span(round(s + random.random(), 1), round(e + 1 + random.random(), 1)) for s, e in one.truth.spans]
        text = tasks.tal.render(Spans(tuple(moved)))
    return f"The action can be seen at these times.\n**Answer:** {text}" if random.random() < 0.25 else text


def box(random: np.random.Generator) -> Box:
    x, y, width, height = (round(float(v), 2) for v in random.uniform((0, 0, 50, 50), (400, 300, 240, 180)))
    return Box(x, y, round(x + width, 2), round(y + height, 2))


if __name__ == "__main__":
    print(json.dumps(reward_batch_ms()))
