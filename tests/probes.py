"""Probes of the simulated benchmark: how far can one get without looking, and with one look?

    python tests/probes.py [videos]

Every probe is fitted on the train videos and scored on the test videos with the scorer of the package:

    constant      the one answer that is best on train; for tal over relative and absolute spans, one or two of them
    blind         the best answer per group of rows that share a part of the question or of the clip's description,
                  and nearest neighbours in all of it together; the best of all these attempts ON TEST counts
    single frame  an oracle that knows what one frame shows, how far its trace has grown and when it was taken, and
                  gives the best answer for that state; the best of five frames ON TEST counts

Choosing on test flatters the probes, which is the safe side.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise, permutations
from typing import Any, NamedTuple

import numpy as np

from medvidbench_hf.sample import (
    Box,
    Boxes,
    Label,
    NamedScore,
    Sample,
    Scores,
    Segment,
    Segments,
    Span,
    Spans,
    TimedBox,
)
from medvidbench_hf.sources import simulated
from medvidbench_hf.sources.simulated.traces import stage
from medvidbench_hf.tasks import Parsed, score

PLACES = {"first": 0.0, "early": 0.25, "middle": 0.5, "late": 0.75, "last": 1.0}  # frames of the single-frame oracle
LEAST_GROUP = 8  # train rows below which a group takes the answer for all
NEIGHBOURS = (1, 8, 32)


class Finding(NamedTuple):
    """A probe's value on the test rows of one source and task (or one criterion of it), 0..1."""

    source: str
    task: str
    probe: str
    how: str
    value: float
    n: int


def rows_of(videos: int) -> dict[tuple[str, str, str], list[Sample]]:
    """(source, task, "train" or "test") -> rows. Of two variants of a caption row one is kept: times are the same."""
    found: dict[tuple[str, str, str], list[Sample]] = {}
    for record in simulated.read(videos=videos, media=False).videos:
        if record.split == "validation":
            continue
        for row in simulated.clip_samples(simulated.simulate(record.source, record.clip_seed), record.split):
            if row.variant != "gemini":
                found.setdefault((row.source, row.task, row.split), []).append(row)
    return found


def run(videos: int = 1200, labelled: int = 14400) -> list[Finding]:
    """All probes, sorted by source and task.

    videos are shared out over four sources, 60% train and 25% test: 1200 gives 180 and 75 a source. Tasks with one
    short answer a video take `labelled` videos (2,160 and 900): a share of 75 test answers is only good to +-0.1.
    """
    findings: list[Finding] = []
    for count, tasks in ((videos, _TIMED), (labelled, _LABELLED)):
        rows = rows_of(count)
        for source, task, split in rows:
            if split == "train" and task in tasks:
                findings += tasks[task](rows[source, task, "train"], rows[source, task, "test"])
    return sorted(findings)


# --- what a blind model can know ---------------------------------------------------------------------------------


def _asked(row: Sample) -> str:
    """What the question is about: the label of a tal row, the object of an stg row."""
    words = row.question[-140:]
    names = row.options if row.task == "tal" else _OBJECTS
    return next((name for name in sorted(names, key=len, reverse=True) if name in words.rsplit(". ", 1)[-1]), "")


_OBJECTS = tuple({step.tool for world in simulated.WORLDS.values() for step in world.ring} | {"grasper", "left hand"})

