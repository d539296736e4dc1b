"""The cache of replies: concurrent writers, kills, damage."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvidbench_hf.endpoint import (
    ReplyCache,
)
from medvidbench_hf.sample import InputError

json_objects = st.dictionaries(
    st.text(st.characters() | st.characters(categories=["Cs"]), max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=4,
    ),
    max_size=4,
)

ROOT = Path(__file__).parents[1]


@settings(max_examples=40)
@given(st.lists(json_objects, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_what_is_put_is_got_again_whatever_the_order_of_the_fields(keys: list[dict[str, Any]], random: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "new", "cache.sqlite")
        with ReplyCache(path) as cache:
            for key in keys:
                assert json.dumps(cache.get(key)) in ("null", json.dumps([key]))
                cache.put(key, [key])
        with ReplyCache(path) as cache:
            for key in keys:
                fields = list(key.items())
                random.shuffle(fields)
                assert cache.get(dict(fields)) == [key]
                assert cache.get({**key, "one more field": 1}) is None


def test_a_person_can_read_the_file_and_the_last_value_counts(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "cache.sqlite") as cache:
        cache.put({"model": "m", "candidate": "a"}, {"scores": [1, 2]})
        cache.put({"candidate": "a", "model": "m"}, {"scores": [3, 4]})
        assert len(cache) == 1
    with sqlite3.connect(tmp_path / "cache.sqlite") as db:
        rows = db.execute("select key, value from replies").fetchall()
    db.close()
    assert rows == [('{"candidate":"a","model":"m"}', '{"scores": [3, 4]}')]
    assert [path.name for path in tmp_path.iterdir()] == ["cache.sqlite"]


def test_none_and_nan_are_never_kept(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "cache.sqlite") as cache:
        for refused in (None, float("nan"), [float("inf")]):
            with pytest.raises(ValueError, match=r"None cannot be kept|not JSON compliant"):
                cache.put({"k": 1}, refused)
        kept: tuple[Any, ...] = (0, False, "", [], {})
        for value in kept:
            cache.put({"k": 1}, value)
            assert cache.get({"k": 1}) == value
    with pytest.raises(sqlite3.ProgrammingError):
        cache.get({"k": 1})
    cache.close()


def test_threads_share_one_cache(tmp_path: Path) -> None:
    failed: list[Exception] = []

    def work(worker: int) -> None:
        try:
            for n in range(50):
                cache.put({"worker": worker, "n": n}, [n])
                assert cache.get({"worker": worker, "n": n}) == [n]
        except Exception as error:
            failed.append(error)

    with ReplyCache(tmp_path / "cache.sqlite") as cache:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failed
        assert len(cache) == 400


WRITER = """
import sys
from medvidbench_hf.endpoint import ReplyCache
path, worker, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.stdin.readline()
with ReplyCache(path) as cache:
    for k in range(n):
        cache.put({"shared": k}, {"by": "any", "text": "x" * 1000})
        cache.put({"worker": worker, "n": k}, {"by": worker, "text": "x" * 1000})
        print(k, flush=True)
