"""The board, frozen: hand-worked cases as data, laws, and what the board cannot do that we must."""

from __future__ import annotations

import copy
import cProfile
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvidbench_hf import leaderboard, tasks
from medvidbench_hf.evaluation import score_predictions, score_run
from medvidbench_hf.leaderboard import COLUMNS, TRAPS, captions, minilm, score_records, traps_page
from medvidbench_hf.leaderboard.next_action import vocabularies
from medvidbench_hf.leaderboard.records import record_of, struc_info
from medvidbench_hf.leaderboard.score import lost_rows
from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import InputError
from tests.make import TRUTHS, sample
from tests.official_files import merged
from tests.test_tasks import LONG

CASES = Path(__file__).parent / "cases"


def record(column: str, row: dict[str, Any]) -> dict[str, Any]:
    """A case's row as the board's record."""
    return {
        "metadata": {"video_id": row.get("video_id", "v"), "fps": row.get("fps", "1.0")},
        "qa_type": row.get("qa_type", COLUMNS[column].task),
        "data_source": row.get("data_source", "AVOS"),
        "question": row.get("question", ""),
        "gnd": row.get("gnd", ""),
        "struc_info": row.get("struc_info", []),
        "answer": row["text"],
    }


def cases() -> list[Any]:
    found = []
    for column in COLUMNS:
        for case in json.loads((CASES / f"board_{column}.json").read_text(encoding="utf-8")):
            found.append(pytest.param(column, case, id=f"{column}: {case['why']}"))
    return found


