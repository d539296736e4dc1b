"""The board's ranking rule, column by column and tie by tie, and the snapshot of its table."""

from __future__ import annotations

import math
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvidbench_hf.leaderboard.ranking import BoardRow, board, rank, stored, would_be
from medvidbench_hf.leaderboard.score import COLUMNS
from medvidbench_hf.sample import InputError

X, Y, Z = "xyz"


def names(table: dict[str, dict[str, float | None]], columns: str) -> list[str]:
    return [row.name for row in rank(table, tuple(columns))]


def rows() -> dict[str, dict[str, Any]]:
    return {row.name: row.metrics for row in board().rows}


# --- the rule --------------------------------------------------------------------------------------------------


def test_equal_values_share_a_rank_and_the_next_value_has_the_next_rank() -> None:
    ranked = rank({"a": {X: 0.5}, "b": {X: 0.3}, "c": {X: 0.5}, "d": {X: 0.1}}, (X,))
    assert [(row.name, row.ranks[X]) for row in ranked] == [("a", 1), ("c", 1), ("b", 2), ("d", 3)]
    assert [row.place for row in ranked] == [1, 2, 3, 4]


def test_the_average_of_the_ranks_orders_the_models() -> None:
    # a: ranks 1, 3, 3; b: 2, 2, 1; c: 3, 1, 2
    table = {"a": {X: 0.9, Y: 0.1, Z: 0.1}, "b": {X: 0.5, Y: 0.2, Z: 0.9}, "c": {X: 0.4, Y: 0.3, Z: 0.2}}
    ranked = rank(table, (X, Y, Z))
    assert [(row.name, row.average_rank, row.firsts) for row in ranked] == [
        ("b", 5 / 3, 1),
        ("c", 2, 1),
        ("a", 7 / 3, 1),
    ]


def test_what_is_missing_ranks_behind_a_zero() -> None:
    ranked = rank({"none": {X: None}, "absent": {}, "zero": {X: 0.0}, "best": {X: 0.4}}, (X,))
    assert {row.name: row.ranks[X] for row in ranked} == {"best": 1, "zero": 2, "none": 3, "absent": 3}


def test_only_three_decimals_count_after_four_were_printed() -> None:
    assert [stored(v) for v in (0.71246, 0.71244, 0.00049, 0.00044, 3.6654, 0.5)] == [
        0.713,
        0.712,
        0.001,
        0,
        3.665,
        0.5,
    ]
    ranked = rank({"a": {X: 0.71246}, "b": {X: 0.713}, "c": {X: 0.71244}}, (X,))
    assert [row.ranks[X] for row in ranked] == [1, 1, 2]


def test_more_first_places_break_a_tie_of_averages() -> None:
    # a: ranks 2, 2; b: 1, 3. a's values are the larger share of the best: 1.8 against 1.1.
    table = {"a": {X: 0.9, Y: 0.9}, "b": {X: 1.0, Y: 0.1}, "c": {X: 0.1, Y: 1.0}}
    assert [row.average_rank for row in rank(table, (X, Y))] == [2, 2, 2]
    assert names(table, "xy") == ["b", "c", "a"]


def test_the_sum_of_shares_of_the_best_breaks_a_tie_of_first_places() -> None:
    # Both have ranks 1 and 2. b: 0.2 / 0.2 + 3 / 4 = 1.75; a: 0.1 / 0.2 + 4 / 4 = 1.5, though its values sum to more.
    assert names({"a": {X: 0.1, Y: 4.0}, "b": {X: 0.2, Y: 3.0}}, "xy") == ["b", "a"]


def test_the_name_breaks_the_last_tie() -> None:
    table = {"b": {X: 1.0, Y: 0.5}, "a": {X: 0.5, Y: 1.0}, "B": {X: 1.0, Y: 0.5}}
    assert names(table, "xy") == ["B", "a", "b"]  # capitals first, as text sorts


def test_a_column_of_zeros_ties_everybody_and_adds_nothing() -> None:
    ranked = rank({"a": {X: 0.0, Y: 0.1}, "b": {X: 0.0, Y: 0.2}}, (X, Y))
    assert [(row.name, row.ranks) for row in ranked] == [("b", {X: 1, Y: 1}), ("a", {X: 1, Y: 2})]


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", True])
def test_what_is_no_number_is_refused_by_model_and_column(value: Any) -> None:
    with pytest.raises(InputError, match=r"^mine column STG_mIoU: .*expected a number"):
        rank({"mine": {"STG_mIoU": value}})


# --- laws ------------------------------------------------------------------------------------------------------

few_values = st.integers(1, 6).map(lambda n: n / 1000)  # few, so that ties are common
full = st.fixed_dictionaries({X: few_values, Y: few_values, Z: few_values})
gappy = st.fixed_dictionaries({X: few_values | st.none(), Y: few_values | st.none(), Z: few_values})
keys = st.text("abAB12", min_size=1, max_size=3)


@given(st.dictionaries(keys, gappy, max_size=8), st.randoms())
def test_the_order_of_the_rows_changes_nothing(table: dict[str, Any], random: Any) -> None:
    shuffled = list(table.items())
    random.shuffle(shuffled)
    assert rank(dict(shuffled), (X, Y, Z)) == rank(table, (X, Y, Z))


@given(st.dictionaries(keys, full, max_size=8))
def test_a_model_that_is_worst_everywhere_moves_nobody(table: dict[str, Any]) -> None:
    before = rank(table, (X, Y, Z))
    after = rank({**table, "worst": {X: 0.0, Y: 0.0, Z: 0.0}}, (X, Y, Z))
    assert after[:-1] == before
    assert after[-1].name == "worst"


