"""Is b better than a, or is it noise? Two reports of one protocol on the same rows, video by video.

The same videos are drawn for both (paired bootstrap): a video that is hard for a is hard for b, and that cancels in
the difference. Questions of one video are not independent, so videos are drawn, not rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medvidbench_hf.evaluation.report import number
from medvidbench_hf.evaluation.run import data_name
from medvidbench_hf.evaluation.score import COLUMNS, RESAMPLES, Report, column_cells, draws
from medvidbench_hf.sample import InputError

#: below this many videos an interval says little
FEW_VIDEOS = 10
HEAD = ("column", "a", "b", "b - a", "95 % interval", "same sign", "n", "videos", "better")


def compare(a: Report, b: Report, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """Compare two reports of `score_run`, `per_sample` included; columns that only one has are told, not compared.

        protocol, data, split, a, b   what was compared; a and b are the models' names
        columns       column -> a, b, difference (b - a), interval (95 %, of the difference; None where no draw or only
                      one video can give it), noise (whether the interval holds 0; None without one), same_sign (share
                      of draws whose difference has the sign of the difference), n_rows, n_videos, dropped (draws that
                      gave no number), better ("a", "b", "noise", "same", None), verdict (one sentence)
        by_source     source -> the same columns over that source's videos
        not_compared  column -> why
        warnings      what weakens the result

    Raises InputError where protocol, data, split or rows differ, naming the difference.
    """
    _check(a, b)
    columns, not_compared = {}, {}
    for column, (task, _) in COLUMNS.items():
        reason = _missing(a, b, column)
        if reason is None and (compared := _column(a, b, column, resamples, seed)):
            columns[column] = compared
        elif any(row["task"] == task for report in (a, b) for row in report["per_sample"]):
            not_compared[column] = reason or "no row counts"
    by_source: dict[str, dict[str, Any]] = {}
    for source in sorted({row["source"] for row in a["per_sample"]}):
        parts = {column: _column(a, b, column, resamples, seed, source) for column in columns}
        if found := {column: part for column, part in parts.items() if part}:
            by_source[source] = found
    return {
        "protocol": a["protocol"],
        "data": a.get("data"),
        "split": a.get("split"),
        "a": a.get("model"),
        "b": b.get("model"),
        "resamples": resamples,
        "seed": seed,
        "columns": columns,
        "by_source": by_source,
        "not_compared": not_compared,
        "warnings": _warnings(a, b, columns),
    }


def comparison_rows(result: dict[str, Any], source: str | None = None) -> list[tuple[str, ...]]:
    """The compared columns as text, under HEAD; of one source if given."""
    columns = result["columns"] if source is None else result["by_source"][source]
    return [
        (
            column,
            number(c["a"]),
            number(c["b"]),
            _signed(c["difference"]),
            "–" if c["interval"] is None else _spread(c["interval"]),
            "–" if c["same_sign"] is None else f"{c['same_sign']:.0%}",
            str(c["n_rows"]),
            str(c["n_videos"]),
            c["better"] or "–",
        )
        for column, c in columns.items()
    ]


# --- one column ------------------------------------------------------------------------------------------------


def _column(
    a: Report, b: Report, column: str, resamples: int, seed: int, source: str | None = None
) -> dict[str, Any] | None:
    """One column of both; None where it has no value in one of them."""
    cells = [column_cells(report, column, source=source) for report in (a, b)]
    keys = sorted({key for made in cells if made is not None for key in made.videos})
    videos = {key: k for k, key in enumerate(keys)}
    of_a, of_b = (column_cells(report, column, videos, source) for report in (a, b))
    if of_a is None or of_b is None:
        return None
    value_a, value_b = of_a.value(), of_b.value()
    if value_a is None or value_b is None:
        return None
    difference = value_b - value_a
    weights = draws(len(videos), resamples, seed)
    drawn = of_b.drawn(weights) - of_a.drawn(weights)  # (resamples,)
    kept = drawn[~np.isnan(drawn)]
    # One video is the same in every draw: its interval would be a point, and claim certainty.
    interval = [float(q) for q in np.quantile(kept, [0.025, 0.975])] if kept.size and len(videos) > 1 else None
    noise = None if interval is None else interval[0] <= 0.0 <= interval[1]
    task = COLUMNS[column][0]
    result = {
        "a": value_a,
        "b": value_b,
        "difference": difference,
        "interval": interval,
        "noise": noise,
        "same_sign": None if interval is None else float(np.mean(np.sign(kept) == np.sign(difference))),
        "n_rows": sum(row["task"] == task and source in (None, row["source"]) for row in a["per_sample"]),
        "n_videos": len(videos),
        "dropped": int(drawn.size - kept.size),
    }
    better = None if interval is None else "noise" if noise else "b" if interval[0] > 0 else "a"
    if interval == [0.0, 0.0]:
        better = "same"
    return {**result, "better": better, "verdict": _verdict(result, better)}


def _verdict(c: dict[str, Any], better: str | None) -> str:
    if better is None:
        why = "one video" if c["n_videos"] == 1 else "no draw gives a number"
        return f"cannot be told: {why}, b - a is {_signed(c['difference'])}"
    few = f"; {c['n_videos']} videos only, the interval means little" if c["n_videos"] < FEW_VIDEOS else ""
    if better == "same":
        return "the same, whichever videos are drawn"
    if better == "noise":
        return f"noise: b - a is {_signed(c['difference'])} {_spread(c['interval'])}{few}"
    low, high = sorted(abs(end) for end in c["interval"])
    return f"{better} is better by {number(abs(c['difference']))} [{number(low)}, {number(high)}]{few}"


def _signed(value: float) -> str:
    return f"{value:+z.3f}"


def _spread(interval: list[float]) -> str:
    return f"[{_signed(interval[0])}, {_signed(interval[1])}]"


# --- may they be compared? -------------------------------------------------------------------------------------


def _check(a: Report, b: Report) -> None:
    for name, report in (("a", a), ("b", b)):
        if "protocol" not in report:
            raise InputError(f"{name} is not one report: it has no field protocol; give one protocol's")
        if "per_sample" not in report:
            raise InputError(f"{name} has no field per_sample: score it again with --per-sample")
    if a["protocol"] != b["protocol"]:
        raise InputError(f"protocols differ: a is {a['protocol']}, b is {b['protocol']}; they never mix")
    if a.get("data") != b.get("data"):
        data_a, data_b = _data(a), _data(b)
        if data_a != data_b:
            raise InputError(f"data differ: a was scored on {data_a}, b on {data_b}")
    if a.get("split") != b.get("split"):
        raise InputError(f"splits differ: a is {a.get('split')}, b is {b.get('split')}")
    rows_a, rows_b = _rows(a), _rows(b)
    common = {task for _, task in rows_a} & {task for _, task in rows_b}
    if not common:
        raise InputError(f"no task is in both: a has {_tasks(rows_a)}, b has {_tasks(rows_b)}")
    for task in sorted(common):
        of_a, of_b = ({i: where for (i, t), where in rows.items() if t == task} for rows in (rows_a, rows_b))
        if of_a.keys() != of_b.keys():
            only_a, only_b = sorted(of_a.keys() - of_b.keys()), sorted(of_b.keys() - of_a.keys())
            raise InputError(
                f"rows of {task} differ: a has {len(of_a)}, b has {len(of_b)}, {len(of_a) - len(only_a)} in both; "
                f"row {(only_a or only_b)[0]} is only in {'a' if only_a else 'b'}"
            )
        moved = [index for index in sorted(of_a) if of_a[index] != of_b[index]]
        if moved:
            raise InputError(
                f"{len(moved)} of {len(of_a)} rows of {task} are not the same: row {moved[0]} is of "
                f"{' '.join(of_a[moved[0]])} in a, of {' '.join(of_b[moved[0]])} in b"
            )


def _data(report: Report) -> str:
    """What names the rows. A results file that holds its own truth is known by its rows only."""
    data = report.get("data") or "data it does not name"
    return "the truth in the answer file itself" if Path(data).is_file() else data_name(data)


def _rows(report: Report) -> dict[tuple[int, str], tuple[str, str]]:
    """(index, task) -> (source, video id)."""
    return {(row["index"], row["task"]): (row["source"], row["video_id"]) for row in report["per_sample"]}


def _tasks(rows: dict[tuple[int, str], tuple[str, str]]) -> str:
    return ", ".join(sorted({task for _, task in rows})) or "no rows"


def _missing(a: Report, b: Report, column: str) -> str | None:
    """Why a column cannot be compared."""
    for name, report in (("a", a), ("b", b)):
        if column in report.get("lost", ()):
            return f"{name} loses the task on the board, row {report['lost'][column][0]}"
    without = [name for name, report in (("a", a), ("b", b)) if report["metrics"][column] is None]
    return f"no value in {' and '.join(without)}" if without else None


def _warnings(a: Report, b: Report, columns: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    few = [column for column, c in columns.items() if c["n_videos"] < FEW_VIDEOS]
    if few:
        found.append(f"fewer than {FEW_VIDEOS} videos, intervals mean little: {', '.join(few)}")
    for name, report in (("a", a), ("b", b)):
        missing = {column: n for column in columns if (n := report["n"][column])["answered"] < n["rows"]}
        if missing:
            told = ", ".join(f"{column} {n['answered']} of {n['rows']}" for column, n in missing.items())
            found.append(f"{name} has not answered every row: {told}")
    for column, c in columns.items():
        skipped = [report["n"][column]["skipped"] for report in (a, b)]
        if skipped[0] != skipped[1]:
            counted = [c["n_rows"] - n for n in skipped]
            found.append(
                f"{column}: a is over {counted[0]} rows, b over {counted[1]}; rows that do not count cost nothing"
            )
        if c["dropped"]:
            found.append(f"{column}: {c['dropped']} draws gave no number and are left out of the interval")
    if a.get("data") != b.get("data") and Path(a.get("data") or "").is_file():
        found.append("each was scored against the truth of its own file; that the truths agree was not checked")
    return found
