"""What calls cost and what they may cost.

Tokens are as the server counts them. Where it does not say, and for attempts that ended without an answer (they may
have been billed), the estimate made before asking stands.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from medvidbench_hf.sample import InputError

BYTES_PER_TOKEN = 4  # English text
TOKENS_PER_MESSAGE = 4  # role and separators
FIRST_REPLY_TOKENS = 512  # set aside for a reply without max_tokens while none was seen
TOKENS_PER_MEDIA_PART = 1_000  # an image, a video or a sound: what it really takes depends on the model

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")  # gpt-4.1-2025-04-14


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input_usd: float
    output_usd: float

    def __post_init__(self) -> None:
        for field in ("input_usd", "output_usd"):
            _check_amount(f"Price field {field}", getattr(self, field))

    def of(self, tokens: Tokens) -> float:
        return (self.input_usd * tokens.input + self.output_usd * tokens.output) / 1_000_000


def price_of(model: str) -> Price | None:
    """The public list price of a model, a dated version or a "models/" name included; None where it is not known."""
    prices = _list_prices()
    name = model.removeprefix("models/")
    return prices.get(name) or prices.get(_DATED.sub("", name))


@cache
def _list_prices() -> Mapping[str, Price]:
    listed = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))["prices"]
    return {model: Price(entry["input_usd"], entry["output_usd"]) for model, entry in listed.items()}


class Tokens(NamedTuple):
    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent: dollars, tokens (input and output together), both or, by default, no bound."""

    usd: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.usd is not None:
            _check_amount("Budget field usd", self.usd)
        if self.tokens is not None and (type(self.tokens) is not int or self.tokens < 0):
            raise InputError(f"Budget field tokens: {self.tokens!r}, expected a count")


UNBOUNDED = Budget()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was asked so far. calls were answered, failed were given up, retries are attempts after a call's first."""

    calls: int = 0
    failed: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.failed + other.failed,
            self.retries + other.retries,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )

    @property
    def tokens(self) -> Tokens:
        return Tokens(self.input_tokens, self.output_tokens)

    def usd(self, price: Price | None) -> float | None:
        """Dollars; None without a price."""
        return None if price is None else price.of(self.tokens)


NOTHING, FAILED = Usage(), Usage(failed=1)


class BudgetSpent(RuntimeError):
    """Nothing more is asked; says what was spent of what."""


class Account:
    """What was spent and what the calls in flight may still spend. Safe from several threads."""

    def __init__(self, budget: Budget, price: Price | None) -> None:
        self._budget, self._price = budget, price
        self._usage = Usage()
        self._held = Tokens(0, 0)  # by calls in flight
        self._longest = FIRST_REPLY_TOKENS  # reply so far
        self._shown_one = budget == UNBOUNDED  # whether an attempt has ended, or need not
        self._spent = ""  # why nothing more is asked
        self._lock = threading.Lock()

    @property
    def usage(self) -> Usage:
        return self._usage

    def hold(self, n_input: int, n_output: int | None) -> Tokens | None:
        """Set aside what an attempt may take. n_output: its max_tokens; None: as long as the longest reply so far.

        None where calls in flight hold what is left, and while the first attempt is to show how long a reply is: try
        again when one has ended.

        Raises BudgetSpent, from then on for every call: those that ask for less would be answered and the long ones
        never, which is a choice nobody made.
        """
        with self._lock:
            if self._spent:
                raise BudgetSpent(self._spent)
            if n_output is None and self._held.total and not self._shown_one:
                return None
            tokens = Tokens(n_input, self._longest if n_output is None else n_output)
            over = self._over(_sum(self._usage.tokens, self._held, tokens))
            if not over:
                self._held = _sum(self._held, tokens)
                return tokens
            if self._held.total:
                return None
            self._spent = f"nothing more is asked: {over}; {self._usage.calls:,} calls took {self._shown()}"
            raise BudgetSpent(self._spent)

    def settle(self, held: Tokens, used: Tokens) -> None:
        """An attempt ended: what it used takes the place of what was set aside for it."""
        with self._lock:
            self._held = Tokens(self._held.input - held.input, self._held.output - held.output)
            self._shown_one = True
            if used != held:  # equal where the answer was lost
                self._longest = max(self._longest, used.output)
            tokens = _sum(self._usage.tokens, used)
            self._usage = replace(self._usage, input_tokens=tokens.input, output_tokens=tokens.output)

    def count(self, calls: int = 0, failed: int = 0, retries: int = 0) -> None:
        with self._lock:
            usage = self._usage
            self._usage = replace(
                usage, calls=usage.calls + calls, failed=usage.failed + failed, retries=usage.retries + retries
            )

    def _over(self, tokens: Tokens) -> str:
        """The bound that so many tokens would break, or ""."""
        budget, price = self._budget, self._price
        if budget.usd is not None and price is not None and price.of(tokens) > budget.usd:
            return f"the budget of ${budget.usd:,.2f} has no room for another call"
        if budget.tokens is not None and tokens.total > budget.tokens:
            return f"the budget of {budget.tokens:,} tokens has no room for another call"
        return ""

    def _shown(self) -> str:
        usd = self._usage.usd(self._price)
        return f"{self._usage.tokens.total:,} tokens" + ("" if usd is None else f" (${usd:,.4f})")


def estimated_tokens(messages: Iterable[Mapping[str, Any]], schema: Mapping[str, Any] | None = None) -> int:
    """About how many tokens messages take, and the JSON schema sent with them: four bytes of text are one."""
    n_bytes, other = 0, 0
    for message in messages:
        other += TOKENS_PER_MESSAGE
        content = message.get("content")
        for part in content if isinstance(content, list) else [content]:
            text = part.get("text") if isinstance(part, Mapping) else part
            if isinstance(text, str):
                n_bytes += len(text.encode("utf-8", "surrogatepass"))
            elif part is not None:
                other += TOKENS_PER_MEDIA_PART
    if schema is not None:
        n_bytes += len(json.dumps(schema))
    return -(-n_bytes // BYTES_PER_TOKEN) + other


def _sum(*tokens: Tokens) -> Tokens:
    return Tokens(sum(t.input for t in tokens), sum(t.output for t in tokens))


def _check_amount(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise InputError(f"{name}: {value!r}, expected dollars, 0 or more")
