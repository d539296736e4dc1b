"""Answer files of every form, whole and broken: read as they stand, or refused with the place of the fault."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvidbench_hf import tasks
from medvidbench_hf.leaderboard.submission.answers import find
from medvidbench_hf.leaderboard.submission.checker import check
from medvidbench_hf.leaderboard.submission.files import (
    BOM,
    NOT_JSON_NUMBER,
    REPEATED_INSIDE,
    AnswerFile,
    Entry,
    answers_by_row,
    read_answer_file,
)
from medvidbench_hf.sample import TASKS, InputError
from tests import make
from tests.test_submission import PUBLIC, SAMPLES

EXAMPLES = int(os.environ.get("MEDVIDBENCH_EXAMPLES", "60"))

RECORD = '{"id": "v1", "qa_type": "tal", "prediction": "1.0-2.0 seconds."}'


def read(path: Path, content: str | bytes) -> AnswerFile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_answer_file(path)


# --- whole files -----------------------------------------------------------------------------------------------


def test_each_kind_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    line = '{"index": 3, "prediction": "x", "finish_reason": "length", "tokens": 9}'
    for content, kind, keyed, index in (
        (line, "predictions", True, 3),
        (f"{line}\r\n\n{line}\n", "predictions", True, 3),
        (f"[{line}]", "predictions", True, 3),
        (f"[{RECORD}]", "submission", False, 0),
        (f'\n {{"7": {RECORD}}}', "results", True, 7),
        ('{"7": {"answer": "x", "index": 1}}', "results", True, 7),
        ('[{"answer": "x", "question": "?"}]', "results", False, 0),
    ):
        file = read(path, content)
        assert (file.kind, file.keyed, file.entries[0].index) == (kind, keyed, index)
    entry = read(path, line).entries[0]
    assert (entry.prediction, entry.finish_reason, entry.tokens, entry.id, entry.record) == (
        "x",
        "length",
        9,
        None,
        None,
    )


def test_values_are_kept_whatever_json_they_are(tmp_path: Path) -> None:
    long = "A" * 1_000_000
    values: list[Any] = [None, 3, -1.5, 10**300, True, [1, [2]], {"a": {}}, "", "\ud83d", long]
    file = read(tmp_path / "s.json", json.dumps([{"id": [], "qa_type": {}, "prediction": value} for value in values]))
    assert [entry.prediction for entry in file.entries] == values
    assert file.notes == ()
    file = read(tmp_path / "r.json", json.dumps({str(k): {"answer": value} for k, value in enumerate(values)}))
    assert [entry.prediction for entry in file.entries] == values
    assert file.entries[3].record == {"answer": 10**300}


def test_what_is_odd_about_a_file_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    assert read(path, b"\xef\xbb\xbf" + f"[{RECORD}]".encode()).notes == (BOM,)
    file = read(path, '[{"prediction": NaN}, {"prediction": -Infinity}]')
    assert file.notes == (NOT_JSON_NUMBER,)
    assert file.entries[1].prediction == float("-inf")
    assert read(path, '[{"prediction": "", "metadata": {"fps": 1, "fps": 2}}]').notes == (REPEATED_INSIDE,)
    file = read(path, '[{"prediction": "a", "prediction": "b"}]')
    assert file.notes == ()
    assert (file.entries[0].prediction, file.entries[0].fields) == ("b", ("prediction", "prediction"))


def test_a_key_that_is_repeated_gives_two_entries(tmp_path: Path) -> None:
    file = read(tmp_path / "r.json", '{"0": {"answer": "a"}, "1": {"answer": "b"}, "0": {"answer": "c"}}')
    assert [(entry.position, entry.index, entry.prediction) for entry in file.entries] == [
        (0, 0, "a"),
        (1, 1, "b"),
        (2, 0, "c"),
    ]
    found, several = answers_by_row(file.entries)
    assert (found[0].prediction, several) == ("c", (0,))


def test_an_error_gives_way_to_an_answer_on_either_side(tmp_path: Path) -> None:
    error, answer = '{"index": 1, "prediction": "", "finish_reason": "error"}', '{"index": 1, "prediction": "x"}'
    for lines in (f"{error}\n{answer}\n", f"{answer}\n{error}\n", f"{error}\n{answer}\n{error}\n"):
        found, several = answers_by_row(read(tmp_path / "p.jsonl", lines).entries)
        assert (found[1].prediction, several) == ("x", ())


def test_a_torn_last_line_is_left_out_with_a_warning(tmp_path: Path) -> None:
    whole = '{"index": 3, "prediction": "é"}'
    for torn in ('{"index": 4, "pred', '{"index": 4, "prediction": "é'):
        for cut in range(1, len(torn.encode()) + 1):
            with pytest.warns(UserWarning, match=r"p\.jsonl: the last line is cut off and left out"):
                file = read(tmp_path / "p.jsonl", f"{whole}\n".encode() + torn.encode()[:cut])
            assert [entry.prediction for entry in file.entries] == ["é"]


# --- broken files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; expected a predictions.jsonl"),
        (b" \n\t\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (f"[{RECORD}]".encode("utf-16"), "byte 0: looks like UTF-16 or UTF-32; save the file as UTF-8"),
        (f"[{RECORD}]".encode("utf-16-le"), "looks like UTF-16"),
        (f"[{RECORD}]".encode("utf-32"), "looks like UTF-16"),
        (b'[\n{"id": "\xe9"}]', r"line 2: byte 10 \(0xe9\) is not UTF-8"),
        (f"[{RECORD},\n{RECORD},\n{RECORD[:20]}", "line 3 row 2: the file is cut off here"),
        (f"[{RECORD},\n", "row 1: the file is cut off here"),
        (f'{{"0": {RECORD}, "1": {RECORD[:30]}', "line 1 row 1: the file is cut off here"),
        (f'[{RECORD}, {{"id": "é'.encode()[:-1], "row 1: the file is cut off here"),
        (f"[{RECORD},]", r"line 1 row 1: not JSON \(Expecting value\)"),
        (f'[{RECORD}, {{"id": "a"b"}}, {RECORD}]', "line 1 row 1: not JSON"),
        (f"[{RECORD}]\n[{RECORD}]", "line 2: text after the end of the JSON"),
        (f"{RECORD}\n{RECORD}\n", "line 2: text after the end of the JSON"),
        ("[" * 100_000, r"row 0: not JSON \(nested too deeply\)"),
        (f'[{RECORD}, {{"prediction": {"[" * 50_000}{"]" * 50_000}}}]', r"row 1: not JSON \(nested too deeply\)"),
        (f'[{RECORD}, {{"prediction": {"9" * 5000}}}]', "row 1: not JSON .*more than 4,300 digits"),
        (RECORD, r"an object with 3 keys \('id', 'qa_type', 'prediction'\); expected"),
        (f'{{"predictions": [{RECORD}]}}', r"an object with 1 keys \('predictions'\); expected"),
        (f'{{"0": {RECORD}, "a": {RECORD}}}', "key 'a': no row index"),
        (f'{{"0": {RECORD}, "-1": {RECORD}}}', "key '-1': no row index"),
        (f'{{"0": {RECORD}, "01": {RECORD}}}', "key '01': no row index"),
        (f'{{"0": {RECORD}, "\u0661": {RECORD}}}', "key .* no row index"),
        ('{"0": "1.0-2.0 seconds."}', "key 0 is text, expected an object"),
        (f"[{RECORD}, null]", "row 1 is null, expected an object"),
        ("[]", "holds no answer"),
        ("{}", "holds no answer"),
        (",", r"row 0: not JSON \(Expecting value\)"),
        ("3", "a number; expected"),
        ('"text"', "text; expected"),
        ('{"index": 0, "prediction": "x"}\n[1]\n', "line 2 is a list, expected an object"),
        ('{"index": 0, "prediction": "x"}\n{"index": \n{"index": 2}\n', "line 2 is not JSON"),
        ('{"index": 0, "prediction": "x"}\n{"prediction": "x"}\n', "line 2 field index: missing"),
        ('{"index": 0, "prediction": "x"}\n{"index": "1", "prediction": "x"}\n', "line 2 field index: '1'"),
        ('{"index": 0, "prediction": "x"}\n{"index": -1, "prediction": "x"}\n', "line 2 field index: -1"),
        ('{"index": 0, "prediction": "x"}\n{"index": true, "prediction": "x"}\n', "line 2 field index: true or false"),
        ('{"index": 0, "prediction": "x"}\n{"index": 1e3, "prediction": "x"}\n', "line 2 field index: a number"),
        ('[{"index": 0, "prediction": "x"}, {"prediction": "x"}]', "row 1 field index: missing"),
    ],
)
def test_a_broken_file_is_named_with_the_place_of_the_fault(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "answers.json", content)
    assert "answers.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.json", r"none\.json: no such file"),
        (tmp_path, r"a folder without a predictions\.jsonl"),
        (Path("/dev/zero"), "/dev/zero: not a file"),
        (Path("a\0b"), "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            read_answer_file(path)
    os.mkfifo(tmp_path / "predictions.jsonl")
    with pytest.raises(InputError, match="not a file"):
        read_answer_file(tmp_path)


# --- anything --------------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=8), v, max_size=4), max_leaves=8
)
pieces = [
    *'[]{}":,-.\n\\ \t',
    *("seconds", "seconds: ", "second", " to ", "–", "nan", "inf", "1e400", "0", "5", "12.5", "00:05", "/5", "9" * 30),
    *("Two structures: ", "Cystic plate", "Time and motion: 3/5", "<think>", "</think>", "I'm sorry", "\ud83d", "é"),
    *("Answer: ", "**", "```json\n", "1.0-2.0", "2.0 seconds: [1, 2, 3, 4]", "tying", "٣"),
]
answer_texts = st.lists(st.sampled_from(pieces), max_size=25).map("".join) | st.text(max_size=60)
fields = {
    "id": json_values | st.sampled_from([sample.id for sample in PUBLIC]),
    "qa_type": json_values | st.sampled_from(list(TASKS)),
    "prediction": json_values | answer_texts,
    "answer": answer_texts,
    "index": st.integers(-1, 200) | json_values,
    "finish_reason": st.sampled_from(["stop", "length", "refusal", "error"]) | json_values,
    "tokens": json_values,
    "gnd": json_values,
}
any_record = st.fixed_dictionaries({}, optional=fields)
any_file = st.one_of(
    st.lists(any_record, max_size=12).map(json.dumps),
    st.dictionaries(st.integers(-1, 200).map(str), any_record, max_size=12).map(json.dumps),
    st.lists(any_record, max_size=12).map(lambda records: "\n".join(map(json.dumps, records)) + "\n"),
    json_values.map(json.dumps),
)


def read_or_refuse(folder: Path, content: bytes) -> None:
    for name in ("f.json", "f.jsonl"):
        try:
            file = read(folder / name, content)
        except InputError as error:
            message = str(error)
        else:
            message = name + json.dumps([finding.line() for finding in check(file, PUBLIC).findings])
        assert name in message
        assert "\n" not in message


@pytest.mark.filterwarnings("ignore:.*the last line is cut off")
@given(st.binary(max_size=80) | any_file.map(lambda text: text.encode("utf-8", "surrogatepass")), st.data())
@settings(max_examples=EXAMPLES)
def test_any_bytes_are_read_and_checked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    read_or_refuse(folder, content)
    cut = data.draw(st.integers(0, len(content)))
    read_or_refuse(folder, content[:cut])
    read_or_refuse(folder, content[:cut] + data.draw(st.binary(max_size=3)) + content[cut:])


@given(st.lists(st.tuples(st.integers(0, len(PUBLIC) - 1), json_values | answer_texts), max_size=8))
@settings(max_examples=EXAMPLES)
def test_any_answers_among_good_ones_are_checked(changes: list[tuple[int, Any]]) -> None:
    gold = {sample.index: tasks.render(sample) for sample in SAMPLES}
    gold.update(dict(changes))
    entries = tuple(
        Entry(k, k, PUBLIC[k].id, PUBLIC[k].task, text, None, None, None, ("id", "qa_type", "prediction"))
        for k, text in gold.items()
    )
    report = check(AnswerFile(Path("f"), "submission", entries, (), False, ""), PUBLIC)
    changed = {row for row, _ in changes}
    assert all(set(finding.rows) <= changed for finding in report.findings if finding.kind != "keyed_by_id")


@given(make.samples())
@settings(max_examples=EXAMPLES)
def test_a_gold_answer_is_read_by_the_board_whatever_the_truth(sample: Any) -> None:
    """Random truths overlap, leave the canvas and outlast the clip; their form is right all the same."""
    if sample.truth is None:
        return
    entry = Entry(0, 0, None, None, tasks.render(sample), "stop", None, None, ("prediction",))
    kinds = {fault.kind for fault in find(sample.public(), entry)}
    assert not kinds & {"unread", "clock", "collapsed", "bad_box", "partial", "unseen_parts", "other_score", "refused"}


@pytest.mark.slow
def test_thousands_of_files_are_read_and_checked_or_refused() -> None:
    """The three laws above with MEDVIDBENCH_EXAMPLES of them, in a process of their own."""
    import subprocess
    import sys

    names = "any_bytes or any_answers or gold_answer"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-k", names],
        env={**os.environ, "MEDVIDBENCH_EXAMPLES": os.environ.get("MEDVIDBENCH_EXAMPLES", "2000")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
