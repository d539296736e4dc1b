"""The commands `judge` and `rewards`, and `score --judge`, as a user meets them."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medvidbench_hf import cli
from medvidbench_hf.builder import build, read_samples
from medvidbench_hf.evaluation import run
from medvidbench_hf.judge import BOARD_CODES, DIMENSIONS
from medvidbench_hf.models.prior import Prior
from medvidbench_hf.rewards import Statistics
from tests.llm_stub import running

Medvidbench = Callable[..., str]
OBJECT = json.dumps(dict.fromkeys(DIMENSIONS, 4))
LINES = "\n".join(f"{code}: 3" for code in BOARD_CODES)


@pytest.fixture
def medvidbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Medvidbench:
    """Run the command in this process, with nobody at the keyboard; what it prints, or says where it fails."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str | Path, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["medvidbench", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: PTH123, SIM115
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        told = capsys.readouterr()
        assert (stopped.value.code or 0) == code, told
        return " ".join((told.out if code == 0 else told.err).split())

    return call


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data: a simulated data set; train, test: the prior's answers to either split."""
    place = tmp_path_factory.mktemp("judged")
    build("simulated", place / "data", videos=24, media=False)
    prior = Prior.fit(read_samples(place / "data", "train"))
    for split in ("train", "test"):
        run(prior, place / "data", place / split, split=split)
    return place


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "item": "a",
            "reference": "The grasper retracts the gallbladder.",
            "candidate": "The grasper holds the liver.",
        },
        {"item": "b", "reference": "The cystic duct is clipped.", "candidate": "The cystic duct is clipped."},
        {"item": "c", "reference": "The cystic duct is clipped.", "candidate": ""},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_pairs_are_judged_offline_by_default_and_the_table_says_by_what(
    medvidbench: Medvidbench, pairs: Path, tmp_path: Path
) -> None:
    told = medvidbench("judge", "score", pairs, "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv")
    assert "lexicon (word lists of surgical and nursing video, not a language model)" in told
    items = {item["item"]: item for item in json.loads((tmp_path / "r.json").read_text())["items"]}
    assert items["b"]["mean"] == 5.0
    assert 1.0 < items["a"]["mean"] < 5.0
    assert (items["c"]["mean"], items["c"]["by"]) == (1.0, "guard")
    with (tmp_path / "r.csv").open() as stream:
        assert [row["item"] for row in csv.DictReader(stream)] == ["a", "b", "c"]


def test_nothing_is_spent_unless_somebody_agreed_and_a_second_run_costs_nothing(
    medvidbench: Medvidbench, pairs: Path
) -> None:
    with running(lambda request: OBJECT) as stub:
        asked = ("judge", "score", pairs, "--judge", "m", "--base-url", stub.base_url)
        assert "nobody is there to ask: say --yes, or set a --budget" in medvidbench(*asked, code=1)
        assert not stub.log
        told = medvidbench(*asked, "--budget-tokens", "100000")
        assert "2 calls to make" in told
        assert "3 pairs, 1 the minimum unseen, 2 calls, 0 from the cache" in told
        assert len(stub.log) == 2
        assert "0 calls, 2 from the cache" in medvidbench(*asked)
        assert len(stub.log) == 2


def test_another_server_of_the_same_model_name_is_asked_anew(medvidbench: Medvidbench, pairs: Path) -> None:
    for _ in range(2):
        with running(lambda request: OBJECT) as stub:
            told = medvidbench("judge", "score", pairs, "--judge", "m", "--base-url", stub.base_url, "--yes")
            assert "2 calls, 0 from the cache" in told


def test_a_preview_needs_no_key_and_asks_nobody(medvidbench: Medvidbench, pairs: Path) -> None:
    told = medvidbench("judge", "score", pairs, "--judge", "gpt-4.1", "--preview")
    assert "2 calls to make: about" in told
    assert "about $0.01" in told


