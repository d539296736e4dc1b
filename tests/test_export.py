"""Export: each file is what that trainer's loader reads, no row is lost unseen, and a folder is whole or absent."""

from __future__ import annotations

import importlib
import json
import math
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from torchcodec.decoders import VideoDecoder

from medvidbench_hf import tasks
from medvidbench_hf.builder import build, read_samples
from medvidbench_hf.builder.export import FORMATS, MEDIA_TAG, NO_BOX, NO_CLIP, ONE_FRAME, Exported, export
from medvidbench_hf.sample import InputError, Region, Sample
from tests import make

CAPTIONS = ("video_summary", "region_caption")
WRITTEN = {"index", "split", "task", "source", "fps", "canvas"}  # in every row, besides what the loader names


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated benchmark in small, with clips."""
    out = tmp_path_factory.mktemp("built") / "simulated"
    build("simulated", out, num_proc=2, videos=8)
    return out


@pytest.fixture(scope="module")
def samples(data: Path) -> dict[int, Sample]:
    return {sample.index: sample for sample in read_samples(data, "train")}


@pytest.fixture(scope="module")
def exported(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """The train split in every format."""
    folder = tmp_path_factory.mktemp("exported")
    return {name: export(data, "train", name, folder / name) for name in FORMATS}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Sample]:
    """A list to fill: its samples stand for the data set. `clip(tmp_path)` is a file for them."""
    rows: list[Sample] = []
    module = importlib.import_module("medvidbench_hf.builder.export")
    monkeypatch.setattr(module, "read_samples", lambda data, split, task: iter(rows))
    return rows


def clip(folder: Path) -> str:
    path = folder / "clip.mp4"
    path.write_bytes(b"only its being there counts")
    return str(path)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def loaded(exported: Exported) -> Iterator[tuple[Path, dict[str, Any]]]:
    """File and row, as all four loaders open a file: the JSON reader of `datasets`, split "train"."""
    for path in exported.files:
        for row in datasets.load_dataset("json", data_files=str(path), split="train"):
            yield path, row


# --- what each loader reads ------------------------------------------------------------------------------------


def test_llamafactory_finds_its_columns_tags_and_clips(exported: dict[str, Exported]) -> None:
    info = json.loads((exported["llamafactory"].folder / "dataset_info.json").read_text())
    assert {exported["llamafactory"].folder / entry["file_name"] for entry in info.values()} == set(
        exported["llamafactory"].files
    )
    by_file = {entry["file_name"]: entry for entry in info.values()}
    for path, row in loaded(exported["llamafactory"]):
        entry = by_file[path.name]
        tags, columns = entry["tags"], entry["columns"]
        assert entry["formatting"] == "sharegpt"
        turns = row[columns["messages"]]
        assert [turn[tags["role_tag"]] for turn in turns] == [tags["user_tag"], tags["assistant_tag"]]
        text = "".join(turn[tags["content_tag"]] for turn in turns)
        assert text.count("<video>") == len(row[columns["videos"]]) == 1
        assert all(Path(video).is_file() for video in row[columns["videos"]])
        assert set(row) == WRITTEN | set(columns.values())


def test_ms_swift_finds_messages_clips_and_the_solution_that_grpo_keeps(exported: dict[str, Exported]) -> None:
    for _, row in loaded(exported["ms-swift"]):
        asked, answered = row["messages"]
        assert (set(asked), asked["role"], answered["role"]) == ({"role", "content"}, "user", "assistant")
        assert re.findall(r"<(?:video|image|audio|bbox|ref-object)>", asked["content"]) == ["<video>"]
        assert [Path(video).is_file() for video in row["videos"]] == [True]
        assert row["solution"] == answered["content"]
        assert set(row) == WRITTEN | {
            "messages",
            "videos",
            "solution",
        }  # "label", "objects", "channel" mean other things


def test_easyr1_finds_problem_clip_and_a_text_for_the_reward(exported: dict[str, Exported]) -> None:
    for path, row in loaded(exported["easyr1"]):
        assert "@" not in str(path)  # what follows would be the split
        assert set(row) == {"problem", "videos", "answer", "row"}  # a column "images" would win over "videos"
        assert len(row["problem"].split("<video>")) - 1 == len(row["videos"]) == 1
        assert Path(row["videos"][0]).is_file()
        key = json.loads(row["row"])
        assert key.pop("answer") == row["answer"]
        assert set(key) == WRITTEN


def test_trl_finds_a_conversational_prompt_and_completion(exported: dict[str, Exported]) -> None:
    for _, row in loaded(exported["trl"]):
        (asked,), (answered,) = row["prompt"], row["completion"]
        assert (asked["role"], answered["role"]) == ("user", "assistant")
        video, text = asked["content"]
        assert (video["type"], text["type"]) == ("video", "text")
        assert Path(video["path"]).is_file()
        assert "video" not in text  # a template would take a key of that name for a clip
        assert answered["content"] == [{"type": "text", "text": row["answer"]}]
        assert set(row) == WRITTEN | {"prompt", "completion", "answer", "frame_times_s"}


# --- what every format keeps -----------------------------------------------------------------------------------


def key_of(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(row["row"]) if "row" in row else row


def answer_of(row: dict[str, Any]) -> str:
    return row["answer"] if "answer" in row else row["messages"][-1]["content"]


def question_of(row: dict[str, Any]) -> str:
    if "prompt" in row:
        return row["prompt"][0]["content"][1]["text"]
    return (row["problem"] if "problem" in row else row["messages"][0]["content"]).removeprefix("<video>")


@pytest.mark.parametrize("name", FORMATS)
def test_every_row_is_there_once_with_its_question_answer_and_clip(
    exported: dict[str, Exported], samples: dict[int, Sample], name: str
) -> None:
    found = [row for path in exported[name].files for row in lines(path)]
    assert sorted(key_of(row)["index"] for row in found) == sorted(samples)
    assert (exported[name].n_rows, exported[name].left_out) == (len(samples), {})
    for row in found:
        sample = samples[key_of(row)["index"]]
        assert answer_of(row) == sample.answer
        assert sample.question in question_of(row)
        assert sample.video in json.dumps(row)
        assert (key_of(row)["task"], key_of(row)["fps"]) == (sample.task, sample.fps)


@pytest.mark.parametrize("name", FORMATS)
def test_a_reward_finds_the_row_again_and_its_answer_scores_full_marks(
    exported: dict[str, Exported], data: Path, name: str
) -> None:
    row = next(row for row in lines(exported[name].files[0]) if key_of(row)["task"] not in CAPTIONS)
    key = key_of(row)
    again = next(s for s in read_samples(data, key["split"], key["task"]) if s.index == key["index"])
    assert tasks.score(again, tasks.parse(again, answer_of(row))).value == 1.0


@pytest.mark.parametrize("name", FORMATS)
def test_a_trainer_that_cannot_draw_reads_the_box_of_a_region(
    exported: dict[str, Exported], samples: dict[int, Sample], name: str
) -> None:
    n_regions = 0
    for path in exported[name].files:
        for row in lines(path):
            sample, question = samples[key_of(row)["index"]], question_of(row)
            if sample.region is None:
                assert question == sample.question
                continue
            n_regions += 1
            time, numbers, width, height = re.search(  # type: ignore[union-attr]
                r"The box at (\S+) seconds is \[(.*)\].* pixels of a (\d+)x(\d+) frame\.$", question
            ).groups()
            assert float(time) == pytest.approx(sample.region.time_s, abs=0.005)
            assert [float(n) for n in numbers.split(",")] == pytest.approx(list(sample.region.box), abs=0.005)
            assert (int(width), int(height)) == sample.canvas
    assert n_regions == sum(sample.region is not None for sample in samples.values()) > 0


def test_nothing_of_the_truth_but_the_answer_text_is_written(tmp_path: Path, made: list[Sample]) -> None:
    made.append(
        make.sample(split="train", video=clip(tmp_path), answer="2.0-6.0 seconds.", answer_extra='{"key": "leak"}')
    )
    for name in FORMATS:
        (path,) = export("data", "train", name, tmp_path / name).files
        assert "leak" not in path.read_text()
        assert "spans" not in path.read_text()


# --- time ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llamafactory", "ms-swift", "easyr1"])
def test_a_file_holds_the_rows_of_the_one_rate_that_it_is_named_for(
    exported: dict[str, Exported], samples: dict[int, Sample], name: str
) -> None:
    readme = (exported[name].folder / "README.md").read_text()
    for path in exported[name].files:
        rows = lines(path)
        fps = re.fullmatch(r"train-fps-(\S+)\.jsonl", path.name)[1]  # type: ignore[index]
        assert {key_of(row)["fps"] for row in rows} == {float(fps)}
        most = max(len(samples[key_of(row)["index"]].frame_times_s) for row in rows)
        assert f"| {path.name} | {len(rows)} | {fps} | {most} |" in readme


def test_trl_rows_carry_the_true_time_of_every_frame(exported: dict[str, Exported], samples: dict[int, Sample]) -> None:
    (path,) = exported["trl"].files
    assert all(tuple(row["frame_times_s"]) == samples[row["index"]].frame_times_s for row in lines(path))


def llamafactory_picks(n_frames: int, duration_s: float, fps: float) -> tuple[np.ndarray, float]:
    """Positions and told rate, as its `video_fps` is documented to work."""
    n = min(n_frames, max(1, math.floor(duration_s * fps)))
    return np.linspace(0, n_frames - 1, n).astype(int), n / duration_s


def qwen_picks(n_frames: int, duration_s: float, fps: float) -> tuple[np.ndarray, float]:
    """Positions and told rate, as qwen_vl_utils does for ms-swift and EasyR1: an even number, four at least."""
    n = int(min(max(duration_s * fps, 4), n_frames)) // 2 * 2
    return np.linspace(0, n_frames - 1, n).round().astype(int), n / duration_s


def test_at_the_rate_of_its_file_a_loader_tells_times_within_two_frame_intervals(samples: dict[int, Sample]) -> None:
    highest = max(sample.fps for sample in samples.values())
    for sample in {sample.video: sample for sample in samples.values()}.values():
        clip = VideoDecoder(sample.video).metadata
        assert clip.num_frames == len(sample.frame_times_s)
        for picks in (llamafactory_picks, qwen_picks):
            for fps in (sample.fps, highest):
                frames, told_fps = picks(clip.num_frames, clip.duration_seconds, fps)
                true_s = np.asarray(sample.frame_times_s)[frames]
                assert np.abs(np.arange(len(frames)) / told_fps - true_s).max() < 2 * sample.frame_interval_s
                assert len(frames) >= clip.num_frames - 2


def test_uneven_frame_times_are_counted(tmp_path: Path, made: list[Sample]) -> None:
    path = clip(tmp_path)
    even, hole = (0.0, 2.0, 4.0, 6.0, 8.0), (0.0, 2.0, 4.0, 6.0, 20.0)
    for index, times in enumerate((even, hole, (0.0,), (0.0, 0.0))):
        made.append(make.sample(split="train", index=index, video=path, frame_times_s=times))
    assert export("data", "train", "llamafactory", tmp_path / "out").uneven == 1
    assert "1 of 4 rows" in (tmp_path / "out/README.md").read_text()


def test_odd_rates_do_not_make_a_file_for_every_row(tmp_path: Path, made: list[Sample]) -> None:
    path = clip(tmp_path)
    for index in range(300):
        made.append(make.sample(split="train", index=index, video=path, fps=180 / (1800 + index)))
    exported = export("data", "train", "ms-swift", tmp_path / "out")
    assert [path.name for path in exported.files] == [f"train-fps-{n / 1000:g}.jsonl" for n in range(86, 101)]
    for path in exported.files:
        named = float(path.name.removeprefix("train-fps-").removesuffix(".jsonl"))
        assert all(abs(row["fps"] / named - 1) < 0.06 for row in lines(path))


# --- what cannot be trained on ---------------------------------------------------------------------------------


def test_a_split_without_answers_is_refused_by_name(tmp_path: Path, made: list[Sample]) -> None:
    made.append(make.sample(video=clip(tmp_path), answer=None, truth=None, answer_extra=None))
    for name in FORMATS:
        with pytest.raises(InputError, match="data: the test split has no answers"):
            export("data", "test", name, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_rows_that_cannot_be_trained_on_are_counted_and_listed(tmp_path: Path, made: list[Sample]) -> None:
    path, kept = clip(tmp_path), {"split": "train", "video": clip(tmp_path)}
    made += [
        make.sample(**kept, index=0),
        make.sample(**{**kept, "video": None}, index=1),
        make.sample(**kept, index=2, frame_times_s=(0.0,)),
        make.sample("region_caption", **kept, index=3, region=None),
        make.sample(**kept, index=4, question="<video> When?"),
        make.sample(**kept, index=5, answer="see <image>"),
        make.sample(
            "region_caption",
            split="train",
            index=6,
            video=path,
            region=Region(2.0, make.sample("stg").truth.boxes[0].box),
        ),  # type: ignore[union-attr]
    ]
    exported = export("data", "train", "easyr1", tmp_path / "out")
    assert exported.left_out == {NO_CLIP: 1, ONE_FRAME: 1, NO_BOX: 1, MEDIA_TAG: 2}
    assert (exported.n_rows, exported.without_video) == (2, 1)
    listed = [(row["index"], row["reason"]) for row in lines(tmp_path / "out/left_out.jsonl")]
    assert listed == [(1, NO_CLIP), (2, ONE_FRAME), (3, NO_BOX), (4, MEDIA_TAG), (5, MEDIA_TAG)]
    assert f"1 ({NO_CLIP})" in (tmp_path / "out/README.md").read_text()
    assert json.loads((tmp_path / "out/export.json").read_text())["left_out"] == exported.left_out


def test_text_only_data_is_refused(tmp_path: Path) -> None:
    build("simulated", tmp_path / "text", videos=4, media=False)
    with pytest.raises(InputError, match=r"no row of the train split can be exported \(\d+ rows: no clip\)"):
        export(tmp_path / "text", "train", "trl", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ("hf://datasets/org/name@0000/clips/a/b/c.mp4", "is an address, which no loader opens.*medvidbench data build"),
        ("/nowhere/clips/a/b/c.mp4", "is no file here.*medvidbench data relocate data"),
        ("clips/a/b/c.mp4", "is no file here"),
    ],
)
@pytest.mark.parametrize("name", FORMATS)
def test_a_clip_that_the_loader_could_not_open_is_refused_with_the_way_out(
    tmp_path: Path, made: list[Sample], name: str, video: str, message: str
) -> None:
    made.append(make.sample(split="train", index=7, video=video))
    with pytest.raises(InputError, match=r"data train\[7\] field video: .*" + message) as caught:
        export("data", "train", name, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_only_one_task_is_exported_when_asked(data: Path, tmp_path: Path) -> None:
    exported = export(data, "train", "llamafactory", tmp_path / "out", task="stg")
    assert {row["task"] for path in exported.files for row in lines(path)} == {"stg"}
    assert all(
        name.startswith("medvidbench_stg_train_fps_")
        for name in json.loads((tmp_path / "out/dataset_info.json").read_text())
    )


def test_an_unknown_format_task_or_split_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown format 'verl'; known: trl, llamafactory, ms-swift, easyr1"):
        export(data, "train", "verl", tmp_path / "out")
    with pytest.raises(InputError, match="unknown split 'dev'"):
        export(data, "dev", "trl", tmp_path / "out")
    with pytest.raises(InputError, match="tag"):
        export(data, "train", "trl", tmp_path / "out", task="tag")
    assert list(tmp_path.iterdir()) == []


# --- the folder ------------------------------------------------------------------------------------------------


def test_the_folder_may_be_empty_but_never_holds_anything_else(tmp_path: Path, made: list[Sample]) -> None:
    made.append(make.sample(split="train", video=clip(tmp_path)))
    (tmp_path / "out").mkdir()
    export("data", "train", "trl", tmp_path / "out")
    before = (tmp_path / "out/train.jsonl").read_bytes()
    with pytest.raises(InputError, match="holds an earlier export: remove it, or choose another folder"):
        export("data", "train", "easyr1", tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="choose another folder"):
        export("data", "train", "trl", tmp_path / "mine")
    (tmp_path / "mine").rename(tmp_path / "next.partial")
    with pytest.raises(InputError, match=r"next\.partial is in the way"):
        export("data", "train", "trl", tmp_path / "next")
    with pytest.raises(InputError, match="is a file"):
        export("data", "train", "trl", tmp_path / "clip.mp4")
    assert (tmp_path / "next.partial/thesis.tex").read_text() == "years of work"
    assert (tmp_path / "out/train.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["a@b", "a#5", "a*", "x[1]", "a::b"])
def test_a_folder_whose_name_a_loader_reads_as_an_option_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="choose another name"):
        export("data", "train", "trl", tmp_path / name)


def test_an_export_that_stops_leaves_nothing_and_one_that_was_killed_is_made_again(
    tmp_path: Path, made: list[Sample]
) -> None:
    path = clip(tmp_path)
    made += [make.sample(split="train", video=path), make.sample(split="train", index=1, video="/nowhere.mp4")]
    with pytest.raises(InputError, match="/nowhere"):
        export("data", "train", "trl", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    made.pop()
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial/export.json").write_text("{}")
    (tmp_path / "out.partial/train.jsonl").write_text('{"torn')
    export("data", "train", "trl", tmp_path / "out")
    assert len(lines(tmp_path / "out/train.jsonl")) == 1
    assert not (tmp_path / "out.partial").exists()
    (tmp_path / "next.partial").mkdir()
    export("data", "train", "trl", tmp_path / "next")


def test_characters_stay_readable_and_a_row_stays_one_line(tmp_path: Path, made: list[Sample]) -> None:
    text = "größer als 10 µm –\n»ja« 是\u2028"
    made.append(make.sample(split="train", video=clip(tmp_path), question=text, answer=text))
    for name in FORMATS:
        exported = export("data", "train", name, tmp_path / name)
        written = exported.files[0].read_bytes().decode("utf-8")
        assert "größer als 10 µm –" in written
        assert written.count("\n") == 1
        ((_, row),) = loaded(exported)
        assert (question_of(row), answer_of(row)) == (text, text)


def test_rows_stream_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = make.sample(split="train", video=clip(tmp_path), question="When? " * 100)
    module = importlib.import_module("medvidbench_hf.builder.export")
    monkeypatch.setattr(module, "read_samples", lambda data, split, task: (sample for _ in range(3_000)))
    tracemalloc.start()
    export("data", "train", "llamafactory", tmp_path / "out")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "out/train-fps-0.5.jsonl").stat().st_size > 2_000_000
    assert peak_bytes < 500_000
