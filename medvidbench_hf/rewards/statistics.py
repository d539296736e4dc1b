"""What the raw rewards of a (source, task) pair look like under one model: where each normaliser takes its scale from.

    {"schema": 1, "created": "2026-01-31T12:00:00+00:00", "model": "org/sft", "model_revision": "3f2a9c", ...,
     "pairs": {"CoPESD/stg": {"score": {"n": 812, "mean": 0.47, "std": 0.21, "quantiles": [101 values],
                                        "floored": false}},
               "CholecT50/video_summary": {"similarity": {...}, "judge": {...}}},
     "floor": 0.05, "notes": []}

The paper takes the percentiles once, from the predictions of the SFT model, and keeps them fixed (project page, reward
normalisation). It does not say what happens where the quartiles meet. Here a floor stands in for an IQR, or a standard
deviation, that is smaller, which bounds the slope of the logistic at 0.75 / floor.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medvidbench_hf.sample import InputError
from medvidbench_hf.whole_file import write_text

QUANTILES = 101
SCHEMA = 1
FLOOR = 0.05  # suits rewards in 0..1
LARGEST_FILE_BYTES = 64_000_000
_ABOUT = ("created", "model", "model_revision", "scorer_version", "data_hash", "split", "decoding")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)  # float() also takes 1_0 and other digits
_OWN = ("schema", "pairs", "floor", "notes")

Floats = NDArray[np.float64]
#: raw rewards as people hold them; None and NaN say that a reward does not apply
Raw = ArrayLike | Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Spread:
    """One component of one pair.

    n: values. mean, std: theirs (std over n, not n - 1). quantiles: p0..p100. floored: the IQR is below the floor of
    the statistics, which stands in for it.
    """

    n: int
    mean: float
    std: float
    quantiles: tuple[float, ...]  # (101,)
    floored: bool

    def __post_init__(self) -> None:
        if type(self.n) is not int or self.n < 1:
            raise InputError(f"field n: {self.n!r}, expected a count of at least 1")
        for name in ("mean", "std"):
            if not _is_number(getattr(self, name)):
                raise InputError(f"field {name}: {getattr(self, name)!r}, expected a finite number")
        if self.std < 0:
            raise InputError(f"field std: {self.std!r} is negative")
        if len(self.quantiles) != QUANTILES:
            raise InputError(f"field quantiles: {len(self.quantiles)} values, expected {QUANTILES}")
        for k, value in enumerate(self.quantiles):
            if not _is_number(value):
                raise InputError(f"field quantiles: p{k} is {value!r}, expected a finite number")
            if k and value < self.quantiles[k - 1]:
                raise InputError(f"field quantiles: p{k} is {value}, below p{k - 1}, which is {self.quantiles[k - 1]}")
        if type(self.floored) is not bool:
            raise InputError(f"field floored: {self.floored!r}, expected true or false")

    @property
    def p25(self) -> float:
        return self.quantiles[25]

    @property
    def p50(self) -> float:
        return self.quantiles[50]

    @property
    def p75(self) -> float:
        return self.quantiles[75]

    @property
    def iqr(self) -> float:
        return self.p75 - self.p25


@dataclass(frozen=True, slots=True)
class Statistics:
    """Every pair's spreads.

    pairs: "CoPESD/stg" -> component ("score", "similarity", "judge") -> Spread. floor: what stands in for a smaller
    IQR or standard deviation. about: what made the raw rewards (created, model, model_revision, scorer_version,
    data_hash, split, decoding, and whatever else is worth keeping). notes: what was pooled and what was floored.
    """

    pairs: Mapping[str, Mapping[str, Spread]]
    floor: float = FLOOR
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_floor(self.floor)
        for pair, component, spread in self._each():
            if spread.floored != (spread.iqr < self.floor):
                raise InputError(
                    f"pair {pair!a}, {component!a} field floored: {spread.floored}, but its IQR is {spread.iqr} and "
                    f"the floor {self.floor}"
                )
        taken = [name for name in _OWN if name in self.about]
        if taken:
            raise InputError(f"field about: {taken[0]!r} is a name of the file's own; choose another")

    def of(self, pair: str, component: str = "score") -> Spread:
        """InputError that names what is known."""
        if pair not in self.pairs:
            known = ", ".join(ascii(name) for name in list(self.pairs)[:20])
            more = f" and {len(self.pairs) - 20} more" if len(self.pairs) > 20 else ""
            raise InputError(f"no reward statistics of {pair!a}; there are those of {known or 'no pair'}{more}")
        if component not in self.pairs[pair]:
            raise InputError(
                f"no reward statistics of the {component!a} of {pair!a}; there are those of its "
                + ", ".join(map(ascii, self.pairs[pair]))
            )
        return self.pairs[pair][component]

    def write(self, path: str | Path) -> None:
        """Write whole or not at all. What `about` does not tell is null; `created` is now."""
        path = Path(path)
        about = {name: self.about.get(name) for name in _ABOUT}
        about["created"] = about["created"] or datetime.now(UTC).isoformat(timespec="seconds")
        pairs: dict[str, dict[str, Any]] = defaultdict(dict)
        for pair, component, s in self._each():
            values = {"n": s.n, "mean": s.mean, "std": s.std, "quantiles": list(s.quantiles), "floored": s.floored}
            pairs[pair][component] = values
        more = {name: value for name, value in self.about.items() if name not in about}
        own = {"pairs": pairs, "floor": self.floor, "notes": list(self.notes)}
        try:
            text = json.dumps({"schema": SCHEMA, **about, **more, **own}, indent=1, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: field about cannot be written as JSON ({error})") from None
        write_text(path, text + "\n")

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file of `write`. InputError that names the file, the pair and the field."""
        try:
            if Path(path).stat().st_size > LARGEST_FILE_BYTES:
                raise InputError(f"{path}: larger than {LARGEST_FILE_BYTES / 1e6:.0f} MB: no reward statistics")
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 ({error.reason})") from None
        return cls.from_json(text, str(path))

    @classmethod
    def from_json(cls, text: str, name: str = "statistics") -> Self:
        """From the text of a file of `write`, called `name` in errors. InputError as of `read`."""
        try:
            record = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} is not JSON ({error})") from None
        try:
            return cls(**_fields(record))
        except InputError as error:
            raise InputError(f"{name} {error}") from None

    def _each(self) -> Iterable[tuple[str, str, Spread]]:
        for pair, components in self.pairs.items():
            for component, spread in components.items():
                yield pair, component, spread


