"""Agreement: the statistics are the textbook's, and what cannot be told is None with its reason."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medvidbench_hf.judge.agreement import (
    CLASSES,
    COSTS,
    STATISTICS,
    agreement,
    binned,
    contingency,
    kappa,
    pearson,
    picture,
    plot,
    ranks,
)
from medvidbench_hf.judge.ratings import COLUMNS, PARTS, Ratings, read_ratings
from medvidbench_hf.sample import InputError

HEADER = ",".join(COLUMNS)
scores = st.integers(1, 5).map(float)
# (n, 3): what two raters gave and how often the item counts
weighted = st.lists(st.tuples(scores, scores, st.integers(0, 3)), min_size=3, max_size=12).map(np.array)


def study(by_rater: dict[str, Any], kinds: Sequence[str] | None = None) -> Ratings:
    """Ratings of raters whose names begin with h (human) or j; each gave (n,) for all dimensions, or (n, 5)."""
    given = [np.asarray(values, float) for values in by_rater.values()]
    table = np.stack([g if g.ndim == 2 else np.repeat(g[:, None], 5, axis=1) for g in given], axis=1)
    kinds = kinds or ["human" if name[0] == "h" else "judge" for name in by_rater]
    return Ratings(tuple(f"i{k}" for k in range(len(table))), tuple(by_rater), tuple(kinds), table)


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


# --- statistics ------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(weighted)
def test_weights_mean_copies_and_the_correlations_are_those_of_scipy(drawn: np.ndarray) -> None:
    a, b, times = drawn.T
    weights = times[None]
    copies_a, copies_b = (np.repeat(x, times.astype(int)) for x in (a, b))
    found = [pearson(a, b, weights)[0], pearson(ranks(a, weights), ranks(b, weights), weights)[0]]
    if len(set(copies_a)) < 2 or len(set(copies_b)) < 2:
        assert np.isnan(found).all()
        return
    expected = [scipy.stats.pearsonr(copies_a, copies_b)[0], scipy.stats.spearmanr(copies_a, copies_b)[0]]
    assert found == pytest.approx(expected, abs=1e-9)
    assert ranks(a, np.ones((1, len(a))))[0].tolist() == scipy.stats.rankdata(a).tolist()


@settings(max_examples=60)
@given(weighted)
def test_kappa_is_one_minus_the_cost_seen_over_that_of_all_pairings(drawn: np.ndarray) -> None:
    a, b = (np.repeat(binned(x), drawn[:, 2].astype(int)) for x in drawn.T[:2])
    table = contingency(binned(drawn[:, 0]), binned(drawn[:, 1]), drawn[None, :, 2])
    for name, cost in COSTS.items():
        found = kappa(table, cost)[0]
        if len(set(a)) < 2 or len(set(b)) < 2:
            assert np.isnan(found)
            continue
        of = {"kappa": lambda i, j: i != j, "kappa_linear": lambda i, j: abs(i - j)}.get(
            name, lambda i, j: (i - j) ** 2
        )
        seen = np.mean([of(i, j) for i, j in zip(a, b, strict=True)])
        chance = np.mean([of(i, j) for i, j in product(a, b)])
        assert found == pytest.approx(1 - seen / chance)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # 35 of 50 agree, 25 by chance: (0.7 - 0.5) / (1 - 0.5)
        ([[20, 5], [10, 15]], {"kappa": 0.4, "kappa_linear": 0.4, "kappa_quadratic": 0.4}),
        # rows 3 3 2, columns 2 3 3, n = 8: chance agrees in 21/64, costs 56/64 linearly and 82/64 squared
        (
            [[2, 1, 0], [0, 2, 1], [0, 0, 2]],
            {"kappa": 1 - (2 / 8) / (43 / 64), "kappa_linear": 1 - (2 / 8) / (56 / 64), "kappa_quadratic": 1 - 16 / 82},
        ),
        # as far apart as can be: chance costs 1/2 of what is seen
        ([[0, 0, 0, 0, 4], [0] * 5, [0] * 5, [0] * 5, [4, 0, 0, 0, 0]], dict.fromkeys(COSTS, -1.0)),
    ],
)
def test_kappa_of_hand_worked_tables(table: list[list[int]], expected: dict[str, float]) -> None:
    whole = np.zeros((1, 5, 5))
    whole[0, : len(table), : len(table)] = table
    assert {name: kappa(whole, cost)[0] for name, cost in COSTS.items()} == pytest.approx(expected)


def test_scores_are_binned_half_up() -> None:
    assert binned(np.array([1, 1.4999, 1.5, 2.5, 4.49, 4.5, 5])).tolist() == [0, 0, 1, 2, 3, 4, 4]
    assert binned(np.array([2.49999999999])).tolist() == [2]  # a sum of five that missed 2.5 by rounding


# --- agreement -------------------------------------------------------------------------------------------------


def test_who_says_the_same_agrees_in_full() -> None:
    found = agreement(study({"h1": [1, 2, 3, 4, 5] * 6, "j1": [1, 2, 3, 4, 5] * 6}), resamples=200)
    for part in PARTS:
        for statistic in STATISTICS:
            one = found["classes"]["human-judge"][part][statistic]
            assert one["value"] == pytest.approx(1.0)
            assert one["interval"] == pytest.approx([1.0, 1.0])
            assert one["why"] is None


def test_a_judge_that_is_always_one_too_high_correlates_and_yet_disagrees() -> None:
    human = [1, 2, 3, 4] * 6
    found = agreement(study({"h1": human, "j1": [score + 1 for score in human]}), resamples=50)["pairs"][0]["overall"]
    assert found["pearson"]["value"] == found["spearman"]["value"] == pytest.approx(1.0)
    assert found["kappa"]["value"] < 0


def test_a_class_is_the_mean_of_its_pairs_and_humans_come_first() -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(1, 6, 40)
    given = {name: np.clip(truth + rng.integers(-1, 2, 40), 1, 5) for name in ("h1", "h2", "h3", "j1", "j2")}
    found = agreement(study(given), resamples=50)
    assert [found["classes"][name]["pairs"] for name in CLASSES] == [3, 6, 1]
    assert {(pair["a"][0], pair["b"][0], pair["class"]) for pair in found["pairs"]} == {
        ("h", "h", "human-human"),
        ("h", "j", "human-judge"),
        ("j", "j", "judge-judge"),
    }
    for name in CLASSES:
        pairs = [pair["overall"]["pearson"]["value"] for pair in found["pairs"] if pair["class"] == name]
        pooled = found["classes"][name]["overall"]["pearson"]
        assert pooled["value"] == pytest.approx(np.mean(pairs))
        assert pooled["interval"][0] < pooled["value"] < pooled["interval"][1]


def test_the_same_items_are_drawn_for_all_pairs_and_the_seed_decides_which() -> None:
    rng = np.random.default_rng(4)
    human, judge = rng.integers(1, 6, (2, 40))
    ratings = study({"h1": human, "j1": judge, "j2": judge})
    found = agreement(ratings, resamples=50)
    assert found == agreement(ratings, resamples=50)
    assert found["pairs"][0]["overall"] == found["pairs"][1]["overall"]
    other = agreement(ratings, resamples=50, seed=1)["pairs"][0]["overall"]["pearson"]
    assert other["value"] == found["pairs"][0]["overall"]["pearson"]["value"]
    assert other["interval"] != found["pairs"][0]["overall"]["pearson"]["interval"]


def test_an_interval_shrinks_with_the_number_of_items() -> None:
    rng = np.random.default_rng(4)
    human = rng.integers(1, 6, 900)
    judge = np.clip(human + rng.integers(-1, 2, 900), 1, 5)
    widths = []
    for n in (25, 900):
        low, high = agreement(study({"h1": human[:n], "j1": judge[:n]}))["pairs"][0]["overall"]["pearson"]["interval"]
        widths.append(high - low)
    assert 3 < widths[0] / widths[1] < 12  # the square root of 36, more or less


def test_an_item_counts_where_both_rated_it_and_overall_needs_all_five() -> None:
    human = np.tile(np.arange(1.0, 6.0), 2)[:, None].repeat(5, axis=1)
    judge = human.copy()
    human[0, 0] = judge[1, 0] = judge[2, 4] = np.nan
    pair = agreement(study({"h1": human, "j1": judge}), resamples=20)["pairs"][0]
    assert [pair[part]["n"] for part in PARTS] == [8, 10, 10, 10, 9, 7]


@pytest.mark.parametrize(
    ("human", "judge", "statistic", "why"),
    [
        ([1, 2], [1, 2], "pearson", "items rated by both: 2, at least 3 are needed"),
        ([4, 4, 4, 4], [1, 2, 3, 4], "spearman", "h1 gave all 4 items the same score"),
        ([1, 2, 3, 4], [4, 4, 4, 4], "kappa", "j1 gave all 4 items the same score once rounded"),
        ([1, 2, 3, 4], [3.6, 3.8, 4.1, 4.4], "kappa_linear", "j1 gave all 4 items the same score once rounded"),
        ([np.nan, 2, 3, np.nan], [1, 2, np.nan, 4], "kappa_quadratic", "items rated by both: 1, at least 3 are needed"),
        ([np.nan] * 3, [1, 2, 3], "pearson", "items rated by both: 0, at least 3 are needed"),
    ],
)
def test_what_cannot_be_told_is_none_with_its_reason(human: Any, judge: Any, statistic: str, why: str) -> None:
    found = agreement(study({"h1": human, "j1": judge}), resamples=20)
    expected = {"value": None, "interval": None, "why": why}
    assert found["pairs"][0]["terminology"][statistic] == expected
    assert found["classes"]["human-judge"]["terminology"][statistic] == expected


def test_a_value_without_enough_resamples_to_bear_it_has_no_interval() -> None:
    one = agreement(study({"h1": [4] * 29 + [5], "j1": [3] * 29 + [4]}))["pairs"][0]["overall"]["pearson"]
    assert one["value"] == pytest.approx(1.0)
    assert one["interval"] is None
    assert "resamples have no value" in one["why"]


def test_a_class_without_raters_says_so() -> None:
    found = agreement(study({"h1": [1, 2, 3]}), resamples=5)
    assert {found["classes"][name]["overall"]["kappa"]["why"] for name in CLASSES} == {
        "there is no such pair of raters"
    }
    assert [found["classes"][name]["overall"]["n"] for name in CLASSES] == [0, 0, 0]
    assert found["judges"] == {}


def test_a_judge_is_told_apart_from_the_others_of_its_class() -> None:
    human = [1, 2, 3, 4, 5, 1]
    found = agreement(study({"j1": human, "h1": human, "h2": [2, 2, 3, 4, 5, 1], "j2": [3] * 6}), resamples=20)
    assert (found["pairs"][0]["a"], found["pairs"][0]["b"]) == ("h1", "h2")
    with_h1, with_h2 = (pair["overall"]["pearson"]["value"] for pair in found["pairs"] if pair["b"] == "j1")
    assert with_h1 == pytest.approx(1.0) != with_h2
    assert found["judges"]["j1"]["overall"]["pearson"]["value"] == pytest.approx((with_h1 + with_h2) / 2)
    assert found["judges"]["j2"]["overall"]["pearson"]["value"] is None
    pooled = found["classes"]["human-judge"]["overall"]["pearson"]
    assert pooled["value"] == found["judges"]["j1"]["overall"]["pearson"]["value"]
    assert pooled["why"] == "2 of 4 pairs left out: j2 gave all 6 items the same score"


def test_nothing_is_claimed_of_people_where_none_rated_and_the_papers_figures_stand_apart() -> None:
    found = agreement(study({"j1": [1, 2, 3], "j2": [1, 2, 2]}), resamples=5)
    assert found["weak"][0].startswith("no human rated")
    assert found["weak"][1] == "j1 and j2: 3 items in common, which says little"
    assert (found["paper"]["pearson"], found["paper"]["kappa"]) == (0.977, 0.817)
    assert "rounded half up" in found["notes"]["binning"]
    assert "items" in found["notes"]["resampled"]


@settings(max_examples=40)
@given(
    st.integers(1, 6).flatmap(
        lambda n: arrays(float, (n, 3, 5), elements=st.sampled_from([1.0, 2.0, 2.5, 5.0, float("nan")]))
    ),
    st.permutations(("human", "human", "judge")),
)
def test_any_ratings_give_plain_json_without_nan(table: np.ndarray, kinds: list[str]) -> None:
    ratings = Ratings(tuple(map(str, range(len(table)))), ("a", "b", "c"), tuple(kinds), table)
    json.dumps(agreement(ratings, resamples=7), allow_nan=False)


@pytest.mark.parametrize(
    ("table", "message"), [(np.full((1, 1, 5), 5.5), "from 5.5 to 5.5"), (np.ones((2, 1, 5)), "shape")]
)
def test_ratings_check_themselves(table: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Ratings(("i",), ("a",), ("human",), table)
    with pytest.raises(InputError, match="expected human or judge"):
        Ratings(("i",), ("a",), ("expert",), np.ones((1, 1, 5)))
    with pytest.raises(InputError, match="no ratings"):
        Ratings((), ("a",), ("human",), np.ones((0, 1, 5)))
    with pytest.raises(InputError, match="resamples: -1"):
        agreement(study({"h1": [1, 2, 3]}), resamples=-1)


# --- CSV -------------------------------------------------------------------------------------------------------


def test_several_files_are_one_study(tmp_path: Path) -> None:
    judge = write(tmp_path / "judge.csv", "q-2,gpt-4.1,judge,1.5,2,3,4,5", "q-3,gpt-4.1,judge,1,1,1,1,1")
    human = write(tmp_path / "anna.csv", "q-1,Anna,human,4,5,3,4,4", "q-2,Anna,human,4,,3,4,4.0")
    ratings = read_ratings([judge, human])
    assert ratings.items == ("q-2", "q-3", "q-1")
    assert ratings.raters == ("Anna", "gpt-4.1")
    assert ratings.kinds == ("human", "judge")
    assert ratings.scores[0, 1].tolist() == [1.5, 2, 3, 4, 5]
    assert np.isnan(ratings.scores[0, 0]).tolist() == [False, True, False, False, False]
    assert np.isnan(ratings.scores[1, 0]).all()
    assert read_ratings(human).raters == ("Anna",)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + HEADER.encode() + b"\r\nq-1,Anna,human,4,5,,4,4\r\n",
        f"sep=;\n{HEADER.replace(',', ';')}\nq-1;Anna;human;4,0;5;;4;4\n".encode(),
        f"{HEADER.replace(',', chr(9))}\nq-1\tAnna\thuman\t4\t5\t\t4\t4".encode(),
        f"\n , , \n{HEADER},,notes\n\n q-1 , Anna ,HUMAN,4,5,,4,4,,as she said\n,,,,,,,\n".encode(),
        f'"{HEADER.replace(",", chr(34) + "," + chr(34))}"\n"q-1","Anna","human","4,0","5","","4","4"\n'.encode(),
    ],
    ids=["BOM and CRLF", "semicolons and decimal commas", "tabs", "blank lines and more columns", "quotes"],
)
def test_what_spreadsheets_make_of_a_file_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "anna.csv"
    path.write_bytes(content)
    ratings = read_ratings([path])
    assert (ratings.items, ratings.raters, ratings.kinds) == (("q-1",), ("Anna",), ("human",))
    assert np.nan_to_num(ratings.scores[0, 0]).tolist() == [4, 5, 0, 4, 4]


def test_a_row_cut_short_is_not_rated_to_its_end(tmp_path: Path) -> None:
    ratings = read_ratings(write(tmp_path / "a.csv", "q-1,Anna,human,4,5"))
    assert np.nan_to_num(ratings.scores[0, 0]).tolist() == [4, 5, 0, 0, 0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("q-1,Anna,human,6,5,3,4,4", "line 3 column terminology: '6', expected a score from 1 to 5"),
        ("q-1,Anna,human,4,0,3,4,4", "line 3 column instrument_anatomy: '0'"),
        ("q-1,Anna,human,4,nan,3,4,4", "line 3 column instrument_anatomy: 'nan'"),
        ("q-1,Anna,human,4,4,inf,4,4", "line 3 column specificity: 'inf'"),
        ("q-1,Anna,human,4,4,3,1e0,4", "line 3 column procedure_context: '1e0'"),
        ("q-1,Anna,human,4,4,3,4,\u0664", r"line 3 column action_state: '\\u0664'"),
        ("q-1,Anna,human,3.5,5,3,4,4", "line 3 column terminology: '3.5', expected a whole score"),
        ("q-1,Anna,expert,4,5,3,4,4", "line 3 column kind: 'expert', expected human or judge"),
        (",Anna,human,4,5,3,4,4", "line 3 column item: '', expected a short name"),
        ("q-1,,human,4,5,3,4,4", "line 3 column rater: ''"),
        ("q-1,A\u202enna,human,4,5,3,4,4", r"line 3 column rater: 'A\\u202enna', expected a short name"),
        (f"{'q' * 300},Anna,human,4,5,3,4,4", "line 3 column item: 'qqq"),
        ("q-0,Ben,human,4,5,3,4,4", "line 3 column item: 'Ben' rated 'q-0' before, in .*a.csv line 2"),
        ("q-1,ben,human,4,5,3,4,4", "line 3 column rater: 'ben' is 'Ben' in .*a.csv line 2; spell it one way"),
        ("q-1,Ben,judge,4,5,3,4,4", "line 3 column kind: 'Ben' is a judge here and a human in .*a.csv line 2"),
        ("q-1,Anna,human,4,0,5,0,3,0,4,0,4,0", "line 3: 13 cells for 8 columns; decimal commas need quotes"),
        ('q-1,"Anna,human,4,5,3,4,4', "line 3: is not CSV"),
    ],
)
def test_a_wrong_row_is_named_with_line_and_column(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "a.csv", "q-0,Ben,human,4,5,3,4,4", row)
    with pytest.raises(InputError, match=message) as caught:
        read_ratings(path)
    assert "\n" not in str(caught.value)


def test_the_same_item_in_two_files_is_named_with_both(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, "q-0,Ben,human,4,5,3,4,4") for name in ("a.csv", "b.csv")]
    with pytest.raises(InputError, match=r"b\.csv line 2 column item: 'Ben' rated 'q-0' before, in .*a\.csv line 2"):
        read_ratings(paths)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; the header is item,rater,kind"),
        (b"item,rater\nq,Anna\n", "line 1 column kind: missing"),
        (f"{HEADER},item\n".encode(), "line 1 column item: there twice"),
        (f"{HEADER}\n".encode(), "no ratings"),
        (f"{HEADER}\nq,M\xfcller,human,1,1,1,1,1".encode("latin-1"), "not UTF-8 text .*; save it as 'CSV UTF-8'"),
        (b"\xff\xfei\x00t\x00", "not UTF-8"),
    ],
)
def test_a_file_that_holds_no_ratings_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_ratings(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_ratings(tmp_path / "none.csv")
    with pytest.raises(InputError, match="no ratings"):
        read_ratings([])


@settings(max_examples=60)
@given(st.binary(max_size=80) | st.text(max_size=80).map(lambda t: f"{HEADER}\n{t}".encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(content)
    said = ""
    try:
        read_ratings(path)
    except InputError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1


# --- picture ---------------------------------------------------------------------------------------------------


SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_has_a_panel_a_judge_and_a_larger_dot_where_items_coincide(tmp_path: Path) -> None:
    gone = np.nan
    ratings = study({"h1": [1, 2, 2, 5, 3], "h2": [1, 2, 2, gone, gone], "j<b>": [1, 3, 3, 5, gone], "j2": [1] * 5})
    path = plot(ratings, tmp_path / "plot.svg")
    assert path.read_text() == picture(ratings)
    panels = ET.fromstring(path.read_text()).findall(f"{SVG}g")
    dots = [
        {dot.findtext(f"{SVG}title"): float(dot.attrib["r"]) for dot in panel.iter(f"{SVG}circle")} for panel in panels
    ]
    assert [sorted(panel) for panel in dots] == [
        ["1, 1: 1", "2, 3: 2", "5, 5: 1"],
        ["1, 1: 1", "2, 1: 2", "3, 1: 1", "5, 1: 1"],
    ]
    assert dots[0]["2, 3: 2"] == pytest.approx(dots[0]["1, 1: 1"] * 2**0.5, abs=0.1)
    said = ["".join(panel.itertext()) for panel in panels]
    assert "j<b>" in said[0]
    assert "(4 items)" in said[0]
    assert "(5 items)" in said[1]


def test_there_is_no_picture_without_items_that_a_human_and_a_judge_rated(tmp_path: Path) -> None:
    for by_rater in ({"h1": [1, 2]}, {"j1": [1, 2]}, {"h1": [1, np.nan], "j1": [np.nan, 2]}):
        with pytest.raises(InputError, match="nothing to plot"):
            plot(study(by_rater), tmp_path / "plot.svg")
    with pytest.raises(InputError, match="cannot be written"):
        plot(study({"h1": [1, 2], "j1": [1, 2]}), tmp_path / "none" / "plot.svg")
    assert list(tmp_path.iterdir()) == []
