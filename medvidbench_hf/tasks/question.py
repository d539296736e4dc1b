"""Question wordings: one text file a task, read into persona + context + ask.

A file holds sections of lines, one wording a line: `[context NurViD]` for one source, `[ask]` for all, `[ask NurViD]`
where a source asks otherwise. The persona is drawn from personas.txt by domain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from zlib import crc32

from medvidbench_hf.sample import InputError

_SECTION = re.compile(r"\[(.+)\]")


@cache
def wordings(name: str) -> dict[str, tuple[str, ...]]:
    """Section -> its lines, from tasks/<name>.txt."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines():
        section = _SECTION.fullmatch(line)
        if section:
            lines = sections.setdefault(section[1], [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return {section: tuple(lines) for section, lines in sections.items()}


def question(task: str, source: str, domain: str, key: str, *, options: Sequence[str] = (), **fields: object) -> str:
    """The question text for one row, without the release's `<video>` token.

    key: any text that names the row; the same key draws the same wordings. fields: what the wordings name in braces.
    Raises InputError for a task that has no wording for the source.
    """
    sections = wordings(task)
    context = sections.get(f"context {source}")
    if context is None:
        raise InputError(f"tasks/{task}.txt has no section [context {source}]: write one for this source")
    ask = sections.get(f"ask {source}") or sections["ask"]
    seed = crc32(f"{task} {source} {key}".encode())
    drawn = []
    for lines in (wordings("personas")[domain], context, ask):
        seed, choice = divmod(seed, len(lines))
        drawn.append(lines[choice])
    return " ".join(drawn).format(options=", ".join(options), option_list=list(options), **fields)
