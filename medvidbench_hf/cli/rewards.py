"""Commands about rewards: stats, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medvidbench_hf.cli.board import OutFile, output_files
from medvidbench_hf.cli.judge_tables import print_reward_comparison, print_reward_statistics
from medvidbench_hf.cli.judging import (
    BaseUrl,
    BudgetTokens,
    BudgetUsd,
    CacheFile,
    Concurrency,
    JudgeName,
    PriceOption,
    Yes,
    judge_of,
    named_judge,
)
from medvidbench_hf.cli.tables import say, task_names
from medvidbench_hf.sample import InputError

RECIPE = "tal,stg,video_summary,region_caption"  # medvidbench_hf.rewards.RECIPE, without its imports

app = typer.Typer(no_args_is_help=True, help="Make the rewards of unlike tasks comparable, before they are mixed.")

Tasks = Annotated[str, typer.Option(help="The tasks that are rewarded, joined by commas.")]
Data = Annotated[str | None, typer.Option(help="The data that is answered; a run's folder knows.")]
Split = Annotated[str | None, typer.Option(help="The split that is answered; a run's folder knows, else test.")]


@app.command("stats")
def stats(
    command: typer.Context,
    predictions: Annotated[
        Path, typer.Argument(help="A run's folder or an answer file; or a CSV of raw rewards: pair, raw [, component].")
    ],
    out: Annotated[Path, typer.Option(help="The statistics, for training.")],
    data: Data = None,
    split: Split = None,
    tasks: Tasks = RECIPE,
    judge: JudgeName = "lexicon",
    base_url: BaseUrl = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    price: PriceOption = None,
    cache: CacheFile = None,
    concurrency: Concurrency = 32,
    yes: Yes = False,
    min_rows: Annotated[int, typer.Option(help="Fewest answers a source and task may have.", min=1)] = 20,
    fallback: Annotated[
        str, typer.Option(help="task, all: what a pair with fewer takes its statistics of; refused without.")
    ] = "",
) -> None:
    """Statistics of an SFT model's raw rewards by source and task, which normalisation needs.

    Example: `medvidbench rewards stats runs/sft --out stats.json`
    """
    from medvidbench_hf.evaluation.raw_rewards import read_raw_csv, reward_statistics

    output_files({"--out": out}, predictions, cache)
    if fallback not in ("", "task", "all"):
        raise InputError(f"--fallback {fallback!r}: expected task or all")
    if predictions.suffix.lower() == ".csv":
        statistics = read_raw_csv(predictions, min_rows, fallback)  # type: ignore[arg-type]
    else:
        asked = named_judge(command, "comparative")
        if asked is None:
            raise InputError("--judge none: captions need a judge; leave it out, with --tasks tal,stg nobody is asked")
        statistics = reward_statistics(
            *(predictions, data, split, asked),
            tasks=task_names(tasks),
            min_rows=min_rows,
            fallback=fallback,  # type: ignore[arg-type]
            progress=True,
        )
    statistics.write(out)
    print_reward_statistics(statistics)
    say(f"wrote {out}")


@app.command("compare")
def compare(
    predictions: Annotated[
        list[Path],
        typer.Argument(help="k runs on the same rows, a sample a prompt each; or a CSV: pair, prompt, raw."),
    ],
    data: Data = None,
    split: Split = None,
    statistics: Annotated[
        Path | None, typer.Option(help="Statistics to normalise by; those of the samples without.")
    ] = None,
    tasks: Tasks = RECIPE,
    component: Annotated[str, typer.Option(help="score; or similarity, judge: of captions.")] = "score",
    plot: Annotated[Path | None, typer.Option(help="Draw the comparison into this SVG file.")] = None,
    json_file: OutFile = None,
) -> None:
    """Every normaliser under every scale_rewards, on your own samples: balance, order, outliers, drift, saturation.

    Example: `medvidbench rewards compare runs/k1 runs/k2 runs/k3 runs/k4 --plot compare.svg`
    """
    from medvidbench_hf.evaluation.raw_rewards import read_samples_csv, reward_samples
    from medvidbench_hf.rewards import Statistics
    from medvidbench_hf.rewards import compare as compared
    from medvidbench_hf.rewards import plot as draw
    from medvidbench_hf.rewards.origin import doubts
    from medvidbench_hf.whole_file import write_json

    output_files({"--plot": plot, "--json": json_file}, *predictions, statistics)
    known = Statistics.read(statistics) if statistics else None
    from_csv, judge = len(predictions) == 1 and predictions[0].suffix.lower() == ".csv", judge_of("lexicon")
    for doubt in doubts(known.about, judge if component == "judge" and not from_csv else None) if known else ():
        say(f"warning: {doubt}")
    if from_csv:
        samples: Any = read_samples_csv(predictions[0])
    else:
        samples = reward_samples(predictions, data, split, judge, task_names(tasks), component)
    result = compared(samples, known, component=component)
    print_reward_comparison(result)
    if plot:
        draw(result, plot)
        say(f"drew {plot}")
    if json_file:
        write_json(json_file, result)
