"""Commands about the board: check, submit, compare, traps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from medvidbench_hf.cli.tables import bullet, console, print_check, print_comparison, say
from medvidbench_hf.sample import InputError

OutFile = Annotated[Path | None, typer.Option("--json", help="Write the result to this file as JSON.")]
Data = Annotated[str, typer.Option(help="A built folder, or ORG/NAME on the Hub.")]


def check(
    submission: Annotated[
        Path, typer.Argument(help="A submission, results.json, predictions.jsonl or a run's folder.")
    ],
    data: Data,
    split: Annotated[str, typer.Option(help="The split it answers; answers are not needed.")] = "test",
    json_file: OutFile = None,
) -> None:
    """Will the board take the file, and which rows lose marks for their form? Exit code 1 where any do.

    Example: `medvidbench check submission.json --data nurvid`
    """
    from dataclasses import asdict

    from medvidbench_hf.evaluation.run import select
    from medvidbench_hf.leaderboard.submission.checker import check as check_file
    from medvidbench_hf.leaderboard.submission.files import read_answer_file
    from medvidbench_hf.whole_file import write_json

    json_target(json_file, submission)
    file = read_answer_file(submission)
    report = check_file(file, [sample.public() for sample in select(data, split)])
    print_check(report)
    if json_file:
        write_json(json_file, {**asdict(report), "ok": report.ok})
    if not report.ok:
        raise typer.Exit(report.exit_code)


def submit(
    predictions: Annotated[list[Path], typer.Argument(help="Answers: one file, or the parts of several shards.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="The file to write; a manifest is written beside it.")],
    split: Annotated[str, typer.Option(help="The split that is answered.")] = "test",
    overlay: Annotated[list[str], typer.Option(help="task=FILE: this task's answers come from FILE.")] = [],  # noqa: B006
    fill_missing: Annotated[
        str | None, typer.Option(help="Rows without an answer: empty, or prior, the statistics of the train split.")
    ] = None,
    json_file: OutFile = None,
) -> None:
    """Write the submission: every row, in order, ids copied. Incomplete answers are refused with their rows.

    Example: `medvidbench submit runs/prior --data nurvid --out submission.json`
    """
    from dataclasses import asdict

    from medvidbench_hf.builder import read_samples
    from medvidbench_hf.evaluation.run import select
    from medvidbench_hf.leaderboard.submission.files import answers_by_row, read_answer_file
    from medvidbench_hf.leaderboard.submission.write import write_submission
    from medvidbench_hf.models.prior import Prior
    from medvidbench_hf.whole_file import write_json

    inputs = [*predictions, *(Path(item.partition("=")[2]) for item in overlay)]
    json_target(json_file, *inputs, out, out.with_suffix(".manifest.json"))
    if fill_missing not in (None, "empty", "prior"):
        raise InputError(f"--fill-missing {fill_missing!r}: known are empty and prior")
    overlays = {}
    for item in overlay:
        task, equals, path = item.partition("=")
        if not equals or not path or task in overlays:
            raise InputError(f"--overlay {item!r}: expected task=FILE, each task once")
        overlays[task] = read_answer_file(path)
    parts = [read_answer_file(path) for path in predictions]
    samples = [sample.public() for sample in select(data, split)]
    fill = None
    if fill_missing is not None:
        answered = {
            e.index for part in parts for e in answers_by_row(part.entries)[0].values() if e.finish_reason != "error"
        }
        missing = [sample for sample in samples if sample.index not in answered]
        fill = {sample.index: "" for sample in missing}
        if fill_missing == "prior" and missing:
            fill = {p.index: p.prediction for p in Prior.fit(read_samples(data, "train")).answers(missing)}
    manifest = write_submission(parts, samples, out, overlays, fill)
    say(f"{out}: {manifest.rows} rows, sha256 {manifest.sha256[:16]}; manifest beside it")
    for task, file in overlays.items():
        say(f"{task}: all rows from {file.path}")
    if manifest.filled:
        from medvidbench_hf.leaderboard.submission.findings import row_list

        say(f"filled with {fill_missing}: {len(manifest.filled)} rows ({row_list(list(manifest.filled))})")
    say(f"next: medvidbench check {out} --data {data} --split {split}")
    if json_file:
        write_json(json_file, asdict(manifest))


def compare(
    run_a: Annotated[Path, typer.Argument(help="A run's folder, or an answer file.")],
    run_b: Annotated[Path, typer.Argument(help="Another, on the same rows.")],
    data: Annotated[str | None, typer.Option(help="The data they answer; a run's folder knows.")] = None,
    split: Annotated[str | None, typer.Option(help="The split they answer; a run's folder knows, else test.")] = None,
    protocol: Annotated[str, typer.Option(help="strict or leaderboard.")] = "strict",
    json_file: OutFile = None,
) -> None:
    """Is b better than a, or is it noise? Paired difference per column, with an interval by video.

    Example: `medvidbench compare runs/a runs/b`
    """
    from medvidbench_hf.evaluation import PROTOCOLS, compare, score_run
    from medvidbench_hf.evaluation.run import read_run
    from medvidbench_hf.leaderboard.ranking import would_be
    from medvidbench_hf.whole_file import write_json

    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    json_target(json_file, run_a, run_b)
    if data is None:  # a file beside a run answers what the run answers
        runs = [read_run(run) for run in (run_a, run_b) if (run / "run.json").is_file()]
        if len(runs) == 1:
            data, split = runs[0]["data_path"], runs[0]["split"]
    a, b = (score_run(run, data, split, baseline=False, protocol=protocol) for run in (run_a, run_b))
    result = {**compare(a, b), "a": str(run_a), "b": str(run_b)}
    print_comparison(result, (str(run_a), str(run_b)))
    if protocol == "leaderboard":
        for run, report in ((run_a, a), (run_b, b)):
            simulated = all(source.startswith("Simulated") for source in report["by_source"])
            if not report["unanswered"] and not simulated and any(v is not None for v in report["metrics"].values()):
                place = would_be(report["metrics"])
                say(f"{run}: would-be rank among the published rows, which are of the test set: {place}")
    if json_file:
        write_json(json_file, result)


def traps() -> None:
    """What surprises people about the board, and how not to fall in.

    Example: `medvidbench traps`
    """
    from medvidbench_hf.leaderboard import TRAPS, traps_page

    if not console.is_terminal:  # into a file: Markdown
        typer.echo(traps_page(), nl=False)
        return
    for about in dict.fromkeys(trap.about for trap in TRAPS.values()):
        console.print(f"\n{about}", style="bold")
        for key, trap in TRAPS.items():
            if trap.about == about:
                bullet(key, f"board: {trap.board}", f"strict: {trap.strict}", f"what to do: {trap.advice}")


def json_target(path: Path | None, *inputs: Path | None) -> None:
    """`output_files` of a command whose one output is its --json."""
    output_files({"--json": path}, *inputs)


def output_files(outputs: Mapping[str, Path | None], *inputs: Path | None) -> None:
    """Say before the work that its result has nowhere to go. outputs: option -> the file that it names.

    Raises InputError where the place is no file in a folder that exists, or is an input, in a run's folder that is an
    input, or another output.
    """
    named = {option: path for option, path in outputs.items() if path is not None}
    taken = [path.resolve() for path in inputs if named and path is not None]
    for option, path in named.items():
        place = path.resolve()
        if (path.exists() and not path.is_file()) or not place.parent.is_dir():
            raise InputError(f"{option} {path}: not a file in a folder that exists")
        for other in taken:
            if place == other or place.parent == other:
                raise InputError(f"{option} {path}: would replace {other}, or stand in it; write the result elsewhere")
        taken.append(place)
