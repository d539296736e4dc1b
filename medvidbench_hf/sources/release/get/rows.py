"""The JSON with the rows. Answers of the test set must never be had, from any revision."""

from __future__ import annotations

import json
from pathlib import Path

from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.release.get.folder import WORK, Record, has, write_record
from medvidbench_hf.sources.release.get.remote import File, Hub
from medvidbench_hf.sources.release.sides import answer_key


def get_rows(hub: Hub, root: Path, file: File, record: Record, *, there: bool) -> Path:
    """Put the rows in their place, after the record of the commit, unless they hold answers.

    there: whether the folder's record names this commit, so that a file of this size is the one.
    """
    place, checked = root / file.path, root / WORK / "rows.json"
    there = there and has(place, file.size)
    if not there:
        hub.fetch(file, root / WORK, checked)
    try:
        if not hub.release.gated:
            refuse_answers(place if there else checked, place)
    except InputError:
        (place if there else checked).unlink()
        raise
    if not there:
        write_record(root, hub.release.repo, record)
        checked.replace(place)
    return place


def refuse_answers(file: Path, place: Path) -> None:
    """InputError that names the first row and field of test rows in `file` with an answer."""
    try:
        rows = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not JSON ({error}); it was removed: get it again") from None
    if not isinstance(rows, list):
        raise InputError(f"{place}: a JSON {type(rows).__name__}, expected a list of rows; it was removed")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"{place} row {number}: a JSON {type(row).__name__}, expected an object; it was removed")
        if field := answer_key(row):
            raise InputError(
                f"{place} row {number} field {field}: a possible leak of test answers, so the file was removed: use "
                "the current revision, in another folder"
            )
