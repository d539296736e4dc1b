"""What is wrong with the form of single answers: what the board's parser makes of a text against what the text says.

`find` knows no truth. What a text says is read by our own parsers in `tasks`, which take what models write; where the
board's parser takes something else, the answer is misread. A wrong but well-formed answer is none of its business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import isfinite, isnan

from medvidbench_hf import tasks
from medvidbench_hf.leaderboard import cvs_assessment, dense_captioning, next_action, skill_assessment, stg, tal
from medvidbench_hf.leaderboard.records import CVS_COMPONENTS
from medvidbench_hf.leaderboard.submission import faults
from medvidbench_hf.leaderboard.submission.files import Entry
from medvidbench_hf.leaderboard.submission.findings import Fault
from medvidbench_hf.sample import PublicSample
from medvidbench_hf.tasks.answer import MAX_CHARS, fold
from medvidbench_hf.tasks.skill_assessment import ASPECTS

_REFUSAL = re.compile(
    r"\W{0,5}(?:"
    r"(?:i['’]?m|i am|we['’]?re|we are)\s(?:very |so |really )?sorry\b|sorry\b|i apologi[sz]e\b|as an ai\b"
    r"|(?:unfortunately,?\s)?(?:i|we)(?:['’]m|['’]re|\sam|\sare)?\s?"
    r"(?:cannot|can['’]?t|can not|could not|couldn['’]t|unable|not able|won['’]t|will not|must decline)\b"
    r")",
    re.IGNORECASE,
)
_LONGEST_REFUSAL = 200  # "I cannot see everything, but ..." goes on
_FORMS = {
    "stg": re.compile(r"\d++(?:\.\d++)? seconds: \["),
    "cvs_assessment": re.compile(r"Two structures: \d, Cystic plate: \d"),
    "skill_assessment": re.compile(r"Respect for tissue: \d/5, "),
    "dense_captioning": re.compile(r"\d++(?:\.\d++)?-\d++(?:\.\d++)? seconds: \w"),
    "tal": re.compile(r"\d++(?:\.\d++)?-\d++(?:\.\d++)?(?:, [\d.-]++){0,99} seconds\.?\s*+\Z"),
}
_SURROGATE = re.compile("[\ud800-\udfff]")


def find(sample: PublicSample, entry: Entry) -> Iterator[Fault]:
    """Every fault in the form of a row's answer."""
    text, task = entry.prediction, sample.task
    if entry.finish_reason == "error":
        yield faults.REFUSED[task]
        return
    if not isinstance(text, str):
        yield faults.NOT_TEXT[task]
        return
    if not text.strip():
        yield (faults.REFUSED if entry.finish_reason == "refusal" else faults.EMPTY)[task]
        return
    found = list(_READERS[task](sample, text)) if task in _READERS else []
    unread = task not in faults.UNREAD or faults.UNREAD[task] in found
    if unread and form_of(text) not in (None, task):
        yield faults.OTHER_FORM
        return
    if entry.finish_reason == "refusal" or (unread and len(text) <= _LONGEST_REFUSAL and _REFUSAL.match(text)):
        yield faults.REFUSED[task]
        return
    if "<think" in text or "</think" in text:
        yield faults.REASONING
    if task in faults.NOT_UNICODE and _SURROGATE.search(text):
        yield faults.NOT_UNICODE[task]
    if entry.finish_reason == "length" or _is_cut(task, text):
        yield faults.CUT_OFF
    yield from found


def form_of(text: str) -> str | None:
    """The task whose form an answer has from its first character on, as the release writes it."""
    return next((task for task, form in _FORMS.items() if form.match(text)), None)


# --- cut off ---------------------------------------------------------------------------------------------------

_OPENING = re.compile(r"\s*+(?:```[a-z]{0,10}\s*+)?[\[{]")
_TAL_CUT = re.compile(r"(?:[-,]|,\s*+\d++(?:\.\d*+)?)\Z")
_STG_CUT = re.compile(r"\d++(?:\.\d*+)?(?:\s++s?e?c?o?n?d?s?)?:?\Z")
_DVC_CUT = re.compile(r"\n\s*+\d++(?:\.\d*+)?(?:-(?:\d++(?:\.\d*+)?)?)?(?:\s++s?e?c?o?n?d?s?)?:?\Z")


