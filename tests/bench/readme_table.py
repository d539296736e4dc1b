"""Write the figures of measured.json into the documents that show them, each between two marks.

python -m tests.bench.readme_table
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import corruptions, rewards_study

ROOT = Path(__file__).parents[2]
JUDGE, REWARDS = "medvidbench_hf/judge/README.md", "medvidbench_hf/rewards/README.md"
EXAMPLE = ROOT / "tests/cases/rewards_example.py"

#: (document, mark) -> what stands there, from measured.json
BLOCKS: dict[tuple[str, str], Callable[[dict[str, Any]], str]] = {
    ("README.md", "measured"): lambda measured: table(measured),
    (JUDGE, "corruptions"): lambda measured: corruptions.tables(measured["corruptions"]["held_out"]),
    (JUDGE, "first look"): lambda measured: first_look(measured),
    (JUDGE, "still"): lambda measured: corruptions.tables(measured["corruptions"]["still"]),
    (REWARDS, "study"): lambda measured: rewards_study.tables(measured["rewards"]),
    (REWARDS, "gaming"): lambda measured: gamed(measured["judging"]["gaming"]),
    (REWARDS, "example"): lambda _: f"```python\n{EXAMPLE.read_text(encoding='utf-8').strip()}\n```",
}


def table(measured: dict[str, Any]) -> str:
    machine, text, clips = measured["machine"], measured["build_text"], measured["build_clips"]
    render, parse = measured["render"], measured["parse"]
    rows = [
        (
            f"build {text['rows']:,} text-only rows, each checked against its own answer",
            f"{text['seconds']:.0f} s, {text['peak_mb'] / 1000:.2f} GB at most, {text['disk_mb']} MB on disk",
        ),
        (
            f"build the default simulated benchmark, {clips['rows']:,} rows and {clips['clips']} clips",
            f"{clips['seconds']:.0f} s, {clips['disk_mb']} MB on disk",
        ),
        (
            "render 16 frames at 112 pixels, one thread",
            f"{min(render.values())} to {max(render.values())} ms by source",
        ),
        (
            f"read the slowest of {parse['replies']} hostile 64 kB replies",
            f"{parse['slowest_ms']:.0f} ms; at most {parse['growth_32_to_64_kb']:.1f} times as long as 32 kB",
        ),
    ]
    score, board = measured["score"], measured["board_parse"]
    rows += [
        (
            f"score {score['rows']:,} rows as the board does, seven rule columns",
            f"{score['leaderboard_s']:.2f} s; to embed {score['embedded_texts']} texts, {score['embedding_s']:.1f} s",
        ),
        ("score the same under strict, with intervals", f"{score['strict_s']:.2f} s"),
        ("check them before uploading", f"{score['check_s']:.1f} s"),
        (
            f"the board's parsers on {board['answers']} hostile 1 MB answers",
            f"{board['slowest_ms']} ms at most; at most {board['growth_500_to_1000_kb']:.1f} times as long as 500 kB",
        ),
    ]
    text, media = measured["release_text"], measured["release_clips"]
    clips, stream = measured["clips"], measured["streaming"]
    sizes = clips["clips"]
    rows += [
        (
            f"read the release's {text['rows']:,} test rows, text-only, 50 to 180 frames each",
            f"{text['seconds']:.0f} s, {text['peak_mb'] / 1000:.2f} GB at most",
        ),
        (
            f"build them with {media['clips']:,} clips of 8 to 16 small frames, copied bit for bit",
            f"{media['seconds']:.0f} s, {media['peak_mb'] / 1000:.2f} GB at most",
        ),
        (
            "frames ready for a model from an H.264 clip (180 frames of 854x480, to 448 pixels)",
            f"{clips['ready_to_decoded']:.2f} times as many a second as bare torchcodec decodes, "
            f"{clips['ready_to_pillow']:.1f} times as many as PIL opens and resizes from JPEG files",
        ),
        (
            "the same clip beside its JPEG files",
            ", ".join(
                f"{codec} {100 * sizes[codec]['of_jpegs']:.0f} % of the bytes at {sizes[codec]['psnr_db']:.0f} dB"
                for codec in ("h264", "av1")
            )
            + f"; copy {100 * sizes['copy']['of_jpegs']:.1f} %, bit for bit",
        ),
        (
            f"stream to the first decoded frame ({stream['rows']:,} rows, {stream['clips']:,} clips, local Hub stub)",
            f"{stream['first_s']:.2f} s and {stream['first_bytes'] / 1e6:.2f} MB, {stream['first_import_s']:.1f} s of "
            "imports apart",
        ),
    ]
    judging = measured["judging"]
    calls, ideal = judging["calls"], judging["of_ideal"]
    rows += [
        (
            f"judge at {' / '.join(ideal)} calls at a time, a server that takes {judging['latency_s']:.0f} s",
            " / ".join(f"{100 * share:.0f} %" for share in ideal.values()) + " of calls at a time / latency",
        ),
        (
            f"judge {calls['answers']} dense captions whose events match",
            f"{calls['made']} calls ({calls['unshared']} if no caption came twice), of "
            f"{calls['per_pair_and_threshold']} a pair and threshold; {calls['second_run']} in a second run",
        ),
        ("judge offline, word lists, one core", f"{judging['lexicon_pairs_per_s']:,} pairs/s"),
        ("normalise a million rewards of 20 pairs", f"{1000 * judging['normalise_1m_s']:.0f} ms"),
        ("reward a batch of 64 answers of tal and stg", f"{judging['reward_batch_ms']:.1f} ms"),
    ]
    lines = [f"| what | measured once on {machine['cores']} cores ({machine['cpu']}) |", "|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {figure} |" for what, figure in rows)])


def first_look(measured: dict[str, Any]) -> str:
    """What the first measurement on the closed items gave, beside the last."""
    parts = []
    for name, called in (("held_out", "The held-out half"), ("still", "the still images")):
        first, last = measured["first_look"][name], measured["corruptions"][name]["kinds"]
        now = {kind: {"n": k["n"], "right": k["right"]["lexicon"]["paraphrase"]} for kind, k in last.items()}
        a, b = (
            sum(k["n"] * k["right"] for k in kinds.values()) / sum(k["n"] for k in kinds.values())
            for kinds in (first, now)
        )
        worst = min(first, key=lambda kind: first[kind]["right"])
        parts.append(
            f"{called}: {a:.1%} at the first look (least {first[worst]['right']:.1%}, "
            f"{worst.replace('_', ' ')}), {b:.1%} now"
        )
    return "; ".join(parts) + "."


def gamed(figures: dict[str, dict[str, float]]) -> str:
    head = "| raw reward of | the row's own answer | another row's answer | the word list that pays best |"
    rows = (
        f"| {task} | {one['own']:.2f} | {one['another_rows_answer']:.2f} | {one['word_list']:.2f} |"
        for task, one in figures.items()
    )
    return "\n".join([head, "|---|---|---|---|", *rows])


def split(text: str, mark: str) -> tuple[str, str, str]:
    """A document before a block, in it and after it. Raises ValueError where it has no such block."""
    start, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    before, begun, rest = text.partition(start)
    inside, ended, after = rest.partition(end)
    if not (begun and ended):
        raise ValueError(f"no block {start} ... {end}")
    return before + start, inside.strip(), end + after


def main() -> None:
    measured = json.loads((ROOT / "tests/bench/measured.json").read_text())
    for (document, mark), make in BLOCKS.items():
        path = ROOT / document
        before, _, after = split(path.read_text(encoding="utf-8"), mark)
        path.write_text(f"{before}\n{make(measured)}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
