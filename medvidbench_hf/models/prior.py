"""prior: the answer that the train split makes most likely, without a look at the video.

    next_action        the most frequent label
    tal                the typical span (median start and end, as shares of the clip), or the whole clip, or its halves
    stg                the typical box (median of each side, as a share of the canvas), or one in the middle, at every
                       requested time
    dense_captioning   the typical list of events (the median number, each with its median times), or equal parts of
                       the clip, with the most frequent caption
    skill, cvs         the median of each score
    captions           the most frequent caption

Where there are several candidates, the one with the best mean score on the train split is taken. Statistics are kept
for each question of a source (its label list and the wording's last sentence, numbers masked); where that was seen
too rarely, for its label list; then for the source, then for the task.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from statistics import median, median_low
from typing import Self

from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import (
    Box,
    Boxes,
    Canvas,
    InputError,
    Label,
    NamedScore,
    PublicSample,
    Sample,
    Scores,
    Segment,
    Segments,
    Span,
    Spans,
    Text,
    TimedBox,
    Truth,
)
from medvidbench_hf.tasks import TASKS, Parsed, Score, dense_captioning, stg, tal

SEEN_ENOUGH = 5  # rows
JUDGED_ON = 400  # rows that candidates are compared on, spread over all
_NUMBER = re.compile(r"\d+(?:\.\d+)?")

Key = tuple[str, ...]


class Prior:
    """Answers by the statistics of a train split; `Prior.fit(samples)`."""

    name = "prior"

    def __init__(self, answers: dict[Key, Truth]) -> None:
        self._answers = answers

    @classmethod
    def fit(cls, train: Iterable[Sample]) -> Self:
        """Raises InputError when no sample has a truth."""
        seen: dict[Key, list[Truth]] = defaultdict(list)
        for sample in train:
            if sample.truth is not None and getattr(sample.truth, fields(sample.truth)[0].name):
                truth = _relative(sample, sample.truth)
                for key in _keys(sample):
                    seen[key].append(truth)
        if not seen:
            raise InputError("the prior has nothing to learn from: the train split has no answers")
        enough = {key: truths for key, truths in seen.items() if len(truths) >= SEEN_ENOUGH or len(key) == 1}
        return cls({key: _typical(truths) for key, truths in enough.items()})

    def answers(self, samples: Iterable[PublicSample]) -> Iterator[Prediction]:
        for sample in samples:
            typical = next((self._answers[key] for key in _keys(sample) if key in self._answers), None)
            if isinstance(typical, Label) and sample.options and typical.label not in sample.options:
                typical = Label(sample.options[0])  # learned from another label list
            if typical is None:
                yield Prediction(sample.index, "", finish_reason="refusal")
                continue
            yield Prediction(sample.index, TASKS[sample.task].render(_absolute(sample, typical)))


def _keys(sample: PublicSample) -> tuple[Key, ...]:
    """Most particular first."""
    asked = _NUMBER.sub("#", sample.question.rpartition(". ")[2])
    listed = (sample.task, sample.source, sample.variant, *sample.options)
    return (*listed, asked), listed, (sample.task, sample.source), (sample.task,)


def _relative(sample: PublicSample, truth: Truth) -> Truth:
    """Times as shares of the clip, boxes as shares of the canvas."""
    length = sample.duration_s or 1.0
    match truth:
        case Spans(spans):
            return Spans(tuple(Span(s.start_s / length, s.end_s / length) for s in spans))
        case Segments(segments):
            return Segments(tuple(Segment(s.start_s / length, s.end_s / length, s.caption) for s in segments))
        case Boxes(boxes):
            return Boxes(
                tuple(TimedBox(0.0, _scaled(b.box, 1 / sample.canvas.width, 1 / sample.canvas.height)) for b in boxes)
            )
    return truth


def _absolute(sample: PublicSample, typical: Truth) -> Truth:
    """A typical answer, for this clip, canvas and these requested times."""
    length = sample.duration_s
    match typical:
        case Spans(spans):
            return Spans(tuple(Span(round(s.start_s * length, 1), round(s.end_s * length, 1)) for s in spans))
        case Segments(segments):
            return Segments(
                tuple(Segment(round(s.start_s * length, 1), round(s.end_s * length, 1), s.caption) for s in segments)
            )
        case Boxes(boxes):
            box = _scaled(boxes[0].box, sample.canvas.width, sample.canvas.height)
            rounded = Box(*(round(side, 2) for side in box))
            return Boxes(tuple(TimedBox(time, rounded) for time in sample.request_times_s))
    return typical


def _typical(truths: Sequence[Truth]) -> Truth:
    """The typical one of truths of one type."""
    match truths[0]:
        case Label():
            return Label(_frequent(t.label for t in truths if isinstance(t, Label)))
        case Text():
            return Text(_frequent(t.text for t in truths if isinstance(t, Text)))
        case Spans():
            spans = [s for t in truths if isinstance(t, Spans) for s in t.spans]
            middle = Span(median(s.start_s for s in spans), median(s.end_s for s in spans))
            candidates = [(middle,), *map(_equal_parts, (1, 2))]
            return _best([Spans(tuple(c)) for c in candidates], truths, tal.score)
        case Boxes():
            boxes = [b.box for t in truths if isinstance(t, Boxes) for b in t.boxes]
            middle_box = Box(*(median(sides) for sides in zip(*boxes, strict=True)))
            found = [middle_box, *(Box(0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half) for half in (0.15, 0.25, 0.35))]
            score = partial(stg.score, frame_interval_s=0.0, canvas=Canvas(1, 1))
            return _best([Boxes((TimedBox(0.0, box),)) for box in found], truths, score)
        case Scores():
            values: dict[str, list[int]] = {}
            for truth in truths:
                for name, value in truth.scores if isinstance(truth, Scores) else ():
                    values.setdefault(name, []).append(value)
            return Scores(tuple(NamedScore(name, median_low(seen)) for name, seen in values.items()))
        case Segments():
            lists = [t.segments for t in truths if isinstance(t, Segments)]
            caption = _frequent(s.caption for segments in lists for s in segments)
            count = median_low(len(segments) for segments in lists)
            ranks = zip(*(segments for segments in lists if len(segments) == count), strict=True)
            typical = [Span(median(s.start_s for s in rank), median(s.end_s for s in rank)) for rank in ranks]
            candidates = [typical, *map(_equal_parts, range(1, 9))]
            as_segments = [Segments(tuple(Segment(*span, caption) for span in spans)) for spans in candidates]
            return _best(as_segments, truths, dense_captioning.score)


def _best(candidates: Sequence[Truth], truths: Sequence[Truth], score: Callable[..., Score]) -> Truth:
    """The candidate with the best mean score; the truths are those of one task, times and boxes as shares."""
    step = -(-len(truths) // JUDGED_ON)
    some = sorted(truths, key=repr)[::step]  # the same ones whatever the order of the rows
    means = [sum(score(Parsed(c), truth).value or 0.0 for truth in some) for c in candidates]
    return candidates[means.index(max(means))]


def _equal_parts(n: int) -> list[Span]:
    """The clip cut into n spans, as shares of it."""
    return [Span(k / n, (k + 1) / n) for k in range(n)]


def _frequent(texts: Iterable[str]) -> str:
    """The most frequent text; the first in order among equals, so that the answer does not depend on row order."""
    counts = Counter(texts)
    return min(counts, key=lambda text: (-counts[text], text))


def _scaled(box: Box, x: float, y: float) -> Box:
    return Box(box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y)
