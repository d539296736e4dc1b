"""The `evaluate` modules over plain values: captions for a judge, raw rewards to be normalised."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvidbench_hf import judge as judges
from medvidbench_hf import metrics
from medvidbench_hf.endpoint import BudgetSpent
from medvidbench_hf.judge import DIMENSIONS, JudgeStopped, Pair, rubric
from medvidbench_hf.metrics import pasted
from medvidbench_hf.rewards import NORMALISERS, fit, normalise
from medvidbench_hf.sample import InputError
from tests.llm_stub import Fault, Stub, running
from tests.test_metrics import load, served

JUDGE, REWARD = "medvidbench_judge", "medvidbench_normalized_reward"
HOOK, SCISSORS = "The hook dissects the cystic duct.", "The scissors cut the cystic artery."
CLIP = "A clip goes on the artery."
KEY = "sk-a-key-that-nobody-may-see"
HOSTILE = "<img src=x onerror=alert(1)>"

STG, TAL = "CoPESD/stg", "NurViD/tal"
STATISTICS = fit([STG] * 40 + [TAL] * 40, [*np.linspace(0.0, 0.4, 40), *np.linspace(0.5, 1.0, 40)])


# --- judge: lexicon --------------------------------------------------------------------------------------------


def judge(candidates: Any = (HOOK,), references: Any = (HOOK,), **options: Any) -> dict[str, Any]:
    result = load(JUDGE).compute(predictions=candidates, references=references, **options)
    assert isinstance(result, dict)
    return result


def test_by_default_the_lexicon_judges_says_so_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medvidbench_hf.metrics.captions.Endpoint", None)
    result = judge([HOOK, ""], [HOOK, HOOK])
    assert list(result) == ["judge", "rubric", "mean", *DIMENSIONS, "n", "failed", "per_pair"]
    assert result["judge"] == "lexicon"
    assert result["rubric"].startswith("lexicon v")
    assert result["per_pair"] == [[5.0] * 5, [1.0] * 5]
    assert {result[name] for name in ("mean", *DIMENSIONS)} == {3.0}
    assert (result["n"], result["failed"]) == (2, 0)
    assert json.loads(json.dumps(result)) == result


def test_the_scores_are_those_of_the_lexicon_judge() -> None:
    candidates, references = [SCISSORS, HOOK, "A tool works on tissue."], [HOOK, SCISSORS, HOOK]
    own = judges.LexiconJudge().judge([Pair(*texts) for texts in zip(references, candidates, strict=True)])
    scores = [judgement.scores for judgement in own.judgements if judgement]
    result = judge(candidates, references)
    assert result["per_pair"] == [list(of_pair) for of_pair in scores]
    assert result["mean"] == pytest.approx(np.mean(scores))
    assert [result[name] for name in DIMENSIONS] == pytest.approx(np.mean(scores, axis=0).tolist())


def test_captions_may_be_added_one_by_one_or_in_batches_in_memory_or_in_files_and_combined(tmp_path: Path) -> None:
    candidates, references = [HOOK, "", SCISSORS], [HOOK, HOOK, HOOK]
    whole = judge(candidates, references)
    one_by_one = load(JUDGE)
    for candidate, reference in zip(candidates, references, strict=True):
        one_by_one.add(prediction=candidate, reference=reference)
    in_files = evaluate.load(metrics.path(JUDGE), cache_dir=str(tmp_path))
    in_files.add_batch(predictions=candidates[:2], references=references[:2])
    in_files.add_batch(predictions=candidates[2:], references=iter(references[2:]))
    assert whole == one_by_one.compute() == in_files.compute()
    both = evaluate.combine({"a": load(JUDGE), "b": load(JUDGE)})
    for candidate, reference in zip(candidates, references, strict=True):
        both.add(candidate, reference)
    result = both.compute()
    assert result["a_mean"] == result["b_mean"] == whole["mean"]


@pytest.mark.parametrize("text", ["half \ud83d a pair", "\x00\u202e\u200b", "the hook " * 120_000, "钩子解剖胆囊管"])
def test_any_text_is_judged(text: str) -> None:
    assert judge([text, HOOK], [HOOK, text])["n"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": [None]}, r"predictions\[0\] is NoneType, expected text"),
        ({"candidates": [HOOK, 4], "references": [HOOK] * 2}, r"predictions\[1\] is int, expected text"),
        ({"references": [b"text"]}, r"references\[0\] is bytes, expected text"),
        ({"references": [[HOOK]]}, r"references\[0\] is list, expected text"),
        ({"references": [" \n"]}, r"references\[0\] is empty: there is nothing to compare with"),
        ({"candidates": HOOK}, "predictions is str, expected a list"),
        ({"references": {"text": [HOOK]}}, "references is dict, expected a list"),
        ({"candidates": None}, "predictions is NoneType, expected a list"),
        ({"candidates": [HOOK] * 2}, "2 predictions for 1 references"),
        ({"candidates": [], "references": []}, "no caption was given"),
        ({"base_url": "http://127.0.0.1:1/v1"}, "base_url: only for a model, and judge is 'lexicon'"),
        ({"budget_usd": 0.0}, "budget_usd: only for a model"),
        ({"budget_tokens": 10}, "budget_tokens: only for a model"),
        ({"cache": "x.sqlite", "rubric": "board"}, "rubric, cache: only for a model"),
        ({"rubric": "board"}, "rubric: only for a model"),
        ({"domain": "radiology"}, "domain: only for a model"),
        ({"judge": "gpt-4.1", "domain": "surgery"}, "unknown domain 'surgery'; known: surgical_video"),
        ({"task": "a task!"}, "task"),
        ({"judge": ""}, "model: ''"),
        ({"judge": None}, "model: None"),
    ],
)
def test_captions_that_cannot_be_judged_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        judge(**options)


def test_a_metric_goes_on_after_an_error() -> None:
    metric = load(JUDGE)
    for wrong in ({"predictions": [None], "references": [HOOK]}, {"predictions": [], "references": []}):
        with pytest.raises(InputError):
            metric.compute(**wrong)
    assert metric.compute(predictions=[HOOK], references=[HOOK])["n"] == 1


# --- judge: a model --------------------------------------------------------------------------------------------


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def says(request: dict[str, Any]) -> str:
    """4 on all dimensions where the candidate is SCISSORS, nothing to read where it is CLIP, else 2."""
    text = request["messages"][0]["content"]
    if json.dumps(CLIP) in text:
        return "I would rather not say."
    return json.dumps(dict.fromkeys(DIMENSIONS, 4 if json.dumps(SCISSORS) in text else 2))


@pytest.fixture
def stub(key: None) -> Iterator[Stub]:
    with running(says) as stub:
        yield stub


def test_a_model_is_asked_by_its_name_and_a_failed_judgement_is_none_counted_and_listed(stub: Stub) -> None:
    candidates = [SCISSORS, CLIP, "The hook frees the duct.", ""]
    result = judge(candidates, [HOOK] * 4, judge="stub", base_url=stub.base_url)
    assert (result["judge"], result["rubric"]) == ("stub", str(rubric("comparative")))
    assert result["per_pair"] == [[4.0] * 5, None, [2.0] * 5, [1.0] * 5]
    assert (result["n"], result["failed"]) == (4, 1)
    assert [result[name] for name in ("mean", *DIMENSIONS)] == pytest.approx([7 / 3] * 6)
    (line,) = result["failures"]
    assert line.startswith("predictions[1]: ")
    assert {request["model"] for request in stub.log} == {"stub"}


def test_of_pairs_that_all_failed_there_are_no_means(stub: Stub) -> None:
    result = judge([CLIP], [HOOK], judge="stub", base_url=stub.base_url)
    assert [result[name] for name in ("mean", *DIMENSIONS)] == [None] * 6
    assert (result["n"], result["failed"], result["per_pair"]) == (1, 1, [None])


def test_rubric_domain_and_task_reach_the_model(key: None) -> None:
    with running(lambda request: "R2: 5\nR3: 4\nR8: 3\nR5: 2\nR4: 1") as stub:
        options = {"rubric": "board", "domain": "radiology", "task": "region_caption", "base_url": stub.base_url}
        result = judge([SCISSORS], [HOOK], judge="stub", **options)
    assert result["rubric"] == str(rubric("board", "radiology"))
    assert [result[name] for name in DIMENSIONS] == [5.0, 4.0, 3.0, 2.0, 1.0]
    pair = Pair(HOOK, SCISSORS, "region_caption")
    assert stub.log[0]["messages"] == rubric("board", "radiology").messages(pair)


def test_identical_pairs_are_asked_once_and_a_cached_pair_not_at_all(stub: Stub, tmp_path: Path) -> None:
    options = {"judge": "stub", "base_url": stub.base_url, "cache": tmp_path / "verdicts.sqlite"}
    first = judge([SCISSORS, SCISSORS], [HOOK, HOOK], **options)
    assert len(stub.log) == 1
    assert judge([SCISSORS, SCISSORS], [HOOK, HOOK], **options) == first
    assert len(stub.log) == 1


def test_a_budget_that_is_too_small_is_said_before_anything_is_asked(stub: Stub) -> None:
    with pytest.raises(BudgetSpent, match="budget of 10 tokens"):
        judge([SCISSORS], [HOOK], judge="stub", base_url=stub.base_url, budget_tokens=10)
    assert stub.log == []
    with pytest.raises(InputError, match="the price of 'stub' is not known"):
        judge([SCISSORS], [HOOK], judge="stub", base_url=stub.base_url, budget_usd=1.0)


def test_a_server_that_repeats_the_key_does_not_bring_it_into_the_result(key: None) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})
    with running(lambda request: Fault(401, body=body)) as stub:
        result = judge([SCISSORS], [HOOK], judge="stub", base_url=stub.base_url)
    assert result["failed"] == 1
    assert "401" in result["failures"][0]
    assert KEY not in json.dumps(result)


def test_a_model_that_fails_on_most_pairs_stops_the_metric(key: None) -> None:
    with running(lambda request: Fault(400)) as stub, pytest.raises(JudgeStopped, match="stub failed on"):
        judge([f"{SCISSORS} {k}" for k in range(40)], [HOOK] * 40, judge="stub", base_url=stub.base_url)


def test_the_key_is_that_of_the_environment_and_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="api_key") as error:
        judge(judge="gpt-4.1", api_key=KEY)
    assert KEY not in str(error.value)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="no API key: set OPENAI_API_KEY"):
        judge(judge="gpt-4.1")


def test_without_the_openai_package_a_model_is_refused_with_the_way_out(
    key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match=r"pip install 'medvidbench-hf\[judge\]'"):
        judge(judge="gpt-4.1")
    assert judge()["mean"] == 5.0


def test_a_model_can_be_asked_from_a_notebook_where_an_event_loop_runs(stub: Stub, tmp_path: Path) -> None:
    async def cell() -> dict[str, Any]:
        return judge([SCISSORS], [HOOK], judge="stub", base_url=stub.base_url, cache=tmp_path / "verdicts.sqlite")

    assert asyncio.run(cell())["mean"] == 4.0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


# --- rewards ---------------------------------------------------------------------------------------------------


def reward(raw: Any, pairs: Any, statistics: Any = STATISTICS, **options: Any) -> dict[str, Any]:
    result = load(REWARD).compute(predictions=raw, references=pairs, statistics=statistics, **options)
    assert isinstance(result, dict)
    return result


def test_rewards_come_back_in_order_with_a_line_for_each_pair() -> None:
    raw = [0.2, 0.75, None, 5.0, float("nan"), None]
    pairs = [STG, TAL, TAL, STG, STG, "not/known"]
    result = reward(raw, pairs)
    assert list(result) == ["rewards", "by_pair", "mean", "n", "unrewarded"]
    assert result["rewards"] == [pytest.approx(0.5), pytest.approx(0.5), None, pytest.approx(1.0), None, None]
    assert (result["n"], result["unrewarded"], result["mean"]) == (6, 3, pytest.approx(2 / 3))
    mixed = {"n": 3, "unrewarded": 1, "raw": 2.6, "reward": pytest.approx(0.75), "saturated": 0.5}
    nothing = {"unrewarded": 1, "raw": None, "reward": None, "saturated": None}
    assert result["by_pair"] == {
        STG: mixed,
        TAL: {"n": 2, "unrewarded": 1, "raw": 0.75, "reward": pytest.approx(0.5), "saturated": 0.0},
        "not/known": {"n": 1, **nothing},
    }
    assert json.loads(json.dumps(result)) == result


NUMBERS = st.one_of(st.none(), st.floats(-10, 10))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(NUMBERS, st.sampled_from([STG, TAL])), min_size=1), st.sampled_from(sorted(NORMALISERS)))
def test_the_rewards_are_those_of_normalise_and_the_lines_add_up(
    rows: list[tuple[float | None, str]], method: str
) -> None:
    raw, pairs = [x for x, _ in rows], [pair for _, pair in rows]
    result = reward(raw, pairs, method=method)
    own = [None if np.isnan(value) else value for value in normalise(raw, pairs, STATISTICS, method=method).tolist()]
    assert result["rewards"] == own
    by_pair = result["by_pair"].values()
    assert sum(line["n"] for line in by_pair) == result["n"] == len(rows)
    assert sum(line["unrewarded"] for line in by_pair) == result["unrewarded"] == raw.count(None)
    total = sum(line["reward"] * (line["n"] - line["unrewarded"]) for line in by_pair if line["reward"] is not None)
    assert total == pytest.approx(sum(value for value in own if value is not None))


def test_the_mean_of_large_rewards_is_finite() -> None:
    result = reward([1e308, 1.5e308, -1e308], [STG] * 3, method="none")
    assert result["mean"] == result["by_pair"][STG]["raw"] == pytest.approx(0.5e308)


@pytest.mark.parametrize(("method", "bounded"), [("logistic", True), ("percentile", True), ("zscore", False)])
def test_only_a_reward_with_bounds_can_be_saturated(method: str, bounded: bool) -> None:
    result = reward([100.0], [STG], method=method)
    assert result["by_pair"][STG]["saturated"] == (1.0 if bounded else None)


def test_statistics_may_be_a_path_the_object_of_a_file_or_what_fit_returns(tmp_path: Path) -> None:
    file = tmp_path / "stats.json"
    STATISTICS.write(file)
    forms: list[Any] = [STATISTICS, file, str(file), json.loads(file.read_text())]
    results = [reward([0.1, 0.9], [STG, TAL], form) for form in forms]
    assert all(result == results[0] for result in results)


def test_a_component_has_statistics_of_its_own() -> None:
    statistics = fit([STG] * 20, np.linspace(0, 1, 20), component="similarity")
    assert reward([0.5], [STG], statistics, component="similarity")["rewards"] == [pytest.approx(0.5)]
    with pytest.raises(InputError, match="no reward statistics of the 'score' of 'CoPESD/stg'"):
        reward([0.5], [STG], statistics)


def test_rewards_may_be_added_one_by_one_or_in_batches_in_memory_or_in_files_and_combined(tmp_path: Path) -> None:
    raw, pairs = [None, 0.3, 0.9], [STG, STG, TAL]
    whole = reward(raw, pairs)
    one_by_one = load(REWARD)
    for x, pair in zip(raw, pairs, strict=True):
        one_by_one.add(prediction=x, reference=pair)
    in_files = evaluate.load(metrics.path(REWARD), cache_dir=str(tmp_path))
    in_files.add_batch(predictions=raw[:1], references=pairs[:1])
    in_files.add_batch(predictions=np.array(raw[1:]), references=iter(pairs[1:]))
    assert whole == one_by_one.compute(statistics=STATISTICS) == in_files.compute(statistics=STATISTICS)
    both = evaluate.combine({"a": load(REWARD), "b": load(REWARD)})
    for x, pair in zip(raw, pairs, strict=True):
        both.add(x, pair)
    assert both.compute(statistics=STATISTICS)["a_rewards"] == whole["rewards"]


def test_computing_rewards_leaves_its_inputs_as_they_are() -> None:
    raw, pairs, statistics = [0.1, None], [STG, TAL], copy.deepcopy(STATISTICS)
    reward(raw, pairs, statistics)
    assert (raw, pairs, statistics) == ([0.1, None], [STG, TAL], STATISTICS)


def test_without_statistics_the_error_says_how_to_make_them() -> None:
    with pytest.raises(InputError, match=r"`medvidbench rewards stats`.*medvidbench_hf.rewards.fit"):
        reward([0.1], [STG], None)


def broken(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> dict[str, Any]:
    """The object of a statistics file with a change made to it."""
    STATISTICS.write(tmp_path / "stats.json")
    record: dict[str, Any] = json.loads((tmp_path / "stats.json").read_text())
    change(record)
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.clear(), "^statistics field schema: None, expected 1"),
        (lambda r: r.update(schema=2), "^statistics field schema: 2"),
        (lambda r: r["pairs"][STG]["score"].pop("n"), "^statistics pair 'CoPESD/stg', 'score' field n: missing"),
        (lambda r: r["pairs"][STG]["score"]["quantiles"].reverse(), "^statistics pair .* p1 is .*, below p0"),
        (lambda r: r.update(floor=float("nan")), "^statistics is not JSON"),
        (lambda r: r.update(more={1, 2}), "^statistics: the object is not JSON"),
        (lambda r: r.update(more=r), "^statistics: the object is not JSON"),
    ],
)
def test_broken_statistics_are_named(change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        reward([0.1], [STG], broken(change, tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"raw": ["0.5"]}, r"predictions\[0\]: '0.5', expected a number or None"),
        ({"raw": [[0.5]]}, "predictions: an array of shape"),
        ({"raw": [float("inf")]}, r"predictions\[0\]: inf is not a reward; None says that none applies"),
        ({"raw": 0.5}, "predictions is float, expected a list"),
        ({"raw": [0.5, 0.5]}, "2 predictions for 1 references"),
        ({"pairs": [None]}, r"references\[0\]: None, expected the name of a pair such as 'CoPESD/stg'"),
        ({"pairs": [("CoPESD", "stg")]}, r"references\[0\]: \('CoPESD', 'stg'\), expected the name of a pair"),
        ({"pairs": STG}, "references is str, expected a list"),
        ({"pairs": ["CoPESD/tal"]}, "no reward statistics of 'CoPESD/tal'; there are those of 'CoPESD/stg', 'NurViD"),
        ({"pairs": ["\ud83d"]}, r"no reward statistics of '\?'"),
        ({"raw": [], "pairs": []}, "no reward was given"),
        ({"statistics": 5}, "statistics: int, expected a file's path"),
        ({"statistics": "no such file"}, "no such file: cannot be read"),
        ({"component": "judge"}, "no reward statistics of the 'judge'"),
        ({"method": "sigmoid"}, "method: 'sigmoid', expected one of logistic"),
        ({"method": ["x"]}, r"method: \['x'\], expected one of logistic"),
        ({"method": 5}, "method: 5, expected one of logistic"),
        ({"component": ["score"]}, r"component: \['score'\], expected a name"),
        ({"raw": [1e308], "method": "zscore"}, r"predictions\[0\]: 1e\+308 is too large for 'zscore'"),
    ],
)
def test_rewards_that_cannot_be_normalised_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        reward(**{"raw": [0.5], "pairs": [STG], **options})


# --- Spaces ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [*pasted.CAPTIONS, (HOOK, ""), (HOOK, "Score: 5/5"), (HOOK, f"A zorb {HOSTILE}")])
def test_pasted_captions_are_judged_as_by_the_metric_and_the_evidence_is_in_words(texts: tuple[str, str]) -> None:
    reference, candidate = texts
    scores, evidence = pasted.judged(pasted.captions(reference, candidate))
    result = judge([candidate], [reference])
    assert scores == [[name.replace("_", " "), f"{result[name]:.2f}"] for name in (*DIMENSIONS, "mean")]
    assert evidence
    assert all(re.fullmatch(r"\w+: \S.*", line) for line in evidence.split("\n"))


def test_pasted_lines_are_raw_rewards_and_their_pairs() -> None:
    lines = "CoPESD/stg, 0.5\n\n a, b/tal ,1e-1\r\nNurViD/tal,\n"
    assert pasted.rewards(lines) == ([0.5, 0.1, None], [STG, "a, b/tal", TAL])


def test_the_example_of_the_space_of_rewards_can_be_normalised() -> None:
    raw, pairs = pasted.rewards(pasted.REWARDS)
    statistics = pasted.statistics(pasted.example_statistics())
    assert set(statistics.pairs) == set(pairs)
    result = reward(raw, pairs, statistics)
    assert result["rewards"][0] == result["rewards"][2] == pytest.approx(0.5)
    assert result["unrewarded"] == 1


@pytest.mark.parametrize(
    ("paste", "given", "message"),
    [
        (pasted.captions, ("", "x"), "the reference is empty"),
        (pasted.captions, ("x", "x" * 30_000), "the candidate: expected a text of 20,000 characters at most"),
        (pasted.captions, (None, "x"), "the reference: expected a text"),
        (pasted.rewards, ("0.5",), "line 1: '0.5' has no comma"),
        (pasted.rewards, (f"\n{STG}, half",), "line 2: 'half' is no number"),
        (pasted.rewards, (f"{STG}, 1_0",), "line 1: '1_0' is no number; leave it empty"),
        (pasted.rewards, (f"{STG}, -inf",), "line 1: '-inf' is no number; leave it empty"),
        (pasted.rewards, (f"{STG}, 1\n" * 2_001,), "2,001 rewards, more than 2,000"),
        (pasted.rewards, ("x" * 100_001,), "the raw rewards: expected a text of 100,000 characters at most"),
        (pasted.statistics, ("[" * 200_000,), "^statistics is not JSON"),
        (pasted.statistics, ("",), "^statistics is not JSON"),
        (pasted.statistics, ("/etc/passwd",), "^statistics is not JSON"),
        (pasted.statistics, ('"\ud83d',), "^statistics is not JSON"),
        (pasted.statistics, ({},), "the statistics: expected a text of 1,000,000 characters at most"),
    ],
)
def test_what_is_pasted_and_cannot_be_used_is_named(
    paste: Callable[..., object], given: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        paste(*given)


@pytest.mark.slow
def test_the_space_of_the_judge_shows_scores_and_evidence_and_escapes_text(tmp_path: Path) -> None:
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    with served(JUDGE, tmp_path) as (address, _):
        client = Client(address, verbose=False)
        for reference, candidate in pasted.CAPTIONS:
            scores, evidence = client.predict(reference, candidate, api_name="/judge")
            assert (scores["data"], evidence) == pasted.judged(pasted.captions(reference, candidate))
        scores, evidence = client.predict(HOOK, f"{HOOK} {HOSTILE}", api_name="/judge")
        assert [row[0] for row in scores["data"]] == [*(name.replace("_", " ") for name in DIMENSIONS), "mean"]
        with pytest.raises(AppError, match="the reference is empty"):
            client.predict(" ", HOSTILE, api_name="/judge")


@pytest.mark.slow
def test_the_space_of_rewards_normalises_and_escapes_text(tmp_path: Path) -> None:
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    with served(REWARD, tmp_path) as (address, _):
        client = Client(address, verbose=False)
        raw, pairs = pasted.rewards(pasted.REWARDS)
        statistics = pasted.example_statistics()
        rewards, by_pair = client.predict(statistics, pasted.REWARDS, "score", "logistic", api_name="/normalise")
        result = reward(raw, pairs, pasted.statistics(statistics))
        assert rewards["headers"] == ["pair", "raw", "reward"]
        assert [row[2] for row in rewards["data"]] == [
            "-" if value is None else f"{value:.3f}" for value in result["rewards"]
        ]
        assert [row[0] for row in by_pair["data"]] == list(result["by_pair"])
        assert [row[1] for row in by_pair["data"]] == [str(line["n"]) for line in result["by_pair"].values()]
        with pytest.raises(AppError, match="&lt;img src=x onerror=alert\\(1\\)&gt;"):
            client.predict(statistics, f"{HOSTILE}, 1", "score", "logistic", api_name="/normalise")
        secret = tmp_path / "secret.json"
        secret.write_text("the secret")
        with pytest.raises(AppError, match="statistics is not JSON"):
            client.predict(str(secret), pasted.REWARDS, "score", "logistic", api_name="/normalise")
