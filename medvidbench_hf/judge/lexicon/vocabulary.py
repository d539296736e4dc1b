"""The concepts and the forms in which they are written: vocabulary/*.json, one concept a line.

    "cystic duct": {"is": ["duct"], "forms": [...], "lay": [...], "absent": [...], "opposite": [...]}

A concept's name is one of its forms. is: the wider concepts it falls under. lay: forms that a clinician would not use.
absent: forms that say that the concept is not there ("dry field" for bleeding). opposite: actions that undo it.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import NamedTuple

from medvidbench_hf.judge.lexicon.words import VOCABULARY, stems

#: File name -> what its concepts are compared with. An instrument and a material can stand in each other's place.
FAMILIES = {
    "instrument": "thing",
    "material": "thing",
    "anatomy": "anatomy",
    "part": "part",  # of whatever: tip, margin, hollow
    "action": "action",
    "finding": "finding",
    "procedure": "procedure",
    "person": "person",
    "generic": "generic",
}


class Sense(NamedTuple):
    """What a form may mean. concept: "anatomy/cystic duct"; its first part is the file."""

    concept: str
    family: str
    lay: bool
    absent: bool


class Lexicon(NamedTuple):
    #: the stems of a form -> what it may mean
    forms: dict[tuple[str, ...], tuple[Sense, ...]]
    #: first stem -> how many stems forms that begin with it have, longest first
    lengths: dict[str, tuple[int, ...]]
    #: concept -> itself and every wider concept
    wider: dict[str, frozenset[str]]
    #: action -> the actions that undo it
    opposite: dict[str, frozenset[str]]


@cache
def lexicon() -> Lexicon:
    senses: dict[tuple[str, ...], list[Sense]] = {}
    wider: dict[str, frozenset[str]] = {}
    undone: dict[str, set[str]] = {}
    for file, family in FAMILIES.items():
        entries = json.loads((VOCABULARY / f"{file}.json").read_text(encoding="utf-8"))
        for name, entry in entries.items():
            concept = f"{file}/{name}"
            for kind in ("forms", "lay", "absent"):
                for form in [*([name] if kind == "forms" else []), *entry.get(kind, [])]:
                    found = senses.setdefault(stems(form), [])
                    if all(sense.concept != concept for sense in found):
                        found.append(Sense(concept, family, kind == "lay", kind == "absent"))
            above = [name]
            for up in above:
                above += entries[up].get("is", [])
            wider[concept] = frozenset(f"{file}/{up}" for up in above)
            for other in entry.get("opposite", []):
                undone.setdefault(concept, set()).add(f"{file}/{other}")
                undone.setdefault(f"{file}/{other}", set()).add(concept)
    lengths: dict[str, set[int]] = {}
    for key in senses:
        lengths.setdefault(key[0], set()).add(len(key))
    return Lexicon(
        {key: tuple(found) for key, found in senses.items()},
        {first: tuple(sorted(found, reverse=True)) for first, found in lengths.items()},
        wider,
        {concept: frozenset(others) for concept, others in undone.items()},
    )


@cache
def version() -> str:
    """The start of the hash of all vocabulary files."""
    digest = hashlib.sha256()
    for path in sorted(VOCABULARY.glob("*.json")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]
