"""One row of MedVidBench: what is asked about a clip, and what is true of it.

`PublicSample` is the question: everything a model may see. `Sample` adds the answer side. Models are handed
`sample.public()`, whose type has no field that could leak.

Units and frames: times are clip-local seconds (t = 0 at the clip's first frame) except `clip_start_s` and
`clip_end_s`, which are seconds of the source video; boxes are `(x1, y1, x2, y2)` in pixels of `canvas`, whatever
the size of the stored frames. The key of a row is `(split, index)`; `id` is the release's own id and repeats.

    >>> sample.truth
    Spans(spans=(Span(start_s=22.0, end_s=78.0),))
    >>> Sample.from_row(sample.to_row()) == sample
    True
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from datasets import Features

SPLITS = ("train", "validation", "test")
VARIANTS = ("", "gpt", "gemini")  # who wrote the reference caption; "" for every task that has no captions
DOMAINS = ("laparoscopic", "open", "robotic", "endoscopic", "nursing")

#: task -> granularity of the question (release documentation)
TASKS = {
    "tal": "segment",
    "stg": "frame",
    "next_action": "video",
    "dense_captioning": "segment",
    "video_summary": "video",
    "region_caption": "segment",
    "skill_assessment": "video",
    "cvs_assessment": "video",
}


LONGEST_SIDE_PX = 1_000_000


class InputError(ValueError):
    """The input is broken: one line that names the file, the row and the field, and the way out."""


class Box(NamedTuple):
    """A box in canvas pixels; (x1, y1) is the upper left corner."""

    x1: float
    y1: float
    x2: float
    y2: float


class Canvas(NamedTuple):
    """The frame in which the boxes of a row are measured, in pixels."""

    width: int
    height: int


class Region(NamedTuple):
    """The box a region question points at, and when."""

    time_s: float
    box: Box


class Span(NamedTuple):
    start_s: float
    end_s: float


class TimedBox(NamedTuple):
    time_s: float
    box: Box


class Segment(NamedTuple):
    start_s: float
    end_s: float
    caption: str


class NamedScore(NamedTuple):
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Spans:
    """Truth of tal."""

    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        _check_times("spans", self.spans)


@dataclass(frozen=True, slots=True)
class Boxes:
    """Truth of stg: one box at each requested time."""

    boxes: tuple[TimedBox, ...]

    def __post_init__(self) -> None:
        for time_s, box in self.boxes:
            if not (isfinite(time_s) and len(box) == 4 and all(map(isfinite, box))):
                raise InputError(f"truth.boxes: a time or coordinate is not a finite number: {time_s} {box}")


@dataclass(frozen=True, slots=True)
class Segments:
    """Truth of dense_captioning."""

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        _check_times("segments", self.segments)


@dataclass(frozen=True, slots=True)
class Label:
    """Truth of next_action."""

    label: str


@dataclass(frozen=True, slots=True)
class Scores:
    """Truth of skill_assessment and cvs_assessment, in the order of the form."""

    scores: tuple[NamedScore, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Truth of video_summary and region_caption."""

    text: str


Truth = Spans | Boxes | Segments | Label | Scores | Text

