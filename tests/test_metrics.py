"""The `evaluate` modules: what all of them keep to, and those that take rows as `load_dataset` gives them."""

from __future__ import annotations

import copy
import doctest
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import evaluate
import pytest
import yaml

import medvidbench_hf
from medvidbench_hf import metrics, tasks
from medvidbench_hf.evaluation import COLUMNS, score_predictions
from medvidbench_hf.metrics import visitor
from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import TASKS, InputError, Label, Sample
from tests.make import sample

ROOT = Path(__file__).parents[1]
FOLDERS = {name: Path(metrics.path(name)) for name in metrics.NAMES}


@pytest.fixture(scope="module")
def rows() -> Any:
    """The 50 test rows of a small simulated benchmark, as a Dataset."""
    return medvidbench_hf.load("all", split="test", source="simulated", videos=8, media=False)


def load(name: str, **options: Any) -> Any:
    return evaluate.load(metrics.path(name), keep_in_memory=True, **options)


def row(task: str = "tal", **fields: Any) -> dict[str, Any]:
    return sample(task, **fields).to_row()


def cut(rows: Any) -> list[str]:
    """The true answers cut off after two thirds, as by a limit of tokens; labels stay whole, or the board needs a model
    to read them."""
    return [r["answer"] if r["task"] == "next_action" else r["answer"][: 2 * len(r["answer"]) // 3] for r in rows]


# --- load ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", metrics.NAMES)
def test_a_metric_loads_from_its_installed_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    metric = evaluate.load(metrics.path(name))
    assert metric.name == name
    assert metric.module_type == "metric"
    assert "2512.06581" in metric.citation
    assert list(metric.features) == ["predictions", "references"]


@pytest.mark.parametrize("name", metrics.ROW_METRICS)
def test_a_metric_of_rows_takes_a_row_whole_but_for_its_clip(name: str) -> None:
    references = load(name).features["references"]
    assert references["truth"]["label"].dtype == "string"
    assert "video" not in references


def test_the_columns_of_the_two_small_metrics_are_the_computed_ones_of_the_ten() -> None:
    assert list(load("medvidbench").columns) == list(COLUMNS)
    small = [*load("medvidbench_miou").columns, *load("medvidbench_accuracy").columns]
    assert sorted(small) == sorted(column for column in COLUMNS if not column.endswith("_llm"))


def test_a_metric_loads_from_a_relative_path_in_a_checkout() -> None:
    program = (
        "import sys; sys.modules['transformers'] = None  # saves seconds: `evaluate` imports its pipelines\n"
        "import evaluate\n"
        "print(evaluate.load('medvidbench_hf/metrics/medvidbench_miou').columns)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "TAG_mIoU@0.5" in done.stdout, done.stderr


def test_an_unknown_metric_is_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'miou'; known: medvidbench, medvidbench_accuracy, medvidbench_miou, "):
        metrics.path("miou")


# --- compute ---------------------------------------------------------------------------------------------------


def test_the_true_answers_score_full_marks_under_both_protocols(rows: Any) -> None:
    result = load("medvidbench").compute(predictions=rows["answer"], references=rows, protocol="both")
    assert list(result) == ["leaderboard", "strict"]
    for columns in result.values():
        computed = {c: columns[c] for c in COLUMNS if not c.endswith("_llm")}
        assert computed == {c: pytest.approx(1.0) for c in computed}
        assert all(columns[c] is None for c in COLUMNS if c.endswith("_llm"))
        assert columns["parsed"] == columns["n"] == len(rows)
        assert "findings" not in columns


@pytest.mark.parametrize("protocol", ["leaderboard", "strict"])
@pytest.mark.parametrize("name", metrics.ROW_METRICS)
def test_the_values_are_those_of_the_one_scorer(rows: Any, name: str, protocol: str) -> None:
    metric = load(name)
    own = rows.filter(lambda r: r["task"] in metric.tasks)
    answers = cut(own)
    given = {r["index"]: Prediction(r["index"], text) for r, text in zip(own, answers, strict=True)}
    report = score_predictions([Sample.from_row(r) for r in own], given, protocol=protocol)
    result = metric.compute(predictions=answers, references=own, protocol=protocol)
    assert {c: result[c] for c in metric.columns} == {c: report["metrics"][c] for c in metric.columns}
    assert result.get("findings", []) == report.get("findings", [])
    assert result.get("findings") or any(value not in (None, 0.0, 1.0) for value in report["metrics"].values())


def test_strict_is_the_default_and_each_protocol_of_both_is_the_protocol_alone(rows: Any) -> None:
    metric = load("medvidbench_miou")
    own = rows.filter(lambda r: r["task"] in metric.tasks)
    given = {"predictions": cut(own), "references": own}
    both = metric.compute(**given, protocol="both")
    assert both["strict"] == metric.compute(**given)
    assert both["leaderboard"] == metric.compute(**given, protocol="leaderboard")
    assert all(isinstance(line, str) for line in both["leaderboard"]["findings"])
    assert both["strict"]["TAG_mIoU@0.3"] != both["leaderboard"]["TAG_mIoU@0.3"]


def test_rows_may_be_added_one_by_one_or_in_batches_in_memory_or_in_files(rows: Any, tmp_path: Path) -> None:
    answers = cut(rows)
    whole = load("medvidbench").compute(predictions=answers, references=rows)
    one_by_one = load("medvidbench")
    for answer, reference in zip(answers, rows, strict=True):
        one_by_one.add(prediction=answer, reference=reference)
    in_files = evaluate.load(metrics.path("medvidbench"), cache_dir=str(tmp_path))
    for start in range(0, len(rows), 20):
        batch = rows.select(range(start, min(start + 20, len(rows))))
        in_files.add_batch(predictions=answers[start : start + 20], references=batch)
    assert whole == one_by_one.compute() == in_files.compute()


def test_every_kind_of_truth_and_every_null_comes_through_arrow() -> None:
    samples = [sample(task, index=2**40 + k) for k, task in enumerate(TASKS)]
    result = load("medvidbench").compute(
        predictions=[tasks.render(s) for s in samples], references=[s.to_row() for s in samples]
    )
    assert {result[c] for c in COLUMNS if not c.endswith("_llm")} == {1.0}
    assert result["n"] == result["parsed"] == len(TASKS)


def test_the_rows_may_be_a_list_a_data_set_or_a_stream(rows: Any) -> None:
    own = rows.filter(lambda r: r["task"] == "stg")
    for references in (list(own), own, own.to_iterable_dataset(), iter(own), own[:]):
        result = load("medvidbench_miou").compute(predictions=own["answer"], references=references)
        assert (result["STG_mIoU"], result["n"]) == (1.0, len(own))
    metric = load("medvidbench_miou")
    for batch in own.iter(batch_size=4):
        metric.add_batch(predictions=batch["answer"], references=batch)
    assert metric.compute()["n"] == len(own)


@pytest.mark.parametrize(
    "video", [{}, {"video": None}, {"video": "a.mp4"}, {"video": {"path": None, "bytes": b"\x00"}}, {"video": object()}]
)
def test_the_clip_of_a_row_is_never_looked_at_and_other_columns_are_ignored(video: dict[str, Any]) -> None:
    given = {name: value for name, value in row().items() if name not in ("video", "granularity")}
    result = load("medvidbench_miou").compute(predictions=["2.0-6.0"], references=[{**given, **video, "more": 1}])
    assert result["TAG_mIoU@0.5"] == 1.0


def test_computing_leaves_its_inputs_as_they_are() -> None:
    answers, references = ["2.0-6.0 seconds.", "x"], [row(index=0), row("stg", index=1)]
    before = copy.deepcopy((answers, references))
    load("medvidbench_miou").compute(predictions=answers, references=references, protocol="both")
    assert (answers, references) == before


def test_half_a_character_in_an_answer_does_not_stop_a_metric() -> None:
    result = load("medvidbench_miou").compute(predictions=["2.0-6.0 seconds. \ud83d"], references=[row()])
    assert result["TAG_mIoU@0.5"] == 1.0


def test_without_the_embedding_model_the_boards_accuracy_is_unknown_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medvidbench_hf.leaderboard.minilm.installed", lambda: False)
    references = [row("next_action", index=k, truth=Label(label), answer=label) for k, label in enumerate("ab")]
    given = {"predictions": ["no label", "no label"], "references": references}
    result = load("medvidbench_accuracy").compute(**given, protocol="both")
    assert (result["leaderboard"]["NAP_acc"], result["strict"]["NAP_acc"]) == (None, 0.0)
    assert "is not installed" in result["leaderboard"]["findings"][0]


def test_metrics_can_be_combined(rows: Any) -> None:
    own = rows.filter(lambda r: r["task"] == "tal")
    both = evaluate.combine({"few": load("medvidbench_miou"), "ten": load("medvidbench")})
    for answer, reference in zip(own["answer"], own, strict=True):
        both.add(prediction=answer, reference=reference)
    result = both.compute()
    assert result == both.compute(predictions=own["answer"], references=own)
    assert result["few_TAG_mIoU@0.5"] == result["ten_TAG_mIoU@0.5"] == 1.0
    assert result["CVS_acc"] is None


# --- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"references": [row("video_summary", index=3)]}, r"test\[3\] is a video_summary row; medvidbench_miou scores"),
        ({"predictions": [None]}, r"predictions\[0\] for test\[0\] field prediction: NoneType, expected text"),
        ({"predictions": [42]}, "field prediction: int, expected text"),
        ({"predictions": "22.0-78.0"}, "predictions is str, expected a list"),
        ({"predictions": ["a", "b"]}, "2 predictions for 1 references"),
        ({"references": row()}, "references is dict, expected a list"),
        ({"references": None}, "references is NoneType"),
        ({"references": ["22.0-78.0"]}, r"references\[0\] is str, expected a row"),
        ({"references": [{"index": 5, "split": "test"}]}, r"test\[5\] has no column id, task"),
        ({"references": [{**row(), "index": 2**70}]}, "field index"),
        ({"references": [row(truth=None, answer=None)]}, "this split has no ground truth"),
        ({"references": [row(truth=None)]}, "this split has no ground truth"),
        ({"protocol": "board"}, "unknown protocol 'board'; known: leaderboard, strict, both"),
        ({"predictions": ["a", "b"], "references": [row(), row("stg")]}, r"test\[0\] was given 2 times"),
        ({"predictions": ["a", "b"], "references": [row(), row(split="train")]}, "rows of test, train: score one"),
        ({"predictions": [], "references": []}, "no row was given"),
    ],
)
def test_broken_input_is_named_and_the_metric_goes_on(given: dict[str, Any], message: str) -> None:
    metric = load("medvidbench_miou")
    good = {"predictions": ["2.0-6.0"], "references": [row()]}
    with pytest.raises(InputError, match=message):
        metric.compute(**{**good, **given})
    assert metric.compute(**good)["n"] == 1


# --- documents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", metrics.NAMES)
def test_the_documented_example_runs(rows: Any, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    test = doctest.DocTestParser().get_doctest(load(name).inputs_description, {}, name, None, 0)
    assert len(test.examples) >= 6
    outcome = doctest.DocTestRunner().run(test)
    assert outcome.failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", metrics.NAMES)
def test_the_card_of_the_space_says_what_the_hub_needs_and_its_example_runs(rows: Any, name: str) -> None:
    card = (FOLDERS[name] / "README.md").read_text(encoding="utf-8")
    _, front, text = card.split("---\n", 2)
    fields = yaml.safe_load(front)
    pins = (ROOT / "constraints.txt").read_text()
    assert f"gradio=={fields['sdk_version']}\n" in pins
    assert (fields["sdk"], fields["app_file"], fields["license"]) == ("gradio", "app.py", "apache-2.0")
    assert fields["python_version"] == "3.11"  # a Space without it gets 3.10, which we do not run on
    assert {"evaluate", "metric"} <= set(fields["tags"])
    assert fields["title"]
    assert fields["emoji"]
    assert fields["description"]
    assert len(fields["short_description"]) <= 60
    assert load(name).citation.strip() in text
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    example = re.sub(r"^(result\[.*?)  # (.*)$", r"assert (\1) == \2", program, count=1, flags=re.MULTILINE)
    assert example != program
    made: dict[str, Any] = {}
    exec(example, made)  # noqa: S102
    assert [key for key in made["result"] if f"`{key}`" not in text] == []


@pytest.mark.parametrize("name", metrics.ROW_METRICS)
def test_the_card_names_the_findings(name: str) -> None:
    assert "`findings`" in (FOLDERS[name] / "README.md").read_text(encoding="utf-8")


def test_the_spaces_of_rows_are_one_app_and_no_space_needs_more_than_the_package() -> None:
    assert len({(FOLDERS[name] / "app.py").read_text() for name in metrics.ROW_METRICS}) == 1
    for folder in FOLDERS.values():
        assert re.fullmatch(r"medvidbench-hf(\[offline\])?\n", (folder / "requirements.txt").read_text())
        assert sorted(p.name for p in folder.iterdir() if p.is_file()) == sorted(
            ["README.md", "app.py", f"{folder.name}.py", "requirements.txt"]
        )


# --- Space -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [task for task in visitor.EXAMPLES if task != "next_action"])
def test_a_pasted_answer_is_scored_against_the_pasted_truth(task: str) -> None:
    source, answer, truth = visitor.EXAMPLES[task]
    metric = load("medvidbench")
    for text, full_marks in ((truth, True), (answer, False)):
        predictions, references = visitor.pasted(task, source, text, truth, 1.0)
        result = metric.compute(predictions=predictions, references=references, protocol="both")
        column = next(c for c, (name, _) in COLUMNS.items() if name == task)
        assert (result["strict"][column] == result["leaderboard"][column] == 1.0) == full_marks
        lines, findings = visitor.shown(result)
        of_task = [c for c, (name, _) in COLUMNS.items() if name == task and not c.endswith("_llm")]
        assert [cell for cell, *_ in lines] == [*of_task, "n", "parsed"]
        assert bool(findings) != full_marks


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("tal", "NurViD", "x", "no time", 1.0), "the truth cannot be read as tal: write it like '22.0-78.0"),
        (("video_summary", "NurViD", "x", "y", 1.0), "unknown task 'video_summary'"),
        (("tal", "NurViD", "x" * 30_000, "1-2 s", 1.0), "the answer is not a text of 20,000 characters at most"),
        (("tal", "NurViD", "x", None, 1.0), "the truth is not a text"),
        (("tal", "NurViD", "x", "1-2 s", float("nan")), "fps: nan"),
        (("tal", "NurViD", "x", "1-2 s", None), "fps: None"),
    ],
)
def test_a_pasted_truth_that_cannot_be_used_is_named(given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        visitor.pasted(*given)


def test_an_uploaded_file_of_rows_is_scored(rows: Any, tmp_path: Path) -> None:
    own = rows.remove_columns("video").add_column("prediction", rows["answer"])
    own.to_json(tmp_path / "lines.json")
    own.to_json(tmp_path / "list.json", lines=False, orient="records")
    for name in ("lines.json", "list.json"):
        predictions, references = visitor.uploaded((tmp_path / name).read_bytes())
        result = load("medvidbench").compute(predictions=predictions, references=references)
        assert (result["n"], result["STG_mIoU"]) == (len(rows), pytest.approx(1.0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'[{"prediction": "x", "fps": NaN}]', "NaN is not JSON"),
        (b'{"prediction": "x", "index": 99999999999999999999}', "too large"),
        (b'{"index": 1}', "row 1 is no object with a field prediction"),
        (b"{}\n" * 2001, "2,001 rows, more than 2,000"),
        (b" " * 4_000_001, "4,000,001 bytes, more than 4,000,000"),
    ],
)
def test_an_uploaded_file_that_cannot_be_used_is_named(content: bytes | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        visitor.uploaded(content)


@contextmanager
def served(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The address of a running Space, and its log: its folder as the Hub would hold it, under another name."""
    space, log = folder / "space", folder / "log"
    shutil.copytree(FOLDERS[name], space)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_SERVER_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=space, env={**os.environ, **settings}, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + 90
            while "Running on" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.terminate()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("name", metrics.ROW_METRICS)
def test_the_space_answers_a_call_escapes_text_and_opens_no_path(name: str, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError

    with served(name, tmp_path) as (address, log):
        client = Client(address, verbose=False)
        metric = load(name)
        task = next(task for task in visitor.EXAMPLES if task in metric.tasks)
        source, answer, truth = visitor.EXAMPLES[task]
        table, findings = client.predict(task, source, answer, truth, 1.0, api_name="/score_one")
        predictions, references = visitor.pasted(task, source, answer, truth, 1.0)
        lines, said = visitor.shown(metric.compute(predictions=predictions, references=references, protocol="both"))
        assert table["headers"] == ["column", "leaderboard", "strict"]
        assert (table["data"], findings) == (lines, said)
        hostile = tmp_path / "rows.json"
        hostile.write_text(json.dumps([{"prediction": "x", "split": "<img src=x onerror=alert(1)>"}]))
        with pytest.raises(AppError, match="&lt;img src=x onerror=alert\\(1\\)&gt;"):
            client.predict(handle_file(hostile), api_name="/score_file")
        # The client would upload a path; a visitor who writes the request by hand names a file of the server.
        secret = tmp_path / "secret.json"
        secret.write_text('[{"prediction": "the secret"}]')
        body = {"data": [{"path": str(secret), "meta": {"_type": "gradio.FileData"}}]}
        call = f"{address}/gradio_api/call/score_file"
        request = urllib.request.Request(call, json.dumps(body).encode(), {"content-type": "application/json"})
        event = json.load(urllib.request.urlopen(request))["event_id"]
        reply = urllib.request.urlopen(f"{call}/{event}").read()
        assert b"event: error" in reply
        assert b"null" in reply
        assert "not uploaded by a user" in log.read_text()


@pytest.mark.slow
def test_the_metrics_load_and_score_from_the_wheel(tmp_path: Path) -> None:
    """In an environment that borrows the libraries of this one, so that only our wheel is installed."""
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    for name in metrics.NAMES:
        for file in ("README.md", "app.py", "requirements.txt", f"{name}.py"):
            assert f"medvidbench_hf/metrics/{name}/{file}" in names
    place = tmp_path / "environment"
    venv.create(place, with_pip=True)
    subprocess.run([place / "bin/pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    libraries = next(p for p in sys.path if p.endswith("site-packages"))
    site = next((place / "lib").glob("python*/site-packages"))
    (site / "borrowed.pth").write_text(libraries + "\n")
    program = (
        "import evaluate, medvidbench_hf\n"
        "from medvidbench_hf import metrics\n"
        "rows = medvidbench_hf.load('all', split='test', source='simulated', videos=8, media=False)\n"
        "for name in metrics.ROW_METRICS:\n"
        "    metric = evaluate.load(metrics.path(name))\n"
        "    own = rows.filter(lambda r: r['task'] in metric.tasks)\n"
        "    result = metric.compute(predictions=own['answer'], references=own)\n"
        "    print(metrics.path(name), result['n'], {v for c, v in result.items() if c in metric.columns})\n"
        "judge = evaluate.load(metrics.path('medvidbench_judge'))\n"
        "result = judge.compute(predictions=['The hook cuts.'], references=['The hook cuts.'])\n"
        "print(metrics.path('medvidbench_judge'), result['n'], {result['mean'] / 5})\n"
        "from medvidbench_hf.rewards import fit\n"
        "given = {'predictions': [1.0], 'references': ['a/tal'], 'statistics': fit(['a/tal'] * 20, [0.5] * 20)}\n"
        "result = evaluate.load(metrics.path('medvidbench_normalized_reward')).compute(**given)\n"
        "print(metrics.path('medvidbench_normalized_reward'), result['n'], {round(result['mean'], 3)})\n"
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [place / "bin/python", "-c", program], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(str(place))]
    assert len(lines) == len(metrics.NAMES), done.stdout
    assert all("1.0" in line and "0.0" not in line for line in lines)