def test_a_budget_that_is_too_small_stops_the_run_with_what_was_spent(medvidbench: Medvidbench, pairs: Path) -> None:
    with running(lambda request: OBJECT) as stub:
        told = medvidbench(
            *("judge", "score", pairs, "--judge", "m", "--base-url", stub.base_url, "--budget-tokens", "10"), code=1
        )
        assert "budget" in told
        assert not stub.log


def test_the_boards_llm_columns_are_filled_by_a_judge(medvidbench: Medvidbench, place: Path, tmp_path: Path) -> None:
    with running(lambda request: LINES) as stub:
        told = medvidbench(
            *("score", place / "test", "--protocol", "both", "--judge", "m", "--base-url", stub.base_url, "--yes"),
            *("--json", tmp_path / "s.json"),
        )
        n_calls = len(stub.log)
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["leaderboard"]["metrics"]["VS_llm"] == 3.0
    assert report["strict"]["metrics"]["RC_llm"] == 3.0
    assert 1.0 <= report["strict"]["metrics"]["DVC_llm"] <= 3.0 == report["leaderboard"]["metrics"]["DVC_llm"]
    assert report["strict"]["judge"]["calls"] == n_calls == len(stub.log)
    assert "board v1" in told
    assert "*_llm columns need a judge" not in told


def test_the_lexicon_has_a_table_of_its_own(medvidbench: Medvidbench, place: Path) -> None:
    told = medvidbench("score", place / "test", "--judge", "lexicon")
    assert "VS_lexicon" in told
    assert "no *_llm score" in told
    assert "*_llm columns need a judge" in told
    told = medvidbench("score", place / "test", "--judge", "lexicon", "--protocol", "leaderboard", code=1)
    assert "the board has no lexicon judge" in told


def test_a_form_is_rated_by_a_judge_and_the_agreement_study_reads_it(
    medvidbench: Medvidbench, place: Path, tmp_path: Path
) -> None:
    told = medvidbench("judge", "form", place / "test", "--n", "12", "--out", tmp_path / "form")
    assert "rate.html" in told
    medvidbench("judge", "score", tmp_path / "form/rate.items.jsonl", "--csv", tmp_path / "lexicon.csv")
    with (tmp_path / "lexicon.csv").open() as stream:
        rated = list(csv.DictReader(stream))
    assert len(rated) == 12
    with (tmp_path / "anna.csv").open("w") as stream:
        rows = csv.DictWriter(stream, rated[0].keys())
        rows.writeheader()
        for k, row in enumerate(rated):
            rows.writerow({**row, "rater": "Anna", "kind": "human", **dict.fromkeys(DIMENSIONS, 1 + k % 5)})
    told = medvidbench(
        *("judge", "agreement", tmp_path / "anna.csv", tmp_path / "lexicon.csv"),
        *("--plot", tmp_path / "a.svg", "--json", tmp_path / "a.json"),
    )
    assert "humans and lexicon, 1 pair of raters" in told
    assert (tmp_path / "a.svg").read_text().startswith("<svg")
    assert json.loads((tmp_path / "a.json").read_text())["items"] == 12


