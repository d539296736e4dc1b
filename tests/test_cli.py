"""The command line as a user meets it: what it prints, and one line and exit code 1 on bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medvidbench_hf import cli
from medvidbench_hf.builder import build, read_samples
from medvidbench_hf.evaluation import COLUMNS, run
from medvidbench_hf.leaderboard import minilm, traps_page
from medvidbench_hf.models.prior import Prior
from tests import nurvid_files
from tests.official_files import merged

COMMANDS = [
    [],
    ["demo"],
    ["data"],
    ["data", "build"],
    ["data", "stats"],
    ["data", "relocate"],
    ["data", "get"],
    ["data", "doctor"],
    ["data", "attach"],
    ["data", "export"],
    ["run"],
    ["score"],
    ["report"],
    ["check"],
    ["submit"],
    ["compare"],
    ["traps"],
]


Medvidbench = Callable[..., str]


@pytest.fixture
def medvidbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Medvidbench:
    """Run the command in this process; what it prints, or says on stderr where it fails (unless `out`), as one line."""

    def call(*arguments: str | Path, cwd: Path, code: int = 0, out: bool = False) -> str:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["medvidbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        told = capsys.readouterr()
        assert (stopped.value.code or 0) == code, told
        return " ".join((told.out if code == 0 or out else told.err).split())

    return call


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NurViD-shaped annotations, built and run."""
    place = tmp_path_factory.mktemp("cli")
    nurvid_files.write(place / "NurViD")
    (place / "loop").symlink_to("loop")
    return place


def test_a_data_holder_builds_runs_scores_and_reports(
    place: Path, medvidbench: Medvidbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "installed", lambda: False)  # loading it takes longer than all else here
    built = medvidbench("data", "build", "--source", "nurvid", "--root", "NurViD", "--out", "data", cwd=place)
    assert "12 videos, 34 segments" in built
    assert "left out: 2 rows, an action ends after the video does" in built
    assert "warning: 12 videos found, its owners count 1538" in built
    assert "text only" in built
    counted = medvidbench("data", "stats", "data", "--plot", "stats.svg", "--json", "stats.json", cwd=place)
    assert "no video is in two splits" in counted
    rows = json.loads((place / "stats.json").read_text())["rows"]
    assert sum(rows["test"].values()) == len(list(read_samples(place / "data", "test")))
    assert (place / "stats.svg").read_text().startswith("<svg")
    assert "next: medvidbench score" in medvidbench(
        "run", "--model", "prior", "--data", "data", "--out", "runs/prior", cwd=place
    )
    scored = medvidbench("score", "runs/prior", "--json", "score.json", cwd=place)
    assert "TAG_mIoU@0.3" in scored
    assert "protocol strict" in scored
    report = json.loads((place / "score.json").read_text())
    assert report["metrics"]["CVS_acc"] is None
    assert "per_sample" not in report
    again = medvidbench(
        "score", "runs/prior/predictions.jsonl", "--data", "data", "--json", "rows.json", "--per-sample", cwd=place
    )
    assert again == scored
    assert len(json.loads((place / "rows.json").read_text())["per_sample"]) > 3
    assert "report.html" in medvidbench("report", "runs/prior", cwd=place)
    assert (place / "runs/prior/report.html").stat().st_size > 5000


