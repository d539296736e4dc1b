"""Commands about the judge: score, form, agreement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medvidbench_hf.cli.board import OutFile, output_files
from medvidbench_hf.cli.judge_tables import print_agreement, print_judged
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
from medvidbench_hf.cli.tables import console, say
from medvidbench_hf.sample import InputError

app = typer.Typer(no_args_is_help=True, help="Judge captions, and find out how far a judge agrees with people.")

Data = Annotated[str | None, typer.Option(help="The data that is answered; a run's folder knows.")]
Domain = Annotated[str, typer.Option(help="What the captions are of: surgical_video, radiology or endoscopy_still.")]
Split = Annotated[str | None, typer.Option(help="The split that is answered; a run's folder knows, else test.")]
Predictions = Annotated[
    Path,
    typer.Argument(help="A run's folder or an answer file; or caption pairs, JSONL or CSV: reference, candidate."),
]


@app.command("score")
def score(
    command: typer.Context,
    predictions: Predictions,
    data: Data = None,
    split: Split = None,
    judge: JudgeName = "lexicon",
    rubric: Annotated[str, typer.Option(help="comparative: the paper's question. board: the leaderboard's.")] = (
        "comparative"
    ),
    domain: Domain = "surgical_video",
    reasons: Annotated[bool, typer.Option(help="Ask for a reason a dimension; comparative only.")] = False,
    base_url: BaseUrl = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    price: PriceOption = None,
    cache: CacheFile = None,
    concurrency: Concurrency = 32,
    preview: Preview = False,
    yes: Yes = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write ratings for `judge agreement`.")] = None,
    json_file: OutFile = None,
) -> None:
    """Score captions on five clinical dimensions, 1 to 5. Offline with the lexicon judge, the default.

    Example: `medvidbench judge score pairs.jsonl --judge gpt-4.1 --budget-usd 5`
    """
    from medvidbench_hf.evaluation.judge_items import as_json, by_group, write_ratings
    from medvidbench_hf.evaluation.judged import summary
    from medvidbench_hf.whole_file import write_json

    output_files({"--csv": csv_file, "--json": json_file}, predictions, cache)
    items = _items(predictions, data, split)
    pairs = [item.pair for item in items]
    asked = named_judge(command)
    if asked is None:
        raise InputError("--judge none: nothing to do; lexicon is free")
    verdicts = asked.judge(pairs, progress=True)
    result = {"judge": summary(verdicts, pairs), "groups": by_group(items, verdicts)}
    print_judged(result)
    if csv_file:
        write_ratings(csv_file, items, verdicts)
        say(f"wrote {csv_file}")
    if json_file:
        write_json(json_file, {**result, "items": as_json(items, verdicts)})


@app.command("form")
def form(
    predictions: Predictions,
    out: Annotated[Path, typer.Option(help="Folder for the page, its items and its key.")],
    data: Data = None,
    split: Split = None,
    n: Annotated[int, typer.Option(help="Captions to rate.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Another draw.")] = 0,
    domain: Domain = "surgical_video",
) -> None:
    """Write an offline page on which people rate captions, blind: how far to trust a judge, only people can tell.

    Example: `medvidbench judge form runs/qwen --n 100 --out rating`
    """
    from medvidbench_hf.judge.form import write_form

    items = _items(predictions, data, split)
    made = write_form([({"item": item.item, **item.about}, item.pair) for item in items], out, n, seed, domain=domain)
    for path in made:
        say(f"wrote {path}")
    say(f"give {made.page} to the raters and keep the key from them; a judge rates the same items by")
    say(f"medvidbench judge score {made.items} --csv judge.csv")
    say("and the CSV files of all go to: medvidbench judge agreement RATINGS.csv ... judge.csv")


@app.command("agreement")
def agreement(
    ratings: Annotated[list[Path], typer.Argument(help="CSV files: item, rater, kind, and the five dimensions.")],
    plot: Annotated[Path | None, typer.Option(help="Draw human against judge into this SVG file.")] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap draws of the items.", min=100, max=100_000)] = 1000,
    json_file: OutFile = None,
) -> None:
    """How far raters agree: Pearson, Spearman and Cohen's kappa, with 95 % intervals; people, and judges beside them.

    Example: `medvidbench judge agreement anna.csv bo.csv judge.csv --plot agreement.svg`
    """
    from medvidbench_hf.judge import agreement as study
    from medvidbench_hf.judge.ratings import read_ratings
    from medvidbench_hf.whole_file import write_json

    output_files({"--plot": plot, "--json": json_file}, *ratings)
    given = read_ratings(ratings)
    result = study.agreement(given, resamples)
    if len(given.raters) > 1 and not any(pair["overall"]["n"] for pair in result["pairs"]):
        raise InputError("no item is rated by two raters: a judge's scores must be of the form's own rate.items.jsonl")
    print_agreement(result)
    if plot:
        study.plot(given, plot)
        say(f"drew {plot}")
    if json_file:
        write_json(json_file, result)


def _items(predictions: Path, data: str | None, split: str | None) -> list[Any]:
    from medvidbench_hf.evaluation.judge_items import read_items

    items, notes = read_items(predictions, data, split)
    for note in notes:
        say(note)
    if not items:
        raise InputError(f"{predictions}: no answered caption with a reference in it, so there is nothing to judge")
    console.print(f"{len(items):,} captions of {predictions}", highlight=False, soft_wrap=True)
    return items