#: Lookup keys: what a table of train rows could be sorted by.
_KEYS: dict[str, Callable[[Sample], Hashable]] = {
    "label": _asked,
    "fps": lambda r: r.fps,
    "frames": lambda r: len(r.frame_times_s),
    "time rule": lambda r: r.time_rule,
    "label, fps": lambda r: (_asked(r), r.fps),
    "fps, frames": lambda r: (r.fps, len(r.frame_times_s) // 4),
    "wording": lambda r: (r.question[:45], r.question[-20:]),
    "clip start": lambda r: (r.clip_start_s == 0, int(r.clip_start_s) % 7),
    "index": lambda r: r.index,
    "asked times": lambda r: (len(r.request_times_s), *(round(t / r.duration_s * 4) for t in r.request_times_s[:1])),
    "stride": lambda r: (r.fps, *(round(t - r.request_times_s[0]) for t in r.request_times_s[1:2])),
    "video number": lambda r: int(r.video_id.rsplit("_", 1)[-1]) % 16,
}


def _features(row: Sample) -> list[float]:
    """All of it as numbers, for nearest neighbours."""
    times = row.request_times_s or (0.0, 0.0)
    letters = Counter(row.question)
    names = row.options if row.task == "tal" else _OBJECTS
    return [
        *(3.0 * (_asked(row) == name) for name in names),
        row.fps, len(row.frame_times_s), row.duration_s, float(row.time_rule == "k / fps"), row.clip_start_s, row.index,
        len(times), times[0], times[-1], times[1] - times[0], len(row.question), letters["e"], letters["t"],
        int(row.video_id.rsplit("_", 1)[-1]),
    ]  # fmt: skip


def _nearest(train: Sequence[Sample], test: Sequence[Sample], k: int) -> np.ndarray:
    """Indices of the k nearest train rows of each test row, (n_test, k)."""
    a, b = np.array([_features(r) for r in train]), np.array([_features(r) for r in test])
    scale = np.where(a.std(0) > 0, a.std(0), 1.0)
    a, b = a / scale, b / scale
    distance = (a**2).sum(1)[None] - 2 * b @ a.T  # squared, less what all share of a test row
    return np.argsort(distance, axis=1)[:, :k]


def _attempts(
    train: Sequence[Sample],
    test: Sequence[Sample],
    fit: Callable[[np.ndarray], Any],
    answer: Callable[[int, Any], float],
    keys: dict[str, Callable[[Sample], Hashable]],
) -> list[tuple[str, float]]:
    """(how, mean test score) of each lookup and each number of neighbours.

    fit: indices of train rows -> their best answer. answer: (index of a test row, answer) -> score.
    """
    whole = fit(np.arange(len(train)))
    results = []
    for how, key in keys.items():
        groups: dict[Hashable, list[int]] = {}
        for i, row in enumerate(train):
            groups.setdefault(key(row), []).append(i)
        fitted = {g: fit(np.array(members)) for g, members in groups.items() if len(members) >= LEAST_GROUP}
        results.append((how, float(np.mean([answer(i, fitted.get(key(r), whole)) for i, r in enumerate(test)]))))
    for k in NEIGHBOURS:
        near = _nearest(train, test, k)
        results.append((f"{k} neighbours", float(np.mean([answer(i, fit(near[i])) for i in range(len(test))]))))
    return results


def _findings(task: str, test: Sequence[Sample], probe: str, results: Sequence[tuple[str, float]]) -> Finding:
    how, value = max(results, key=lambda item: item[1])
    return Finding(test[0].source, task, probe, how, value, len(test))


# --- tal ---------------------------------------------------------------------------------------------------------

_PAIRS = list(permutations(range(3), 2))


def _relative(row: Sample) -> np.ndarray:
    grid = np.linspace(0, 1, 17) * (row.frame_times_s[-1] + row.frame_interval_s)
    i, j = np.triu_indices(17, 1)
    return np.stack([grid[i], grid[j]], 1)


def _absolute(_: Sample) -> np.ndarray:
    grid = np.array([0, 1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 22, 26, 32, 40, 50, 64])
    i, j = np.triu_indices(17, 1)
    return np.stack([grid[i], grid[j]], 1)


def _around(row: Sample, time_s: float) -> np.ndarray:
    """Spans that begin and end some frames before or after a frame, inside the clip."""
    before, after = [24, 16, 12, 9, 7, 5.5, 4.5, 3.5, 2.5, 1.5, 1, 0.5, 0], [1, 1.5, 2, 3, 4, 5, 6, 8, 10, 13, 16, 24]
    steps = np.array([*(-b for b in before), *after])
    grid = np.clip(time_s + steps * row.frame_interval_s, 0, row.frame_times_s[-1] + row.frame_interval_s)
    i, j = np.triu_indices(len(steps), 1)
    return np.stack([grid[i], grid[j]], 1)


class _SpanTable:
    """IoU of candidate answers with the true spans, padded to three: (n_rows, n_candidates, 3)."""

    def __init__(self, rows: Sequence[Sample], candidates: Callable[[Sample], np.ndarray]) -> None:
        self.spans = [candidates(row) for row in rows]
        iou = []
        for row, spans in zip(rows, self.spans, strict=True):
            true = np.array(row.truth.spans)  # type: ignore[union-attr]
            overlap = np.minimum(spans[:, None, 1], true[None, :, 1]) - np.maximum(spans[:, None, 0], true[None, :, 0])
            overlap = np.clip(overlap, 0, None)
            union = (spans[:, 1] - spans[:, 0])[:, None] + (true[:, 1] - true[:, 0])[None] - overlap
            iou.append(np.pad(overlap / np.maximum(union, 1e-9), ((0, 0), (0, 3 - len(true)))))
        self.iou = np.array(iou, np.float32)
        self.n_true = np.array([len(row.truth.spans) for row in rows])  # type: ignore[union-attr]
        self.single = self.iou.max(2) / self.n_true[:, None]

    def fit(self, members: np.ndarray) -> tuple[int, ...]:
        """The candidate, or the two, with the best mean score over these rows."""
        mean = self.single[members].mean(0)
        best, answer = float(mean.max()), (int(mean.argmax()),)
        if (self.n_true[members] > 1).mean() < 0.05:
            return answer  # where one span is true, two answers score half
        iou, n = self.iou[members], np.maximum(self.n_true[members], 2)
        for first in np.argsort(-mean)[:12]:
            both = np.max([iou[:, first, i, None] + iou[:, :, j] for i, j in _PAIRS], axis=0) / n[:, None]
            if both.mean(0).max() > best:
                best, answer = float(both.mean(0).max()), (int(first), int(both.mean(0).argmax()))
        return answer


def _span_score(row: Sample, spans: np.ndarray) -> float:
    value = score(row, Parsed(Spans(tuple(Span(float(a), float(b)) for a, b in spans)))).value
    assert value is not None
    return value


def _tal(train: list[Sample], test: list[Sample]) -> list[Finding]:
    def candidates(row: Sample) -> np.ndarray:
        return np.concatenate([_relative(row), _absolute(row)])

    table, there = _SpanTable(train, candidates), [candidates(row) for row in test]

    def answer(i: int, chosen: tuple[int, ...]) -> float:
        return _span_score(test[i], there[i][list(chosen)])

    constant = [("best spans", float(np.mean([answer(i, table.fit(np.arange(len(train)))) for i in range(len(test))])))]
    blind = _attempts(train, test, table.fit, answer, _KEYS)
    single = [(place, _tal_single(train, test, share)) for place, share in PLACES.items()]
    return [
        _findings("tal", test, "constant", constant),
        _findings("tal", test, "blind", blind),
        _findings("tal", test, "single frame", single),
    ]


def _state(row: Sample, share: float) -> tuple[int | None, int, float]:
    """(index of the action shown, stage of its trace, time) at one frame; what one picture can tell at most."""
    clip = simulated.simulate(row.source, int(row.video_id.rsplit("_", 1)[-1]))
    time_s = clip.frame_times_s[round(share * (len(clip.frame_times_s) - 1))]
    action = clip.action_at(time_s)
    return (None, 0, time_s) if action is None else (action.step, stage(clip, action, time_s), time_s)


def _tal_single(train: list[Sample], test: list[Sample], share: float) -> float:
    """The oracle's answer depends on how far along the ring the asked label is from the one that is shown."""
    states = {id(row): _state(row, share) for row in (*train, *test)}

    def candidates(row: Sample) -> np.ndarray:
        return np.concatenate([_relative(row), _around(row, states[id(row)][2])])

    def key(row: Sample) -> Hashable:
        shown, grown, _ = states[id(row)]
        if shown is None:
            return None
        n = len(row.options)
        # Both directions look alike, so labels as far ahead and behind share their answer.
        ahead = (row.options.index(_asked(row)) - shown) % n
        return min(ahead, n - ahead), grown

    table, there = _SpanTable(train, candidates), [candidates(row) for row in test]
    groups: dict[Hashable, list[int]] = {}
    for i, row in enumerate(train):
        groups.setdefault(key(row), []).append(i)
    whole = table.fit(np.arange(len(train)))
    fitted = {g: table.fit(np.array(members)) for g, members in groups.items() if len(members) >= LEAST_GROUP}
    chosen = [fitted.get(key(row), whole) for row in test]
    return float(np.mean([_span_score(row, there[i][list(chosen[i])]) for i, row in enumerate(test)]))


# --- stg ---------------------------------------------------------------------------------------------------------


def _stg(train: list[Sample], test: list[Sample]) -> list[Finding]:
    width, height = train[0].canvas
    sizes = [(w, h) for w in np.geomspace(0.12, 1.0, 9) for h in np.geomspace(0.12, 1.0, 9)]
    middles = [(x, y) for x in np.linspace(0.1, 0.9, 9) for y in np.linspace(0.1, 0.9, 9)]
    grid = np.array([[x - w / 2, y - h / 2, x + w / 2, y + h / 2] for x, y in middles for w, h in sizes])
    grid = np.clip(grid, 0, 1) * (width, height, width, height)
    true = [np.array([b.box for b in row.truth.boxes]) for row in train]  # type: ignore[union-attr]
    # Copied answers compete too: the boxes of train rows, and their median.
    everything = np.concatenate(true)
    grid = np.concatenate([grid, [np.median(everything, 0)], everything[:: max(1, len(everything) // 300)]])
    table = np.array([_box_iou(grid, boxes).mean(1) for boxes in true])  # (n_train, n_candidates)

    def fit(members: np.ndarray) -> int:
        return int(table[members].mean(0).argmax())

    def answer(i: int, chosen: int) -> float:
        box = Box(*map(float, grid[chosen]))
        value = score(test[i], Parsed(Boxes(tuple(TimedBox(t, box) for t in test[i].request_times_s)))).value
        assert value is not None
        return value

    best = fit(np.arange(len(train)))
    constant = [("best box", float(np.mean([answer(i, best) for i in range(len(test))])))]
    return [
        _findings("stg", test, "constant", constant),
        _findings("stg", test, "blind", _attempts(train, test, fit, answer, _KEYS)),
    ]


def _box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(len(a), len(b)) from two lists of boxes."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b)]
    return overlap / np.maximum(areas[0][:, None] + areas[1][None] - overlap, 1e-9)


# --- labels and forms --------------------------------------------------------------------------------------------


def _next_action(train: list[Sample], test: list[Sample]) -> list[Finding]:
    labels = [row.truth.label for row in train]  # type: ignore[union-attr]

    def fit(members: np.ndarray) -> str:
        return Counter(labels[i] for i in members).most_common(1)[0][0]

    def answer(i: int, label: str) -> float:
        value = score(test[i], Parsed(Label(label))).value
        assert value is not None
        return value

    best = fit(np.arange(len(train)))
    single = []
    for place, share in PLACES.items():
        states = {id(row): _state(row, share) for row in (*train, *test)}
        keys: dict[str, Callable[[Sample], Hashable]] = {
            f"{place}: action": lambda r, s=states: s[id(r)][0],
            f"{place}: action, stage": lambda r, s=states: s[id(r)][:2],
            f"{place}: action, frames": lambda r, s=states: (s[id(r)][0], len(r.frame_times_s) // 4),
        }
        single += [item for item in _attempts(train, test, fit, answer, keys) if "neighbours" not in item[0]]
    constant = [(best, float(np.mean([answer(i, best) for i in range(len(test))])))]
    return [
        _findings("next_action", test, "constant", constant),
        _findings("next_action", test, "blind", _attempts(train, test, fit, answer, _KEYS)),
        _findings("next_action", test, "single frame", single),
    ]


def _form(train: list[Sample], test: list[Sample]) -> list[Finding]:
    """Each criterion of skill_assessment and cvs_assessment by itself, then the form as a whole."""
    task, findings = train[0].task, []
    names = [name for name, _ in train[0].truth.scores]  # type: ignore[union-attr]
    table = np.array([[value for _, value in row.truth.scores] for row in train])  # type: ignore[union-attr]
    for column, name in (*enumerate(names), (slice(None), "")):

        def fit(members: np.ndarray) -> tuple[int, ...]:
            return tuple(int(np.bincount(values).argmax()) for values in table[members].T)

        def answer(i: int, values: tuple[int, ...], column: Any = column, name: str = name) -> float:
            parts = score(test[i], Parsed(Scores(tuple(map(NamedScore, names, values))))).parts
            return parts[name or "accuracy"]

        best = fit(np.arange(len(train)))
        constant = [("most frequent", float(np.mean([answer(i, best) for i in range(len(test))])))]
        label = f"{task}: {name}" if name else task
        findings.append(_findings(label, test, "constant", constant))
        findings.append(_findings(label, test, "blind", _attempts(train, test, fit, answer, _KEYS)))
    return findings


# --- dense captioning --------------------------------------------------------------------------------------------


def _dense(train: list[Sample], test: list[Sample]) -> list[Finding]:
    """The clip cut into k equal events, for the best k; blind: k per group."""

    def cut(row: Sample, k: int) -> float:
        edges = np.linspace(0, row.frame_times_s[-1] + row.frame_interval_s, k + 1).tolist()
        value = score(row, Parsed(Segments(tuple(Segment(a, b, "") for a, b in pairwise(edges))))).value
        assert value is not None
        return value

    table = np.array([[cut(row, k) for k in range(1, 13)] for row in train])
    there = np.array([[cut(row, k) for k in range(1, 13)] for row in test])

    def fit(members: np.ndarray) -> int:
        return int(table[members].mean(0).argmax())

    best = fit(np.arange(len(train)))
    blind = _attempts(train, test, fit, lambda i, k: float(there[i, k]), _KEYS)
    return [
        _findings("dense_captioning", test, "constant", [(f"{best + 1} equal events", float(there[:, best].mean()))]),
        _findings("dense_captioning", test, "blind", blind),
    ]


_Probe = Callable[[list[Sample], list[Sample]], list[Finding]]
_TIMED: dict[str, _Probe] = {"tal": _tal, "stg": _stg, "dense_captioning": _dense}
_LABELLED: dict[str, _Probe] = {"next_action": _next_action, "cvs_assessment": _form, "skill_assessment": _form}


def table(findings: Sequence[Finding]) -> str:
    lines = [f"{'source':<22}{'task':<44}{'probe':<14}{'score':>6}  {'n':>5}  how"]
    for f in findings:
        lines.append(f"{f.source:<22}{f.task:<44}{f.probe:<14}{f.value:>6.3f}  {f.n:>5}  {f.how}")
    return "\n".join(lines)


def main() -> None:
    print(table(run(*(int(argument) for argument in sys.argv[1:2]))))


if __name__ == "__main__":
    main()