def fit(
    pairs: Iterable[str],
    raw: Raw,
    *,
    component: str = "score",
    min_rows: int = 20,
    fallback: Literal["", "task", "all"] = "",
    floor: float = FLOOR,
    about: Mapping[str, Any] | None = None,
) -> Statistics:
    """Statistics of raw rewards (n,), each with the name of its pair (n,); None and NaN never enter.

    A pair with fewer than `min_rows` values is refused, unless `fallback` says to pool its values with those of all
    pairs of its task (the part of the name after the last "/"), or of "all" pairs. Other components: fit each, then
    `merge`. Raises InputError.
    """
    check_floor(floor)
    if type(min_rows) is not int or min_rows < 1:
        raise InputError(f"min_rows: {min_rows!r}, expected a count of at least 1")
    if fallback not in ("", "task", "all"):
        raise InputError(f'fallback: {fallback!r}, expected "", "task" or "all"')
    values = numbers(raw, "raw", ndim=1)
    refuse_infinite(values, "raw")
    names, of_row = numbered(pairs, len(values), "pairs")
    for k, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise InputError(f"pairs[{int(np.argmax(of_row == k))}]: {name!a}, expected a name such as 'CoPESD/stg'")
    if not names:
        raise InputError("raw: holds no reward to take statistics of")
    here = ~np.isnan(values)
    own = {str(name): values[(of_row == k) & here] for k, name in enumerate(names)}
    few = {pair: len(found) for pair, found in own.items() if len(found) < min_rows}
    if few and not fallback:
        raise InputError(
            f"fewer than {min_rows} values of {component} in "
            + ", ".join(f"{pair!a} (n = {n})" for pair, n in few.items())
            + '; add predictions, lower min_rows, or pool with fallback="task" or "all"'
        )
    notes, spreads = [], {}
    for pair, found in own.items():
        if pair in few:
            pool = [p for p in own if fallback == "all" or task_of(p) == task_of(pair)]
            found = np.concatenate([own[p] for p in pool])
            if len(found) < min_rows:
                raise InputError(
                    f"fewer than {min_rows} values of {component} in {pair!a} (n = {few[pair]}), and with "
                    f'fallback="{fallback}" n = {len(found)}; add predictions or lower min_rows'
                )
            which = "all pairs" if fallback == "all" else f"the pairs of {task_of(pair)}"
            notes.append(f"{pair} {component}: n = {few[pair]}, pooled over {which} ({len(pool)}): n = {len(found)}")
        spreads[pair] = spread_of(found, floor)
        if spreads[pair].floored:
            notes.append(f"{pair} {component}: IQR {spreads[pair].iqr:.3g}; the floor {floor:g} stands in for it")
    return Statistics({p: {component: s} for p, s in spreads.items()}, floor, dict(about or {}), tuple(notes))