def records_of(column: str, case: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {k: record(column, row) for k, row in enumerate(case.get("rows", [case]))}


@pytest.mark.parametrize(("column", "case"), cases())
def test_the_board_gives_what_was_worked_out_by_hand(column: str, case: dict[str, Any]) -> None:
    records = records_of(column, case)
    embed = None
    if vectors := case.get("embed"):
        embed = lambda texts: np.array([vectors[text] for text in texts])  # noqa: E731
    judged = {(ref, said): scores for ref, said, scores in case["judged"]} if "judged" in case else None
    before = copy.deepcopy(records)
    scored = score_records(records, embed, judged)
    assert records == before, "scoring changed its input"
    assert scored.metrics[column] == (
        None if case["leaderboard"] is None else pytest.approx(case["leaderboard"], abs=1e-9)
    )
    assert list(lost_rows(scored.traps).get(column, ())) == case.get("lost", [])
    if "without" in case:
        value = next(
            f.value for f in scored.traps if f.column == column and f.trap in ("task-lost", "stg-not-a-number")
        )
        assert value == (None if case["without"] is None else pytest.approx(case["without"], abs=1e-9))
    if "nan" in case:
        assert [f.rows for f in scored.traps if f.trap == "stg-not-a-number"] == [tuple(case["nan"])]
    if "exact" in case:
        assert scored.nap_exact == pytest.approx(case["exact"], abs=1e-9)


@pytest.mark.parametrize(("column", "case"), [c for c in cases() if c.values[1]["strict"] is not None])
def test_strict_gives_what_was_worked_out_by_hand(
    column: str, case: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "case.json"  # one for all: hundreds of folders take seconds
    file.write_text(json.dumps(records_of(column, case)))
    assert score_run(file, protocol="strict")["metrics"][column] == pytest.approx(case["strict"], abs=1e-9)


def test_what_is_to_be_judged_is_what_the_columns_then_ask_for_each_pair_once() -> None:
    events = [{"start": 0.0, "end": 10.0, "caption": "tied"}, {"start": 10.0, "end": 20.0, "caption": "cut"}]
    answer = "0.0-10.0 seconds: a knot\n10.0-14.0 seconds: a snip"
    rows = [record("DVC_llm", {"text": answer, "struc_info": events})] * 2
    pairs = captions.to_judge("dense_captioning", rows)
    assert pairs == [("tied", "a knot"), ("cut", "a snip")]
    judged = {pairs[0]: (5, 5, 5, 5, 5), pairs[1]: (2, 2, 2, 2, 2)}
    # At 0.3 both pairs are judged, (5 + 2) / 2; at 0.5 and 0.7 the exact one alone.
    assert score_records(dict(enumerate(rows)), judged=judged).metrics["DVC_llm"] == pytest.approx((3.5 + 5 + 5) / 3)
    whole = [record("VS_llm", {"text": "a", "gnd": "b"}), record("VS_llm", {"text": "", "gnd": "b"})]
    assert captions.to_judge("video_summary", whole) == [("b", "a")]


def test_every_trap_that_can_move_a_number_has_a_case() -> None:
    told = {case.get("trap") for column in COLUMNS for case in json.loads((CASES / f"board_{column}.json").read_text())}
    about_numbers = {
        key for key, trap in TRAPS.items() if re.match("TAG|STG|DVC|NAP|CVS|VS|task", f"{trap.about}{key}")
    }
    assert about_numbers - told <= {"box-space", "llm-scale", "nap-near-tie", "nap-no-model"}
    assert told - {None} <= TRAPS.keys()


# --- any input -------------------------------------------------------------------------------------------------

RULE_TASKS = ("tal", "stg", "dense_captioning", "next_action", "cvs_assessment", "skill_assessment")
EXAMPLES = int(os.environ.get("MEDVIDBENCH_EXAMPLES", "20000"))

pieces = st.sampled_from(
    [
        *(
            "1.0-3.0 seconds",
            "4",
            "-",
            "–",
            " to ",
            " seconds: ",
            "[",
            "]",
            "[[1, 2, 3, 4]]",
            ",",
            "\n",
            "nan",
            "inf",
            "1e9",
        ),
        *("0:00:05 to 0:00:12", "**Start Time:**", "Time Range: 1-2 seconds - a", "Two structures: 2", "Cystic plate:"),
        *("Respect for tissue: 3/5", ": 4/5", "tying", "1_0", "٣", "²", "\x00", "\ud800", "9" * 400, "9" * 4400),
    ]
)
answers = st.text() | st.lists(pieces | st.text(max_size=5), max_size=20).map("".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
infos = {
    "tal": st.lists(
        st.fixed_dictionaries({"spans": st.lists(st.dictionaries(st.sampled_from(["start", "end"]), json_values))})
    ),
    "stg": st.fixed_dictionaries(
        {"bbox_dict": st.dictionaries(st.sampled_from(["1.0", "2", "nan", "x"]), json_values)}
    ),
    "dense_captioning": st.lists(
        st.dictionaries(st.sampled_from(["start", "end", "caption", "dc_segments"]), json_values)
    ),
    "next_action": json_values,
    "cvs_assessment": st.lists(st.dictionaries(st.just("cvs_scores"), json_values)),
    "skill_assessment": st.lists(st.dictionaries(st.just("skill_scores"), json_values)),
}


def fake_embed(texts: list[str]) -> np.ndarray:
    """Any vectors, one a text."""
    return np.array([[len(text), sum(map(ord, text)) % 97, 1.0] for text in texts])


def check_answer(task: str, text: str) -> None:
    made = {**record_of(sample(task), text), "struc_info": struc_info(TRUTHS[task])}
    scored = score_records({0: made}, fake_embed)
    for column, value in scored.metrics.items():
        assert value is None or 0.0 <= value <= 1.0, column
    assert all(str(finding) for finding in scored.traps)


@pytest.mark.parametrize("task", RULE_TASKS)
@given(text=answers)
def test_any_answer_gets_a_number_of_the_board_or_says_what_is_lost(task: str, text: str) -> None:
    check_answer(task, text)


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(text=answers)
def test_twenty_thousand_answers_get_a_number_from_every_parser_of_the_board(text: str) -> None:
    """MEDVIDBENCH_EXAMPLES sets how many."""
    for task in RULE_TASKS:
        check_answer(task, text)


@pytest.mark.parametrize("task", RULE_TASKS)
@given(data=st.data())
def test_any_record_gets_a_number_of_the_board_or_is_named_as_what_loses_the_task(
    task: str, data: st.DataObject
) -> None:
    """Records as no release has them: every field any JSON value."""
    fields = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "metadata": json_values | st.fixed_dictionaries({"fps": json_values, "video_id": json_values}),
                "fps": json_values,
                "data_source": json_values | st.sampled_from(["NurViD", "CoPESD", "Unknown"]),
                "question": json_values,
                "gnd": json_values,
                "struc_info": json_values | infos[task],
                "answer": json_values | answers,
            },
        )
    )
    made = {**record_of(sample(task), "x"), **fields}
    before = copy.deepcopy(made)
    scored = score_records({7: made}, fake_embed)
    assert repr(made) == repr(before)
    lost = lost_rows(scored.traps)
    for column, value in scored.metrics.items():
        assert value is None or math.isfinite(value)
        assert column not in lost or (value == 0.0 and lost[column] == (7,))


