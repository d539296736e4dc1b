"""Where a row of ten numbers stands: the board's ranking rule, and a snapshot of its table (board.json).

Each column is ranked alone, best first: equal values share a rank and the next value has the next rank (dense), on
values of three decimals. The average of the ten ranks orders the models, lower is better. Models with one average are
told apart by more first places, then by the sum of value / the column's best, then by name. (The board looks at the
sum of ranks before that; equal averages have equal sums, so it never decides.)

Source: the public code of the board; the numbers' sources are in board.json, row by row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import NamedTuple

from medvidbench_hf.leaderboard.score import COLUMNS
from medvidbench_hf.leaderboard.traps import RANK_DECIMALS
from medvidbench_hf.sample import InputError

PRINTED_DECIMALS = 4


class Ranked(NamedTuple):
    """A model's place, from 1, and what it comes from. firsts: columns where its rank is 1."""

    place: int
    name: str
    average_rank: float
    ranks: dict[str, int]
    firsts: int


class BoardRow(NamedTuple):
    """A published row. source: where the numbers were read; certainty: primary, or secondary (from a third party)."""

    name: str
    group: str  # "off the shelf", "benchmark authors", "participant"
    source: str
    certainty: str
    metrics: dict[str, float]


class Board(NamedTuple):
    """What is known of the published table. snapshot: of when; notes: what to know before relying on a place in it."""

    snapshot: str
    source: str
    notes: tuple[str, ...]
    rows: tuple[BoardRow, ...]


class WouldBe(NamedTuple):
    """Where a model would stand among the rows of the snapshot.

    place, average_rank, ranks: as the board has it, which stores a missing column as 0.0. of: models, this one counted.
    ranks_of: the last rank of each column. missing: columns without a value; each makes the place pessimistic.
    given_place, given_average_rank: over the columns with a value only. The board has no such table.
    """

    name: str
    place: int
    of: int
    average_rank: float
    ranks: dict[str, int]
    ranks_of: dict[str, int]
    missing: tuple[str, ...]
    given_place: int
    given_average_rank: float
    snapshot: str

    def __str__(self) -> str:
        text = f"place {self.place} of {self.of}, average rank {self.average_rank:.1f}"
        if not self.missing:
            return text
        given = len(self.ranks) - len(self.missing)
        return (
            f"{text}: pessimistic, the board stores what is missing ({', '.join(self.missing)}) as 0; "
            f"over the other {given} of {len(self.ranks)} columns alone, place {self.given_place} of {self.of}, "
            f"average rank {self.given_average_rank:.1f}"
        )


def stored(value: float) -> float:
    """A value as the board keeps it: printed with four decimals, read back, rounded to three (0.71246 is 0.713)."""
    return round(float(f"{value:.{PRINTED_DECIMALS}f}"), RANK_DECIMALS)


def rank(table: Mapping[str, Mapping[str, float | None]], columns: Sequence[str] = tuple(COLUMNS)) -> list[Ranked]:
    """The models, best first. table: name -> column -> value; None, or no such column, ranks behind every value.

    A metric that a submission lacks is no None on the board: it is stored, and ranked, as 0.0.

    Raises InputError where a value is not a finite number.
    """
    values = {name: {c: _cell(name, c, row.get(c)) for c in columns} for name, row in table.items()}
    levels = {c: sorted({v for row in values.values() if (v := row[c]) is not None}, reverse=True) for c in columns}
    ranks = {
        name: {c: len(levels[c]) + 1 if v is None else levels[c].index(v) + 1 for c, v in row.items()}
        for name, row in values.items()
    }
    firsts = {name: sum(r == 1 for r in row.values()) for name, row in ranks.items()}

    def order(name: str) -> tuple[int, int, float, str]:
        shares = (v / levels[c][0] for c, v in values[name].items() if v is not None and levels[c][0] > 0)
        return sum(ranks[name].values()), -firsts[name], -math.fsum(shares), name

    return [
        Ranked(place, name, sum(ranks[name].values()) / len(columns), ranks[name], firsts[name])
        for place, name in enumerate(sorted(values, key=order), start=1)
    ]


def board() -> Board:
    """The snapshot, in the order of its source."""
    read = json.loads(files(__package__).joinpath("board.json").read_text(encoding="utf-8"))
    rows = tuple(BoardRow(**row) for row in read["rows"])
    return Board(read["snapshot"], read["source"], tuple(read["notes"]), rows)


def would_be(metrics: Mapping[str, float | None], name: str = "yours") -> WouldBe:
    """Where a model would stand. metrics: columns of the `leaderboard` protocol at any precision; None is missing.

    Other numbers (`strict`, another split) rank as readily and mean nothing. The board ranks its official and its
    community table alone, and has rows that the snapshot lacks.

    Raises InputError where the name is a row's of the snapshot, a column is not known, a value is not a finite number,
    or no column has a value.
    """
    snapshot = board()
    if name in {row.name for row in snapshot.rows}:
        raise InputError(f"name {name!r} is taken by a row of the board: choose another")
    unknown = sorted(metrics.keys() - COLUMNS.keys())
    if unknown:
        raise InputError(f"unknown column {unknown[0]!r}; known: {', '.join(COLUMNS)}")
    given = {c: v for c in COLUMNS if (v := metrics.get(c)) is not None}
    if not given:
        raise InputError("no column has a value: there is nothing to rank")
    others = {row.name: row.metrics for row in snapshot.rows}
    ranked = rank({**others, name: {**dict.fromkeys(COLUMNS, 0.0), **given}})
    mine = next(row for row in ranked if row.name == name)
    alone = next(row for row in rank({**others, name: given}, tuple(given)) if row.name == name)
    return WouldBe(
        name,
        mine.place,
        len(ranked),
        mine.average_rank,
        mine.ranks,
        {c: max(row.ranks[c] for row in ranked) for c in COLUMNS},
        tuple(c for c in COLUMNS if c not in given),
        alone.place,
        alone.average_rank,
        snapshot.snapshot,
    )


def _cell(name: str, column: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} column {column}: {value!r}, expected a number")
    return stored(value)