def merge(*parts: Statistics) -> Statistics:
    """The components of several statistics in one. InputError where they overlap or were made of different things."""
    if not parts:
        raise InputError("merge: no statistics given")
    pairs: dict[str, dict[str, Spread]] = defaultdict(dict)
    about: dict[str, Any] = {}
    for part in parts:
        if part.floor != parts[0].floor:
            raise InputError(f"field floor: {parts[0].floor} and {part.floor} cannot be merged; fit with one floor")
        for name, value in part.about.items():
            if about.setdefault(name, value) != value and name != "created":
                raise InputError(f"field {name}: {about[name]!a} and {value!a} cannot be merged: of different runs")
        for pair, component, spread in part._each():
            if component in pairs[pair]:
                raise InputError(f"the {component!a} of {pair!a} is in two of the statistics")
            pairs[pair][component] = spread
    return Statistics(dict(pairs), parts[0].floor, about, tuple(note for part in parts for note in part.notes))


def spread_of(values: Floats, floor: float = FLOOR) -> Spread:
    """The Spread of finite values (n,), n at least 1, of any magnitude.

    Values smaller than 1e-300 of the largest lose digits, down to 0.
    """
    # Brought near 1 by a power of two, which changes no digit of any other: nothing overflows.
    exponent = int(np.clip(np.frexp(np.abs(values).max())[1], -1000, 1000))
    near_one = np.sort(np.ldexp(values, -exponent))
    # Linear between order statistics, as np.quantile does, but counted in integers: level k falls on an order statistic
    # exactly or not at all, so that ties stay ties.
    place, part = np.divmod(np.arange(QUANTILES) * (len(values) - 1), QUANTILES - 1)
    low, high = near_one[place], near_one[np.minimum(place + 1, len(values) - 1)]
    levels = low + (high - low) * (part / (QUANTILES - 1))
    quantiles = tuple(np.maximum.accumulate(np.ldexp(levels, exponent)).tolist())
    mean, std = (float(np.ldexp(value, exponent)) for value in (near_one.mean(), near_one.std()))
    return Spread(len(values), mean, std, quantiles, quantiles[75] - quantiles[25] < floor)


def task_of(pair: str) -> str:
    """ "stg" of "CoPESD/stg"."""
    return pair.rpartition("/")[2]


