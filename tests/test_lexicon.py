"""The lexicon judge: laws that hold for every text, golden cases, and the corpus it was tuned on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvidbench_hf.judge.lexicon import LexiconJudge
from medvidbench_hf.judge.lexicon.align import align
from medvidbench_hf.judge.lexicon.findings import SHARES, Finding, scores
from medvidbench_hf.judge.lexicon.match import text
from medvidbench_hf.judge.lexicon.read import read
from medvidbench_hf.judge.lexicon.vocabulary import FAMILIES, lexicon
from medvidbench_hf.judge.lexicon.words import MAX_CHARS, MAX_WORDS, VOCABULARY, stems
from medvidbench_hf.judge.pairs import DIMENSIONS, Judgement, Pair
from medvidbench_hf.sample import InputError
from tests.bench import corruptions

CASES = Path(__file__).parent / "cases"
GOLDEN = json.loads((CASES / "lexicon.json").read_text(encoding="utf-8"))
TUNE = CASES / "captions" / "tune"
REFERENCES = [item["reference"] for item in corruptions.items(TUNE)]

#: A finding that is at least so sure decides a score.
SURE = 0.5


def judged(reference: str, candidate: str) -> Judgement:
    (judgement,) = LexiconJudge().judge([Pair(reference, candidate)]).judgements
    assert judgement is not None
    return judgement


def kinds(judgement: Judgement, sure: float = 0.0) -> set[str]:
    return {finding["kind"] for finding in judgement.evidence["findings"] if finding["sure"] >= sure}


def concepts(caption: str) -> list[str]:
    return [concept for mention in read(caption).mentions for concept in mention.concepts]


# --- golden cases ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["why"])
def test_a_golden_case_scores_as_it_should_and_says_why(case: dict[str, Any]) -> None:
    judgement = judged(case["reference"], case["candidate"])
    low, high = case["mean"]
    assert low <= round(judgement.mean, 6) <= high, judgement.evidence["findings"]
    assert set(case["findings"]) <= kinds(judgement)
    assert kinds(judgement, SURE) - {"missing", "reworded", "extra", "wider", "vague"} <= set(case["findings"])


@pytest.mark.parametrize("chain", GOLDEN["chains"], ids=lambda chain: chain[0][:40])
def test_each_further_swap_lowers_the_mean(chain: list[str]) -> None:
    means = [judged(chain[0], candidate).mean for candidate in chain]
    assert means == sorted(means, reverse=True)
    assert len(set(means)) == len(means)


# --- laws ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_reference_itself_is_perfect_whatever_its_case_spacing_and_full_stop(reference: str) -> None:
    for same in (reference, reference.upper(), reference.replace(" ", " \n "), reference.rstrip(".") + " ..."):
        assert judged(reference, same).scores == (5.0,) * 5


@given(st.text(max_size=200), st.text(max_size=200))
@settings(max_examples=150)
def test_any_two_texts_have_five_scores_from_1_to_5(reference: str, candidate: str) -> None:
    pairs = [Pair(reference, candidate), Pair("x " + reference, candidate)]
    verdicts = LexiconJudge().judge(pairs)
    for judgement in verdicts.judgements:
        assert judgement is None or all(1 <= score <= 5 for score in judgement.scores)
        json.dumps(dict(judgement.evidence) if judgement else None)
    assert verdicts.judgements[1] is not None
    assert LexiconJudge().judge(pairs) == verdicts


WORDS = """
    the hook grasper scissors dissects cuts not left right cystic duct artery liver and then after once while before
    without has been first . , ; - 3 frob something tool having until is