@given(st.dictionaries(keys, gappy, max_size=8))
def test_the_best_everywhere_is_first(table: dict[str, Any]) -> None:
    first = rank({**table, "zz best": {X: 0.007, Y: 0.007, Z: 0.007}}, (X, Y, Z))[0]
    assert (first.name, first.average_rank, first.firsts) == ("zz best", 1.0, 3)


@given(st.dictionaries(keys, gappy, min_size=1, max_size=8))
def test_the_ranks_are_those_of_pandas(table: dict[str, Any]) -> None:
    frame = pandas.DataFrame.from_dict(table, orient="index", dtype=float)
    expected = frame.rank(ascending=False, method="dense", na_option="bottom").astype(int).to_dict("index")
    assert {row.name: row.ranks for row in rank(table, (X, Y, Z))} == expected


# --- the snapshot ----------------------------------------------------------------------------------------------


def test_every_row_of_the_snapshot_has_ten_numbers_in_the_boards_order() -> None:
    snapshot = board()
    assert len(snapshot.rows) == 19
    assert len({row.name for row in snapshot.rows}) == 19
    for row in snapshot.rows:
        assert list(row.metrics) == list(COLUMNS), row.name
        assert all(type(v) is float and stored(v) == v for v in row.metrics.values()), row.name
        assert all(0 <= v <= (5 if c.endswith("_llm") else 1) for c, v in row.metrics.items()), row.name


def test_every_row_of_the_snapshot_says_where_it_is_from() -> None:
    certainty = {"project page": "primary", "board, 2026-05-15": "primary", "via SPIRAL": "secondary"}
    for row in board().rows:
        assert row.certainty == certainty[row.source], row.name
        assert row.group in {"off the shelf", "benchmark authors", "participant"}, row.name


def test_the_snapshot_ranks_as_worked_out_by_hand_at_its_ends_and_at_its_tie() -> None:
    ranked = {row.name: row for row in rank(rows())}
    best = ranked["uAI-NEXUS-MedVLM-1.0e-27B-SFT"]
    assert list(best.ranks.values()) == [2, 2, 1, 1, 2, 1, 2, 2, 4, 5]
    assert (best.place, best.average_rank, best.firsts) == (1, 2.2, 3)
    # Equal averages, no first place in either: the sum of shares decides.
    tied = [ranked["uAI-NEXUS-MedVLM-1.0a-7B-SFT"], ranked["uAI-NEXUS-MedVLM-7B-vnahata-ensemble3"]]
    assert [(row.place, row.average_rank, row.firsts) for row in tied] == [(9, 9.1, 0), (10, 9.1, 0)]


# --- would-be rank ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", board().rows, ids=lambda row: row.name)
def test_the_same_numbers_get_the_same_ranks(row: BoardRow) -> None:
    before = next(r for r in rank(rows()) if r.name == row.name)
    mine = would_be(row.metrics)
    assert (mine.ranks, mine.average_rank, mine.missing) == (before.ranks, before.average_rank, ())
    assert (mine.given_place, mine.given_average_rank) == (mine.place, mine.average_rank)
    assert 0 <= mine.place - before.place <= 1  # beside its twin, in the order of their names
    assert mine.of == 20


def test_a_missing_column_is_stored_as_zero_and_the_place_without_it_is_told_beside() -> None:
    metrics: dict[str, float | None] = {**rows()["uAI-NEXUS-MedVLM-1.0b-4B-RL"]}
    metrics |= {"DVC_llm": None, "VS_llm": None, "RC_llm": None}
    mine = would_be(metrics)
    assert mine.missing == ("DVC_llm", "VS_llm", "RC_llm")
    assert mine.ranks == {**mine.ranks, "DVC_llm": 20, "VS_llm": 19, "RC_llm": 20}  # two rows share VS_llm 4.059
    assert mine.ranks_of == {**mine.ranks_of, "CVS_acc": 14, "DVC_llm": 20, "VS_llm": 19, "RC_llm": 20}
    assert (mine.place, mine.average_rank) == (8, (1 + 4 + 6 + 5 + 1 + 2 + 1 + 20 + 19 + 20) / 10)
    assert (mine.given_place, mine.given_average_rank) == (4, (1 + 4 + 6 + 5 + 1 + 2 + 1) / 7)
    assert str(mine) == (
        "place 8 of 20, average rank 7.9: pessimistic, the board stores what is missing (DVC_llm, VS_llm, RC_llm) as 0;"
        " over the other 7 of 10 columns alone, place 4 of 20, average rank 2.9"
    )


def test_a_missing_column_ties_with_the_zeros_of_the_board() -> None:
    zeros = would_be({**rows()["GPT-4.1"], "CVS_acc": 0.0})
    missing = would_be({**rows()["GPT-4.1"], "CVS_acc": None})
    assert missing.ranks == zeros.ranks
    assert missing.missing == ("CVS_acc",)


def test_numbers_at_full_precision_rank_as_the_board_would_store_them() -> None:
    metrics = {**rows()["GPT-5.4"], "NAP_acc": 0.39346}  # 0.3935 printed, 0.394 stored; 0.393 is GPT-5.4's
    assert would_be(metrics).ranks["NAP_acc"] == would_be({**metrics, "NAP_acc": 0.394}).ranks["NAP_acc"]


def test_a_taken_name_an_unknown_column_and_no_value_are_refused() -> None:
    with pytest.raises(InputError, match=r"'GPT-5\.4' is taken"):
        would_be({"CVS_acc": 0.5}, name="GPT-5.4")
    with pytest.raises(InputError, match=r"unknown column 'TAG_mIoU@\.3'"):
        would_be({"TAG_mIoU@.3": 0.5})
    with pytest.raises(InputError, match="no column has a value"):
        would_be({"CVS_acc": None})