#: task -> the type of its truth; each type has one field, which is also its name in the Arrow struct
TRUTHS: dict[str, type[Truth]] = {
    "tal": Spans,
    "stg": Boxes,
    "next_action": Label,
    "dense_captioning": Segments,
    "video_summary": Text,
    "region_caption": Text,
    "skill_assessment": Scores,
    "cvs_assessment": Scores,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSample:
    """The question side of a row: what a model sees."""

    index: int  # position in its split, over all tasks: the key
    split: str
    id: str  # the release's id; repeats, so it is never a key
    task: str
    variant: str = ""
    source: str
    domain: str
    video_id: str
    question: str  # without the release's <video> token: how a model is shown the clip is the model's affair
    options: tuple[str, ...] = ()  # the closed label list, when the question has one
    region: Region | None = None  # region_caption only
    request_times_s: tuple[float, ...] = ()  # stg only: the times asked for
    fps: float  # sampling rate of the frame list
    frame_times_s: tuple[float, ...]  # (n_frames,) true time of each frame; may repeat and may have holes
    time_rule: str  # how frame_times_s was derived
    canvas: Canvas
    clip_start_s: float  # of the source video
    clip_end_s: float  # of the source video
    video: str | None = None  # path or hf:// address of the clip; None in text-only data
    licence: str
    extra: str = "{}"  # JSON object: input-side fields without a home

    def __post_init__(self) -> None:
        _check_question(self)

    @property
    def granularity(self) -> str:
        return TASKS[self.task]

    @property
    def frame_interval_s(self) -> float:
        return 1.0 / self.fps

    @property
    def duration_s(self) -> float:
        return self.clip_end_s - self.clip_start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(PublicSample):
    """A row with its answer side. The last three fields are None on a split without answers."""

    answer: str | None = None  # the reference text, as the release writes it
    truth: Truth | None = None
    answer_extra: str | None = None  # JSON object: answer-side fields without a home

    def __post_init__(self) -> None:
        _check_question(self)
        if self.truth is not None and type(self.truth) is not TRUTHS[self.task]:
            raise _error(self, "truth", f"{type(self.truth).__name__}, expected {TRUTHS[self.task].__name__}")
        if self.answer_extra is not None:
            _check_json(self, "answer_extra", self.answer_extra)

    def public(self) -> PublicSample:
        """The same row without its answer, as a type that has no field for one."""
        return PublicSample(**{name: getattr(self, name) for name in _QUESTION_FIELDS})

    def to_row(self) -> dict[str, Any]:
        """The row as `features()` types it; `from_row` is its inverse."""
        row: dict[str, Any] = {name: getattr(self, name) for name in _QUESTION_FIELDS}
        row["granularity"] = self.granularity
        row["options"] = list(self.options)
        row["request_times_s"] = list(self.request_times_s)
        row["frame_times_s"] = list(self.frame_times_s)
        row["region"] = self.region and {"time_s": self.region.time_s, "box": list(self.region.box)}
        row["canvas"] = self.canvas._asdict()
        row["video"] = None if self.video is None else {"bytes": None, "path": self.video}
        row["answer"] = self.answer
        row["truth"] = self.truth and _truth_to_struct(self.truth)
        row["answer_extra"] = self.answer_extra
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Build from a row of `load_dataset` (the `video` column decoded or not) or of `to_row`.

        Raises InputError when a column is missing or a value does not fit, naming row and field.
        """
        where = f"{row.get('split', '?')}[{row.get('index', '?')}]"
        missing = [name for name in _COLUMNS if name not in row]
        if missing:
            raise InputError(f"{where} has no column {', '.join(missing)}: is this a MedVidBench table?")
        values = {name: row[name] for name in _QUESTION_FIELDS}
        task = row["task"]
        if not isinstance(task, str) or task not in TASKS:
            raise InputError(f"{where} field task: unknown task {task!r}; known: {', '.join(TASKS)}")
        try:
            for name in ("options", "request_times_s", "frame_times_s"):
                values[name] = tuple(row[name] or ())
            region, canvas, truth = row["region"], row["canvas"], row["truth"]
            values["region"] = region and Region(region["time_s"], Box(*region["box"]))
            values["canvas"] = Canvas(canvas["width"], canvas["height"])
            values["video"] = _video_path(row["video"])
            return cls(
                **values,
                answer=row["answer"],
                truth=None if truth is None else _truth_from_struct(task, truth, where),
                answer_extra=row["answer_extra"],
            )
        except (TypeError, KeyError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{where} has a value of a wrong type ({error}): see medvidbench_hf.sample.features"
            ) from None


_QUESTION_FIELDS = tuple(field.name for field in fields(PublicSample))
_COLUMNS = (*_QUESTION_FIELDS, "answer", "truth", "answer_extra")


def features() -> Features:
    """The one `datasets.Features` of every config."""
    from datasets import Features, List, Value, Video

    text, number, integer = Value("string"), Value("float64"), Value("int64")
    return Features(
        {
            "index": integer,
            "split": text,
            "id": text,
            "task": text,
            "variant": text,
            "granularity": text,
            "source": text,
            "domain": text,
            "video_id": text,
            "question": text,
            "options": List(text),
            "region": {"time_s": number, "box": List(number)},
            "request_times_s": List(number),
            "fps": number,
            "frame_times_s": List(number),
            "time_rule": text,
            "canvas": {"width": integer, "height": integer},
            "clip_start_s": number,
            "clip_end_s": number,
            "video": Video(),
            "licence": text,
            "extra": text,
            "answer": text,
            "truth": {
                "spans": List({"start_s": number, "end_s": number}),
                "boxes": List({"time_s": number, "box": List(number)}),
                "segments": List({"start_s": number, "end_s": number, "caption": text}),
                "label": text,
                "scores": List({"name": text, "value": integer}),
                "text": text,
            },
            "answer_extra": text,
        }
    )


_NO_TRUTH = dict.fromkeys(("spans", "boxes", "segments", "label", "scores", "text"))


def _truth_to_struct(truth: Truth) -> dict[str, Any]:
    match truth:
        case Boxes(boxes):
            value: Any = [{"time_s": b.time_s, "box": list(b.box)} for b in boxes]
        case Spans(items) | Segments(items) | Scores(items):
            value = [item._asdict() for item in items]
        case Label(text) | Text(text):
            value = text
    return {**_NO_TRUTH, fields(truth)[0].name: value}


def _truth_from_struct(task: str, struct: Mapping[str, Any], where: str) -> Truth:
    kind = TRUTHS[task]
    field = fields(kind)[0].name
    value = struct[field]
    if value is None:
        raise InputError(f"{where} field truth.{field}: empty, but a {task} row needs it")
    if kind is Spans:
        return Spans(tuple(Span(**item) for item in value))
    if kind is Boxes:
        return Boxes(tuple(TimedBox(item["time_s"], Box(*item["box"])) for item in value))
    if kind is Segments:
        return Segments(tuple(Segment(**item) for item in value))
    if kind is Scores:
        return Scores(tuple(NamedScore(**item) for item in value))
    return kind(value)


def _video_path(value: Any) -> str | None:
    """The clip's path from a `Video()` cell: None, a path, `{"path", "bytes"}` or a decoder made by datasets."""
    if value is None or isinstance(value, str):
        return value
    encoded = value if isinstance(value, Mapping) else value._hf_encoded
    return encoded["path"]


def _error(sample: PublicSample, field: str, problem: str) -> InputError:
    return InputError(f"{sample.split}[{sample.index}] (id {sample.id!r}) field {field}: {problem}")


def _check_question(s: PublicSample) -> None:
    closed = (("split", SPLITS), ("task", TASKS), ("variant", VARIANTS), ("domain", DOMAINS))
    for field, allowed in closed:
        if getattr(s, field) not in allowed:
            raise _error(s, field, f"{getattr(s, field)!r}, expected one of {', '.join(map(repr, allowed))}")
    if s.index < 0:
        raise _error(s, "index", f"{s.index} is negative")
    for field in ("source", "video_id", "question", "time_rule", "licence"):
        if not getattr(s, field):
            raise _error(s, field, "empty")
    if not (isfinite(s.fps) and s.fps > 0):
        raise _error(s, "fps", f"{s.fps} is not a positive number")
    if not s.frame_times_s:
        raise _error(s, "frame_times_s", "empty: a clip has at least one frame")
    if not all(map(isfinite, s.frame_times_s)):
        raise _error(s, "frame_times_s", "holds a value that is not a finite number")
    if any(later < earlier for earlier, later in pairwise(s.frame_times_s)):
        raise _error(s, "frame_times_s", "runs backwards")
    if not all(0 < side <= LONGEST_SIDE_PX for side in s.canvas):
        raise _error(s, "canvas", f"{s.canvas.width}x{s.canvas.height} is not a size in pixels")
    if not (isfinite(s.clip_start_s) and isfinite(s.clip_end_s) and s.clip_start_s <= s.clip_end_s):
        raise _error(s, "clip_end_s", f"{s.clip_end_s} is not at or after clip_start_s {s.clip_start_s}")
    if s.region is not None:
        if s.task != "region_caption":
            raise _error(s, "region", f"a {s.task} row has no region")
        if not (len(s.region.box) == 4 and all(map(isfinite, (s.region.time_s, *s.region.box)))):
            raise _error(s, "region", f"{s.region} is not a time and four finite numbers")
    if s.request_times_s:
        if s.task != "stg":
            raise _error(s, "request_times_s", f"a {s.task} row requests no times")
        if not all(map(isfinite, s.request_times_s)):
            raise _error(s, "request_times_s", "holds a value that is not a finite number")
    _check_json(s, "extra", s.extra)


def _check_json(sample: PublicSample, field: str, text: str) -> None:
    if text == "{}":
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _error(sample, field, f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise _error(sample, field, f"a JSON {type(value).__name__}, expected an object")


def _check_times(name: str, items: Iterable[Span | Segment]) -> None:
    for item in items:
        if not (isfinite(item.start_s) and isfinite(item.end_s) and item.start_s <= item.end_s):
            raise InputError(f"truth.{name}: {item.start_s}-{item.end_s} s is not a time span")