"""
made_up = st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=30).map(lambda words: " ".join(["x", *words]))


@given(made_up, made_up)
@settings(max_examples=200)
def test_words_of_the_field_in_any_order_are_judged(reference: str, candidate: str) -> None:
    judgement = judged(reference, candidate)
    assert all(1 <= score <= 5 for score in judgement.scores)
    found = read(candidate)
    assert len(found.time) == len(found.denied) == len(found.stems)
    assert all(0 <= mention.start < mention.end <= len(found.stems) for mention in found.mentions)


@given(st.lists(st.builds(Finding, st.sampled_from(sorted(SHARES)), st.floats(0, 1)), max_size=8), st.data())
@settings(max_examples=100)
def test_a_further_finding_never_raises_a_score(found: list[Finding], data: st.DataObject) -> None:
    more = [*found, data.draw(st.builds(Finding, st.sampled_from(sorted(SHARES)), st.floats(0, 1)))]
    assert all(after <= before for before, after in zip(scores(found), scores(more), strict=True))


@given(st.lists(st.sampled_from("abcde"), max_size=20), st.lists(st.sampled_from("abcde"), max_size=20))
@settings(max_examples=100)
def test_runs_hold_equal_words_and_no_word_is_in_two(left: list[str], right: list[str]) -> None:
    taken: list[tuple[int, int]] = []
    for start, at, n in align(left, right).runs:
        inside = [(start + k, at + k) for k in range(n) if 0 <= start + k < len(left)]
        assert all(left[a] == right[b] for a, b in inside)
        taken += inside
    assert len({a for a, _ in taken}) == len({b for _, b in taken}) == len(taken)


@pytest.mark.parametrize(
    "unit", ["the hook cuts the duct ", "not ", "after , ", "a b ", "x" * 9, ". ", "\ud800", "\x00 "]
)
def test_of_a_huge_text_the_beginning_is_read(unit: str) -> None:
    huge = unit * (2**20 // len(unit))
    assert len(read(huge).stems) <= MAX_WORDS
    assert read(huge) == read(huge[:MAX_CHARS])
    assert all(1 <= score <= 5 for score in judged("The hook cuts the duct.", huge).scores)
    (turned,) = LexiconJudge().judge([Pair(huge, huge[::-1])]).judgements
    assert turned is None or all(1 <= score <= 5 for score in turned.scores)


@pytest.mark.parametrize("empty", ["", " \n", "...", "Thought process:"])
def test_a_text_that_says_nothing_gets_the_minimum_from_the_guard(empty: str) -> None:
    judgement = judged("The hook cuts the duct.", empty)
    assert (judgement.scores, judgement.by) == ((1.0,) * 5, "guard")


def test_verdicts_are_labelled_in_order_and_equal_pairs_are_judged_once() -> None:
    judge, pairs = LexiconJudge(), [Pair("The hook cuts.", c) for c in ("The hook cuts.", "The hook tears.", "")]
    verdicts = judge.judge([*pairs, pairs[0]])
    assert verdicts.judge == judge.name == "lexicon"
    assert verdicts.rubric.startswith("lexicon v1 (")
    assert (verdicts.distinct, verdicts.guarded, verdicts.calls, verdicts.failures) == (3, 1, 0, ())
    assert verdicts.judgements[0] == verdicts.judgements[3]
    assert [j.by for j in verdicts.judgements if j] == ["lexicon", "lexicon", "guard", "lexicon"]
    assert asyncio.run(judge.ajudge(pairs)) == judge.judge(pairs)
    assert judge.judge([]).judgements == ()


def test_without_a_reference_there_is_no_judgement() -> None:
    verdicts = LexiconJudge().judge([Pair("hook", "hook"), Pair(" ...", "The hook cuts.")])
    assert verdicts.judgements[1] is None
    assert [position for position, _ in verdicts.failures] == [1]


def test_texts_in_other_scripts_are_compared_by_their_words() -> None:
    assert judged("\u80c6\u56ca \u5207\u9664", "\u80c6\u56ca \u5207\u9664").mean == 5
    assert judged("\u80c6\u56ca \u5207\u9664", "\u809d\u810f \u7f1d\u5408").mean < 3


def test_a_pair_that_is_none_is_named() -> None:
    with pytest.raises(InputError, match=r"pairs\[1\]"):
        LexiconJudge().judge([Pair("a", "b"), ("a", "b")])  # type: ignore[list-item]
    with pytest.raises(InputError, match=r"pairs\[0\] field candidate: NoneType"):
        LexiconJudge().judge([Pair("a", None)])  # type: ignore[arg-type]


# --- reading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "concept"),
    [
        ("The clip lies open.", "instrument/clip"),
        ("The surgeon clips the duct.", "action/clip"),
        ("A haemostat is applied.", "instrument/hemostat"),
        ("The Maryland-dissector opens.", "instrument/maryland dissector"),
        ("Dividing the DUCTS", "action/cut"),
        ("The field stays dry.", "finding/bleeding"),
    ],
)
def test_a_form_is_read_as_its_concept(caption: str, concept: str) -> None:
    assert concept in concepts(caption)


def test_the_longest_form_wins_and_claims_its_words() -> None:
    assert concepts("the neck of the gallbladder") == ["anatomy/gallbladder neck"]


@pytest.mark.parametrize(
    ("caption", "denied"),
    [
        ("The hook does not cut the duct, it lifts the liver.", {"cut", "duct"}),
        ("The duct is clipped without bleeding.", {"bleeding"}),
        ("The duct isn't cut.", {"cut"}),
        ("The view is not lost until bleeding starts.", set()),
        ("The hook not only cuts.", set()),
    ],
)
def test_a_negation_governs_the_rest_of_its_clause(caption: str, denied: set[str]) -> None:
    found = read(caption)
    words = {found.words[at] for at in found.content if found.denied[at]}
    assert words == denied


@pytest.mark.parametrize(
    "caption",
    [
        "The duct is clipped, then the scissors divide it.",
        "The scissors divide it after the duct is clipped.",
        "The scissors divide it once the duct has been clipped.",
        "Before the scissors divide it, the duct is clipped.",
        "After the duct is clipped, the scissors divide it.",
        "The duct is clipped before the scissors divide it.",
        "The scissors divide it, the duct having first been clipped.",
        "The scissors do not divide it until the duct is clipped.",
        "The duct is clipped; subsequently the scissors divide it.",
    ],
)
def test_clauses_stand_in_their_order_of_time(caption: str) -> None:
    found = read(caption)
    assert found.time[found.words.index("clipped")] < found.time[found.words.index("divide")]


def test_what_goes_on_at_the_same_time_shares_a_rank() -> None:
    found = read("While the grasper holds the liver, the hook cuts, keeping the duct in view.")
    assert len(set(found.time)) == 1


# --- vocabulary ------------------------------------------------------------------------------------------------


def entries() -> Iterator[tuple[str, str, dict[str, list[str]]]]:
    for file in FAMILIES:
        for name, entry in json.loads((VOCABULARY / f"{file}.json").read_text(encoding="utf-8")).items():
            yield file, name, entry


@pytest.mark.parametrize("file", FAMILIES)
def test_a_vocabulary_file_has_one_concept_a_line_sorted(file: str) -> None:
    lines = (VOCABULARY / f"{file}.json").read_text(encoding="utf-8").splitlines()
    names = [next(iter(json.loads("{" + line.strip().rstrip(",") + "}"))) for line in lines[1:-1]]
    assert (lines[0], lines[-1]) == ("{", "}")
    assert names == sorted(set(names))


def test_no_form_stands_for_two_concepts_of_a_file_and_every_name_is_known() -> None:
    owner: dict[tuple[str, tuple[str, ...]], str] = {}
    names = {(file, name) for file, name, _ in entries()}
    for file, name, entry in entries():
        assert set(entry) <= {"is", "forms", "lay", "absent", "opposite"}
        for form in (name, *entry["forms"], *entry.get("lay", []), *entry.get("absent", [])):
            assert form == form.lower().strip()
            assert stems(form), f"{file}/{name}: {form!r} has no word"
            assert owner.setdefault((file, stems(form)), name) == name, f"{file}: {form!r}"
        for other in (*entry.get("is", []), *entry.get("opposite", [])):
            assert (file, other) in names, f"{file}/{name} names {other!r}"


def test_the_vocabulary_is_broad() -> None:
    assert len(lexicon().wider) >= 900
    assert len(lexicon().forms) >= 7000


@pytest.mark.parametrize("labels", ["CholecT50", "CoPESD", "NurViD"])
def test_the_labels_of_the_sources_are_read(labels: str) -> None:
    known = {
        "CholecT50": [
            "grasper",
            "bipolar",
            "hook",
            "scissors",
            "clipper",
            "irrigator",
            "cystic plate",
            "omentum",
            "gut",
        ],
        "CoPESD": ["lift flap with forceps", "dissect flap tissue with knife", "adjust camera"],
        "NurViD": ["Measure blood pressure", "Insert gastric tube", "Secure ostomy bag", "Comb hair", "Defibrillate"],
    }
    for label in known[labels]:
        assert concepts(label), label


# --- the corpus ------------------------------------------------------------------------------------------------

#: Shares ranked right on the tune half: paraphrase, and clauses moved, above the corruption.
REACHED = {
    "instrument": (0.95, 0.89),
    "action": (0.95, 0.87),
    "anatomy": (0.94, 0.91),
    "side": (0.98, 0.94),
    "negated": (0.96, 0.93),
    "vague": (0.99, 0.99),
    "shortened": (0.99, 0.98),
    "events_reordered": (0.88, 0.65),
}


@pytest.fixture(scope="module")
def tune() -> dict[str, Any]:
    return corruptions.figures(TUNE, embeddings=False)


@pytest.mark.parametrize("kind", REACHED)
def test_the_faithful_text_ranks_above_the_corrupted_one(tune: dict[str, Any], kind: str) -> None:
    right = tune["kinds"][kind]["right"]["lexicon"]
    assert right["paraphrase"] >= REACHED[kind][0]
    assert right["clauses_reordered"] >= REACHED[kind][1]


@pytest.mark.parametrize("kind", REACHED)
def test_a_corruption_lowers_its_own_dimension_most(tune: dict[str, Any], kind: str) -> None:
    drop = tune["kinds"][kind]["drop"]
    assert max(drop, key=lambda dimension: drop[dimension]) == corruptions.KINDS[kind]
    assert set(drop) == set(DIMENSIONS)


def test_captions_of_other_scenes_score_far_below_the_paraphrase() -> None:
    every = corruptions.items(TUNE)
    own = [judged(item["reference"], item["paraphrase"]).mean for item in every]
    other = [
        judged(item["reference"], next_item["paraphrase"]).mean
        for item, next_item in zip(every, every[1:] + every[:1], strict=True)
    ]
    assert fmean(own) - fmean(other) > 1
    assert fmean(a > b for a, b in zip(own, other, strict=True)) > 0.93


@pytest.mark.parametrize("folder", ["tune", "held_out"])
def test_a_third_of_the_items_is_worded_as_the_lexicon_is_not(folder: str) -> None:
    found = corruptions.foreign(CASES / "captions" / folder)
    assert 3 * found["strange"] >= found["n"] > 80


def test_the_tables_show_every_kind(tune: dict[str, Any]) -> None:
    shown = corruptions.tables(json.loads(json.dumps(tune)))
    assert all(f"| {kind.replace('_', ' ')} |" in shown for kind in corruptions.KINDS)


def test_mentions_quote_the_text() -> None:
    found = read("The Metzenbaum scissors divide the cystic duct.")
    assert [text(found, mention) for mention in found.mentions] == ["metzenbaum scissors", "divide", "cystic duct"]
