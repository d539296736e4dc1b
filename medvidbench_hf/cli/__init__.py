"""The command `medvidbench`. Bad input gives one line on stderr and exit code 1."""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from medvidbench_hf.cli import board, data, judge, rewards
from medvidbench_hf.cli.board import OutFile, json_target
from medvidbench_hf.cli.judging import (
    BaseUrl,
    BudgetTokens,
    BudgetUsd,
    CacheFile,
    Concurrency,
    JudgeName,
    Preview,
    PriceOption,
    Yes,
    named_judge,
)
from medvidbench_hf.cli.machine import cores
from medvidbench_hf.cli.tables import console, megabytes, print_score, task_names
from medvidbench_hf.sample import SPLITS, InputError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)
app.add_typer(data.app, name="data")
app.add_typer(judge.app, name="judge")
app.add_typer(rewards.app, name="rewards")
for command in (board.check, board.submit, board.compare, board.traps):
    app.command()(command)


@app.callback()
def _about() -> None:
    """MedVidBench: build, run and score eight medical-video tasks."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    videos: Annotated[int, typer.Option(help="Number of simulated videos.", min=8)] = 120,
) -> None:
    """Build the simulated benchmark, answer it with the prior, score it, write the report. Offline, no GPU.

    Example: `medvidbench demo --out demo`
    """
    import datasets

    from medvidbench_hf.builder import build
    from medvidbench_hf.evaluation import run as run_model
    from medvidbench_hf.evaluation import score_run, write_report
    from medvidbench_hf.video import need_decoder, need_ffmpeg

    need_ffmpeg()
    need_decoder()
    datasets.disable_progress_bars()  # nine small configs; the long steps have bars of their own
    started = time.monotonic()
    marker, data, answers = out / ".demo", out / "simulated", out / "prior"
    if out.exists() and any(out.iterdir()) and not marker.is_file():
        raise InputError(f"{out} is not empty and was not made by the demo: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()
    built = build("simulated", data, num_proc=cores(), overwrite=True, progress=True, videos=videos)
    configs = datasets.get_dataset_config_names(str(data.resolve()))
    rows = {config: datasets.load_dataset(str(data.resolve()), config) for config in configs}
    first = rows["all"]["test"][0]
    for name in ("predictions.jsonl", "run.json", "report.json", "report.html"):
        (answers / name).unlink(missing_ok=True)
    run_model(_model("prior", data), data, answers, progress=True)
    report = score_run(answers)
    print_score(report)
    page = write_report(answers, report)
    n_test = rows["all"]["test"].num_rows
    console.print(
        f"""
