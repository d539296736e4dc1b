"""The board, frozen: hand-worked cases as data, laws, and what the board cannot do that we must."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medvidbench_hf.evaluation import score_run
from medvidbench_hf.leaderboard import COLUMNS, score_records
from medvidbench_hf.leaderboard.score import lost_rows

CASES = Path(__file__).parent / "cases"


def record(column: str, row: dict[str, Any]) -> dict[str, Any]:
    """A case's row as the board's record."""
    return {
        "metadata": {"video_id": row.get("video_id", "v"), "fps": row.get("fps", "1.0")},
        "qa_type": row.get("qa_type", COLUMNS[column].task),
        "data_source": row.get("data_source", "AVOS"),
        "question": row.get("question", ""),
        "gnd": row.get("gnd", ""),
        "struc_info": row.get("struc_info", []),
        "answer": row["text"],
    }


def cases() -> list[Any]:
    found = []
    for column in COLUMNS:
        for case in json.loads((CASES / f"board_{column}.json").read_text(encoding="utf-8")):
            found.append(pytest.param(column, case, id=f"{column}: {case['why']}"))
    return found


def records_of(column: str, case: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {k: record(column, row) for k, row in enumerate(case.get("rows", [case]))}


@pytest.mark.parametrize(("column", "case"), cases())
def test_the_board_gives_what_was_worked_out_by_hand(column: str, case: dict[str, Any]) -> None:
    records = records_of(column, case)
    embed = None
    if vectors := case.get("embed"):
        embed = lambda texts: np.array([vectors[text] for text in texts])  # noqa: E731
    judged = {(ref, said): scores for ref, said, scores in case["judged"]} if "judged" in case else None
    before = copy.deepcopy(records)
    scored = score_records(records, embed, judged)
    assert records == before, "scoring changed its input"
    assert scored.metrics[column] == (
        None if case["leaderboard"] is None else pytest.approx(case["leaderboard"], abs=1e-9)
    )
    assert list(lost_rows(scored.findings).get(column, ())) == case.get("lost", [])
    if "without" in case:
        value = next(
            f.value for f in scored.findings if f.column == column and f.trap in ("task-lost", "stg-not-a-number")
        )
        assert value == (None if case["without"] is None else pytest.approx(case["without"], abs=1e-9))
    if "nan" in case:
        assert [f.rows for f in scored.findings if f.trap == "stg-not-a-number"] == [tuple(case["nan"])]
    if "exact" in case:
        assert scored.nap_exact == pytest.approx(case["exact"], abs=1e-9)


@pytest.mark.parametrize(("column", "case"), cases())
def test_strict_gives_what_was_worked_out_by_hand(column: str, case: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "merged.json"
    file.write_text(json.dumps(records_of(column, case)))
    if case["strict"] is None and column not in ("DVC_llm", "VS_llm", "RC_llm"):
        return
    strict = score_run(file, protocol="strict")["metrics"][column]
    assert strict == (None if case["strict"] is None else pytest.approx(case["strict"], abs=1e-9))


def test_every_oddity_of_scoring_has_a_case() -> None:
    told = {
        case.get("oddity") for column in COLUMNS for case in json.loads((CASES / f"board_{column}.json").read_text())
    }
    assert {*range(2, 20), 22, 26, 27} <= told