def _is_cut(task: str, text: str) -> bool:
    text = text.rstrip()
    if _OPENING.match(text) and (text.count("[") > text.count("]") or text.count("{") > text.count("}")):
        return True
    tail = text[-80:]
    match task:
        case "tal":
            return _TAL_CUT.search(tail) is not None
        case "stg":
            return text.rfind("[") > text.rfind("]") or _STG_CUT.search(text[text.rfind("]") + 1 :][-80:]) is not None
        case "dense_captioning":
            return _DVC_CUT.search(tail) is not None
        case "cvs_assessment":
            return _is_half(tail, "Two structures: ", "Cystic plate: ", "Hepatocystic triangle: ")
        case "skill_assessment":
            return "/5" in text and _is_half(tail, *(f"{name}: {n}/5" for name in ASPECTS for n in range(1, 6)))
    return False


def _is_half(tail: str, *wholes: str) -> bool:
    """Whether a text ends in the beginning of an entry, at the end of a list of them."""
    last = tail.rpartition(",")[2].strip()
    return len(last) > 1 and any(len(last) < len(whole) and whole.startswith(last) for whole in wholes)


# --- tal -------------------------------------------------------------------------------------------------------

_FAR = 3  # clip lengths: a number pair beyond, among spans before, is no time ("2019-2021")
_CLOCK = re.compile(r"\d:[0-5]\d(?!\d)")


def _tal(sample: PublicSample, text: str) -> Iterator[Fault]:
    said, last_s = tal.parse(text), _last_s(sample)
    if not said:
        yield faults.UNREAD["tal"]
        return
    if len(text) <= MAX_CHARS:
        meant = tasks.tal.parse(text).value
        wanted = {(round(s.start_s, 2), round(s.end_s, 2)) for s in meant.spans} if meant else set()
        read = {(round(min(pair), 2), round(max(pair), 2)) for pair in said}
        ends = [end for _, end in read]
        if read != wanted and _CLOCK.search(text):
            yield faults.TAL_CLOCK
        elif read - wanted or min(ends) <= _FAR * last_s < max(ends):
            yield faults.TAL_STRAY
        elif wanted - read:
            yield faults.TAL_UNSEEN
    if any(end < start for start, end in said):
        yield faults.TAL_REVERSED
    if any(end == start for start, end in said):
        yield faults.NO_LENGTH
    if any(min(pair) > last_s for pair in said):
        yield faults.BEYOND_CLIP


def _last_s(sample: PublicSample) -> float:
    """The last moment that an answer may name, a frame's length to spare, in clip-local seconds."""
    return max(sample.frame_times_s[-1], sample.duration_s) + sample.frame_interval_s


# --- stg -------------------------------------------------------------------------------------------------------

_BOX = re.compile(r"seconds:\s*+\[([^\]]*+)\]")


def asked(sample: PublicSample) -> list[str]:
    """The times of the question as the board looks them up."""
    return [f"{time_s:.1f}" for time_s in sample.request_times_s]


def used_boxes(sample: PublicSample, said: dict[str, list[float]]) -> list[list[float]]:
    """The boxes that the board uses: at the times asked for, or all where these are not known."""
    if not sample.request_times_s:
        return list(said.values())
    return [said[key] for key in dict.fromkeys(asked(sample)) if key in said]