1. Built the simulated benchmark: {built.n_rows} questions on {built.clips} clips, {megabytes(data)} MB, in {data}
2. Loaded every config back with load_dataset: {", ".join(configs)}
3. Row 0 of the test split asks: {first["question"]!r}
4. Its clip decodes: {tuple(first["video"][0].shape)} (channels, height, width)
5. Answered all {n_test} test questions with `prior`, the statistics of the train split: {answers / "predictions.jsonl"}
6. Scored them under the strict protocol (table above): {answers / "report.json"}
7. Wrote the report with the worst cases: open {page}
8. Took {time.monotonic() - started:.0f} s. Everything is simulated: no number says anything about medical ability.
9. Try in Python: load_dataset("{data}", "stg", split="test")
10. Try a real source: medvidbench data build --source nurvid --root NurViD-benchmark --out nurvid""",
        soft_wrap=True,
    )


@app.command()
def run(
    model: Annotated[str, typer.Option(help="prior: the statistics of the train split.")],
    data: Annotated[str, typer.Option(help="A built folder, or ORG/NAME on the Hub.")],
    out: Annotated[Path, typer.Option(help="Folder for predictions.jsonl and run.json.")],
    split: Annotated[str, typer.Option(help=", ".join(SPLITS))] = "test",
    tasks: Annotated[str, typer.Option(help="Only these, joined by commas.")] = "",
    limit: Annotated[int | None, typer.Option(help="Only the first rows.", min=1)] = None,
    subset: Annotated[
        str, typer.Option(help="smoke: 2 rows a qa_type; lite: 10; spread over sources and videos.")
    ] = "",
    resume: Annotated[bool, typer.Option(help="Go on with a run that was stopped.")] = False,
) -> None:
    """Answer every question of a split.

    Example: `medvidbench run --model prior --data nurvid --out runs/prior`
    """
    from medvidbench_hf.builder import read_samples
    from medvidbench_hf.evaluation import run as run_model

    chosen = task_names(tasks)
    folder = run_model(
        *(_model(model, data), data, out),
        split=split,
        tasks=chosen,
        limit=limit,
        subset=subset,
        resume=resume,
        progress=True,
    )
    scored = next(read_samples(data, split)).answer is not None
    step = f"score {folder}" if scored else f"submit {folder} --data {data} --out submission.json"
    console.print(
        f"answers in {folder / 'predictions.jsonl'}; next: medvidbench {step}", highlight=False, soft_wrap=True
    )


@app.command()
def score(
    command: typer.Context,
    predictions: Annotated[
        Path, typer.Argument(help="A run's folder, a predictions.jsonl, a submission, or a file in the merged form.")
    ],
    data: Annotated[
        str | None, typer.Option(help="The data it answers; a run's folder and the merged form know.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="The split it answers; a run's folder knows, else test.")] = None,
    protocol: Annotated[
        str, typer.Option(help="strict: every row counts; leaderboard: as the board does, oddities included; both.")
    ] = "strict",
    judge: JudgeName = "none",
    base_url: BaseUrl = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    price: PriceOption = None,
    cache: CacheFile = None,
    concurrency: Concurrency = 32,
    preview: Preview = False,
    yes: Yes = False,
    json_file: OutFile = None,
    per_sample: Annotated[bool, typer.Option(help="Keep one entry a row in the JSON.")] = False,
) -> None:
    """Score answers and print the ten columns; three of them need a judge, which is asked the board's rubric.

    Example: `medvidbench score runs/prior --protocol both --judge gpt-4.1 --budget-usd 20`
    """
    from medvidbench_hf.evaluation import score_run
    from medvidbench_hf.whole_file import write_json

    json_target(json_file, predictions, cache)
    report = score_run(predictions, data, split, protocol=protocol, judge=named_judge(command), progress=True)
    print_score(report)
    if json_file and not per_sample:
        for one in report.values() if protocol == "both" else (report,):
            del one["per_sample"]
    if json_file:
        write_json(json_file, report)


@app.command()
def report(
    command: typer.Context,
    predictions: Annotated[Path, typer.Argument(help="A run's folder, or a predictions.jsonl.")],
    data: Annotated[str | None, typer.Option(help="The data it answers; a run's folder knows.")] = None,
    split: Annotated[str | None, typer.Option(help="The split it answers; a run's folder knows, else test.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write into; the run's own by default.")] = None,
    judge: JudgeName = "lexicon",
    base_url: BaseUrl = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    price: PriceOption = None,
    cache: CacheFile = None,
    concurrency: Concurrency = 32,
    preview: Preview = False,
    yes: Yes = False,
) -> None:
    """Write report.json and report.html: tables, and the worst cases with frames and timelines.

    Example: `medvidbench report runs/prior`
    """
    from medvidbench_hf.evaluation import score_run, write_report

    scored = score_run(predictions, data, split, protocol="both", judge=named_judge(command))
    page = write_report(predictions, scored, out)
    console.print(f"open {page}", soft_wrap=True)


# --- helpers ---------------------------------------------------------------------------------------------------


def _model(name: str, data: str | Path) -> Any:
    from medvidbench_hf.builder import read_samples
    from medvidbench_hf.models.prior import Prior

    if name != "prior":
        raise InputError(f"unknown model {name!r}; known: prior")
    return Prior.fit(read_samples(data, "train"))


def main() -> None:
    """Entry point: bad input, a full disk or a missing permission become one line."""
    if not sys.stderr.isatty():
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"  # a log needs no bars; read when datasets is imported
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows "?" for a dash
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    try:
        app()
    except SystemExit as stop:
        if stop.code == 130:  # Ctrl-C
            print("interrupted: the same command goes on where it stopped (a run: with --resume)", file=sys.stderr)
        raise
    except (InputError, OSError, RuntimeError) as error:
        if type(error) is RuntimeError and not str(error).startswith("Symlink loop"):  # an OSError from Python 3.13 on
            raise
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(1)
