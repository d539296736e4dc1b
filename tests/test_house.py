"""Rules of the house that no other tool checks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from medvidbench_hf.rewards import Statistics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_importing_the_package_and_scoring_need_no_heavy_library() -> None:
    """In a process of its own: what a light install has is enough, and `import medvidbench_hf` is quick."""
    program = (
        "import sys, medvidbench_hf\n"
        "assert 'datasets' not in sys.modules and 'numpy' not in sys.modules\n"
        "import medvidbench_hf.tasks, medvidbench_hf.evaluation\n"
        "print([m for m in ('torch', 'torchcodec', 'transformers', 'trl', 'gradio', 'openai') if sys.modules.get(m)])\n"
    )
    block = "import sys; sys.modules.update(dict.fromkeys(('torch', 'torchcodec', 'transformers', 'torchvision')))\n"
    done = subprocess.run([sys.executable, "-c", block + program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_tables_of_the_documents_are_those_that_the_script_makes() -> None:
    from tests.bench.readme_table import BLOCKS, split

    measured = json.loads((ROOT / "tests/bench/measured.json").read_text())
    for (document, mark), make in BLOCKS.items():
        _, inside, _ = split((ROOT / document).read_text(encoding="utf-8"), mark)
        assert inside == make(measured), (document, mark)


def test_every_command_in_the_readme_exists() -> None:
    from typer.main import get_command

    from medvidbench_hf.cli import app

    root = get_command(app)
    rooms = [(ROOT / f"medvidbench_hf/{room}/README.md").read_text() for room in ("judge", "rewards", "leaderboard")]
    lines = re.findall(r"^(?:\$ )?medvidbench (.+)$", "\n".join([README, *rooms]), re.MULTILINE)
    assert lines
    for line in lines:
        words = line.split()
        command = root
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not getattr(command, "commands", None), line
        options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        assert {word for word in words if word.startswith("--")} <= options, line
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE)) <= targets


@pytest.mark.slow
def test_the_python_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    """One block after the other, in one process, beside a small demo and annotations of NurViD's shape."""
    from medvidbench_hf.builder import build
    from tests import nurvid_files

    build("simulated", tmp_path / "demo/simulated", videos=40, num_proc=2)
    statistics(tmp_path / "demo/simulated", tmp_path / "train").write(tmp_path / "demo/stats.json")
    nurvid_files.write(tmp_path / "NurViD-benchmark")
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 4
    program = "\n".join(blocks) + "\nprint(report['n']['TAG_mIoU@0.5']['answered'])\n"
    program = program.replace("tasks.score(sample, parsed).value,", "assert tasks.score(sample, parsed).value == 1.0,")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 10


def statistics(data: Path, out: Path) -> Statistics:
    """Of the prior's rewards on the train split."""
    from medvidbench_hf.builder import read_samples
    from medvidbench_hf.evaluation import run
    from medvidbench_hf.evaluation.raw_rewards import reward_statistics
    from medvidbench_hf.judge import LexiconJudge
    from medvidbench_hf.models.prior import Prior

    folder = run(Prior.fit(read_samples(data, "train")), data, out, split="train")
    return reward_statistics(folder, None, None, LexiconJudge(), min_rows=5, fallback="task")


@pytest.mark.slow
@pytest.mark.parametrize("room", ["judge", "rewards"])
def test_the_python_of_a_rooms_readme_runs_as_it_stands(room: str, tmp_path: Path) -> None:
    from medvidbench_hf.builder import build

    build("simulated", tmp_path / "data", videos=24, media=False)
    statistics(tmp_path / "data", tmp_path / "train").write(tmp_path / "stats.json")
    text = (ROOT / f"medvidbench_hf/{room}/README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_readme_says_what_hugging_face_users_type_today() -> None:
    written = [ROOT / "README.md", ROOT / "dataset_card/template.md", *(ROOT / "medvidbench_hf").rglob("*.py")]
    for path in written:
        assert "huggingface-cli" not in path.read_text(encoding="utf-8"), path


def test_every_file_that_the_readme_shows_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_no_file_pickles_evaluates_or_trusts_remote_code() -> None:
    for path in (ROOT / "medvidbench_hf").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in (r"\bpickle\b", r"(?<![\w.])eval\(", r"(?<![\w.])exec\(", r"trust_remote_code\s*=\s*True"):
            assert not re.search(word, text), (path, word)


@pytest.mark.parametrize("name", ["tal", "stg", "next_action", "dense_captioning", "video_summary"])
def test_a_task_file_shows_a_question_and_an_answer(name: str) -> None:
    text = (ROOT / f"medvidbench_hf/tasks/{name}.py").read_text(encoding="utf-8")
    docstring = text.split('"""')[1]
    assert all(re.search(rf"^{word}  ", docstring, re.MULTILINE) for word in ("Question", "Answer", "Truth", "Score"))
