"""What judging and rewarding cost: throughput against a stub of fixed latency, calls saved, milliseconds.

python -m tests.bench.measure judging
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import medvidbench_hf
from medvidbench_hf import tasks
from medvidbench_hf.endpoint import Endpoint, ReplyCache
from medvidbench_hf.evaluation.judged import board_pairs
from medvidbench_hf.judge import BOARD_CODES, LLMJudge, Pair, rubric
from medvidbench_hf.leaderboard import captions
from medvidbench_hf.leaderboard.records import record_of
from medvidbench_hf.sample import Sample, Segment, Segments
from tests.bench import gaming, rewards_ms, rewards_study

VERDICT = "\n".join(f"{code}: 4" for code in BOARD_CODES)
LATENCY_S = 1.0
CONCURRENCY = {1: 10, 8: 80, 64: 640}  # -> calls
JITTER = 0.05  # of a segment's length, on both of its ends


def measure(folder: Path) -> dict[str, Any]:
    return {
        "latency_s": LATENCY_S,
        "of_ideal": throughput(),
        "calls": calls(folder),
        "normalise_1m_s": round(rewards_study.normalise_1m(), 3),
        "lexicon_pairs_per_s": lexicon_pairs_per_s(),
        "gaming": gaming.measure(),
        **rewards_ms.reward_batch_ms(),
    }


def lexicon_pairs_per_s() -> int:
    """In a process of its own: beside the many objects of other libraries, collecting garbage takes longer."""
    program = "from tests.bench import corruptions; print(round(corruptions.lexicon_pairs_per_s()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return int(done.stdout)


def throughput() -> dict[str, float]:
    """Concurrency -> calls a second over concurrency / latency, of pairs that are all different."""
    found = {}
    with stub(LATENCY_S) as base_url:
        for concurrency, n in CONCURRENCY.items():
            asked = judge(base_url, concurrency)
            pairs = [Pair(f"The hook frees duct {k} of the cystic artery.", "The hook frees a duct.") for k in range(n)]
            started = time.perf_counter()
            verdicts = asked.judge(pairs)
            seconds = time.perf_counter() - started
            assert verdicts.calls == n
            assert not verdicts.failures
            found[str(concurrency)] = round(n / seconds / (concurrency / LATENCY_S), 3)
    return found


def calls(folder: Path) -> dict[str, int]:
    """Dense captions of the simulated benchmark, answered with the true events at slightly wrong times."""
    rows = medvidbench_hf.load("dense_captioning", split="test", source="simulated", videos=120, media=False)
    random = np.random.default_rng(0)
    samples = [Sample.from_row(row) for row in rows]
    records = [record_of(sample, jittered(sample, random)) for sample in samples]
    per_threshold = sum(len(captions.pairs("dense_captioning", record)) for record in records)
    # The simulated captions repeat from clip to clip; this is what is left where none does.
    unshared = sum(len(board_pairs([record])) for record in records)
    pairs = board_pairs(records)
    with stub(0.0) as base_url, ReplyCache(folder / "judgements.sqlite") as cache:
        first, second = (judge(base_url, 16, cache).judge(pairs) for _ in range(2))
    return {
        "answers": len(records),
        "per_pair_and_threshold": per_threshold,
        "unshared": unshared,
        "made": first.calls,
        "second_run": second.calls,
    }


def jittered(sample: Sample, random: np.random.Generator) -> str:
    """The true events, each end moved by up to JITTER of the event's length."""
    assert isinstance(sample.truth, Segments)
    events = []
    for start, end, caption in sample.truth.segments:
        moved = sorted(max(0.0, t + random.uniform(-JITTER, JITTER) * (end - start)) for t in (start, end))
        events.append(Segment(round(moved[0], 1), round(moved[1], 1), caption))
    return tasks.dense_captioning.render(Segments(tuple(events)))


def judge(base_url: str, concurrency: int, cache: ReplyCache | None = None) -> LLMJudge:
    endpoint = Endpoint("stub", base_url=base_url, api_key="none", concurrency=concurrency)
    return LLMJudge(endpoint, rubric("board"), cache=cache)


@contextmanager
def stub(latency_s: float) -> Iterator[str]:
    """A server in a process of its own, so that it takes no time of the client's; its address."""
    command = [sys.executable, "-m", "tests.llm_stub", "--latency", str(latency_s), "--reply", VERDICT]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.terminate()
        process.wait()
