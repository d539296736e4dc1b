"""One process at a time in a folder."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from medvidbench_hf.sample import InputError


@contextmanager
def only_one(folder: Path, doing: str, wait_s: float = 0.0) -> Iterator[None]:
    """Keep other processes away from a folder; InputError where one is at it after `wait_s` (-1: wait without end).

    The lock is in the temporary folder: beside the folder it would be left behind, or be removed under a waiting
    process. So it holds within one machine.
    """
    name = f"medvidbench-{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:16]}.lock"
    lock = FileLock(Path(tempfile.gettempdir(), name), timeout=wait_s)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{folder} is being {doing} by another process") from None
    try:
        yield
    finally:
        lock.release()