@pytest.mark.parametrize("task", RULE_TASKS)
@pytest.mark.parametrize("name", LONG)
def test_an_answer_made_to_stall_the_board_is_read(task: str, name: str) -> None:
    """A quadratic reader takes minutes on these 64 kB to 1 MB; how the time grows is measured in tests/bench."""
    check_answer(task, LONG[name])


# --- findings --------------------------------------------------------------------------------------------------


def score(rows: dict[int, dict[str, Any]], **more: Any) -> Any:
    return score_records({k: record("TAG_mIoU@0.3", row) for k, row in rows.items()}, **more)


def test_a_finding_names_its_rows_and_the_value_without_the_trap() -> None:
    rows = {
        k: {
            "qa_type": "cvs_assessment",
            "text": text,
            "struc_info": [{"cvs_scores": {"two_structures": 1, "cystic_plate": 0}}],
        }
        for k, text in {3: "Two structures: 1, Cystic plate: 0", 8: "not sure", 9: "Two structures: 1"}.items()
    }
    scored = score(rows)
    assert scored.metrics["CVS_acc"] == 1.0
    (finding,) = scored.traps
    assert (finding.trap, finding.column, finding.rows) == ("cvs-left-out", "CVS_acc", (8, 9))
    assert finding.value == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert str(finding) == (
        "CVS_acc: 2 CVS answers unparsed or partly so: the board leaves those criteria out; counted as wrong 0.500"
    )


def test_a_lost_task_says_which_record_why_and_what_the_others_are_worth() -> None:
    good = {"text": "2.0-6.0 seconds.", "struc_info": [{"spans": [{"start": 2.0, "end": 6.0}]}]}
    scored = score({0: good, 5: {**good, "text": None}, 6: good})
    assert (scored.metrics["TAG_mIoU@0.3"], scored.metrics["TAG_mIoU@0.5"]) == (0.0, 0.0)
    finding = scored.traps[0]
    assert (finding.trap, finding.rows, finding.value) == ("task-lost", (5,), 1.0)
    assert "row 5: field answer is null, not text" in str(finding)


def test_nothing_is_found_where_the_answers_are_the_references() -> None:
    records = {k: record_of(s, s.answer) for k, s in enumerate(gold(task) for task in RULE_TASKS)}
    scored = score_records(records)
    assert scored.traps == []
    assert {column: value for column, value in scored.metrics.items() if "llm" not in column} == dict.fromkeys(
        list(COLUMNS)[:7], 1.0
    )


def gold(task: str) -> Any:
    made = sample(task)
    return sample(task, answer=tasks.render(made))


def test_a_record_keeps_the_releases_own_structure_where_the_sample_has_it() -> None:
    own = [{"procedure": "x", "spans": [{"start": 2, "end": 6}]}]
    made = sample("tal", answer_extra=json.dumps({"struc_info": own}))
    assert record_of(made, "a")["struc_info"] == own
    assert record_of(sample("tal"), "a")["struc_info"] == [{"spans": [{"start": 2.0, "end": 6.0}]}]


# --- next action -----------------------------------------------------------------------------------------------


def next_action(answer: str, source: str = "AVOS", gnd: str = "tying") -> dict[str, Any]:
    return {"qa_type": "next_action", "text": answer, "gnd": gnd, "data_source": source}


def test_the_embedding_is_called_once_with_each_text_once_and_not_at_all_for_labels() -> None:
    calls: list[list[str]] = []

    def embed(texts: list[str]) -> np.ndarray:
        calls.append(texts)
        return fake_embed(texts)

    score({k: next_action(text) for k, text in enumerate(["tying", "cutting", " tying "])}, embed=embed)
    assert calls == []
    score({k: next_action(text) for k, text in enumerate(["knot", "snip", "knot", "tying"])}, embed=embed)
    assert calls == [["knot", "cutting", "tying", "suturing", "snip"]]


def test_without_the_model_the_column_is_null_and_the_exact_value_stands_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = {0: next_action("tying"), 1: next_action("knot")}
    scored = score(rows)
    assert (scored.metrics["NAP_acc"], scored.nap_exact) == (None, 0.5)
    assert [finding.trap for finding in scored.traps] == ["nap-no-model"]
    monkeypatch.setattr(minilm, "installed", lambda: False)
    file_report = score_predictions(
        [sample("next_action", source="AVOS")], {0: Prediction(0, "knot")}, protocol="leaderboard"
    )
    assert file_report["metrics"]["NAP_acc"] is None


