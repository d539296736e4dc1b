"""The wheel, in environments outside the checkout: the demo runs, and a light install scores without torch."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)], check=True, capture_output=True
    )
    return next(out.glob("*.whl"))


def command(environment: Path, *arguments: str, cwd: Path) -> str:
    """Run medvidbench of an environment, away from the checkout and with no PYTHONPATH; its output."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    program = environment / "bin" / "medvidbench"
    done = subprocess.run([str(program), *arguments], cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_templates_styles_and_card(wheel: Path) -> None:
    import zipfile

    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "tasks/tal.txt",
        "tasks/personas.txt",
        "evaluation/report.css",
        "dataset_card/template.md",
        "py.typed",
    ):
        assert f"medvidbench_hf/{name}" in names
    assert not [name for name in names if "tests/" in name or ".ci" in name]


def test_the_demo_runs_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """The environment borrows the libraries of this one, so that only our wheel is installed."""
    place = tmp_path / "environment"
    venv.create(place, with_pip=True)
    subprocess.run([place / "bin/pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    libraries = next(p for p in sys.path if p.endswith("site-packages"))
    site = next((place / "lib").glob("python*/site-packages"))
    # A path file adds the folder behind our own, and does not run the editable install that lies in it.
    (site / "borrowed.pth").write_text(libraries + "\n")
    printed = command(place, "demo", "--out", "demo", "--videos", "40", cwd=tmp_path)
    assert "Loaded every config back" in printed
    assert (tmp_path / "demo/prior/report.html").stat().st_size > 100_000
    where = [place / "bin/python", "-c", "import medvidbench_hf; print(medvidbench_hf.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert found.startswith(str(place))


def test_a_light_install_scores_a_file_without_torch(wheel: Path, tmp_path: Path) -> None:
    """A real install of the core dependencies only: text-only data, the prior, a score, a report."""
    place = tmp_path / "environment"
    venv.create(place, with_pip=True)
    subprocess.run(
        [place / "bin/pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True
    )
    absent = "import importlib.util as u; print([m for m in ('torch', 'torchcodec', 'transformers') if u.find_spec(m)])"
    done = subprocess.run([place / "bin/python", "-c", absent], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    command(place, "data", "build", "--source", "simulated", "--no-media", "--out", "data", cwd=tmp_path)
    command(place, "run", "--model", "prior", "--data", "data", "--out", "run", cwd=tmp_path)
    printed = command(place, "score", "run/predictions.jsonl", "--data", "data", cwd=tmp_path)
    assert "TAG_mIoU@0.5" in printed
    command(place, "report", "run", cwd=tmp_path)
    assert (tmp_path / "run/report.html").is_file()