def test_a_user_of_the_board_scores_submits_checks_and_compares(tmp_path: Path, medvidbench: Medvidbench) -> None:
    build("simulated", tmp_path / "data", num_proc=1, videos=40, media=False)
    run(Prior.fit(read_samples(tmp_path / "data", "train")), tmp_path / "data", tmp_path / "prior")
    both = medvidbench("score", "prior", "--protocol", "both", "--json", "both.json", cwd=tmp_path)
    assert "leaderboard ┃ interval ┃ strict ┃ interval" in both
    assert "answers with missed or extra spans, which cost nothing on the board; with their cost" in both
    assert "No rank: the data is simulated" in both
    reports = json.loads((tmp_path / "both.json").read_text())
    assert list(reports) == ["leaderboard", "strict"]
    assert all(list(report["metrics"]) == list(COLUMNS) for report in reports.values())

    written = medvidbench("submit", "prior", "--data", "data", "--out", "submission.json", cwd=tmp_path)
    assert "next: medvidbench check submission.json" in written
    assert "Nothing but notes" in medvidbench("check", "submission.json", "--data", "data", cwd=tmp_path)
    lines = (tmp_path / "prior/predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "part.jsonl").write_text("".join(lines[:100]))
    refused = medvidbench("submit", "part.jsonl", "--data", "data", "--out", "x.json", cwd=tmp_path, code=1)
    assert f"{len(lines) - 100} of {len(lines)} rows have no answer (rows 100, 101" in refused
    fill = ("--out", "filled.json", "--fill-missing", "prior")
    filled = medvidbench("submit", "part.jsonl", "--data", "data", *fill, cwd=tmp_path)
    assert f"filled with prior: {len(lines) - 100} rows" in filled
    answers = [json.loads((tmp_path / name).read_text()) for name in ("submission.json", "filled.json")]
    assert answers[0] == answers[1]

    rows = [{**row, "prediction": row["prediction"].replace("-", " until ")} for row in answers[0]]
    (tmp_path / "until.json").write_text(json.dumps(rows))
    checked = medvidbench(
        "check", "until.json", "--data", "data", "--json", "check.json", cwd=tmp_path, code=1, out=True
    )
    assert "ZERO: rows score 0 for their form" in checked
    assert "mend: " in checked
    assert json.loads((tmp_path / "check.json").read_text())["ok"] is False
    compared = medvidbench("compare", "prior", "until.json", "--data", "data", "--json", "c.json", cwd=tmp_path)
    assert "a is prior, b is until.json" in compared
    half = medvidbench("compare", "prior", "part.jsonl", cwd=tmp_path)
    assert "warning: b has not answered every row: " in half
    scored = medvidbench("score", "part.jsonl", "--data", "data", "--protocol", "both", cwd=tmp_path)
    assert f"No rank: {len(lines) - 100} rows have no answer, and the board refuses such a file." in scored
    assert "strict: " in scored
    assert json.loads((tmp_path / "c.json").read_text())["columns"]["DVC_F1"]["difference"] == 0.0


def test_the_official_merged_form_scores_alone_and_a_split_without_answers_says_so(
    tmp_path: Path, medvidbench: Medvidbench
) -> None:
    records = merged(share=0.02)
    for record in records.values():
        if record["qa_type"] == "next_action":
            record["answer"] = record["gnd"]  # so that no model has to be loaded
    (tmp_path / "merged.json").write_text(json.dumps(records))
    scored = medvidbench("score", "merged.json", "--protocol", "both", cwd=tmp_path)
    assert "scored against the truth that the file itself holds" in scored
    assert "by source, leaderboard" in scored
    assert "Would-be rank among the published rows, which are of the test set: place" in scored
    assert "report.html" in medvidbench("report", "merged.json", "--out", "page", cwd=tmp_path)
    del records["3"]
    (tmp_path / "gap.json").write_text(json.dumps(records))
    told = medvidbench("score", "gap.json", cwd=tmp_path)
    assert f"1 of the rows 0 to {len(records)} are not in the file, row 3 first, and do not count" in told
    bare = {k: {**r, "gnd": "", "struc_info": []} for k, r in records.items()}
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    assert "holds no ground truth" in medvidbench("score", "bare.json", cwd=tmp_path, code=1)


def test_the_traps_are_printed_as_the_page_of_the_board(tmp_path: Path, medvidbench: Medvidbench) -> None:
    assert medvidbench("traps", cwd=tmp_path) == " ".join(traps_page().split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nowhere", "--data", "NurViD"], "nowhere: no such file"),
        (["submit", "nowhere", "--data", "NurViD", "--out", "x"], "nowhere: no such file"),
        (["submit", "a", "--data", "d", "--out", "x", "--overlay", "tal"], "--overlay 'tal': expected task=FILE"),
        (["submit", "a", "--data", "d", "--out", "x", "--fill-missing", "guess"], "known are empty and prior"),
        (["compare", "nowhere", "nowhere"], "nowhere: no such file"),
        (["compare", "a", "b", "--protocol", "both"], "unknown protocol 'both'; known: leaderboard, strict"),
        (["data", "build", "--source", "nurvit", "--out", "x"], "unknown source 'nurvit'; known: simulated, nurvid"),
        (["data", "build", "--source", "nurvid", "--out", "x"], "--root"),
        (["data", "build", "--source", "nurvid", "--root", "nowhere", "--out", "x"], "nowhere: no such folder"),
        (["data", "build", "--source", "nurvid", "--root", ".", "--out", "x"], "missing NurViD_annotations.json"),
        (
            ["data", "build", "--source", "nurvid", "--root", "NurViD", "--out", "x", "--videos", "8"],
            "source nurvid takes no option 'videos'",
        ),
        (["data", "build", "--source", "nurvid", "--root", "NurViD", "--out", "NurViD"], "not empty"),
        (["data", "stats", "NurViD"], "was not built"),
        (["data", "relocate", "NurViD"], "was not built"),
        (["run", "--model", "gpt", "--data", "NurViD", "--out", "x"], "unknown model 'gpt'; known: prior"),
        (["run", "--model", "prior", "--data", "nowhere", "--out", "x"], "nowhere: no such folder"),
        (["run", "--model", "prior", "--data", "NurViD", "--out", "x"], "was not built"),
        (["run", "--model", "prior", "--data", "NurViD", "--out", "x", "--tasks", "tag"], "unknown task 'tag'"),
        (["score", "nowhere"], "nowhere: no such file"),
        (["score", "nowhere", "--json", "loop"], "loop"),
        (["submit", "nowhere", "--data", "NurViD", "--out", "loop"], "nowhere: no such file"),
        (["score", "NurViD/annotations/NurViD_annotations.json"], "NurViD_annotations.json: an object with 12 keys"),
        (["score", "nowhere", "--protocol", "loose"], "unknown protocol 'loose'"),
        (["report", "nowhere"], "nowhere: no such file"),
        (["score", "nowhere", "--json", "no/such/folder.json"], "--json no/such/folder.json: not a file in a folder"),
        (["data", "build", "--source", "simulated", "--out", "x[1]"], "for patterns"),
        (["demo", "--out", "NurViD"], "was not made by the demo"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1_and_leaves_nothing(
    place: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place.iterdir())
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["medvidbench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ")
    assert message in stderr
    assert stderr.count("\n") == 1
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*command, "--help"], terminal_width=120)
    assert result.exit_code == 0
    if command not in ([], ["data"]):
        example = " ".join(result.output.split()).partition("Example: ")[2]
        assert f"medvidbench {' '.join(command)}" in example


def test_options_and_folders_of_the_official_form_are_told_apart(tmp_path: Path, medvidbench: Medvidbench) -> None:
    build("simulated", tmp_path / "data", videos=12, media=False)
    export = ("data", "export", "data", "--format", "release", "--split")
    assert "without frames" in medvidbench(*export, "test", "--out", "official", cwd=tmp_path)
    assert "without frames" in medvidbench(*export, "train", "--out", "official", cwd=tmp_path)
    wrong = [
        ((*export, "test", "--out", "official"), "medvidbench_test.json is there already: remove it"),
        ((*export, "trainval", "--out", "official"), "medvidbench_train.json is there already"),
        ((*export, "test", "--out", "data"), "is not empty and holds no export of this form"),
        ((*export, "eval", "--out", "new"), "unknown split 'eval'; the release's form takes test, train"),
        (("data", "export", "data", "--format", "swift", "--out", "new"), "ms-swift, easyr1, release"),
        (("data", "export", "data", "--format", "trl", "--no-frames", "--out", "new"), "--no-frames is for"),
        (
            ("data", "build", "--source", "release", "--root", "official", "--out", "new", "--videos", "3"),
            "no option 'videos'",
        ),
        (("data", "build", "--source", "simulated", "--out", "new", "--from-videos", "."), "no option 'from_videos'"),
        (
            ("data", "build", "--source", "release", "--root", "official", "--out", "new", "--from-videos", "data"),
            "no video of these rows; a file is named as its video",
        ),
        (("data", "stats", "official"), "the release's own files are built with --source release"),
        (("data", "stats", "data", "--plot", "nowhere/x.svg"), "no such folder nowhere"),
        (("data", "relocate", "nowhere"), "nowhere: no such folder"),
        (
            ("data", "attach", "data", "--root", "nowhere", "--out", "new"),
            "no such folder; --root is the folder that holds the frames or videos",
        ),
        (("data", "doctor", "--root", "data"), "no JSON file of the release"),
    ]
    for command, message in wrong:
        assert message in medvidbench(*command, cwd=tmp_path, code=1), command
    assert "complete and whole" not in medvidbench(
        "data", "doctor", "--root", "official", cwd=tmp_path, code=1, out=True
    )


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "medvidbench_hf.cli", "data", "build", "--source", "simulated", "--out", "out"]
    process = subprocess.Popen([*command, "--videos", "16"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("out.building/.unfinished/clips/*/*/*.mp4")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.startswith("interrupted: ")
    assert stderr.count("\n") == 1
    subprocess.run([*command, "--videos", "16"], cwd=tmp_path, check=True, capture_output=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_same_command_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: writing a row file then fails."""
    command = f"exec {sys.executable} -m medvidbench_hf.cli data build --source simulated --out out --videos 40"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 8; {command}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "the same command goes on" in done.stderr
    assert not (tmp_path / "out").exists()
    subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
