"""Sums and products of two numbers: the same reward lives on unlike scales, until it is normalised by level."""

import random

from medvidbench_hf.rewards import advantages, fit, normalised


def closeness(completions, answer, **columns):  # a reward function as TRL calls it
    return [max(0.0, 1 - abs(float(text) - right) / 100) for text, right in zip(completions, answer, strict=True)]


random.seed(0)
miss = {"easy": 20, "hard": 80}  # the sums are guessed better than the products
prompts = [(level, random.randrange(10, 100), random.randrange(10, 100)) for level in miss for _ in range(100)]
rows = [prompt for prompt in prompts for _ in range(8)]  # eight guesses each
answers = [a + b if level == "easy" else a * b for level, a, b in rows]
guesses = [str(right + random.triangular(-1, 1) * miss[row[0]]) for right, row in zip(answers, rows, strict=True)]
columns = {"completions": guesses, "answer": answers, "level": [row[0] for row in rows]}

statistics = fit(columns["level"], closeness(**columns))  # of the model before training
rewarded = normalised(closeness, statistics, pair=lambda row: row["level"])  # goes into reward_funcs
for name, function in {"raw": closeness, "normalised": rewarded}.items():
    made = abs(advantages(function(**columns), rows, scale="none"))
    easy, hard = made[:800].mean(), made[800:].mean()
    print(f"{name}: mean |advantage| easy {easy:.3f}, hard {hard:.3f}, {easy / hard:.2f}:1")
