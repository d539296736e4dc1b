"""Sample: it checks itself, loses nothing, and its public side holds no answer."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest
from hypothesis import given

from medvidbench_hf.sample import TASKS, Canvas, InputError, Label, PublicSample, Region, Sample, Span, Spans, features
from tests.make import sample, samples


@given(samples())
def test_a_row_and_back_is_the_same_sample(s: Sample) -> None:
    assert Sample.from_row(s.to_row()) == s


@given(samples())
def test_arrow_and_back_is_the_same_sample(s: Sample) -> None:
    table = pa.Table.from_pylist([s.to_row()], schema=features().arrow_schema)
    assert Sample.from_row(table.to_pylist()[0]) == s


@given(samples())
def test_the_public_side_has_every_question_field_and_no_field_for_an_answer(s: Sample) -> None:
    public = s.public()
    assert type(public) is PublicSample
    names = {field.name for field in dataclasses.fields(public)}
    assert {field.name for field in dataclasses.fields(s)} - names == {"answer", "truth", "answer_extra"}
    assert all(getattr(public, name) == getattr(s, name) for name in names)
    assert not hasattr(public, "truth")


def test_every_column_of_the_features_is_in_a_row_and_the_other_way_round() -> None:
    assert set(features()) == set(sample().to_row())


def test_a_sample_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample().index = 3  # type: ignore[misc]


@pytest.mark.parametrize("task", TASKS)
def test_a_split_without_answers_has_none_of_the_three_answer_fields(task: str) -> None:
    s = sample(task, answer=None, truth=None, answer_extra=None)
    row = s.to_row()
    assert row["answer"] is row["truth"] is row["answer_extra"] is None
    assert Sample.from_row(row) == s


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", "dev"),
        ("task", "tag"),
        ("variant", "claude"),
        ("domain", "dental"),
        ("index", -1),
        ("source", ""),
        ("video_id", ""),
        ("question", ""),
        ("time_rule", ""),
        ("licence", ""),
        ("fps", 0.0),
        ("fps", float("nan")),
        ("frame_times_s", ()),
        ("frame_times_s", (0.0, 2.0, 1.0)),
        ("frame_times_s", (0.0, float("inf"))),
        ("canvas", Canvas(0, 480)),
        ("canvas", Canvas(10**30, 480)),
        ("clip_end_s", -1.0),
        ("region", Region(0.0, (0.0, 0.0, 1.0, 1.0))),  # type: ignore[arg-type]
        ("request_times_s", (1.0,)),
        ("extra", "[]"),
        ("extra", "{"),
        ("answer_extra", "not json"),
        ("truth", Label("tying")),
    ],
)
def test_a_wrong_field_is_named_with_its_row(field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"field {field}:") as caught:
        sample(**{field: value})
    assert "[0]" in str(caught.value) or "[-1]" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_without_our_columns_is_named_as_such() -> None:
    with pytest.raises(InputError, match="has no column id, task"):
        Sample.from_row({"index": 3, "split": "test"})


@pytest.mark.parametrize(
    "change",
    [
        {"canvas": None},
        {"canvas": {"width": 3}},
        {"truth": {"spans": [{"start_s": 1.0}]}},
        {"truth": {"spans": None}},
        {"truth": {}},
        {"frame_times_s": 3},
        {"frame_times_s": ["a"]},
        {"fps": None},
        {"video": 3},
        {"split": "dev"},
        {"task": []},
        {"fps": 10**400},
        {"truth": {"spans": [{"start_s": 10**400, "end_s": 10**400}]}},
    ],
)
def test_a_row_with_a_value_of_a_wrong_type_is_named(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"(test|dev)\[0\]"):
        Sample.from_row({**sample().to_row(), **change})


@pytest.mark.parametrize("span", [(3.0, 2.0), (float("nan"), 1.0)])
def test_a_span_that_ends_before_it_starts_is_no_truth(span: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="not a time span"):
        Spans((Span(*span),))
