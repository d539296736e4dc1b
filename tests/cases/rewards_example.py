"""Sums and products of two numbers: the same reward lives on unlike scales, until it is normalised by level."""

import random

from medvidbench_hf.rewards import advantages, fit, normalised


def closeness(completions, answer, **columns):  # a reward function as TRL calls it
    return [max(0.0, 1 - abs(float(text) - right) / 100) for text, right in zip(completions, answer, strict=True)]


rows = {"prompts": [], "completions": [], "answer": [], "level": []}
for k in range(200):  # a hundred prompts of each level, eight guesses each
    level, miss = ("easy", 20) if k % 2 else ("hard", 80)
    a, b = random.Random(k).choices(range(10, 100), k=2)
    right = a + b if level == "easy" else a * b
    for j in range(8):
        guess = right + random.Random(100 * k + j).triangular(-miss, miss)
        for column, value in zip(rows.values(), (f"{level}: {a}, {b}?", str(guess), right, level), strict=True):
            column.append(value)

statistics = fit(rows["level"], closeness(**rows))  # of the model before training
rewarded = normalised(closeness, statistics, pair=lambda row: row["level"])  # goes into reward_funcs
for name, function in {"raw": closeness, "normalised": rewarded}.items():
    made = abs(advantages(function(**rows), rows["prompts"], scale="none"))
    easy, hard = (made[[one == level for one in rows["level"]]].mean() for level in ("easy", "hard"))
    print(f"{name}: mean |advantage| easy {easy:.3f}, hard {hard:.3f}, {easy / hard:.2f}:1")