def test_the_real_model_finds_the_nearest_label() -> None:
    rows = {0: next_action("the knot is being tied"), 1: next_action("scissors cut the thread", gnd="cutting")}
    assert score(rows, embed=minilm.embed).metrics["NAP_acc"] == 1.0


def test_the_label_lists_are_those_of_the_board() -> None:
    lists = vocabularies()
    assert [len(lists["labels"][s]) for s in ("AVOS", "CholecT50", "CoPESD")] == [3, 7, 8]
    assert (len(lists["NurViD"]), sum(map(len, lists["NurViD"].values()))) == (49, 264)
    assert len({action for actions in lists["NurViD"].values() for action in actions}) == 140
    assert len(lists["CoPESD_aliases"]) == 8


# --- files -----------------------------------------------------------------------------------------------------


def test_an_official_merged_file_scores_under_both_protocols_without_data(tmp_path: Path) -> None:
    file = tmp_path / "merged.json"
    file.write_text(json.dumps(merged(share=0.03)))
    reports = score_run(file, protocol="both")
    assert list(reports) == ["leaderboard", "strict"]
    for name, report in reports.items():
        assert report["protocol"] == name
        assert list(report["metrics"]) == list(COLUMNS)
        assert all(0 < report["metrics"][c] <= 1 for c in list(COLUMNS)[:7])
        assert [report["metrics"][c] for c in list(COLUMNS)[7:]] == [None] * 3
        low, high = report["ci"]["TAG_mIoU@0.3"]
        assert low <= report["metrics"]["TAG_mIoU@0.3"] <= high
        json.dumps(report, allow_nan=False)
    assert reports["leaderboard"]["findings"]


def test_a_file_without_ground_truth_is_refused_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    empty = {k: {**r, "gnd": "", "struc_info": []} for k, r in merged(share=0.01).items()}
    file.write_text(json.dumps(empty))
    with pytest.raises(InputError, match="no ground truth"):
        score_run(file)


def test_scoring_grows_with_the_rows_and_not_with_their_square() -> None:
    """Counted, not timed: four times the rows call the scorer's innermost step four times as often."""
    counts = []
    for share in (0.05, 0.2):
        records = {int(k): v for k, v in merged(share=share).items()}
        profile = cProfile.Profile()
        profile.runcall(score_records, records)
        counts.append(sum(entry.callcount for entry in profile.getstats()) / len(records))
    assert counts[1] < 1.2 * counts[0]


def test_the_page_of_traps_is_the_one_that_the_code_makes() -> None:
    """MEDVIDBENCH_SNAPSHOT=1 writes it anew."""
    page = Path(leaderboard.__file__).with_name("README.md")
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- traps -->\n")
    inside, _, after = rest.partition("<!-- end of traps -->")
    if os.environ.get("MEDVIDBENCH_SNAPSHOT"):
        page.write_text(f"{before}<!-- traps -->\n{traps_page()}<!-- end of traps -->{after}", encoding="utf-8")
        return
    assert inside == traps_page()


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), True, "1", [1], None])
@pytest.mark.parametrize("task", RULE_TASKS)
def test_a_merged_file_with_an_odd_value_anywhere_scores_or_names_the_record(
    task: str, value: Any, tmp_path: Path
) -> None:
    """Every leaf of a good record in turn; the report is JSON whatever the value."""
    good = record_of(gold(task), gold(task).answer)
    for path in leaves(good):
        odd = copy.deepcopy(good)
        place = odd
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        file = tmp_path / "merged.json"
        file.write_text(json.dumps({"0": good, "1": odd}))
        json.dumps(score_run(file, protocol="both"), allow_nan=False)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, inner in items for p in ([(*path, key), *leaves(inner, (*path, key))])]


@pytest.mark.slow
def test_a_source_and_a_video_of_its_own_for_every_row_does_not_square_the_cost(tmp_path: Path) -> None:
    """Twenty thousand rows by as many sources would be gigabytes of cells."""
    row = record("CVS_acc", {"text": "Two structures: 1", "struc_info": [{"cvs_scores": {"two_structures": 1}}]})
    rows = {k: {**row, "data_source": f"s{k}", "metadata": {"video_id": f"v{k}", "fps": "1.0"}} for k in range(20_000)}
    file = tmp_path / "merged.json"
    file.write_text(json.dumps(rows))
    report = score_run(file, protocol="leaderboard")
    assert (report["metrics"]["CVS_acc"], report["ci"]["CVS_acc"]) == (1.0, None)
