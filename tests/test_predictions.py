"""predictions.jsonl: nothing that was written is lost, nothing wrong is taken in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvidbench_hf.predictions import FINISH_REASONS, Prediction, PredictionLog, read_predictions
from medvidbench_hf.sample import InputError

texts = st.text(st.characters(codec="utf-8"))
predictions = st.builds(
    Prediction, st.integers(0, 2**31), texts, st.sampled_from(FINISH_REASONS), st.none() | st.integers(0, 9999)
)


@given(st.lists(predictions, min_size=1, unique_by=lambda p: p.index))
def test_what_is_logged_is_read_back(tmp_path_factory: pytest.TempPathFactory, many: list[Prediction]) -> None:
    path = tmp_path_factory.mktemp("log") / "predictions.jsonl"
    with PredictionLog(path) as log:
        for prediction in many:
            log.write(prediction)
    assert list(read_predictions(path).values()) == many


@pytest.mark.filterwarnings("ignore:.*the last line is cut off")
@given(st.data())
def test_a_file_cut_at_any_byte_reads_and_continues(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    many = [Prediction(k, text) for k, text in enumerate(data.draw(st.lists(texts, min_size=2, max_size=5)))]
    path = tmp_path_factory.mktemp("log") / "predictions.jsonl"
    with PredictionLog(path) as log:
        for prediction in many:
            log.write(prediction)
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    path.write_bytes(content[: data.draw(st.integers(first, len(content)))])
    kept = read_predictions(path)
    assert all(kept[index] == many[index] for index in kept)
    with PredictionLog(path) as log:
        for prediction in many[len(read_whole_lines(path)) :]:
            log.write(prediction)
    assert path.read_bytes() == content


def read_whole_lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def test_a_torn_last_line_is_left_out_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"index": 3, "prediction": "x"}\n{"index": 4, "pred')
    with pytest.warns(UserWarning, match=r"predictions\.jsonl: the last line is cut off and left out"):
        assert read_predictions(path) == {3: Prediction(3, "x")}


def test_a_folder_means_the_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_text('{"index": 3, "prediction": "x"}\n')
    assert read_predictions(tmp_path) == {3: Prediction(3, "x")}


def test_an_answer_after_an_error_counts_and_any_other_second_answer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    error, answer = {"index": 3, "prediction": "", "finish_reason": "error"}, {"index": 3, "prediction": "x"}
    path.write_text(json.dumps(error) + "\n" + json.dumps(answer) + "\n")
    assert read_predictions(path)[3].prediction == "x"
    path.write_text(json.dumps(answer) + "\n" + json.dumps(answer) + "\n")
    with pytest.raises(InputError, match="line 2 field index: 3 was answered on an earlier line"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"index": 1, "prediction": "x", "truth": "y"}', "field 'truth': not known"),
        ('{"index": 1}', "field prediction: missing"),
        ('{"prediction": "x"}', "field index: missing"),
        ('{"index": "1", "prediction": "x"}', "field index"),
        ('{"index": -1, "prediction": "x"}', "field index"),
        ('{"index": true, "prediction": "x"}', "field index"),
        ('{"index": 1, "prediction": null}', "field prediction: NoneType, expected text"),
        ('{"index": 1, "prediction": "x", "finish_reason": "eos"}', "field finish_reason"),
        ('{"index": 1, "prediction": "x", "tokens": NaN}', "NaN is not JSON"),
        ('{"index": 1, "prediction": "x", "tokens": "9"}', "field tokens"),
        ("[1, 2]", "is a JSON list, expected an object"),
        ("what is this", "is not JSON"),
    ],
)
def test_a_wrong_line_is_named_with_its_number_and_field(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"index": 0, "prediction": "x"}\n' + line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        read_predictions(path)
    assert "predictions.jsonl line 2" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe"])
def test_a_file_without_predictions_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"predictions\.jsonl"):
        read_predictions(path)
    with pytest.raises(InputError, match="no such file"):
        read_predictions(tmp_path / "other.jsonl")
