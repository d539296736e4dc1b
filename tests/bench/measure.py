"""Measure builds, parsers, judges and rewards, and write what was measured to measured.json.

    make bench
    python -m tests.bench.measure clips score    only these parts, the others stay

Times on shared machines are noise, so the README's table (readme_table.py) gives them with the machine, once, and no
test looks at them. Memory is the proportional set size of the process and its workers, sampled ten times a second.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from medvidbench_hf.evaluation import score_predictions
from medvidbench_hf.leaderboard import (
    cvs_assessment,
    dense_captioning,
    minilm,
    next_action,
    score_records,
    skill_assessment,
    stg,
    tal,
)
from medvidbench_hf.leaderboard.score import tasks_of
from medvidbench_hf.leaderboard.submission.checker import check
from medvidbench_hf.leaderboard.submission.files import read_answer_file
from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sources import simulated
from medvidbench_hf.sources.release.merged import merged_sample
from medvidbench_hf.tasks import TASKS
from tests import release_files
from tests.bench import clips, corruptions, judging, rewards_study, streaming
from tests.official_files import merged
from tests.test_tasks import LONG

HERE = Path(__file__).parent
CAPTIONS = HERE.parent / "cases/captions"
RELEASE_SHARE = float(os.environ.get("MEDVIDBENCH_BENCH_RELEASE", "1.0"))  # of 6,245 rows over 4,000 clips
ROWS_VIDEOS = int(os.environ.get("MEDVIDBENCH_BENCH_VIDEOS", "43200"))  # 531,850 rows and some more


PARTS: dict[str, Callable[[], Any]] = {
    "machine": lambda: {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    },
    "build_text": lambda: build("--source", "simulated", "--videos", str(ROWS_VIDEOS), "--no-media"),
    "build_clips": lambda: build("--source", "simulated"),
    "release_text": lambda: release((50, 180), "--no-media"),
    "release_clips": lambda: release((8, 16), "--clips", "copy"),
    "clips": lambda: in_folder(clips.measure),
    "streaming": lambda: in_folder(streaming.measure),
    "render": lambda: render_ms(),
    "parse": lambda: parse_growth(),
    "score": lambda: score_seconds(),
    "board_parse": lambda: board_growth(),
    "judging": lambda: in_folder(judging.measure),
    "corruptions": lambda: {name: corruptions.figures(CAPTIONS / name) for name in ("held_out", "tune", "still")},
    "rewards": rewards_study.study,
}


def main() -> None:
    """Measure the parts named on the command line, all without any, and put them into measured.json."""
    place = HERE / "measured.json"
    measured = json.loads(place.read_text()) if sys.argv[1:] else {}
    for name in sys.argv[1:] or PARTS:
        measured[name] = PARTS[name]()
        print(name, json.dumps(measured[name], indent=1), flush=True)
    place.write_text(json.dumps(measured, indent=1) + "\n")


def build(*arguments: str) -> dict[str, Any]:
    """Build a data set in a process of its own: rows, seconds, peak memory, size on disk."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "out")
        command = [sys.executable, "-m", "medvidbench_hf.cli", "data", "build", "--out", str(out)]
        started = time.perf_counter()
        process = subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL)
        peak = Peak(process.pid)
        code = process.wait()
        seconds = time.perf_counter() - started
        if code:
            raise SystemExit(f"the build failed: {' '.join(command)}")
        built = json.loads((out / "build.json").read_text())
        return {
            "rows": sum(sum(splits.values()) for splits in built["rows"].values()),
            "clips": built["clips"],
            "seconds": round(seconds, 1),
            "peak_mb": round(peak.stop() / 1e6),
            "disk_mb": round(sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e6),
        }


def release(frames: tuple[int, int], *arguments: str) -> dict[str, Any]:
    """Build the test file's 6,245 rows over some 4,000 clips; frames: how many a row lists, from and to."""
    with tempfile.TemporaryDirectory() as place:
        rows = release_files.test_rows(1, RELEASE_SHARE, frames=frames)
        Path(place, "test.json").write_text(json.dumps(rows), encoding="utf-8")
        if "--no-media" not in arguments:
            release_files.write_frames(rows, place)
        return build("--source", "release", "--root", place, *arguments)


