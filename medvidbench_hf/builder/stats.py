"""What a data set holds: rows, videos, durations, rates, answer lengths, and videos that two splits share."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from medvidbench_hf.builder.dataset import address
from medvidbench_hf.sample import SPLITS, TASKS
from medvidbench_hf.sources.splits import leaks, recording

QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9, "max": 1.0}
_COLUMNS = (
    *("task", "variant", "source", "video_id", "fps", "frame_times_s", "clip_start_s", "clip_end_s", "video"),
    "answer",
)
_DURATION_EDGES_S = (0, 20, 60, 120, 180, 360, 600, 1200, 1800, float("inf"))
_WORD_EDGES = (0, 1, 6, 11, 21, 51, 101, 201, 401, float("inf"))


@dataclass(frozen=True)
class Stats:
    """Counts of a data set, all by split first.

    rows: task -> rows. sources: source -> rows. videos: recordings. clips: files, and how many of those on this
    machine are not at their place. text_only: rows without a clip. duration_s, frames: of clips, or of the seconds
    that text-only rows are about, by quantile. fps: rate -> rows. answer_words: task -> quantile -> words. durations,
    words: histograms for the picture. leaks: recordings that several splits share -> those splits.
    """

    data: str
    rows: dict[str, dict[str, int]]
    sources: dict[str, dict[str, int]]
    videos: dict[str, int]
    clips: dict[str, int]
    clips_not_there: dict[str, int]
    text_only: dict[str, int]
    duration_s: dict[str, dict[str, float]]
    frames: dict[str, dict[str, float]]
    fps: dict[str, dict[str, int]]
    answer_words: dict[str, dict[str, dict[str, float]]]
    durations: dict[str, dict[str, int]]
    words: dict[str, dict[str, int]]
    leaks: dict[str, list[str]]


def stats(data: str | Path) -> Stats:
    """Count a built folder, or a data set on the Hub. InputError where there is none."""
    splits = datasets.load_dataset(address(data), "all")
    found: dict[str, Any] = {name: {} for name in Stats.__dataclass_fields__}
    videos: dict[str, list[tuple[str, str]]] = {}
    for split in (name for name in SPLITS if name in splits):
        rows = splits[split].cast_column("video", datasets.Video(decode=False)).select_columns(list(_COLUMNS))
        tally = _tally(rows)
        videos[split] = tally.pop("pairs")
        for name, value in tally.items():
            found[name][split] = value
    return Stats(**{**found, "data": str(data), "leaks": leaks(videos)})


def _tally(rows: Any) -> dict[str, Any]:
    """One split's counts."""
    tasks, sources, fps, durations, word_counts = (Counter[str]() for _ in range(5))
    words: dict[str, list[int]] = defaultdict(list)
    clips: dict[Any, tuple[float, int]] = {}
    pairs: set[tuple[str, str]] = set()
    files: set[str] = set()
    text_only = 0
    for batch in rows.with_format("arrow").iter(1000):
        for row in batch.to_pylist():
            tasks[row["task"]] += 1
            sources[row["source"]] += 1
            fps[f"{row['fps']:g}"] += 1
            pairs.add((row["source"], row["video_id"]))
            path = row["video"] and row["video"]["path"]
            text_only += not path
            files.update([path] if path else [])
            duration_s = row["clip_end_s"] - row["clip_start_s"]
            # Text-only rows about the same seconds of a video are about one clip.
            key = path or (row["source"], row["video_id"], row["clip_start_s"], row["clip_end_s"], row["fps"])
            clips.setdefault(key, (duration_s, len(row["frame_times_s"])))
            if row["answer"] is not None:
                words[row["task"]].append(len(row["answer"].split()))
                word_counts[_bin(words[row["task"]][-1], _WORD_EDGES, whole=True)] += 1
    for duration_s, _ in clips.values():
        durations[_bin(duration_s, _DURATION_EDGES_S)] += 1
    return {
        "rows": {task: tasks[task] for task in TASKS if task in tasks},
        "sources": dict(sorted(sources.items())),
        "videos": len({recording(*pair) for pair in pairs}),
        "clips": len(files),
        "clips_not_there": sum("://" not in file and not Path(file).is_file() for file in files),
        "text_only": text_only,
        "duration_s": _quantiles([duration_s for duration_s, _ in clips.values()]),
        "frames": _quantiles([n for _, n in clips.values()]),
        "fps": dict(sorted(fps.items(), key=lambda item: float(item[0]))),
        "answer_words": {task: _quantiles(words[task]) for task in TASKS if task in words},
        "durations": dict(durations),
        "words": dict(word_counts),
        "pairs": sorted(pairs),
    }