def _stg(sample: PublicSample, text: str) -> Iterator[Fault]:
    said = stg.parse(text, asked(sample))
    if not said:
        yield faults.UNREAD["stg"]
        return
    yield from _stg_times(sample, said)
    inner = _BOX.findall(text[: text.rfind("]") + 1])
    if any(inside.count(",") != 3 or not all(map(_is_number, inside.split(","))) for inside in inner):
        yield faults.STG_BAD_BOX
    boxes = used_boxes(sample, said)
    if not all(isfinite(v) for box in boxes for v in box):
        yield faults.STG_NAN if any(isnan((x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in boxes) else faults.STG_INFINITE
        return
    if any(x2 < x1 or y2 < y1 for x1, y1, x2, y2 in boxes):
        yield faults.STG_REVERSED
    if any(x2 == x1 or y2 == y1 for x1, y1, x2, y2 in boxes):
        yield faults.STG_FLAT
    boxes = [box for box in boxes if any(box)]
    if boxes and all(0 <= v <= 1 for box in boxes for v in box):
        yield faults.STG_UNIT
    if any(_is_off(box, sample) for box in boxes):
        yield faults.STG_OUTSIDE
    elif any(excess(box, sample) > 0.02 for box in boxes):
        yield faults.STG_PARTLY


def _stg_times(sample: PublicSample, said: dict[str, list[float]]) -> Iterator[Fault]:
    wanted = asked(sample)
    missing = [key for key in wanted if key not in said]
    if not missing:
        return
    times = [float(key) for key in said]
    if any(0 < abs(time - near) < 0.1 for time in times for near in map(float, missing)):
        yield faults.STG_DECIMALS
    elif len(missing) == len(wanted):
        yield faults.STG_NO_TIME
    elif wanted[0] in missing:
        yield faults.STG_FIRST_TIME
    else:
        yield faults.STG_TIMES


def _is_off(box: Sequence[float], sample: PublicSample) -> bool:
    """Whether no part of a box lies on the canvas."""
    (x1, y1, x2, y2), (width, height) = box, sample.canvas
    return min(x1, x2) >= width or min(y1, y2) >= height or max(x1, x2) <= 0 or max(y1, y2) <= 0


def excess(box: Sequence[float], sample: PublicSample) -> float:
    """How far a box reaches over the canvas, as a share of its side."""
    (x1, y1, x2, y2), (width, height) = box, sample.canvas
    return max(-min(x1, x2) / width, max(x1, x2) / width - 1, -min(y1, y2) / height, max(y1, y2) / height - 1)


def _is_number(text: str) -> bool:
    try:
        float(text.strip().lstrip("[").rstrip("]"))
    except ValueError:
        return False
    return True


# --- dense_captioning ------------------------------------------------------------------------------------------

_SENTENCE_END = ".!?\"')]…"


def _dense_captioning(sample: PublicSample, text: str) -> Iterator[Fault]:
    said = dense_captioning.parse(text)
    if not said:
        yield faults.UNREAD["dense_captioning"]
        return
    if any(not isfinite(time * sample.fps) for event in said for time in event[:2]):
        yield faults.DVC_TOO_LARGE
        return
    if len(text) <= MAX_CHARS:
        meant = tasks.dense_captioning.parse(text).value
        if meant and len({segment[:2] for segment in meant.segments}) > len(said):
            yield faults.DVC_COLLAPSED
    if any(event.start_s == event.end_s for event in said):
        yield faults.NO_LENGTH
    ordered = sorted((event.start_s, event.end_s) for event in said)
    if any(b[0] < a[1] for a, b in pairwise(ordered)):
        yield faults.DVC_OVERLAP
    if any(min(event.start_s, event.end_s) > _last_s(sample) for event in said):
        yield faults.BEYOND_CLIP
    *others, last = [event.caption.rstrip()[-1:] for event in said]
    if len(others) >= 2 and last.isalnum() and all(end and end in _SENTENCE_END for end in others):
        yield faults.CUT_CAPTION


# --- forms -----------------------------------------------------------------------------------------------------

_FRACTION = re.compile(r":\s*+\d++\.\d")


def _form(task: str, text: str) -> dict[str, int] | None:
    """What the board reads of a form, names in lower case; None where its code fails."""
    try:
        if task == "cvs_assessment":
            return {CVS_COMPONENTS[key]: value for key, value in cvs_assessment.parse(text).items()}
        found = skill_assessment.parse(text)
    except ValueError:
        return None
    return {name.lower(): found[name] for name in ASPECTS if name in found}


def _forms(sample: PublicSample, text: str) -> Iterator[Fault]:
    task = tasks.TASKS[sample.task]
    names = task.CRITERIA if sample.task == "cvs_assessment" else task.ASPECTS
    read = _form(sample.task, text)
    meant = task.parse(text).value
    wanted = {name.lower(): value for name, value in meant.scores} if meant else {}
    if read is None:
        yield faults.HUGE_NUMBER
        return
    if not read:
        yield faults.UNREAD[sample.task]
        return
    if len(read) < len(names):
        yield (faults.UNSEEN_PARTS if len(wanted) > len(read) else faults.PARTIAL)[sample.task]
    if any(not task.LOWEST <= value <= task.HIGHEST for value in read.values()):
        yield faults.OUT_OF_RANGE
    elif any(wanted.get(name, value) != value for name, value in read.items()) or _FRACTION.search(text):
        yield faults.OTHER_SCORE


# --- next_action -----------------------------------------------------------------------------------------------


def _labels(sample: PublicSample) -> tuple[str, ...]:
    """The board's labels for the question; where its list is open, those of the question."""
    return next_action.board_labels(sample.source, sample.question) or sample.options


def _next_action(sample: PublicSample, text: str) -> Iterator[Fault]:
    labels = _labels(sample)
    said = next_action.normal(sample.source, text)
    if not labels or said in labels or said in sample.options:
        return
    meant = tasks.next_action.parse(text, labels).value
    yield faults.NAP_SPELLING if meant and fold(meant.label) in map(fold, labels) else faults.NAP_NO_LABEL


_READERS: dict[str, Callable[[PublicSample, str], Iterator[Fault]]] = {
    "tal": _tal,
    "stg": _stg,
    "dense_captioning": _dense_captioning,
    "cvs_assessment": _forms,
    "skill_assessment": _forms,
    "next_action": _next_action,
}
