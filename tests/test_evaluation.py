"""Prior, run, score and report: answers never reach the model, nothing is lost, every row counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from medvidbench_hf.builder import build, read_samples
from medvidbench_hf.evaluation import COLUMNS, run, score_predictions, score_run, write_report
from medvidbench_hf.lock import only_one
from medvidbench_hf.models.prior import Prior
from medvidbench_hf.predictions import Prediction, read_predictions
from medvidbench_hf.sample import (
    TASKS,
    Box,
    Boxes,
    Canvas,
    InputError,
    Label,
    NamedScore,
    PublicSample,
    Scores,
    Span,
    Spans,
    TimedBox,
)
from tests.make import sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "simulated"
    build("simulated", out, num_proc=2, videos=20)
    return out


class Gold:
    """A model that somehow knows the answers, to see what full marks are."""

    name = "gold"

    def __init__(self, folder: Path) -> None:
        self.answer = {s.index: s.answer for s in read_samples(folder, "test")}

    def answers(self, samples: Iterable[PublicSample]) -> Iterator[Prediction]:
        for s in samples:
            yield Prediction(s.index, self.answer[s.index] or "")


class Watcher:
    """A model that looks at what it is handed."""

    name = "watcher"

    def __init__(self) -> None:
        self.seen: list[PublicSample] = []

    def answers(self, samples: Iterable[PublicSample]) -> Iterator[Prediction]:
        for s in samples:
            self.seen.append(s)
            yield Prediction(s.index, "0.0-1.0 seconds.")


# --- prior -----------------------------------------------------------------------------------------------------


def test_the_prior_answers_with_the_typical_truth_of_the_train_split() -> None:
    train = [
        *(sample("next_action", truth=Label(label)) for label in ["a", "b", "b"]),
        *(sample("tal", truth=Spans((Span(start, start + 4.0),))) for start in [2.0, 4.0, 12.0]),
        *(sample("cvs_assessment", truth=Scores((NamedScore("Two structures", v),))) for v in [0, 2, 2]),
        *(
            sample("stg", truth=Boxes((TimedBox(2.0, Box(x, 0.0, x + 64.0, 48.0)),)), request_times_s=(2.0,))
            for x in [0.0, 64.0, 640.0]
        ),
    ]
    prior = Prior.fit(train)
    asked = [
        sample("next_action"),
        sample("tal", clip_end_s=10.0),
        sample("cvs_assessment"),
        sample("stg", canvas=Canvas(1280, 960), request_times_s=(1.0, 3.0)),
    ]
    texts = [p.prediction for p in prior.answers(s.public() for s in asked)]
    assert texts == [
        "b",
        "2.0-4.0 seconds.",
        "Two structures: 2",
        "1.0 seconds: [128.0, 0.0, 256.0, 96.0] 3.0 seconds: [128.0, 0.0, 256.0, 96.0]",
    ]


def test_the_prior_keeps_apart_questions_it_has_seen_often_enough() -> None:
    train = [sample("next_action", options=("a", "b"), truth=Label("a")) for _ in range(5)]
    train += [sample("next_action", options=("c", "d"), truth=Label("c")) for _ in range(6)]
    prior = Prior.fit(train)
    asked = [sample("next_action", options=o).public() for o in (("a", "b"), ("c", "d"), ("x",))]
    # For an unknown list it knows no better than the list's first label; one from another list would be no answer.
    assert [p.prediction for p in prior.answers(asked)] == ["a", "c", "x"]


def test_the_prior_does_not_depend_on_the_order_of_its_rows(folder: Path) -> None:
    train = list(read_samples(folder, "train"))
    asked = [s.public() for s in read_samples(folder, "test")]
    assert list(Prior.fit(train).answers(asked)) == list(Prior.fit(reversed(train)).answers(asked))


def test_the_prior_refuses_what_it_has_never_seen_and_a_split_without_answers() -> None:
    prior = Prior.fit([sample("tal")])
    assert next(prior.answers([sample("stg").public()])).finish_reason == "refusal"
    with pytest.raises(InputError, match="no answers"):
        Prior.fit([sample("tal", truth=None), sample("tal", truth=Spans(())), sample("stg", truth=Boxes(()))])


# --- run -------------------------------------------------------------------------------------------------------


def test_a_model_is_handed_questions_of_a_type_without_answers(folder: Path, tmp_path: Path) -> None:
    watcher = Watcher()
    run(watcher, folder, tmp_path / "run")
    assert {type(s) for s in watcher.seen} == {PublicSample}
    text = repr(watcher.seen)
    answers = [s.answer for s in read_samples(folder, "test") if s.task in ("tal", "stg", "cvs_assessment")]
    assert not [a for a in answers if a in text]


def test_a_run_answers_every_row_in_order_and_says_what_it_was(folder: Path, tmp_path: Path) -> None:
    run(Gold(folder), folder, tmp_path / "run")
    record = json.loads((tmp_path / "run/run.json").read_text())
    found = list(read_predictions(tmp_path / "run"))
    assert found == sorted(found) == sorted(s.index for s in read_samples(folder, "test"))
    assert (record["model"], record["split"], record["n"], record["finished"]) == ("gold", "test", len(found), True)


def test_tasks_and_limit_choose_rows(folder: Path, tmp_path: Path) -> None:
    run(Gold(folder), folder, tmp_path / "run", tasks=["stg", "tal"], limit=5)
    chosen = {s.index: s.task for s in read_samples(folder, "test")}
    assert len(read_predictions(tmp_path / "run")) == 5
    assert {chosen[i] for i in read_predictions(tmp_path / "run")} <= {"stg", "tal"}
    report = score_run(tmp_path / "run", baseline=False)
    assert len(report["per_sample"]) == 5
    assert {v for v in report["metrics"].values() if v is not None} == {1.0}


def test_a_stopped_run_goes_on_to_the_file_of_an_uninterrupted_one(folder: Path, tmp_path: Path) -> None:
    run(Gold(folder), folder, tmp_path / "whole")
    run(Gold(folder), folder, tmp_path / "cut")
    whole = (tmp_path / "whole/predictions.jsonl").read_bytes()
    for size in (0, 1, len(whole) // 3, len(whole) - 1):
        (tmp_path / "cut/predictions.jsonl").write_bytes(whole[:size])
        run(Gold(folder), folder, tmp_path / "cut", resume=True)
        assert (tmp_path / "cut/predictions.jsonl").read_bytes() == whole


def test_an_answer_that_ended_in_an_error_is_asked_again(folder: Path, tmp_path: Path) -> None:
    run(Gold(folder), folder, tmp_path / "run", tasks=["tal"])
    path = tmp_path / "run/predictions.jsonl"
    lines = path.read_text().splitlines()
    first = json.loads(lines[0])
    path.write_text("\n".join([json.dumps({**first, "prediction": "", "finish_reason": "error"}), *lines[1:]]) + "\n")
    run(Gold(folder), folder, tmp_path / "run", tasks=["tal"], resume=True)
    assert read_predictions(tmp_path / "run")[first["index"]].prediction == first["prediction"]


def test_a_folder_is_not_run_over_by_accident_or_with_another_config(folder: Path, tmp_path: Path) -> None:
    out = run(Gold(folder), folder, tmp_path / "run", limit=3)
    with pytest.raises(InputError, match="--resume"):
        run(Gold(folder), folder, out, limit=3)
    with pytest.raises(InputError, match=r"another run \(limit was 3, now 4\)"):
        run(Gold(folder), folder, out, limit=4, resume=True)
    with pytest.raises(InputError, match="no run to resume"):
        run(Gold(folder), folder, tmp_path / "other", resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/predictions.jsonl").write_text("mine")
    with pytest.raises(InputError, match=r"a predictions\.jsonl and no run\.json"):
        run(Gold(folder), folder, tmp_path / "mine")
    assert (tmp_path / "mine/predictions.jsonl").read_text() == "mine"
    assert not (tmp_path / "other").exists()


def test_two_runs_do_not_write_into_one_folder_at_once(folder: Path, tmp_path: Path) -> None:
    with only_one(tmp_path / "run", "written"), pytest.raises(InputError, match="being written by another process"):
        run(Gold(folder), folder, tmp_path / "run")


@pytest.mark.parametrize(
    ("indices", "message"), [([0, 0], "row 0, which was not asked or was answered"), ([0], "no answer to")]
)
def test_a_model_that_does_not_answer_each_question_once_does_not_finish(
    folder: Path, tmp_path: Path, indices: list[int], message: str
) -> None:
    class Wrong(Watcher):
        def answers(self, samples: Iterable[PublicSample]) -> Iterator[Prediction]:
            return (Prediction(index, "x") for index in indices)

    with pytest.raises(ValueError, match=message):
        run(Wrong(), folder, tmp_path / "run")
    assert not json.loads((tmp_path / "run/run.json").read_text())["finished"]


@pytest.mark.parametrize("field", ["model", "data", "data_path", "split", "tasks", "limit"])
def test_a_run_record_with_a_wrong_field_is_named(folder: Path, tmp_path: Path, field: str) -> None:
    out = run(Gold(folder), folder, tmp_path / "run", limit=3)
    record = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**record, field: {"wrong": 1}}))
    with pytest.raises(InputError, match=rf"run\.json field {field}"):
        score_run(out)


@pytest.mark.slow
def test_a_run_killed_at_any_time_goes_on_to_the_same_file(folder: Path, tmp_path: Path) -> None:
    """Real processes, killed while they write."""
    program = (
        "import sys, time; from medvidbench_hf.builder import read_samples; from medvidbench_hf.evaluation import run\n"
        "from medvidbench_hf.models.prior import Prior\n"
        "class Slow(Prior):\n"
        "    def answers(self, samples):\n"
        "        for p in super().answers(samples):\n"
        "            time.sleep(0.01); yield p\n"
        "run(Slow.fit(read_samples(sys.argv[1], 'train')), sys.argv[1], sys.argv[2], resume=len(sys.argv) > 3)"
    )
    command = [sys.executable, "-c", program, str(folder)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    whole = (tmp_path / "whole/predictions.jsonl").read_bytes()
    out, kills = tmp_path / "out", 0
    for _ in range(int(os.environ.get("MEDVIDBENCH_KILLS", "6"))):
        resume = ["--resume"] if (out / "run.json").exists() else []
        process = subprocess.Popen([*command, str(out), *resume], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = len(whole) if not (out / "predictions.jsonl").exists() else (out / "predictions.jsonl").stat().st_size
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            size = (out / "predictions.jsonl").stat().st_size if (out / "predictions.jsonl").exists() else 0
            if size > 0 and size != before:
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += process.returncode == -signal.SIGKILL
    assert kills
    subprocess.run([*command, str(out), "--resume"], check=True, capture_output=True)
    assert (out / "predictions.jsonl").read_bytes() == whole


# --- score -----------------------------------------------------------------------------------------------------


def test_the_true_answers_score_full_marks_in_every_computed_column(folder: Path, tmp_path: Path) -> None:
    report = score_run(run(Gold(folder), folder, tmp_path / "run"))
    computed = {c: v for c, v in report["metrics"].items() if not c.endswith("_llm")}
    assert computed == {c: pytest.approx(1.0) for c in computed}
    assert all(report["metrics"][c] is None for c in COLUMNS if c.endswith("_llm"))
    assert report["baseline"]["metrics"]["TAG_mIoU@0.5"] < 0.6


def test_a_row_without_an_answer_counts_as_wrong_and_a_task_that_was_not_run_does_not_count() -> None:
    rows = [sample("tal", index=0), sample("tal", index=1), sample("next_action", index=2)]
    report = score_predictions(rows, {0: Prediction(0, "2.0-6.0 seconds.")})
    assert report["metrics"]["TAG_mIoU@0.5"] == 0.5
    assert report["metrics"]["NAP_acc"] is None
    counts = {"rows": 2, "answered": 1, "parsed": 1, "skipped": 0, "truncated": 0}
    assert report["n"]["TAG_mIoU@0.5"] == counts


def test_rows_are_averaged_over_rows_and_sources_stand_beside() -> None:
    rows = [sample("next_action", index=k, source="A" if k < 3 else "B") for k in range(4)]
    report = score_predictions(rows, {k: Prediction(k, "tying" if k < 2 else "no") for k in range(4)})
    assert report["metrics"]["NAP_acc"] == 0.5
    assert report["by_source"]["A"]["NAP_acc"] == pytest.approx(2 / 3)
    assert report["by_source"]["B"]["NAP_acc"] == 0.0
    assert report["by_task"]["next_action"]["per_class"] == {"tying": 0.5}


def test_a_lone_file_is_scored_against_the_split_that_is_named(folder: Path, tmp_path: Path) -> None:
    out = run(Gold(folder), folder, tmp_path / "run", limit=9)
    lone = tmp_path / "lone.jsonl"
    lone.write_bytes((out / "predictions.jsonl").read_bytes())
    assert score_run(lone, folder)["split"] == "test"
    beside = out / "other.jsonl"
    beside.write_bytes(lone.read_bytes())
    assert score_run(beside, folder)["model"] == beside.name
    assert score_run(lone, folder, split="train")["split"] == "train"
    with pytest.raises(InputError, match="was run on test"):
        score_run(out, split="train")


def test_the_majority_answer_stands_beside_forms() -> None:
    rows = [
        sample("cvs_assessment", index=k, truth=Scores((NamedScore("Cystic plate", v),)))
        for k, v in enumerate([1, 1, 2])
    ]
    report = score_predictions(rows, {0: Prediction(0, "Cystic plate: 1")})
    assert report["by_task"]["cvs_assessment"]["majority_answer"] == pytest.approx(2 / 3)
    assert report["metrics"]["CVS_acc"] == pytest.approx(1 / 3)


def test_intervals_are_drawn_over_videos_not_rows() -> None:
    """Many rows of two videos that disagree: the interval must reach from one video's mean to the other's."""
    rows = [sample("next_action", index=k, video_id=f"v{k % 2}") for k in range(200)]
    report = score_predictions(rows, {k: Prediction(k, "tying" if k % 2 else "no") for k in range(200)})
    assert report["ci"]["NAP_acc"] == [0.0, 1.0]
    assert (
        report["ci"]
        == score_predictions(rows, {k: Prediction(k, "tying" if k % 2 else "no") for k in range(200)})["ci"]
    )


def test_scoring_does_not_depend_on_the_order_of_samples_or_predictions(folder: Path) -> None:
    rows = list(read_samples(folder, "test"))
    answers = {p.index: p for p in Prior.fit(read_samples(folder, "train")).answers(s.public() for s in rows)}
    first = score_predictions(rows, answers)
    second = score_predictions(rows[::-1], dict(reversed(answers.items())))
    assert second["metrics"] == {c: pytest.approx(v) if v is not None else None for c, v in first["metrics"].items()}


def test_empty_captions_do_not_break_a_report() -> None:
    rows = [sample(task, index=k) for k, task in enumerate(TASKS)]
    report = score_predictions(rows, {k: Prediction(k, "") for k in range(len(rows))})
    assert all(v in (0.0, None) for v in report["metrics"].values())
    assert all(row["score"] == 0.0 for row in report["per_sample"])
    assert json.loads(json.dumps(report, allow_nan=False)) is not None


def test_an_index_outside_the_split_and_a_split_without_truth_are_named() -> None:
    with pytest.raises(InputError, match="no row 7; 1 of 1 predictions"):
        score_predictions([sample("tal", index=0)], {7: Prediction(7, "x")})
    with pytest.raises(InputError, match="no ground truth"):
        score_predictions([sample("tal", truth=None, answer=None)], {0: Prediction(0, "x")})


def test_a_run_is_not_scored_against_other_data(folder: Path, tmp_path: Path) -> None:
    out = run(Gold(folder), folder, tmp_path / "run", limit=3)
    build("simulated", tmp_path / "other", videos=4, media=False)
    with pytest.raises(InputError, match="was run on simulated@"):
        score_run(out, tmp_path / "other")


# --- report ----------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_is_self_contained_and_shows_frames_boxes_and_timelines(folder: Path, tmp_path: Path) -> None:
    out = run(Prior.fit(read_samples(folder, "train")), folder, tmp_path / "run")
    page = write_report(out, score_run(out))
    text = page.read_text()
    tags = Tags()
    tags.feed(text)
    images = [attrs["src"] for tag, attrs in tags.seen if tag == "img"]
    assert len(images) > 50
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in images)
    assert not [attrs for tag, attrs in tags.seen if tag in ("script", "link", "iframe")]
    assert "http" not in text
    assert sum(tag == "svg" for tag, _ in tags.seen) >= 4
    assert all(f"<h2>{task}</h2>" in text for task in TASKS)
    assert json.loads((tmp_path / "run/report.json").read_text())["protocol"] == "strict"


def test_hostile_text_stays_text_on_the_page(folder: Path, tmp_path: Path) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"

    class Hostile(Watcher):
        name = attack

        def answers(self, samples: Iterable[PublicSample]) -> Iterator[Prediction]:
            return (Prediction(s.index, attack) for s in samples)

    out = run(Hostile(), folder, tmp_path / "run")
    tags = Tags()
    tags.feed(write_report(out, score_run(out, baseline=False)).read_text())
    assert not [tag for tag, attrs in tags.seen if tag == "script" or "onerror" in attrs]


def test_true_and_predicted_boxes_are_drawn_in_their_colours(folder: Path, tmp_path: Path) -> None:
    import base64
    import io
    import re

    import numpy as np
    from PIL import Image

    out = run(Prior.fit(read_samples(folder, "train")), folder, tmp_path / "run", tasks=["stg"])
    text = write_report(out, score_run(out, baseline=False)).read_text()
    pictures = re.findall(r"base64,([A-Za-z0-9+/=]+)", text)
    colours = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0])))).astype(int)
    for colour in ((26, 160, 90), (235, 110, 30)):
        assert (np.abs(colours - colour).sum(-1) < 90).sum() > 100


def test_a_lone_surrogate_in_an_answer_does_not_stop_a_run_or_a_report(folder: Path, tmp_path: Path) -> None:
    class Odd(Watcher):
        name = "odd [/red]"

        def answers(self, samples: Iterable[PublicSample]) -> Iterator[Prediction]:
            return (Prediction(s.index, "half a \ud83d") for s in samples)

    out = run(Odd(), folder, tmp_path / "run", tasks=["tal"])
    assert read_predictions(out)
    assert write_report(out, score_run(out, baseline=False)).is_file()
    assert sorted(p.name for p in out.iterdir()) == ["predictions.jsonl", "report.html", "report.json", "run.json"]


def test_a_report_on_a_lone_file_says_where_to(folder: Path, tmp_path: Path) -> None:
    out = run(Gold(folder), folder, tmp_path / "run", tasks=["tal"])
    with pytest.raises(InputError, match="--out"):
        write_report(out / "predictions.jsonl", score_run(out))


def test_text_only_data_gives_a_page_without_frames(tmp_path: Path) -> None:
    build("simulated", tmp_path / "text", videos=28, media=False)
    out = run(Prior.fit(read_samples(tmp_path / "text", "train")), tmp_path / "text", tmp_path / "run")
    assert "<img" not in write_report(out, score_run(out)).read_text()


def test_the_worst_cases_are_the_lowest_scores_of_different_videos() -> None:
    from medvidbench_hf.evaluation.report import worst

    rows = [
        {"task": "tal", "source": s, "video_id": v, "score": score, "index": k}
        for k, (s, v, score) in enumerate(
            [("A", "1", 0.9), ("A", "1", 0.1), ("A", "2", 0.2), ("B", "3", 0.8), ("B", "4", 0.7)]
        )
    ]
    assert [(r["source"], r["score"]) for r in worst(rows, "tal")] == [("A", 0.1), ("B", 0.7), ("A", 0.2)]
