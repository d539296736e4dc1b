"""The figures of `compare` as a picture."""

from __future__ import annotations

from html import escape
from math import log2
from pathlib import Path
from typing import Any

import numpy as np

from medvidbench_hf.rewards.compare import METHODS, SHIFTS
from medvidbench_hf.rewards.normalise import SCALES
from medvidbench_hf.whole_file import write_text

_WIDTH_PX, _PANEL_PX, _ROW_PX, _LABEL_PX = 1000, 480, 24, 84
_GRID, _GREY = "#dddddd", "#555555"
_SCALE_COLOURS = {"none": "#4c78a8", "batch": "#e8a33d", "group": "#59a14f"}
_COLOURS = ("#9c755f", "#4c78a8", "#e8a33d", "#59a14f", "#b07aa1", "#e15759")  # of METHODS, and of the costs


def plot(result: dict[str, Any], path: str | Path) -> None:
    """Draw the figures of `compare` into an SVG file. InputError where it cannot be written."""
    methods, best = result["methods"], result["recommendation"]
    ratios = {m: {s: methods[m][s]["easy_hard"] for s in SCALES} for m in METHODS}
    widest = {m: {s: methods[m][s]["max_min"] for s in SCALES} for m in METHODS}
    outliers = {m: {s: 100.0 * methods[m][s]["outliers"] for s in SCALES} for m in METHODS}
    left = [
        _dots("mean |advantage|, easy : hard pair", ratios, log=True),
        _dots("mean |advantage|, largest : smallest over all pairs", widest, log=True),
        _dots("change of the others when 5 % are outliers, %", outliers, log=False),
    ]
    right = [_lines(methods), _costs(best["costs"])]
    medians = {
        name: f"{result[name]} (median {result['pairs'][result[name]]['median']:.2f})" for name in ("easy", "hard")
    }
    head = (
        f'<text x="20" y="24" font-size="15" font-weight="bold">{result["n"]:,} rewards of '
        f"{len(result['pairs'])} pairs; easy {escape(medians['easy'])}, hard {escape(medians['hard'])}</text>"
    )
    for k, (scale, colour) in enumerate(_SCALE_COLOURS.items()):
        head += f'<circle cx="{27 + 160 * k}" cy="42" r="5" fill="{colour}"/>'
        head += f'<text x="{38 + 160 * k}" y="46">scale_rewards={scale}</text>'
    parts, heights = [head], []
    for column, panels in enumerate((left, right)):
        y = 62
        for body, height in panels:
            parts.append(f'<g transform="translate({20 + column * (_PANEL_PX + 10)},{y})">{body}</g>')
            y += height
        heights.append(y)
    height = max(heights) + 44
    said, _, rest = f"By the rule: {best['method']} under scale_rewards={best['scale']}; {best['why']}.".rpartition(
        "; "
    )
    for k, line in enumerate((said, rest)):
        weight = ' font-weight="bold"' if k == 0 else f' fill="{_GREY}"'
        parts.append(f'<text x="20" y="{height - 30 + 17 * k}"{weight}>{escape(line)}</text>')
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH_PX}" height="{height}" '
        f'viewBox="0 0 {_WIDTH_PX} {height}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )
    write_text(Path(path), svg)


