"""Replies kept on disk, so that nothing is asked and paid for twice.

One SQLite file with a table of three columns: the sha256 of the key's canonical JSON, that JSON, and the value as
JSON text. `sqlite3 FILE "select key, value from replies"` shows all. Writers are safe beside each other, in threads
and in processes, and a killed one loses nothing that `put` had returned from. Not covered: two machines on one network
file system (SQLite's locks do not hold there), a power cut (the last replies may be gone, the file stays whole), and
a bit that flips within a value.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from medvidbench_hf.sample import InputError

HEADER = b"SQLite format 3\0"
APPLICATION_ID = 0x6D766263  # "mvbc", in the file's header: a cache of ours and nobody else's database
WAIT_FOR_WRITER_S = 60.0


class ReplyCache:
    """key -> value, both JSON. Use as a context manager, or close().

    A key says all that a reply depends on, the server and the model among it; nothing is added to it.

    `put` waits for other writers (up to WAIT_FOR_WRITER_S), `get` for nobody.

    Raises InputError where the file is damaged, is no cache, or cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # so that no name is special to SQLite
        self._pid = os.getpid()
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._check_header()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path.parent}: cannot be made ({error.strerror}); choose another place") from None
        with self._named_errors():
            self._db = self._connection()
            try:
                self._prepare()
                self._reader = self._connection()  # so that no reading waits while `put` waits
            except BaseException:
                self._db.close()
                raise

    def _check_header(self) -> None:
        """A file of the user's must not be called a damaged cache and be deleted."""
        try:
            with self.path.open("rb") as file:
                header = file.read(len(HEADER))
        except OSError:  # not there, or SQLite says what is wrong with it
            return
        if header and header != HEADER:
            raise InputError(f"{self.path}: is not a cache; choose another name")

    def _connection(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=WAIT_FOR_WRITER_S, isolation_level=None, check_same_thread=False)
        db.text_factory = bytes  # JSON decodes it
        return db

    def _prepare(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")  # one process makes the table, the others wait
        (marked,) = self._db.execute("PRAGMA application_id").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and marked != APPLICATION_ID:
            raise InputError(f"{self.path}: is the database of another program; choose another name")
        if not tables:
            self._db.execute("CREATE TABLE replies (sha256 TEXT PRIMARY KEY, key TEXT NOT NULL, value TEXT NOT NULL)")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._db.execute("COMMIT")
        self._write_ahead()

    def _write_ahead(self) -> None:
        """Readers beside a writer. Where another process opens the file too, SQLite does not wait here by itself."""
        until_s = monotonic() + WAIT_FOR_WRITER_S
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until_s:
                    raise
            sleep(0.01)
        self._db.execute("PRAGMA synchronous = NORMAL")

    def get(self, key: Mapping[str, Any]) -> Any | None:
        """The value put under this key, in whatever order the key's fields stand; None where there is none."""
        sha256 = _sha256(_canonical(key))
        with self._reading, self._named_errors():
            row = self._reader.execute("SELECT value FROM replies WHERE sha256 = ?", (sha256,)).fetchone()
        if row is None:
            return None
        try:
            return json.loads(row[0])
        except (ValueError, TypeError, RecursionError):
            raise InputError(self._damaged("a value is not JSON")) from None

    def put(self, key: Mapping[str, Any], value: Any) -> None:
        """Keep a value; on disk when this returns. A later value takes the place of an earlier one.

        Raises ValueError for None, which `get` could not tell from nothing, and for NaN.
        """
        if value is None:
            raise ValueError("None cannot be kept: a failure is asked again")
        text = _canonical(key)
        row = (_sha256(text), text, json.dumps(value, allow_nan=False))
        with self._lock, self._named_errors():
            self._db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", row)

    def __len__(self) -> int:
        with self._reading, self._named_errors():
            return int(self._reader.execute("SELECT count(*) FROM replies").fetchone()[0])

    def close(self) -> None:
        with self._reading:
            self._reader.close()
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        if os.getpid() != self._pid:  # a connection that crosses a fork corrupts the file
            raise RuntimeError(f"{self.path}: was opened before this process was forked; open it here anew")
        try:
            yield
        except sqlite3.ProgrammingError:  # closed already
            raise
        except sqlite3.OperationalError as error:  # locked, read-only, disk full
            raise InputError(
                f"{self.path}: the cache cannot be read and written here ({error}); choose another place"
            ) from None
        except sqlite3.DatabaseError as error:
            raise InputError(self._damaged(str(error))) from None
        except UnicodeDecodeError:  # SQLite's message quotes what is damaged
            raise InputError(self._damaged("its table's description")) from None

    def _damaged(self, how: str) -> str:
        return f"{self.path}: the cache is damaged ({how}); delete it, what it held is asked again"


def _canonical(key: Mapping[str, Any]) -> str:
    return json.dumps(dict(key), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