"""


def writer(path: Path, worker: int, n: int) -> subprocess.Popen[str]:
    """A process that writes as soon as it is sent a line, and prints what is safe."""
    command = [sys.executable, "-c", WRITER, str(path), str(worker), str(n)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_four_processes_write_at_a_time_from_the_first_moment_on(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    processes = [writer(path, worker, 60) for worker in range(4)]
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with ReplyCache(path) as cache:
        assert len(cache) == 60 + 4 * 60
        for k in range(60):
            assert cache.get({"shared": k}) == {"by": "any", "text": "x" * 1000}
            for worker in range(4):
                assert cache.get({"worker": worker, "n": k}) == {"by": worker, "text": "x" * 1000}


def test_reading_does_not_wait_for_a_writer_that_waits(tmp_path: Path) -> None:
    with ReplyCache(filled(tmp_path / "cache.sqlite", 3)) as cache:
        other = sqlite3.connect(tmp_path / "cache.sqlite", isolation_level=None)
        other.execute("begin immediate")
        waits = threading.Thread(target=cache.put, args=({"k": 3}, "late"))
        waits.start()
        assert cache.get({"k": 2}) == {"k": 2, "text": "x" * 700}
        assert cache.get({"k": 3}) is None
        assert waits.is_alive()
        other.execute("commit")
        other.close()
        waits.join(60)
        assert cache.get({"k": 3}) == "late"


def test_a_killed_writer_loses_nothing_that_was_put(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    for worker, after in enumerate((1, 40, 400)):
        process = writer(path, worker, 10**9)
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n")
        process.stdin.flush()
        lines = [process.stdout.readline() for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        done = [int(line) for line in lines + rest.splitlines(keepends=True) if line.endswith("\n")]
        with ReplyCache(path) as cache:
            for k in done:
                assert cache.get({"worker": worker, "n": k}) == {"by": worker, "text": "x" * 1000}


def filled(path: Path, n: int = 200) -> Path:
    with ReplyCache(path) as cache:
        for k in range(n):
            cache.put({"k": k}, {"k": k, "text": "x" * 700})
    return path


def read_all(path: Path, n: int = 200) -> str:
    """Every value is right or missing; the error that ended the reading, or ""."""
    values, says = [], ""
    try:
        with ReplyCache(path) as cache:
            for k in range(n):
                values.append(cache.get({"k": k}))
    except InputError as error:
        says = str(error)
    assert all(value in (None, {"k": k, "text": "x" * 700}) for k, value in enumerate(values))
    return says


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_file_that_was_cut_is_called_damaged_and_can_be_deleted(tmp_path: Path, share: float) -> None:
    path = filled(tmp_path / "cache.sqlite")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    error = read_all(path)
    assert error.startswith(f"{path}: the cache is damaged (")
    assert error.endswith("delete it, what it held is asked again")
    path.unlink()
    with ReplyCache(path) as cache:
        assert len(cache) == 0
        cache.put({"k": 0}, 1)


@settings(max_examples=25)
@given(st.floats(0, 1), st.integers(1, 5000), st.sampled_from([b"\0", b"\xff"]))
def test_a_file_with_a_hole_gives_no_wrong_value_and_no_error_but_one_that_names_it(
    at: float, n_bytes: int, filler: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = filled(Path(folder, "cache.sqlite"), 30)
        content = bytearray(path.read_bytes())
        start = int(at * (len(content) - 1))
        content[start : start + n_bytes] = filler * len(content[start : start + n_bytes])
        path.write_bytes(content)
        error = read_all(path, 30)
        assert not error or error.startswith(f"{path}: ")


def test_a_file_that_is_no_cache_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    for content in ("These are notes, and no database of any kind.\n" * 50, "x", "SQLite format 2\0" * 9):
        text.write_text(content)
        with pytest.raises(InputError) as refused:
            ReplyCache(text)
        assert str(refused.value) == f"{text}: is not a cache; choose another name"
        assert text.read_text() == content
    text.write_text("")
    with ReplyCache(text) as cache:
        assert len(cache) == 0
    other = tmp_path / "other.sqlite"
    db = sqlite3.connect(other)
    db.execute("create table bookmarks (url text)")
    db.close()
    before = other.read_bytes()
    with pytest.raises(InputError, match=r"other.sqlite: is the database of another program; choose another name"):
        ReplyCache(other)
    assert other.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"file: cannot be made \(File exists\)"):
        ReplyCache(tmp_path / "file" / "cache.sqlite")
    with pytest.raises(InputError, match=r"the cache cannot be read and written here \(unable to open database file\)"):
        ReplyCache(tmp_path)


def test_a_read_only_folder_is_named() -> None:
    """As another user where the tests run as root, whom no permission stops."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        path = filled(Path(folder, "cache.sqlite"), 3)
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        try:
            if root:
                os.seteuid(65534)
            for name in ("cache.sqlite", "new.sqlite"):
                with pytest.raises(InputError, match=rf"{name}: the cache cannot be read and written here \("):
                    ReplyCache(Path(folder, name))
        finally:
            if root:
                os.seteuid(0)
            Path(folder).chmod(0o755)


def test_a_full_disk_is_named_and_what_was_kept_stays(tmp_path: Path) -> None:
    with ReplyCache(filled(tmp_path / "cache.sqlite")) as cache:
        cache._db.execute("PRAGMA max_page_count = 1")  # SQLite's own bound: raised to the size it has
        with pytest.raises(InputError, match=r"cannot be read and written here \(database or disk is full\)"):
            cache.put({"one": "more"}, "x" * 10_000)
        assert cache.get({"k": 7}) == {"k": 7, "text": "x" * 700}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_cache_carried_across_a_fork_says_to_open_it_anew(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "cache.sqlite") as cache:
        child = os.fork()
        if not child:
            code = 1
            try:
                cache.put({"k": 1}, 1)
            except RuntimeError as error:
                code = 0 if "forked" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        cache.put({"k": 1}, 1)