def in_folder(measure: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        return measure(Path(place))


class Peak:
    """The largest memory of a process and its children, in bytes, until stop()."""

    def __init__(self, pid: int) -> None:
        self.pid, self.largest, self._stopped = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            self.largest = max(self.largest, sum(map(proportional_bytes, with_children(self.pid))))

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        return self.largest


def with_children(pid: int) -> list[int]:
    try:
        found = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return [pid]
    return [pid, *(descendant for child in found for descendant in with_children(child))]


def proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def best_of(n: int, action: Callable[[], object]) -> float:
    """Seconds of the fastest of n calls."""
    times = []
    for _ in range(n):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def render_ms() -> dict[str, float]:
    """Milliseconds to render a clip of 16 frames at 112 pixels, per source, mean over 20 clips of the best of 3."""
    return {
        source: round(
            1000
            * sum(best_of(3, partial(simulated.render, simulated.simulate(source, 10**15 + k, 16))) for k in range(20))
            / 20,
            1,
        )
        for source in simulated.SOURCE_NAMES
    }


def parse_growth() -> dict[str, Any]:
    """The slowest hostile reply of 64 kB, and how much longer 64 kB take than 32 kB (2 is linear, 4 quadratic)."""
    slowest, growth = (0.0, "", ""), (0.0, "", "")
    for task, module in TASKS.items():
        for name, text in LONG.items():
            half, whole = (best_of(5, partial(module.parse, text[:size])) for size in (32_768, 65_536))
            slowest = max(slowest, (whole, task, name))
            if whole > 0.005:  # below that the clock is what grows
                growth = max(growth, (whole / half, task, name))
    return {
        "replies": len(LONG) * len(TASKS),
        "slowest_ms": round(1000 * slowest[0], 1),
        "slowest": f"{slowest[1]}: {slowest[2]}",
        "growth_32_to_64_kb": round(growth[0], 2),
        "growth": f"{growth[1]}: {growth[2]}",
    }


def score_seconds() -> dict[str, Any]:
    """Seconds for 6,245 rows in the official task mix, in memory: the board's seven rule columns, strict, check.

    One answer in twenty is not in the release's form. The embedding of answers that are no label stands apart; the
    model's loading is not in it.
    """
    records = {int(index): record for index, record in merged().items()}
    questions = next_action.read([record for record in records.values() if record["qa_type"] == "next_action"])
    texts = next_action.to_embed(questions)
    minilm.embed(texts[:1])
    samples = [merged_sample(index, record, tasks_of(record)[0]) for index, record in records.items()]
    predictions = {index: Prediction(index, record["answer"]) for index, record in records.items()}
    public = [sample.public() for sample in samples]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "submission.json")
        path.write_text(
            json.dumps([{"id": "", "qa_type": r["qa_type"], "prediction": r["answer"]} for r in records.values()])
        )
        file = read_answer_file(path)
        return {
            "rows": len(records),
            "leaderboard_s": round(best_of(3, lambda: score_records(records)), 2),
            "embedded_texts": len(texts),
            "embedding_s": round(best_of(2, lambda: minilm.embed(texts)), 2),
            "strict_s": round(best_of(3, lambda: score_predictions(samples, predictions)), 2),
            "check_s": round(best_of(3, lambda: check(file, public)), 2),
        }


def board_growth() -> dict[str, Any]:
    """The board's parsers on hostile answers of 1 MB, and how much longer they take than 500 kB (2 is linear)."""
    readers = {
        "tal": tal,
        "stg": stg,
        "dense_captioning": dense_captioning,
        "cvs": cvs_assessment,
        "skill": skill_assessment,
    }
    slowest, growth = (0.0, "", ""), (0.0, "", "")
    for task, module in readers.items():
        for name, text in LONG.items():
            whole_text = text * (1_000_000 // len(text) + 1)
            half, whole = (
                best_of(3, partial(read_or_lose, module, whole_text[:size])) for size in (500_000, 1_000_000)
            )
            slowest = max(slowest, (whole, task, name))
            if whole > 0.02:  # below that the clock is what grows
                growth = max(growth, (whole / half, task, name))
    return {
        "answers": len(LONG) * len(readers),
        "slowest_ms": round(1000 * slowest[0]),
        "slowest": f"{slowest[1]}: {slowest[2]}",
        "growth_500_to_1000_kb": round(growth[0], 2),
        "growth": f"{growth[1]}: {growth[2]}",
    }


def read_or_lose(module: Any, text: str) -> None:
    with suppress(ValueError):  # a number of too many digits, which loses the task on the board
        module.parse(text)


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
