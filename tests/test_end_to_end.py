"""The whole path of somebody who has the official files, walked on the simulated benchmark in the official form."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest

from medvidbench_hf.builder import build, read_samples, split_names
from medvidbench_hf.builder.official import export_release
from medvidbench_hf.evaluation import run, score_run, write_report
from medvidbench_hf.evaluation.run import select
from medvidbench_hf.leaderboard import minilm
from medvidbench_hf.leaderboard.submission.checker import check
from medvidbench_hf.leaderboard.submission.files import read_answer_file
from medvidbench_hf.leaderboard.submission.write import write_submission
from medvidbench_hf.models.prior import Prior
from medvidbench_hf.sample import Sample
from medvidbench_hf.sources.release.doctor import examine
from medvidbench_hf.video import frames

SAME = (
    *("split", "index", "id", "task", "variant", "source", "domain", "video_id", "question", "request_times_s"),
    *("fps", "canvas", "licence"),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "data"
    build("simulated", out, videos=12, num_proc=2)
    return out


@pytest.fixture(scope="module")
def official(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated benchmark as the release would have it: two JSON files, and frames in folders."""
    root = tmp_path_factory.mktemp("official")
    for kind in ("test", "trainval"):
        written = export_release(simulated, kind, root)
        assert written.n_frames
        assert not written.without_frames
    return root


@pytest.fixture(scope="module")
def rebuilt(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rebuilt") / "data"
    record = build("release", out, root=official, num_proc=2, validation=0.2)
    assert not record.flagged, (out / "flagged.jsonl").read_text()
    return out


def test_the_official_files_hold_no_answer_to_the_test_split(simulated: Path, official: Path) -> None:
    text = (official / "medvidbench_test.json").read_text(encoding="utf-8")
    rows = json.loads(text)
    assert all([turn["from"] for turn in row["conversations"]] == ["human"] for row in rows)
    assert all(row["struc_info"] == [] for row in rows)
    for sample in read_samples(simulated, "test"):
        if sample.task in ("video_summary", "region_caption", "dense_captioning"):
            assert json.dumps(sample.answer)[1:-1] not in text


def test_doctor_finds_the_copy_whole(official: Path) -> None:
    examined = examine(official)
    assert examined.healthy
    assert not examined.flags


def test_rows_come_back_as_they_were_with_their_truths_and_times(simulated: Path, rebuilt: Path) -> None:
    def rows(data: Path, *splits: str) -> dict[tuple[str, str, str, str], Sample]:
        return {(s.video_id, s.task, s.variant, s.question): s for split in splits for s in read_samples(data, split)}

    was, now = rows(simulated, "test"), rows(rebuilt, "test")
    assert was.keys() == now.keys()
    for key, sample in was.items():
        for field in SAME:
            assert getattr(now[key], field) == getattr(sample, field), field
        assert np.allclose(now[key].frame_times_s, sample.frame_times_s, atol=1e-3)
        assert now[key].truth is now[key].answer is None
        assert (now[key].region is None) == (sample.region is None)
    was, now = (rows(data, *(set(split_names(data)) - {"test"})) for data in (simulated, rebuilt))
    assert was.keys() == now.keys()
    for key, sample in was.items():
        assert now[key].truth == sample.truth
        assert now[key].answer == sample.answer
        if sample.region is not None:
            other = now[key].region
            assert other is not None
            assert other.box == sample.region.box
            assert abs(other.time_s - sample.region.time_s) <= sample.frame_interval_s


def test_every_config_loads_and_its_clips_decode_to_the_frames_that_were_written(
    simulated: Path, rebuilt: Path
) -> None:
    first = {sample.video_id: sample for sample in read_samples(simulated, "test")}
    for config in datasets.get_dataset_config_names(str(rebuilt)):
        row = datasets.load_dataset(str(rebuilt), config, split="test" if config != "skill_assessment" else None)
        if isinstance(row, datasets.DatasetDict):
            row = row[next(iter(row))]
        assert row[0]["video"][0].shape[0] == 3
    for sample in read_samples(rebuilt, "test"):
        if sample.video_id in first:
            was = first.pop(sample.video_id)
            assert was.video is not None
            assert sample.video is not None
            old, new = frames(was.video, size_px=sample.canvas), frames(sample.video)
            assert new.shape == old.shape
            assert np.abs(new.astype(int) - old).mean() < 6  # written as JPEG and encoded again
    assert not first


def test_answers_to_it_are_run_submitted_and_pass_the_check(
    official: Path, rebuilt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "installed", lambda: False)
    model = Prior.fit(read_samples(rebuilt, "train"))
    with pytest.warns(UserWarning, match="has no ground truth"):
        folder = run(model, rebuilt, tmp_path / "test")
    rows = [sample.public() for sample in read_samples(rebuilt, "test")]
    write_submission([read_answer_file(folder)], rows, tmp_path / "submission.json")
    report = check(read_answer_file(tmp_path / "submission.json"), rows)
    assert report.ok, report
    submitted = [entry["id"] for entry in json.loads((tmp_path / "submission.json").read_text())]
    assert submitted == [row["id"] for row in json.loads((official / "medvidbench_test.json").read_text())]
    few = run(model, rebuilt, tmp_path / "validation", split="validation", subset="lite")
    scored = score_run(few)
    assert scored["metrics"]["TAG_mIoU@0.3"] is not None
    assert max(Counter((s.task, s.variant) for s in select(rebuilt, "validation", subset="lite")).values()) <= 10
    assert "only the subset" in write_report(few, scored).read_text()