@pytest.mark.slow
def test_statistics_are_taken_of_a_runs_rewards_and_small_pairs_are_named(
    medvidbench: Medvidbench, place: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stats.json"
    told = medvidbench("rewards", "stats", place / "train", "--out", out, "--min-rows", "1000", code=1)
    assert "fewer than 1000 values of score in 'SimulatedLaparoscopy/" in told
    assert not out.exists()
    told = medvidbench("rewards", "stats", place / "train", "--out", out, "--min-rows", "2", "--fallback", "task")
    assert "raw rewards" in told
    statistics = Statistics.read(out)
    assert {pair.rpartition("/")[2] for pair in statistics.pairs} == {"tal", "stg", "video_summary", "region_caption"}
    assert set(statistics.pairs["SimulatedNursing/video_summary"]) == {"similarity", "judge"}
    assert statistics.about["model"] == "prior"
    assert statistics.about["judge"] == "lexicon"
    assert str(statistics.about["data_hash"]).startswith("simulated@")


def test_raw_rewards_may_come_from_a_csv(medvidbench: Medvidbench, tmp_path: Path) -> None:
    rows = tmp_path / "raw.csv"
    rows.write_text(
        "pair,raw\n" + "".join(f"{pair},{k / 30}\n" for pair in ("a/x", "b/x") for k in range(30)) + "a/x,\n"
    )
    medvidbench("rewards", "stats", rows, "--out", tmp_path / "s.json")
    assert Statistics.read(tmp_path / "s.json").of("a/x").n == 30
    rows.write_text("pair,raw\na/x,much\n")
    told = medvidbench("rewards", "stats", rows, "--out", tmp_path / "s.json", code=1)
    assert "raw.csv line 2 column raw: 'much' is no number" in told
    rows.write_text("pair,reward\na/x,1\n")
    assert "no column raw" in medvidbench("rewards", "stats", rows, "--out", tmp_path / "s.json", code=1)


def test_several_runs_are_compared_as_samples_of_a_prompt(
    medvidbench: Medvidbench, place: Path, tmp_path: Path
) -> None:
    told = medvidbench("rewards", "compare", place / "test", place / "test", "--tasks", "stg", code=1)
    assert "fewer than 20 values of score in 'SimulatedLaparoscopy/stg'" in told
    rows = tmp_path / "samples.csv"
    lines = [
        f"{pair},{prompt},{(prompt * 7 + k * scale) % 10 / 10}"
        for pair, scale in (("easy/x", 3), ("hard/x", 1))
        for prompt in range(20)
        for k in range(4)
    ]
    rows.write_text("pair,prompt,raw\n" + "\n".join(lines) + "\n")
    told = medvidbench("rewards", "compare", rows, "--plot", tmp_path / "c.svg", "--json", tmp_path / "c.json")
    assert "recommended here" in told
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    assert "logistic" in json.loads((tmp_path / "c.json").read_text())["methods"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("judge", "score", "nowhere.jsonl"), "nowhere.jsonl: no such file"),
        (("judge", "score", "{pairs}", "--judge", "m"), "no API key: set OPENAI_API_KEY"),
        (("judge", "score", "{pairs}", "--judge", "none"), "--judge none: nothing to do"),
        (("rewards", "stats", "{pairs}", "--out", "s.json", "--judge", "none"), "with --tasks tal,stg nobody is asked"),
        (("judge", "score", "{pairs}", "--judge", "m", "--price", "cheap"), "--price 'cheap': expected two numbers"),
        (
            ("judge", "score", "{pairs}", "--preview"),
            "the lexicon judge asks nobody and has one vocabulary: leave --",
        ),
        (("judge", "score", "{pairs}", "--domain", "radiology"), "leave --domain out"),
        (("judge", "score", "{pairs}", "--csv", "{pairs}"), "would replace"),
        (("judge", "score", "{pairs}", "--csv", "a.x", "--json", "a.x"), "--json a.x: would replace"),
        (("judge", "score", "{pairs}", "--csv", "nofolder/a.csv"), "not a file in a folder that exists"),
        (("judge", "agreement", "{pairs}", "--plot", "{pairs}"), "--plot"),
        (("rewards", "stats", "{pairs}", "--out", "{pairs}"), "--out"),
        (("judge", "score", "{pairs}", "--judge", "m", "--rubric", "mine"), "unknown rubric 'mine'"),
        (("judge", "agreement", "{pairs}"), "column item: missing"),
        (("rewards", "stats", "{pairs}", "--out", "s.json"), "field index"),
        (("rewards", "stats", "{pairs}", "--out", "s.json", "--fallback", "mean"), "--fallback 'mean'"),
        (("rewards", "compare", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    medvidbench: Medvidbench, pairs: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pairs.parent)
    assert message in medvidbench(*(str(pairs) if word == "{pairs}" else word for word in arguments), code=1)
