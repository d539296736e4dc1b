"""How each trainer wants its rows, and what has to be set in it: TRL, LLaMA-Factory, ms-swift, EasyR1."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from medvidbench_hf.sample import Sample


@dataclass
class RowFile:
    """A file of rows that is being written."""

    path: Path
    stream: TextIO
    fps: str  # the rate to set; "" where rows carry their own
    n_rows: int = 0
    most_frames: int = 0


@dataclass(frozen=True)
class Export:
    """What the README is filled from."""

    data: str
    split: str
    task: str
    out: Path
    files: list[RowFile]

    def name(self, file: RowFile) -> str:
        return f"medvidbench_{self.task}_{self.split}_fps_{file.fps}"


class Format(NamedTuple):
    """How one trainer wants its rows."""

    title: str
    row: Callable[[Sample], dict[str, Any]]
    one_rate: bool  # a run has one sampling rate, so a file has too
    least_frames: int
    settings: Callable[[Export], str]  # Markdown: what to set


def json_line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def _question(sample: Sample) -> str:
    """The question, with the box of a region in words."""
    if sample.region is None:
        return sample.question
    box = ", ".join(_number(value) for value in sample.region.box)
    return (
        f"{sample.question} The box at {round(sample.region.time_s, 2)} seconds is [{box}]: left, top, right, bottom"
        f" in pixels of a {sample.canvas.width}x{sample.canvas.height} frame."
    )


def _number(value: float) -> str:
    """Two decimals at most, and none that are not needed."""
    return str(round(value, 2)).removesuffix(".0")


def _key(sample: Sample) -> dict[str, Any]:
    """What finds the row again, its exact sampling rate, and the frame in which its boxes are measured."""
    return {
        "index": sample.index,
        "split": sample.split,
        "task": sample.task,
        "source": sample.source,
        "fps": sample.fps,
        "canvas": list(sample.canvas),  # (width, height)
    }


def _trl(sample: Sample) -> dict[str, Any]:
    # "path" and not "video": where old readers fill absent keys with null, templates take a null "video" for a clip.
    clip, text = {"type": "video", "path": sample.video}, {"type": "text", "text": _question(sample)}
    return {
        "prompt": [{"role": "user", "content": [clip, text]}],
        "completion": [{"role": "assistant", "content": [{"type": "text", "text": sample.answer}]}],
        **_key(sample),
        "answer": sample.answer,
        "frame_times_s": list(sample.frame_times_s),
    }


def _llamafactory(sample: Sample) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": "<video>" + _question(sample)},
            {"role": "assistant", "content": sample.answer},
        ],
        "videos": [sample.video],
        **_key(sample),
    }


def _ms_swift(sample: Sample) -> dict[str, Any]:
    # GRPO throws the assistant's message away and keeps a column of this name.
    return {**_llamafactory(sample), "solution": sample.answer}


def _easyr1(sample: Sample) -> dict[str, Any]:
    # A reward function is handed one column of the row, as text.
    return {
        "problem": "<video>" + _question(sample),
        "answer": sample.answer,
        "videos": [sample.video],
        "row": json_line({**_key(sample), "answer": sample.answer}).rstrip(),
    }


def dataset_info(made: Export) -> dict[str, Any]:
    """LLaMA-Factory's registration: a data set per file."""
    return {
        made.name(file): {
            "file_name": file.path.name,
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "videos": "videos"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
        for file in made.files
    }


_REWARD = """`index` with `split` finds the row in the data set again (`medvidbench_hf.builder.read_samples`), and
`tasks.score(sample, tasks.parse(sample, text)).value` is its score, 0 to 1, or None where only a judge can tell."""


def _set_trl(made: Export) -> str:
    rows = json.dumps(str(made.out / made.files[0].path.name), ensure_ascii=False)
    return f"""```python
rows = load_dataset("json", data_files={rows}, split="train")
```

SFT reads `prompt` and `completion`. GRPO reads `prompt` and hands every other column to the reward function:
`medvidbench_hf.rewards.reward_functions()` makes functions that read these. {_REWARD}

TRL itself (1.16) wires images only: it trains on the text of such rows and drops the clip without a word. It takes a
collator and a trainer that read the clip at `path`; frame k of the clip is at `frame_times_s[k]` seconds, and
`medvidbench_hf.video.model_inputs` makes what a processor is handed."""


def _set_llamafactory(made: Export) -> str:
    file = made.files[-1]
    return f"""```yaml
dataset_dir: {json.dumps(str(made.out), ensure_ascii=False)}
dataset: {made.name(file)}
video_fps: {file.fps}
video_maxlen: {max(2, file.most_frames)}
```

`cutoff_len` has to hold the frames besides the text. The same for the other files, each with its own fps."""


def _set_ms_swift(made: Export) -> str:
    file = made.files[-1]
    most = file.most_frames + file.most_frames % 2
    return f"""```
FPS={file.fps} FPS_MAX_FRAMES={most} swift sft --dataset {shlex.quote(str(made.out / file.path.name))} ...
```

`FPS` is read by the Qwen-VL models; others have settings of their own. For GRPO (`swift rlhf --rlhf_type grpo`) a
reward function is handed the columns `solution` (the answer text), `index`, `split` and `task`; a plugin of two lines,
`from medvidbench_hf.rewards import ms_swift` and `orms["medgrpo"] = ms_swift()`, makes one that reads these.
{_REWARD}"""


def _set_easyr1(made: Export) -> str:
    file = made.files[-1]
    rows = shlex.quote(f"data.train_files={made.out / file.path.name}")
    return f"""```
python3 -m verl.trainer.main config=examples/config.yaml {rows} \\
    data.video_fps={file.fps} data.prompt_key=problem data.video_key=videos data.answer_key=row \\
    data.format_prompt=null ...
```

A reward function gets the column of `data.answer_key` as `ground_truth`: `row` is JSON with `index`, `split`, `task`
and `answer`; `answer` is the text alone. `compute_score = easyr1()` in a file of one's own, after
`from medvidbench_hf.rewards import easyr1`, is a function that reads it. {_REWARD}

`data.max_prompt_length` has to hold the frames: longer rows are dropped by
`data.filter_overlong_prompts`. `data.val_files` takes the export of another split."""


#: name -> how that trainer wants its rows
FORMATS: dict[str, Format] = {
    "trl": Format("TRL", _trl, one_rate=False, least_frames=1, settings=_set_trl),
    "llamafactory": Format("LLaMA-Factory", _llamafactory, one_rate=True, least_frames=1, settings=_set_llamafactory),
    "ms-swift": Format("ms-swift", _ms_swift, one_rate=True, least_frames=2, settings=_set_ms_swift),
    "easyr1": Format("EasyR1", _easyr1, one_rate=True, least_frames=2, settings=_set_easyr1),
}