def numbers(raw: Raw, name: str = "raw", ndim: int | None = None) -> Floats:
    """A new float64 array; None becomes NaN. InputError names the first value that is no number."""
    try:
        array = np.asarray(raw)
        if array.dtype.kind not in "buif":
            array = np.asarray(raw, dtype=object)
    except ValueError:
        raise InputError(f"{name}: lists of different lengths, expected numbers") from None
    if array.dtype.kind == "O":
        for k, value in enumerate(array.flat):
            if not (value is None or isinstance(value, (int, float, np.integer, np.floating, np.bool_))):
                raise InputError(f"{name}[{k}]: {value!a:.80}, expected a number or None")
    if ndim is not None and array.ndim != ndim:
        raise InputError(f"{name}: an array of shape {array.shape}, expected {ndim} dimension")
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise InputError(f"{name}: holds an integer too large for a float") from None


def number_of(text: str) -> float | None:
    """A raw reward as people write it down; None of "" and "nan". Raises ValueError, also where it is infinite."""
    text = text.strip()
    if not text or text.lower() == "nan":
        return None
    if not _NUMBER.fullmatch(text) or not isfinite(float(text)):
        raise ValueError(f"{text!a:.80} is no number")
    return float(text)


def refuse_infinite(values: Floats, name: str) -> None:
    bad = np.flatnonzero(np.isinf(values))
    if len(bad):
        raise InputError(f"{name}[{bad[0]}]: {values[bad[0]]} is not a reward; None says that none applies")


def numbered(labels: Iterable[Hashable], n: int, name: str) -> tuple[list[Hashable], NDArray[np.intp]]:
    """The distinct labels in the order they come, and the number of each row's (n,). InputError unless there are n."""
    if isinstance(labels, str):
        raise InputError(f"{name}: {labels!a:.80} is one text, expected one for each of {n} rewards")
    index: dict[Hashable, int] = {}
    try:
        found = [index.setdefault(label, len(index)) for label in labels]
    except TypeError as error:
        raise InputError(f"{name}: {error}") from None
    if len(found) != n:
        raise InputError(f"{name}: {len(found)} for {n} rewards, expected one each")
    return list(index), np.array(found, dtype=np.intp)


def check_floor(floor: float) -> None:
    # Below the smallest normal number half a floor would be zero.
    if not _is_number(floor) or floor < sys.float_info.min:
        raise InputError(f"floor: {floor!r}, expected a positive number")


def _is_number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**1000
    return isinstance(value, float) and isfinite(value)


# --- the file ----------------------------------------------------------------------------------------------------


def _fields(record: Any) -> dict[str, Any]:
    """The arguments of Statistics from a file's object."""
    if not isinstance(record, dict):
        raise InputError(f"is a JSON {type(record).__name__}, expected an object")
    if record.get("schema") != SCHEMA or type(record.get("schema")) is not int:
        raise InputError(f"field schema: {record.get('schema')!a:.80}, expected {SCHEMA}")
    missing = [name for name in (*_ABOUT, "pairs") if name not in record]
    if missing:
        raise InputError(f"field {missing[0]}: missing")
    pairs: dict[str, dict[str, Spread]] = {}
    for pair, components in _mapping(record["pairs"], "field pairs").items():
        pairs[pair] = {}
        for component, values in _mapping(components, f"pair {pair!a}").items():
            try:
                pairs[pair][component] = _spread(values)
            except InputError as error:
                raise InputError(f"pair {pair!a}, {component!a} {error}") from None
    notes = record.get("notes", [])
    if not (isinstance(notes, list) and all(isinstance(note, str) for note in notes)):
        raise InputError("field notes: expected a list of texts")
    about = {name: value for name, value in record.items() if name not in _OWN}
    return {"pairs": pairs, "floor": record.get("floor", FLOOR), "about": about, "notes": tuple(notes)}


def _spread(values: Any) -> Spread:
    for name in ("n", "mean", "std", "quantiles", "floored"):
        if name not in _mapping(values, "the component"):
            raise InputError(f"field {name}: missing")
    if not isinstance(values["quantiles"], list):
        raise InputError(f"field quantiles: {type(values['quantiles']).__name__}, expected a list")
    return Spread(values["n"], values["mean"], values["std"], tuple(values["quantiles"]), values["floored"])


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what}: {type(value).__name__}, expected an object")
    return value


def _object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("an object has a name twice")
    return found


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
