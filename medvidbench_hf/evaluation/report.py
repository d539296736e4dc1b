"""report.json and a self-contained report.html: tables, and each task's worst cases as one can see them.

A case shows the clip's frames, with true boxes in green and predicted ones in orange, or both on a timeline. Text-only
data, or an install without the `video` extra, gives the same page without frames.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medvidbench_hf import __version__, tasks
from medvidbench_hf.evaluation.answered import read_answered
from medvidbench_hf.evaluation.score import COLUMNS, Report
from medvidbench_hf.sample import Box, Boxes, InputError, Sample, Segments, Spans, Truth
from medvidbench_hf.whole_file import write_json, write_text

CAPTIONS = ("video_summary", "region_caption")
JUDGES = {"llm": "judged", "lexicon": "lexicon"}  # measure -> what a case calls it
LEXICON_HEAD = ("column", "score", "95 % interval", "prior", "n")
WORST_PER_TASK = 3
FRAMES_PER_CASE = 6
FRAME_HEIGHT_PX = 256  # twice what the page shows, for sharp screens
GREEN, ORANGE, BLUE = (26, 160, 90), (235, 110, 30), (60, 130, 246)


def write_report(run: str | Path, report: Report, out: str | Path | None = None) -> Path:
    """Write report.json and report.html into `out` (a run's own folder by default); the page's path.

    report: of `score_run`, strict or both. The cases are those of `strict`; the board's numbers stand beside its own.
    """
    if out is None and not Path(run).is_dir():
        raise InputError(f"{run} is a file: say with --out which folder the report goes to")
    out = Path(out or run)
    out.mkdir(parents=True, exist_ok=True)
    both = report if "strict" in report else {"strict": report}
    if both["strict"].get("protocol") != "strict":
        raise InputError("the page needs the strict report: score with protocol strict or both")
    strict = both["strict"]
    answered = read_answered(run, None if strict["split"] is None else strict["data"], strict["split"])
    page = _page(strict, {s.index: s for s in answered.samples}, answered.texts, both.get("leaderboard"))
    write_json(out / "report.json", report)
    write_text(out / "report.html", page)
    return out / "report.html"


def _page(report: Report, samples: dict[int, Sample], texts: dict[int, Any], board: Report | None) -> str:
    css = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    model = report["model"] or "answers"
    sections = [_columns_table(report), _sources_table(report), _board_section(board) if board else ""]
    for task in report["by_task"]:
        sections.append(_task_section(task, report, samples, texts))
    simulated = all(source.startswith("Simulated") for source in report["by_source"])
    warning = " The data is simulated: no number here says anything about medical ability." if simulated else ""
    notes = "".join(f'<p class="lead">{escape(note)}</p>\n' for note in report["notes"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(model)} on MedVidBench</title><style>
{css}</style></head><body>
<h1>{escape(model)}</h1>
<p class="lead">MedVidBench, {escape(split_name(report))}, protocol <b>{report["protocol"]}</b>: every row counts, what cannot be read is wrong.{warning}</p>
{notes}{"".join(sections)}
<footer>Made by medvidbench_hf {__version__}. Green is true, orange is predicted, blue is the region asked about.</footer>
</body></html>
"""


def split_name(report: Mapping[str, Any]) -> str:
    """Which rows a report is about."""
    return "the file's own rows" if report["split"] is None else f"{report['split']} split"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], strong: int | None = None) -> str:
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>"
        + "".join(f"<td{' class=value' if k == strong else ''}>{escape(cell)}</td>" for k, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def column_rows(report: Report, counts: Sequence[str]) -> list[tuple[str, ...]]:
    """The ten columns as text: name, score, interval, the prior's score, and the named counts."""
    baseline = (report["baseline"] or {}).get("metrics") or {}
    rows = []
    for column in COLUMNS:
        shown = (
            column,
            number(report["metrics"][column]),
            _interval(report["ci"][column]),
            number(baseline.get(column)),
        )
        rows.append((*shown, *(str(report["n"][column][name]) for name in counts)))
    return rows


def _columns_table(report: Report) -> str:
    rows = column_rows(report, ("rows", "answered", "parsed", "skipped", "truncated"))
    head = ("column", "score", "95 % interval", "prior", "n", "answered", "parsed", "skipped", "truncated")
    unjudged = any(n["rows"] and report["metrics"][column] is None for column, n in report["n"].items())
    note = "<p class=soft>*_llm columns need a judge; their rows are skipped, not scored 0.</p>" if unjudged else ""
    if report["judge"] and not report["lexicon"]:
        judge = report["judge"]
        note += (
            f"<p class=soft>*_llm columns: {escape(judge['name'])}, rubric {escape(judge['rubric'])}, "
            f"{judge['pairs']} pairs, {len(judge['failed'])} failed.</p>"
        )
    return f"<h2>The ten columns</h2>{_table(head, rows, strong=1)}{note}{_lexicon_table(report)}"


def lexicon_rows(report: Report) -> list[tuple[str, ...]]:
    """The offline judge's columns as text: name, score, interval, the prior's score, rows; none where it was not asked."""
    found = report["lexicon"] or {"metrics": {}}
    baseline = (report["baseline"] or {}).get("lexicon") or {}
    return [
        (
            column,
            number(value),
            _interval(found["ci"][column]),
            number(baseline.get(column)),
            str(found["n"][column]["rows"]),
        )
        for column, value in found["metrics"].items()
    ]


def _lexicon_table(report: Report) -> str:
    """Apart from the ten."""
    rows = lexicon_rows(report)
    if not rows:
        return ""
    note = "<p class=soft>1 to 5, from word lists, offline. Not a language model's judgement, and no *_llm column.</p>"
    return f"<h3>The lexicon judge</h3>{_table(LEXICON_HEAD, rows, strong=1)}{note}"


def _interval(ends: Sequence[float] | None) -> str:
    return "–" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def _board_section(report: Report) -> str:
    """The same answers as the board scores them, and what moved its numbers."""
    rows = column_rows(report, ("rows", "parsed", "skipped"))
    head = ("column", "score", "95 % interval", "prior", "n", "parsed", "skipped")
    findings = "".join(f"<li>{escape(finding)}</li>" for finding in report["findings"])
    moved = f"<p>What moved its numbers:</p><ul>{findings}</ul>" if findings else ""
    return f"<h2>As the board would score it</h2>{_table(head, rows, strong=1)}{moved}"


def _sources_table(report: Report) -> str:
    used = [c for c in COLUMNS if any(report["by_source"][s][c] is not None for s in report["by_source"])]
    rows = [(source, *(number(columns[c]) for c in used)) for source, columns in report["by_source"].items()]
    return f"<h2>By source</h2>{_table(('source', *used), rows)}"


def _task_section(task: str, report: Report, samples: dict[int, Sample], texts: dict[int, Any]) -> str:
    measures = report["by_task"][task]
    single = [(name, number(value)) for name, value in measures.items() if isinstance(value, float)]
    tables = _table([name for name, _ in single], [[value for _, value in single]]) if single else ""
    if "per_class" in measures:
        labels = [(label, number(value)) for label, value in measures["per_class"].items()]
        tables += f"<details><summary>By true label</summary>{_table(('label', 'accuracy'), labels)}</details>"
    if "majority_answer" in measures:
        tables += "<p class=soft>majority_answer: what the best constant answer would score on these very rows.</p>"
    cases = "".join(
        _case(row, samples[row["index"]], texts.get(row["index"], "")) for row in worst(report["per_sample"], task)
    )
    return f"<h2>{task}</h2>{tables}{cases}"


def worst(rows: Sequence[dict[str, Any]], task: str, n: int = WORST_PER_TASK) -> list[dict[str, Any]]:
    """The lowest-scoring rows of a task, one a video, from as many sources as there are."""
    ranked = sorted(
        (r for r in rows if r["task"] == task),
        key=lambda r: (r["score"] is not None, _worth(r), r["index"]),
    )
    chosen: list[dict[str, Any]] = []
    while len(chosen) < n:
        videos = {(r["source"], r["video_id"]) for r in chosen}
        left = [r for r in ranked if (r["source"], r["video_id"]) not in videos]
        if not left:
            break
        seen = [r["source"] for r in chosen]
        chosen.append(min(left, key=lambda r: seen.count(r["source"])))
    return chosen


def _worth(row: dict[str, Any]) -> float:
    """What cases are ordered by: the score, or the lexicon's where there is none."""
    return row["parts"].get("lexicon", 0.0) if row["score"] is None else row["score"]


def _said(row: dict[str, Any]) -> str:
    """A case's score as text. A caption's is its judge's; dense captions have a temporal score besides."""
    told = [] if row["score"] is None or row["task"] in CAPTIONS else [f"score {row['score']:.3f}"]
    told += [f"{name} {row['parts'][part]:.2f} of 5" for part, name in JUDGES.items() if part in row["parts"]]
    return ", ".join(told) or "to be judged"


def _case(row: dict[str, Any], sample: Sample, answer: Any) -> str:
    text = answer if isinstance(answer, str) else ""
    true = sample.answer or ""
    if sample.task == "stg":  # one box a line
        true, shown = (answer.replace("] ", "]\n") for answer in (true, text))
    else:
        shown = text
    said = tasks.parse(sample, text).value
    issues = f"<p class=issues>{escape('; '.join(row['issues']))}</p>" if row["issues"] else ""
    return f"""<div class=case><h3>{escape(sample.source)} · {escape(sample.video_id)} · row {sample.index}<span>{_said(row)}</span></h3>
<p class=question>{escape(sample.question)}</p>
{_frames(sample, said)}{_timeline(sample, said)}
<div class=answers><div class=k>true</div><div class=true>{escape(true)}</div>
<div class=k>answered</div><div class=said>{escape(shown[:2000]) or "(nothing)"}</div></div>{issues}</div>"""


# --- frames ----------------------------------------------------------------------------------------------------


def _frames(sample: Sample, said: Truth | None) -> str:
    """A row of frames: at the requested times with boxes, or spread over the clip."""
    if sample.video is None:
        return ""
    from medvidbench_hf.video import draw_boxes, frames_at, need_decoder

    if not Path(sample.video).is_file():
        return f"<p class=issues>No clip at {escape(sample.video)}: was the data moved? medvidbench data relocate</p>"
    try:
        need_decoder()
    except InputError as error:
        return f"<p class=issues>No frames: {escape(str(error))}</p>"
    times = _times_to_show(sample)
    frames = frames_at(sample.video, times)
    figures = []
    for time_s, frame in zip(times, frames, strict=True):
        width_px = max(1, round(FRAME_HEIGHT_PX * frame.shape[1] / frame.shape[0]))
        picture = np.asarray(Image.fromarray(frame).resize((width_px, FRAME_HEIGHT_PX), Image.Resampling.BICUBIC))
        picture = draw_boxes(picture, _boxes_at(sample, said, time_s), sample.canvas, width_px=4)
        figures.append(
            f'<figure><img alt="" src="{_data_uri(picture)}"><figcaption>{time_s:.1f} s</figcaption></figure>'
        )
    return f"<div class=frames>{''.join(figures)}</div>"


def _times_to_show(sample: Sample) -> list[float]:
    if sample.request_times_s:
        return list(sample.request_times_s[:FRAMES_PER_CASE])
    times = list(dict.fromkeys(sample.frame_times_s))
    picked = [times[round(k * (len(times) - 1) / (FRAMES_PER_CASE - 1))] for k in range(FRAMES_PER_CASE)]
    if sample.region:
        picked[0] = sample.region.time_s
    return sorted(dict.fromkeys(picked))


def _boxes_at(sample: Sample, said: Truth | None, time_s: float) -> list[tuple[Box, tuple[int, int, int]]]:
    near = sample.frame_interval_s / 2 + 1e-6
    boxes = []
    if sample.region and abs(sample.region.time_s - time_s) < near:
        boxes.append((sample.region.box, BLUE))
    for truth, colour in ((sample.truth, GREEN), (said, ORANGE)):
        if isinstance(truth, Boxes):
            boxes += [(item.box, colour) for item in truth.boxes if abs(item.time_s - time_s) < near]
    return boxes


def _data_uri(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


# --- timelines -------------------------------------------------------------------------------------------------


def _timeline(sample: Sample, said: Truth | None) -> str:
    """True and predicted spans over the clip, as SVG."""
    if not isinstance(sample.truth, Spans | Segments):
        return ""
    length = max([sample.duration_s, sample.frame_times_s[-1], *(end for _, end in _intervals(sample.truth))]) or 1.0
    left, width = 64, 960
    shapes = []
    for y, name, truth, colour in ((4, "true", sample.truth, "#1a7f4b"), (28, "answered", said, "#c2410c")):
        shapes.append(
            f'<text x="0" y="{y + 13}">{name}</text><rect x="{left}" y="{y}" width="{width}" height="18" fill="#e6ebf0"/>'
        )
        for start, end in _intervals(truth):
            x1, x2 = (left + width * min(max(t / length, 0.0), 1.0) for t in (start, end))
            title = f"<title>{start:.1f}-{end:.1f} s</title>"
            shapes.append(
                f'<rect x="{x1:.1f}" y="{y}" width="{max(2.0, x2 - x1):.1f}" height="18" fill="{colour}" stroke="#fff" rx="2">{title}</rect>'
            )
    ticks = "".join(
        f'<text x="{left + width * k / 4:.0f}" y="62" text-anchor="middle">{length * k / 4:.0f} s</text>'
        for k in range(5)
    )
    return f'<svg viewBox="0 0 {left + width + 20} 68" role="img">{"".join(shapes)}{ticks}</svg>'


def _intervals(truth: Truth | None) -> list[tuple[float, float]]:
    match truth:
        case Spans(items) | Segments(items):
            return [(item.start_s, item.end_s) for item in items]
    return []