def _quantiles(values: list[Any]) -> dict[str, float]:
    if not values:
        return {}
    return {name: round(float(np.quantile(values, share)), 2) for name, share in QUANTILES.items()}


def _bin(value: float, edges: tuple[float, ...], whole: bool = False) -> str:
    """ "60-120" of 75; "6-10" of 8 words; the last bin has no end."""
    k = max(k for k, edge in enumerate(edges[:-1]) if value >= edge or k == 0)
    low, high = edges[k], edges[k + 1]
    if high == float("inf"):
        return f"{low:g}+"
    high -= 1 if whole else 0
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


# --- picture ---------------------------------------------------------------------------------------------------

_COLOURS = {"train": "#4c78a8", "validation": "#e8a33d", "test": "#59a14f"}
_WIDTH_PX, _PANEL_PX, _ROW_PX, _LABEL_PX = 960, 470, 15, 150


def picture(found: Stats) -> str:
    """The same as an SVG: panels of bars, the share of each split's rows (of its clips for durations)."""
    order = [_bin(edge, _DURATION_EDGES_S) for edge in _DURATION_EDGES_S[:-1]]
    word_order = [_bin(edge, _WORD_EDGES, whole=True) for edge in _WORD_EDGES[:-1]]
    rates = sorted({rate for by_rate in found.fps.values() for rate in by_rate}, key=float)
    names = sorted({name for by_source in found.sources.values() for name in by_source})
    panels = [
        _panel("rows by task", [task for task in TASKS if any(task in n for n in found.rows.values())], found.rows),
        _panel("rows by source", names, found.sources),
        _panel("clip duration, seconds", order, found.durations),
        _panel("sampling rate, frames a second", rates, found.fps),
        _panel("answer length, words", word_order, found.words),
    ]
    left_px, right_px = 40, 40
    placed = []
    for body, height_px in panels:
        on_left = left_px <= right_px
        x, y = (0, left_px) if on_left else (_PANEL_PX + 20, right_px)
        placed.append(f'<g transform="translate({x},{y})">{body}</g>')
        if on_left:
            left_px += height_px
        else:
            right_px += height_px
    legend = "".join(
        f'<rect x="{20 + 320 * k}" y="10" width="12" height="12" fill="{_COLOURS[split]}"/>'
        f'<text x="{38 + 320 * k}" y="21">{split}: {sum(counts.values()):,} rows, {found.videos[split]:,} videos</text>'
        for k, (split, counts) in enumerate(found.rows.items())
    )
    height = max(left_px, right_px) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_PX}" height="{height}" '
        f'viewBox="0 0 {_WIDTH_PX} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{legend}{"".join(placed)}</svg>\n'
    )


def _panel(title: str, labels: list[str], counts: dict[str, dict[str, int]]) -> tuple[str, int]:
    """(SVG, its height): a group of bars a label, one a split, as shares of the split."""
    shares = {
        split: {label: n.get(label, 0) / max(1, sum(n.values())) for label in labels} for split, n in counts.items()
    }
    highest = max([0.01, *(share for by_label in shares.values() for share in by_label.values())])
    bar_px = _ROW_PX / max(1, len(shares)) if len(shares) > 1 else _ROW_PX - 4
    parts = [f'<text x="10" y="14" font-weight="bold">{escape(title)}</text>']
    for row, label in enumerate(labels):
        y = 22 + row * (_ROW_PX + 5)
        parts.append(f'<text x="{_LABEL_PX - 6}" y="{y + 11}" text-anchor="end">{escape(label)}</text>')
        for k, split in enumerate(shares):
            share = shares[split][label]
            width = share / highest * (_PANEL_PX - _LABEL_PX - 60)
            about = f"{escape(label)}, {split}: {counts[split].get(label, 0):,}"
            parts.append(
                f'<rect x="{_LABEL_PX}" y="{y + k * bar_px:.1f}" width="{width:.1f}" height="{bar_px - 1:.1f}" '
                f'fill="{_COLOURS[split]}"><title>{about}</title></rect>'
            )
        most = max(shares[split][label] for split in shares)
        at = _LABEL_PX + most / highest * (_PANEL_PX - _LABEL_PX - 60) + 4
        parts.append(f'<text x="{at:.1f}" y="{y + 11}" fill="#555" font-size="10">{100 * most:.0f} %</text>')
    return "".join(parts), 22 + len(labels) * (_ROW_PX + 5) + 18