def _dots(title: str, values: dict[str, dict[str, float | None]], log: bool) -> tuple[str, int]:
    """(SVG, its height): a row a method, a dot a scale_rewards."""
    shown = [value for row in values.values() for value in row.values() if value]
    low, high = (min([0.66, *shown]), max([1.55, *shown])) if log else (0.0, max([1.0, *shown]))
    width = _PANEL_PX - _LABEL_PX - 30

    def x_of(value: float) -> float:
        share = log2(value / low) / log2(high / low) if log else value / high
        return _LABEL_PX + 8 + share * (width - 16)

    bottom = 26 + _ROW_PX * len(values)
    parts = [f'<text y="14" font-weight="bold">{escape(title)}</text>']
    for tick in _ticks(low, high, log):
        x, dark = x_of(tick), log and tick == 1.0
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="24" y2="{bottom}" stroke="{_GREY if dark else _GRID}"/>'
            f'<text x="{x:.1f}" y="{bottom + 13}" text-anchor="middle" font-size="10" fill="{_GREY}">{tick:g}</text>'
        )
    for row, (method, by_scale) in enumerate(values.items()):
        y = 26 + _ROW_PX * (row + 0.5)
        name = "none (raw)" if method == "none" else method
        parts.append(f'<text x="{_LABEL_PX - 6}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
        for k, (scale, value) in enumerate(by_scale.items()):
            if value is not None and (value > 0 or not log):
                parts.append(
                    f'<circle cx="{x_of(value):.1f}" cy="{y + 6 * (k - 1):.1f}" r="4" fill="{_SCALE_COLOURS[scale]}">'
                    f"<title>{method}, {scale}: {value:.3g}</title></circle>"
                )
    return "".join(parts), bottom + 32


def _lines(methods: dict[str, Any]) -> tuple[str, int]:
    """(SVG, its height): mean |advantage| under scale_rewards none while the model improves; like curves are one."""
    curves: dict[str, list[float]] = {}
    for method in METHODS:
        drift = methods[method]["none"]["drift"]
        curve = [1.0, *(drift[f"{shift:g}"]["mean_abs"] for shift in SHIFTS)]
        twin = next((name for name, other in curves.items() if np.allclose(curve, other, atol=0.01)), None)
        curves[f"{twin}, {method}" if twin else method] = curves.pop(twin) if twin else curve
    top, bottom, left, right = 30, 210, 40, _PANEL_PX - 130
    highest = max(1.1, *(max(curve) for curve in curves.values()))
    xs = [left + shift / SHIFTS[-1] * (right - left) for shift in (0.0, *SHIFTS)]
    parts = ['<text y="14" font-weight="bold">mean |advantage| while the model improves, scale_rewards=none</text>']
    for tick in _ticks(0.0, highest, False):
        y = bottom - tick / highest * (bottom - top)
        parts.append(
            f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end" font-size="10" fill="{_GREY}">{tick:g}</text>'
        )
    for x, shift in zip(xs, (0.0, *SHIFTS), strict=True):
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle" font-size="10" fill="{_GREY}">{shift:g}</text>'
        )
    where = "how far each raw reward has gone to the top; 1 = at no shift"
    parts.append(f'<text x="{left}" y="{bottom + 29}" font-size="10" fill="{_GREY}">{where}</text>')
    label_y = -1e9
    for name, curve in sorted(curves.items(), key=lambda item: -item[1][-1]):
        colour = _COLOURS[METHODS.index(name.split(", ")[0])]
        ys = [bottom - value / highest * (bottom - top) for value in curve]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        label_y = max(label_y + 14, ys[-1] + 4)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<text x="{right + 6}" y="{label_y:.1f}" fill="{colour}">{name}</text>'
        )
    return "".join(parts), bottom + 46


def _costs(costs: list[dict[str, Any]]) -> tuple[str, int]:
    """(SVG, its height): a stacked bar a combination."""
    names = [name for name in costs[0] if name not in ("method", "scale", "sum")]
    left, row_px, top = 110, 15, 40
    width = _PANEL_PX - left - 60
    most = max(cost["sum"] for cost in costs) or 1.0
    parts = ['<text y="14" font-weight="bold">sum of costs of each combination</text>']
    for k, name in enumerate(names):
        parts.append(f'<rect x="{78 * k}" y="23" width="10" height="10" fill="{_COLOURS[k]}"/>')
        parts.append(f'<text x="{78 * k + 14}" y="32" font-size="11">{name}</text>')
    for row, cost in enumerate(costs):
        y, x = top + row * row_px, float(left)
        bold = ' font-weight="bold"' if row == 0 else ""
        parts.append(
            f'<text x="{left - 6}" y="{y + 11}" text-anchor="end" font-size="11"{bold}>{cost["method"]}, '
            f"{cost['scale']}</text>"
        )
        for k, name in enumerate(names):
            part_px = cost[name] / most * width
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 1}" width="{part_px:.1f}" height="{row_px - 3}" fill="{_COLOURS[k]}">'
                f"<title>{name}: {cost[name]:.3f}</title></rect>"
            )
            x += part_px
        parts.append(f'<text x="{x + 5:.1f}" y="{y + 11}" font-size="10" fill="{_GREY}">{cost["sum"]:.2f}</text>')
    return "".join(parts), top + row_px * len(costs) + 10


def _ticks(low: float, high: float, log: bool) -> list[float]:
    if log:
        ticks = [step * 10.0**power for power in range(-6, 7) for step in (1, 1.5, 2, 3, 5, 7)]
        found = [tick for tick in ticks if low <= tick <= high]
        return found if len(found) < 9 else [tick for tick in found if str(tick).strip("0.") == "1"]
    step = next(s for p in range(-3, 300) for s in (10.0**p, 2 * 10.0**p, 5 * 10.0**p) if high / s <= 6)
    return [step * k for k in range(int(high / step) + 1)]
