"""A page on which people rate captions, for the agreement study: offline, blinded, stratified.

    rate.html          the page, one file that needs no network; its CSV is what `agreement.read_ratings` reads
    rate.items.jsonl   the same pairs for `judge score`, whose CSV then names the same items
    rate.key.json      item -> row, source, model, ...: to be kept from the raters

Raters see the two texts, which of them is the reference, and the task; the lines they rate by are those of
rubrics/comparative.txt, as the judge gets them. The texts may still give a source away in their own words.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from math import isfinite
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from medvidbench_hf.judge.pairs import DIMENSIONS, HIGHEST, LOWEST, MAX_CHARS, Pair, checked
from medvidbench_hf.judge.ratings import COLUMNS
from medvidbench_hf.judge.rubric import DOMAINS
from medvidbench_hf.judge.rubric import rubric as named_rubric
from medvidbench_hf.sample import InputError
from medvidbench_hf.whole_file import write_text

STRATA = ("source", "task")
# No spreadsheet takes a name without vowels for a date or a number, and ratings of two forms never share an item.
_LETTERS = "bcdfghjkmnpqrstvwxz"

Item = tuple[Mapping[str, Any], Pair]


class RatingLines(NamedTuple):
    """rules: what counts in the domain, and how to compare. dimensions: name, about, and the lines for 1 to 5."""

    rules: list[str]
    dimensions: list[dict[str, Any]]


class Form(NamedTuple):
    """The files that were written."""

    page: Path
    items: Path
    key: Path


def write_form(
    items: Sequence[Item],
    out: str | Path,
    n: int = 100,
    seed: int = 0,
    strata: Sequence[str] = STRATA,
    domain: str = DOMAINS[0],
) -> Form:
    """Draw at most n items and write the page, the pairs and the key into the folder `out`.

    items: (what is known of it, pair); what is known goes into the key alone: index, source, task, model, ..., JSON
    values. `draw` says which are drawn. domain: raters see what counts in it, as a judge does. The same arguments give
    the same bytes. A folder that holds another form is left as it is: its key may be all that tells what was rated.
    """
    drawn = [items[k] for k in draw(items, n, seed, strata)]
    pairs = [Pair(*(_writable(text) for text in pair)) for _, pair in drawn]
    lines = rating_lines(domain)
    form_id = _form_id(pairs)
    names = [f"{form_id}-{k:0{len(str(len(drawn)))}d}" for k in range(1, len(drawn) + 1)]
    shown = [
        {"item": name, "reference": pair.reference, "candidate": pair.candidate, "task": pair.task}
        for name, pair in zip(names, pairs, strict=True)
    ]
    about = {name: dict(known) for name, (known, _) in zip(names, drawn, strict=True)}
    key = {"form": form_id, "seed": seed, "strata": list(strata), "given": len(items), "items": about}
    try:
        key_text = json.dumps(key, indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(f"what is known of an item cannot be written as JSON ({error})") from None
    out = Path(out)
    form = Form(out / "rate.html", out / "rate.items.jsonl", out / "rate.key.json")
    _make_room(form.key, key_text)
    write_text(form.key, key_text)  # first: where the page is, its key is
    write_text(form.items, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in shown))
    write_text(form.page, page(form_id, shown, lines))
    return form


# --- which items -----------------------------------------------------------------------------------------------


def draw(items: Sequence[Item], n: int, seed: int = 0, strata: Sequence[str] = STRATA) -> list[int]:
    """Positions of at most n items, in random order.

    As even over the values of `strata` as they have items. Within a stratum one item is drawn from each of as many
    equal parts as it may give, ordered by `score` where what is known of the items has one: so low and high scores are
    there in their share. A pair that comes again counts once. Left out are pairs with an empty side, which need no
    rater and would flatter every judge, and texts that `read_pairs` would refuse.
    """
    if n < 1:
        raise InputError(f"n: {n}, expected at least one item")
    rng = Random(seed)
    strata_members: dict[tuple[str, ...], list[int]] = defaultdict(list)
    seen = set()
    checked([pair for _, pair in items])
    for k, (known, pair) in enumerate(items):
        sides = (pair.reference, pair.candidate)
        if sides not in seen and all(side.strip() and len(side) <= MAX_CHARS for side in sides):
            strata_members[tuple(str(known.get(name, "")) for name in strata)].append(k)
        seen.add(sides)
    if not strata_members:
        raise InputError("nothing to rate: no item has a reference and a candidate of a readable length")
    drawn = []
    for members, quota in _quotas([strata_members[stratum] for stratum in sorted(strata_members)], n, rng):
        rng.shuffle(members)
        members.sort(key=lambda k: _score(items[k][0], k))
        edges = [part * len(members) // quota for part in range(quota + 1)]
        drawn += [members[rng.randrange(low, high)] for low, high in pairwise(edges)]
    rng.shuffle(drawn)
    return drawn


def _quotas(strata: list[list[int]], n: int, rng: Random) -> list[tuple[list[int], int]]:
    """(members, how many of them): dealt one by one, in a new order each round, while a stratum has any left."""
    quotas = [0] * len(strata)
    left = list(range(len(strata)))
    while n and left:
        rng.shuffle(left)
        for stratum in left[:n]:
            quotas[stratum] += 1
        n -= len(left[:n])
        left = [stratum for stratum in left if quotas[stratum] < len(strata[stratum])]
    return [(members, quota) for members, quota in zip(strata, quotas, strict=True) if quota]


def _score(known: Mapping[str, Any], k: int) -> float:
    score = known.get("score")
    if score is None:
        return float("-inf")
    if isinstance(score, bool) or not isinstance(score, int | float) or not isfinite(score):
        raise InputError(f"items[{k}] field score: {score!a:.60}, expected a number or None")
    return float(score)


# --- page ------------------------------------------------------------------------------------------------------


def page(form_id: str, shown: Sequence[Mapping[str, str]], lines: RatingLines) -> str:
    """The page: form.html with form.css, form.js and the items in it. shown: item, reference, candidate, task."""
    room = files(__package__)
    html, css, script = (room.joinpath(f"form.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    data = json.dumps({"id": form_id, "columns": COLUMNS, **lines._asdict(), "items": list(shown)})
    for sign in "<>&":  # no text ends the script that holds it
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    policy = f"default-src 'none'; style-src {_source(css)}; script-src {_source(script)}"
    filled = {"policy": f"{policy}; base-uri 'none'; form-action 'none'", "css": css, "js": script, "data": data}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found[1]], html)


def rating_lines(domain: str = DOMAINS[0]) -> RatingLines:
    """What the comparative rubric tells a judge, for raters. Raises InputError for an unknown domain."""
    rubric = named_rubric("comparative", domain).text
    dimensions = []
    for name in DIMENSIONS:
        found = re.search(rf"^{name}: (.+)\n((?:[1-5]: .+\n){{5}})", rubric, re.MULTILINE)
        lines = dict(line.split(": ", 1) for line in found[2].splitlines()) if found else {}
        if found is None or len(lines) != HIGHEST:
            raise InputError(f"comparative.txt: {name} does not have a line for each score from {LOWEST} to {HIGHEST}")
        dimensions.append({"name": name, "about": found[1], "lines": [lines[score] for score in sorted(lines)]})
    return RatingLines(re.findall(r"^- (.+)$", rubric, re.MULTILINE), dimensions)


def _source(text: str) -> str:
    """The one inline text that a content security policy lets pass."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _form_id(pairs: Sequence[Pair]) -> str:
    """Six letters that tell this form from others, made of what the raters see."""
    number = int.from_bytes(hashlib.sha256(json.dumps([pair[:3] for pair in pairs]).encode()).digest())
    return "".join(_LETTERS[number // len(_LETTERS) ** k % len(_LETTERS)] for k in range(6))


def _writable(text: str) -> str:
    """A lone surrogate, which a model may give, becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _make_room(key: Path, text: str) -> None:
    """Make the key's folder. Raises InputError where the key of another form is in it."""
    try:
        key.parent.mkdir(parents=True, exist_ok=True)
        if key.exists() and key.read_bytes() != text.encode():
            raise InputError(f"{key}: is the key of another form; choose another folder, so that it is kept")
    except OSError as error:
        raise InputError(f"{key.parent}: cannot be made a folder for the form ({error.strerror})") from None
