"""The options of every command that asks a judge, and what is said before money is spent."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medvidbench_hf.cli.tables import say
from medvidbench_hf.sample import InputError

if TYPE_CHECKING:
    from medvidbench_hf.evaluation.judged import Judge
    from medvidbench_hf.judge import LLMJudge, Pair, Verdicts

JudgeName = Annotated[
    str, typer.Option("--judge", help="lexicon (offline, free), or a model's name at an OpenAI-compatible server.")
]
BaseUrl = Annotated[
    str | None, typer.Option(help="The server, http://127.0.0.1:8000/v1; else OPENAI_BASE_URL, else OpenAI's.")
]
BudgetUsd = Annotated[float | None, typer.Option(help="Stop before more dollars are spent than this.", min=0.0)]
BudgetTokens = Annotated[int | None, typer.Option(help="Stop before more tokens are spent than this.", min=1)]
PriceOption = Annotated[
    str | None, typer.Option("--price", help="IN,OUT: dollars a million tokens, where the list price is not known.")
]
CacheFile = Annotated[
    Path | None, typer.Option("--cache", help="File of judgements that are kept; by default in the user's cache.")
]
Concurrency = Annotated[int, typer.Option(help="Calls under way at a time.", min=1, max=1024)]
Preview = Annotated[bool, typer.Option("--preview", help="Only say what the judge would cost.")]
Yes = Annotated[bool, typer.Option("--yes", help="Spend without asking.")]


def default_cache() -> Path:
    """Judgements of all runs, so that no pair is paid for twice; it holds captions, also those of gated data."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medvidbench" / "judgements.sqlite"


def named_judge(command: typer.Context, rubric: str = "board") -> Judge | None:
    """The judge that a command's own options describe; None for "none". rubric: where the command has no such option.

    Read from the command's context, so that no command has to hand on ten options one by one. Raises InputError.
    """
    given = {"rubric": rubric, **{option: value for option, value in command.params.items() if option in _OPTIONS}}
    return None if command.params["judge"] == "none" else judge_of(command.params["judge"], **given)


def judge_of(
    name: str,
    *,
    rubric: str = "board",
    domain: str = "surgical_video",
    base_url: str | None = None,
    budget_usd: float | None = None,
    budget_tokens: int | None = None,
    price: str | None = None,
    cache: Path | None = None,
    concurrency: int = 32,
    reasons: bool = False,
    yes: bool = False,
    preview: bool = False,
) -> Judge:
    """The judge that a command's options describe. Raises InputError."""
    from medvidbench_hf import judge

    if name == "lexicon":
        options: dict[str, Any] = {"--base-url": base_url, "--budget-usd": budget_usd, "--budget-tokens": budget_tokens}
        options |= {"--price": price, "--cache": cache, "--reasons": reasons or None, "--preview": preview or None}
        options |= {"--domain": domain if domain != "surgical_video" else None}
        options |= {"--rubric": rubric if rubric not in ("board", "comparative") else None}
        if given := [option for option, value in options.items() if value is not None]:
            raise InputError(f"the lexicon judge asks nobody and has one vocabulary: leave {', '.join(given)} out")
        return judge.LexiconJudge()
    from medvidbench_hf.endpoint import Budget, Endpoint, ReplyCache

    question = judge.rubric(rubric, domain)
    endpoint = Endpoint(
        name,
        base_url=base_url,
        api_key="none" if preview else None,
        concurrency=concurrency,
        price=_price(price) if price else None,
        budget=Budget(usd=budget_usd, tokens=budget_tokens),
    )
    place = cache or default_cache()
    if cache is None:
        place.parent.mkdir(parents=True, exist_ok=True)
    asked = judge.LLMJudge(endpoint, question, cache=ReplyCache(place), reasons=reasons)
    return Previewed(asked, agreed=yes or budget_usd is not None or budget_tokens is not None, only=preview)


_OPTIONS = inspect.signature(judge_of).parameters.keys() - {"name"}


def _price(text: str) -> Any:
    from medvidbench_hf.endpoint import Price

    try:
        input_usd, output_usd = (float(part) for part in text.split(","))
        return Price(input_usd, output_usd)
    except ValueError:
        raise InputError(f"--price {text!r}: expected two numbers, IN,OUT, in dollars a million tokens") from None


@dataclass(frozen=True)
class Previewed:
    """A judge that says first what its calls will cost, and asks where nobody agreed to it. only: and no more."""

    asked: LLMJudge
    agreed: bool
    only: bool = False

    @property
    def name(self) -> str:
        return self.asked.name

    def judge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        preview = self.asked.preview(pairs)
        say(shown(preview, self.name))
        if self.only:
            raise typer.Exit
        most = self.asked.endpoint.budget.usd
        if most is not None and preview.usd is not None and preview.usd > most:
            say(f"${most:.2f} will not do for all: what is judged until then is kept, and a larger budget goes on")
        if preview.calls and not self.agreed:
            if not sys.stdin.isatty():
                raise InputError("nobody is there to ask: say --yes, or set a --budget-usd or --budget-tokens")
            typer.confirm("go on?", abort=True)
        return self.asked.judge(pairs, progress=True)


def shown(preview: Any, name: str) -> str:
    """A preview in one line."""
    cost = "its price is not known" if preview.usd is None else f"about ${preview.usd:.2f}"
    return (
        f"{name}: {preview.distinct:,} distinct pairs of {preview.pairs:,}; {preview.guarded:,} need no judge, "
        f"{preview.cached:,} are in the cache, {preview.calls:,} calls to make: about {preview.input_tokens:,} tokens "
        f"in and {preview.output_tokens:,} out, {cost}"
    )
