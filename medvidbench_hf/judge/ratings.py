"""Ratings of captions, by people and by judges, as CSV files.

    item,rater,kind,terminology,instrument_anatomy,specificity,procedure_context,action_state
    qzkfmd-001,Anna,human,4,5,3,4,4
    qzkfmd-001,gpt-4.1,judge,4,4,3,5,4

One row a rater and item, in any number of files; an empty cell is not rated; other columns are left alone. People give
whole scores, judges may give any number from 1 to 5. Columns may be cut by commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from medvidbench_hf.judge.pairs import DIMENSIONS, HIGHEST, LOWEST, MAX_BYTES, MAX_NAME_CHARS
from medvidbench_hf.sample import InputError

KINDS = ("human", "judge")
COLUMNS = ("item", "rater", "kind", *DIMENSIONS)
PARTS = (*DIMENSIONS, "overall")

_SCORE = re.compile(r"[+-]?[0-9]{1,4}(?:[.,][0-9]{0,30})?")


@dataclass(frozen=True, eq=False)
class Ratings:
    """Who gave what. kinds: one of KINDS a rater; scores: (items, raters, 5), 1..5, NaN where not rated."""

    items: tuple[str, ...]
    raters: tuple[str, ...]
    kinds: tuple[str, ...]
    scores: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.items), len(self.raters), len(DIMENSIONS))
        if not self.items or not self.raters:
            raise InputError("no ratings: there must be at least one item and one rater")
        if self.scores.shape != shape or len(self.kinds) != len(self.raters):
            raise InputError(f"scores: shape {self.scores.shape} for {len(self.kinds)} kinds, expected {shape}")
        if wrong := set(self.kinds) - set(KINDS):
            raise InputError(f"kinds: {min(wrong)!a}, expected human or judge")
        given = self.scores[~np.isnan(self.scores)]
        if given.size and not (given.min() >= LOWEST and given.max() <= HIGHEST):
            raise InputError(f"scores: from {given.min()} to {given.max()}, expected {LOWEST} to {HIGHEST}")

    def of(self, kind: str) -> list[int]:
        """Positions of the raters of a kind."""
        return [k for k, of_rater in enumerate(self.kinds) if of_rater == kind]

    def parts(self) -> np.ndarray:
        """(items, raters, 6): the five dimensions and the overall mean, NaN where one of the five is missing."""
        whole = np.concatenate([self.scores, self.scores.mean(axis=2, keepdims=True)], axis=2)
        return np.round(whole, 6)  # so that 4.2 is 4.2 whichever dimension was the 5


def read_ratings(paths: str | Path | Iterable[str | Path]) -> Ratings:
    """Read one CSV or several as one study. Raises InputError that names file, line and column."""
    kinds: dict[str, tuple[str, str]] = {}  # rater -> (kind, where)
    spelt: dict[str, str] = {}
    given: dict[tuple[str, str], tuple[list[float], str]] = {}
    for path in [paths] if isinstance(paths, str | Path) else paths:
        for where, cells in _rows(Path(path)):
            item, rater = _name(cells, "item", where), _name(cells, "rater", where)
            kind = cells["kind"].lower()
            if kind not in KINDS:
                raise InputError(f"{where} column kind: {cells['kind']!a:.60}, expected human or judge")
            kind_before, seen = kinds.setdefault(rater, (kind, where))
            if kind_before != kind:
                raise InputError(f"{where} column kind: {rater!a} is a {kind} here and a {kind_before} in {seen}")
            if (same := spelt.setdefault(rater.casefold(), rater)) != rater:
                raise InputError(f"{where} column rater: {rater!a} is {same!a} in {kinds[same][1]}; spell it one way")
            if (item, rater) in given:
                before = given[item, rater][1]
                raise InputError(f"{where} column item: {rater!a} rated {item!a} before, in {before}; keep one of them")
            given[item, rater] = [_score(cells, name, kind, where) for name in DIMENSIONS], where
    if not given:
        raise InputError("no ratings: give at least one CSV file with a row a rater and item")
    items = {item: k for k, item in enumerate(dict.fromkeys(item for item, _ in given))}
    raters = {rater: k for k, rater in enumerate(sorted(kinds, key=lambda rater: KINDS.index(kinds[rater][0])))}
    scores = np.full((len(items), len(raters), len(DIMENSIONS)), np.nan)
    for (item, rater), (values, _) in given.items():
        scores[items[item], raters[rater]] = values
    return Ratings(tuple(items), tuple(raters), tuple(kinds[rater][0] for rater in raters), scores)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(where it stands, column -> cell) of each row that is not blank."""
    first, _, rest = _text(path).partition("\n")
    if first.strip().lower().startswith("sep="):  # a spreadsheet's own first line
        first = ""
    lines = f"{first}\n{rest}"
    header = lines.lstrip().partition("\n")[0]
    reader = csv.reader(StringIO(lines, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    names: list[str] = []
    n = 1
    try:
        for row in reader:
            where, n = f"{path} line {n}", reader.line_num + 1
            row = [cell.strip() for cell in row]
            if not any(row):
                continue
            if not names:
                names = [cell.lower() for cell in row]
                for name in COLUMNS:
                    if names.count(name) != 1:
                        count = "missing" if name not in names else "there twice"
                        raise InputError(f"{where} column {name}: {count}; the header is {','.join(COLUMNS)}")
                continue
            if any(row[len(names) :]):
                raise InputError(
                    f"{where}: {len(row)} cells for {len(names)} columns; decimal commas need quotes or semicolons"
                )
            yield where, {**dict.fromkeys(names, ""), **dict(zip(names, row, strict=False))}
    except csv.Error as error:
        raise InputError(f"{path} line {n}: is not CSV ({error})") from None
    if not names:
        raise InputError(f"{path}: is empty; the header is {','.join(COLUMNS)}")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES // 2**20} MiB; these are no ratings")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start}); save it as 'CSV UTF-8'") from None


def _name(cells: Mapping[str, str], column: str, where: str) -> str:
    name = " ".join(unicodedata.normalize("NFC", cells[column]).split())
    if not name or not name.isprintable() or len(name) > MAX_NAME_CHARS:
        raise InputError(f"{where} column {column}: {cells[column]!a:.60}, expected a short name")
    return name


def _score(cells: Mapping[str, str], column: str, kind: str, where: str) -> float:
    cell = cells[column]
    if not cell:
        return np.nan
    value = float(cell.replace(",", ".")) if _SCORE.fullmatch(cell) else np.nan
    if not LOWEST <= value <= HIGHEST:
        raise InputError(
            f"{where} column {column}: {cell!a:.60}, expected a score from 1 to 5, or nothing if not rated"
        )
    if kind == "human" and value != int(value):
        raise InputError(f"{where} column {column}: {cell!a:.60}, expected a whole score, since a human gave it")
    return value
