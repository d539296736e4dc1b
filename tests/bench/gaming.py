"""What a constant list of words earns as a caption, beside an answer that is fluent and of another row."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

import numpy as np

import medvidbench_hf
from medvidbench_hf.rewards import reward_functions
from medvidbench_hf.rewards.raw import CAPTIONS

LENGTHS = (5, 10, 15, 20, 30, 40, 60)


def measure() -> dict[str, dict[str, float]]:
    """Task -> mean raw reward, with the lexicon judge, of the list that pays best and of another row's answer.

    The lists hold the commonest words of all answers, in the order of their counts or of the alphabet.
    """
    return {task: of_task(task) for task in CAPTIONS}


def of_task(task: str) -> dict[str, float]:
    rows = list(medvidbench_hf.load(task, split="test", source="simulated", videos=120, media=False))
    answers = [row["answer"] for row in rows]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    function: Any = reward_functions(tasks=[task])[0]

    def earned(texts: list[str]) -> float:
        return float(np.mean(asyncio.run(function(completions=texts, **columns))))

    counted = Counter(re.findall(r"\w+", " ".join(answers).lower())).most_common()
    lists = [[word for word, _ in counted[:n]] for n in LENGTHS]
    salads = [" ".join(words) for words in (*lists, *map(sorted, lists))]
    order = np.random.default_rng(0).permutation(len(rows))
    other = [answers[k] for k in np.roll(order, 1)[np.argsort(order)]]
    best = max(earned([salad] * len(rows)) for salad in salads)
    found = {"word_list": best, "another_rows_answer": earned(other), "own": earned(answers)}
    return {name: round(value, 2) for name, value in found.items()}
