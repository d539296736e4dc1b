"""The command line as a user meets it: what it prints, and one line and exit code 1 on bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medvidbench_hf import cli
from tests import nurvid_files

COMMANDS = [
    [],
    ["demo"],
    ["data"],
    ["data", "build"],
    ["data", "stats"],
    ["data", "relocate"],
    ["run"],
    ["score"],
    ["report"],
]


def medvidbench(*arguments: str | Path, cwd: Path, code: int = 0) -> str:
    """Run the command in a process of its own; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "medvidbench_hf.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NurViD-shaped annotations, built and run."""
    place = tmp_path_factory.mktemp("cli")
    nurvid_files.write(place / "NurViD")
    return place


def test_a_data_holder_builds_runs_scores_and_reports(place: Path) -> None:
    built = medvidbench("data", "build", "--source", "nurvid", "--root", "NurViD", "--out", "data", cwd=place)
    assert "12 videos, 34 segments" in built
    assert "left out: 2 rows, an action ends after the video does" in built
    assert "warning: 12 videos found, its owners count 1538" in built
    assert "text only" in built
    assert built.endswith(medvidbench("data", "stats", "data", cwd=place))
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "build", "--source", "nurvit", "--out", "x"], "unknown source 'nurvit'; known: simulated, nurvid"),
        (["data", "build", "--source", "nurvid", "--out", "x"], "--root"),
        (["data", "build", "--source", "nurvid", "--root", "nowhere", "--out", "x"], "nowhere: no such folder"),
        (["data", "build", "--source", "nurvid", "--root", ".", "--out", "x"], "missing NurViD_annotations.json"),
        (
            ["data", "build", "--source", "nurvid", "--root", "NurViD", "--out", "x", "--videos", "8"],
            "source nurvid has no option 'videos'",
        ),
        (["data", "build", "--source", "nurvid", "--root", "NurViD", "--out", "NurViD"], "not empty"),
        (["data", "stats", "NurViD"], "was not built"),
        (["data", "relocate", "NurViD"], "was not built"),
        (["run", "--model", "gpt", "--data", "NurViD", "--out", "x"], "unknown model 'gpt'; known: prior"),
        (["run", "--model", "prior", "--data", "nowhere", "--out", "x"], "nowhere: no such folder"),
        (["run", "--model", "prior", "--data", "NurViD", "--out", "x"], "was not built"),
        (["run", "--model", "prior", "--data", "NurViD", "--out", "x", "--tasks", "tag"], "unknown task 'tag'"),
        (["score", "nowhere"], "nowhere: no such file"),
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
