"""What a visitor of a metric's Space brings: an answer and its truth as text, or a JSON file of rows.

Nothing here is a path: a file arrives as bytes, and the `video` column of a row is not looked at.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from medvidbench_hf import tasks
from medvidbench_hf.evaluation.score import PROTOCOLS
from medvidbench_hf.leaderboard.next_action import board_labels
from medvidbench_hf.sample import Canvas, InputError, Sample

MAX_BYTES = 4_000_000
MAX_ROWS = 2_000
MAX_CHARS = 20_000
FILE_FORM = """\
The columns of the data, and the answer in a column `prediction`; the `video` column may be left out. One JSON object
a line or a JSON list of them. The file is deleted within two hours.

    rows = load_dataset("PATH OR ORG/NAME", "tal", split="test").remove_columns("video")
    rows.add_column("prediction", answers).to_json("rows.json")
"""

#: task -> source, an answer with faults, and the truth as the release writes it
EXAMPLES = {
    "tal": ("NurViD", "Handwashing happens from 20 to 80 seconds.", "22.0-78.0, 89.0-94.0 seconds."),
    "stg": (
        "CholecTrack20",
        "35.0 seconds: [230, 260, 560, 400]",
        "35.0 seconds: [235.08, 261.2, 561.58, 405.62] 39.0 seconds: [274.26, 261.2, 561.58, 405.62]",
    ),
    "dense_captioning": (
        "NurViD",
        "1. 35.0-50.0 seconds: An underpad is placed.\n2. 52.0-60.0 seconds: The patient is turned.",
        "36.0-49.0 seconds: place an underpad: The clinician places an underpad under the patient.\n"
        "53.0-61.0 seconds: turn the patient: The patient is turned onto the left side.",
    ),
    "cvs_assessment": (
        "Cholec80_CVS",
        "Two structures: 2\nCystic plate: 1\nHepatocystic triangle: 1",
        "Two structures: 2, Cystic plate: 1, Hepatocystic triangle: 0",
    ),
    "next_action": ("CholecT50", "The next step is gallbladder removal.", "gallbladder-extraction"),
    "skill_assessment": (
        "JIGSAWS",
        "Respect for tissue: 2/5, Suture/needle handling: 1/5, Time and motion: 2/5",
        "Respect for tissue: 2/5, Suture/needle handling: 1/5, Time and motion: 1/5, Flow of operation: 2/5, "
        "Overall performance: 2/5, Quality of final product: 2/5",
    ),
}


def pasted(task: str, source: str, answer: str, truth: str, fps: float) -> tuple[list[str], list[dict[str, Any]]]:
    """One answer and its row, made from the reference text as the release writes it.

    fps: frames a second of the clip; half a frame is the tolerance of times. Boxes are not clipped to a frame.
    Raises InputError where the truth cannot be read.
    """
    if task not in EXAMPLES:
        raise InputError(f"unknown task {task!r}; known: {', '.join(EXAMPLES)}")
    for name, text in (("answer", answer), ("truth", truth)):
        if not isinstance(text, str) or len(text) > MAX_CHARS:
            raise InputError(f"the {name} is not a text of {MAX_CHARS:,} characters at most")
    if not isinstance(fps, int | float) or not isfinite(fps) or not 0.01 <= fps <= 1000:
        raise InputError(f"fps: {fps!r}, expected a number of frames a second")
    question: dict[str, Any] = {
        "index": 0,
        "split": "test",
        "id": "pasted",
        "task": task,
        "source": source,
        "domain": "open",
        "video_id": "pasted",
        "question": "pasted",
        "options": board_labels(source, "") or () if task == "next_action" else (),
        "fps": float(fps),
        "frame_times_s": (0.0,),
        "time_rule": "none",
        "canvas": Canvas(100_000, 100_000),
        "clip_start_s": 0.0,
        "clip_end_s": 0.0,
        "licence": "none",
    }
    read = tasks.parse(Sample(**question), truth).value
    if read is None:
        raise InputError(f"the truth cannot be read as {task}: write it like {EXAMPLES[task][2]!r}")
    return [answer], [Sample(**question, answer=truth, truth=read).to_row()]


def uploaded(content: bytes | None) -> tuple[list[Any], list[dict[str, Any]]]:
    """The answers and rows of a file of JSON lines, or a JSON list: rows of our data, each with a `prediction` added.

    Raises InputError that names the line and what is wrong with it.
    """
    if not content:
        raise InputError("no file was given")
    if len(content) > MAX_BYTES:
        raise InputError(f"the file has {len(content):,} bytes, more than {MAX_BYTES:,}: score it at home")
    try:
        text = content.decode("utf-8-sig").strip()
        rows = _json(text) if text.startswith("[") else [_json(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError) as error:
        raise InputError(f"the file is not JSON ({str(error)[:200]})") from None
    if len(rows) > MAX_ROWS:
        raise InputError(f"the file has {len(rows):,} rows, more than {MAX_ROWS:,}: score it at home")
    for k, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or "prediction" not in row:
            raise InputError(f"row {k} is no object with a field prediction")
    return [row.pop("prediction") for row in rows], rows


def shown(result: dict[str, dict[str, Any]]) -> tuple[list[list[str]], str]:
    """The result of protocol="both" as the lines of a table, column, leaderboard, strict; and the findings.

    Columns without a value under either protocol are left out.
    """
    given = [name for name in result["strict"] if name != "findings"]
    names = [name for name in given if any(result[protocol][name] is not None for protocol in PROTOCOLS)]
    lines = [[name, *(_cell(result[protocol][name]) for protocol in PROTOCOLS)] for name in names]
    return lines, "\n".join(result["leaderboard"].get("findings", ()))


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse, parse_int=_integer)


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 16:
        raise ValueError(f"{digits[:20]}... is too large")
    return int(digits)
