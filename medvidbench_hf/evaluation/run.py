"""Run a model over a split: RUN/predictions.jsonl, appended, and RUN/run.json, which says what it was."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.progress import track

import medvidbench_hf
from medvidbench_hf.builder import read_build, read_samples
from medvidbench_hf.lock import only_one
from medvidbench_hf.models import Model
from medvidbench_hf.predictions import FILE_NAME, Prediction, PredictionLog, cut_torn_line, read_predictions
from medvidbench_hf.sample import SPLITS, InputError, PublicSample, Sample
from medvidbench_hf.sources import splits
from medvidbench_hf.whole_file import write_json


def run(
    model: Model,
    data: str | Path,
    out: str | Path,
    *,
    split: str = "test",
    tasks: Sequence[str] = (),
    limit: int | None = None,
    subset: str = "",
    resume: bool = False,
    progress: bool = False,
) -> Path:
    """Answer every question of a split and return the folder.

    tasks: only these; subset: "smoke" or "lite", of these; limit: only the first rows of them. A run that was stopped
    goes on with resume=True, which refuses another model, data or selection, and asks again where an answer had ended
    in an error. Answers reach the disk one by one; run.json gets `finished` last.
    """
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    out = Path(out)
    config = {
        "model": model.name,
        "data": data_name(data),
        "split": split,
        "tasks": sorted(set(tasks)),
        "limit": limit,
        "package": medvidbench_hf.__version__,
        **({"subset": subset} if subset else {}),
    }
    config_hash = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
    samples = select(data, split, tasks, limit, subset)
    if not any(sample.truth is not None for sample in samples):
        warnings.warn(
            f"the {split} split of {data} has no ground truth: answers to it can be checked and submitted, not scored",
            stacklevel=2,
        )
    chosen = [sample.public() for sample in samples]
    record: dict[str, Any] = {
        **config,
        "data_path": str(Path(data).resolve()) if Path(data).is_dir() else str(data),
        "config_hash": config_hash,
        "n": len(chosen),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("datasets", "numpy", "scipy")},
        "finished": False,
    }
    with only_one(out, "written"):
        done = _answered(out, config, config_hash, resume)
        asked = [sample for sample in chosen if sample.index not in done]
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "run.json", record)
        with PredictionLog(out / FILE_NAME) as log:
            answers = _checked(model, asked)
            for prediction in track(answers, f"running {model.name}", len(asked), disable=not progress):
                log.write(prediction)
        write_json(out / "run.json", {**record, "finished": True})
    return out


def _checked(model: Model, asked: list[PublicSample]) -> Iterator[Prediction]:
    """The model's answers; ValueError where it does not give one for each question."""
    open_questions = {sample.index for sample in asked}
    for prediction in model.answers(asked):
        if prediction.index not in open_questions:
            raise ValueError(f"model {model.name} answered row {prediction.index}, which was not asked or was answered")
        open_questions.remove(prediction.index)
        yield prediction
    if open_questions:
        raise ValueError(
            f"model {model.name} gave no answer to {len(open_questions)} rows, {min(open_questions)} first"
        )


def select(
    data: str | Path, split: str, tasks: Sequence[str] = (), limit: int | None = None, subset: str = ""
) -> list[Sample]:
    """The rows of a run, by index: those of the tasks (all without any), a subset of them, the first `limit`."""
    samples = [sample for task in (sorted(set(tasks)) or ["all"]) for sample in read_samples(data, split, task)]
    if subset:
        chosen = set(splits.subset(samples, subset))
        samples = [sample for sample in samples if sample.index in chosen]
    return sorted(samples, key=lambda sample: sample.index)[:limit]


def read_run(folder: str | Path) -> dict[str, Any]:
    """RUN/run.json; InputError where it is not there or not a run's record."""
    path = Path(folder) / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: not there; `medvidbench run` writes it") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}: not a run's record")
    kinds = {"model": str, "data": str, "data_path": str, "split": str, "tasks": list, "limit": int | None}
    for field, kind in kinds.items():
        if not isinstance(record.get(field), kind):
            raise InputError(f"{path} field {field}: {record.get(field)!r:.80}; this is not a run's record")
    if not all(isinstance(task, str) for task in record["tasks"]) or (
        record["limit"] is not None and record["limit"] < 1
    ):
        raise InputError(f"{path}: tasks {record['tasks']!r:.80}, limit {record['limit']}; this is not a run's record")
    if record.get("subset", "") not in ("", *splits.SUBSETS):
        raise InputError(f"{path} field subset: {record['subset']!r:.80}; this is not a run's record")
    return record


def data_name(data: str | Path) -> str:
    """What names the rows of a data set: its build's fingerprint, or its name on the Hub."""
    if Path(data).is_dir():
        built = read_build(data)
        return f"{built.source}@{built.fingerprint}"
    return str(data)


def _answered(out: Path, config: dict[str, Any], config_hash: str, resume: bool) -> set[int]:
    """The indices that need no answer any more."""
    if not (out / "run.json").exists():
        if (out / FILE_NAME).exists():
            raise InputError(f"{out} holds a {FILE_NAME} and no run.json: choose another folder")
        if resume:
            raise InputError(f"{out} holds no run to resume")
        return set()
    if not resume:
        raise InputError(f"{out} holds a run: --resume goes on with it, or choose another folder")
    before = read_run(out)
    if before.get("config_hash") != config_hash:
        differing = [name for name in (*config, "subset") if before.get(name) != config.get(name)]
        changes = "; ".join(f"{name} was {before.get(name)!r}, now {config.get(name)!r}" for name in differing)
        raise InputError(f"{out} holds another run ({changes}): choose another folder")
    cut_torn_line(out / FILE_NAME)  # before reading: its answer would count as given and then be cut
    if not (out / FILE_NAME).exists() or not (out / FILE_NAME).read_bytes().strip():
        return set()
    return {index for index, p in read_predictions(out).items() if p.finish_reason != "error"}
