"""Files of the official forms, made by us: the release's task mix, its shapes and its traps, none of its rows."""

from __future__ import annotations

import random
from typing import Any

from medvidbench_hf.leaderboard.next_action import vocabularies
from medvidbench_hf.tasks.skill_assessment import ASPECTS

#: rows of the test split by qa_type (the release's documentation); 6,245 together
COUNTS = {
    "tal": 1637,
    "stg": 780,
    "dense_captioning_gpt": 751,
    "dense_captioning_gemini": 728,
    "next_action": 670,
    "cvs_assessment": 648,
    "video_summary_gpt": 263,
    "video_summary_gemini": 302,
    "region_caption_gpt": 138,
    "region_caption_gemini": 168,
    "skill_assessment": 160,
}
SOURCES = {
    "tal": ("AVOS", "CholecT50", "CoPESD", "EgoSurgery", "NurViD"),
    "stg": ("CholecTrack20", "CoPESD", "EgoSurgery"),
    "next_action": ("AVOS", "CholecT50", "CoPESD", "NurViD", "EgoSurgery"),
    "dense_captioning": ("AVOS", "CholecT50", "CoPESD", "EgoSurgery", "NurViD"),
    "cvs_assessment": ("Cholec80_CVS",),
    "skill_assessment": ("JIGSAWS",),
    "video_summary": ("CholecT50", "CoPESD"),
    "region_caption": ("CholecTrack20", "EgoSurgery"),
}
PHASES = ("closing", "design", "dissection", "hemostasis", "incision", "irrigation")
WORDS = (
    "the",
    "grasper",
    "lifts",
    "tissue",
    "while",
    "a",
    "hook",
    "cuts",
    "along",
    "its",
    "edge",
    "and",
    "smoke",
    "is",
    "drawn",
    "off",
)


def merged(seed: int = 0, share: float = 1.0, sloppy: float = 0.05) -> dict[str, dict[str, Any]]:
    """The merged form, shuffled. share: of the official counts; sloppy: of answers that are not in the right form."""
    rng = random.Random(seed)
    kinds = [kind for kind, n in COUNTS.items() for _ in range(max(1, round(n * share)))]
    rng.shuffle(kinds)
    return {str(index): record(rng, kind, sloppy) for index, kind in enumerate(kinds)}


def record(rng: random.Random, kind: str, sloppy: float) -> dict[str, Any]:
    task = kind.removesuffix("_gpt").removesuffix("_gemini")
    source = rng.choice(SOURCES[task])
    question, info, gnd = {
        "tal": _tal,
        "stg": _stg,
        "dense_captioning": _dense,
        "next_action": _next,
        "cvs_assessment": _cvs,
        "skill_assessment": _skill,
        "video_summary": _caption,
        "region_caption": _caption,
    }[task](rng, source)
    answer = _jitter(rng, task, gnd)
    if rng.random() < sloppy:
        answer = rng.choice((answer.replace("-", " – "), f"Sure! {answer}", answer.replace(", ", "\n"), "no idea", ""))
    return {
        "metadata": {
            "video_id": f"{source.lower()}{rng.randrange(40):02d}",
            "fps": rng.choice(("0.5", "0.5", "0.5", "1.0", "1.0", "2.0", "0.1")),
            "input_video_start_frame": "0",
            "input_video_end_frame": "180",
        },
        "qa_type": kind,
        "struc_info": info,
        "question": question,
        "gnd": gnd,
        "answer": answer,
        "data_source": source,
    }


def _spans(rng: random.Random, n: int) -> list[tuple[float, float]]:
    bounds = sorted(rng.sample(range(1800), 2 * n))
    return [(a / 10, b / 10) for a, b in zip(bounds[::2], bounds[1::2], strict=True)]


def _sentence(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(8, 24))).capitalize() + "."


def _tal(rng: random.Random, source: str) -> tuple[str, Any, str]:
    spans = _spans(rng, rng.choice((1, 1, 1, 2, 2, 4)))
    info = [{"action": "cutting", "spans": [{"start": a, "end": b} for a, b in spans]}]
    return "When does cutting happen?", info, ", ".join(f"{a}-{b}" for a, b in spans) + " seconds."


def _stg(rng: random.Random, source: str) -> tuple[str, Any, str]:
    boxes = {}
    start, stride = rng.randrange(100), rng.choice((4, 8))
    for k in range(rng.randint(1, 9)):
        x, y = rng.randrange(600) + 0.5, rng.randrange(300) + 0.25
        boxes[str(start + k * stride)] = [x, y, x + rng.randint(20, 200), y + rng.randint(20, 150)]
    text = " ".join(f"{float(t)} seconds: {box}" for t, box in boxes.items())
    return "Track the hook.", [{"object": "hook", "stride": stride, "bbox_dict": boxes}], text


def _dense(rng: random.Random, source: str) -> tuple[str, Any, str]:
    events = [{"start": a, "end": b, "caption": _sentence(rng)} for a, b in _spans(rng, rng.randint(1, 8))]
    text = "\n".join(f"{e['start']}-{e['end']} seconds: {e['caption']}" for e in events)
    return "List the events.", [{"dc_segments": events}] if source == "NurViD" else [events], text


def _next(rng: random.Random, source: str) -> tuple[str, Any, str]:
    if source == "NurViD":
        procedure = rng.choice(list(vocabularies()["NurViD"]))
        question = f"This is part of the {procedure} procedure. What comes next?"
        return question, [], rng.choice(vocabularies()["NurViD"][procedure])
    labels = vocabularies()["labels"].get(source, PHASES)
    return f"The steps are {list(labels)}. What comes next?", [], rng.choice(labels)


def _cvs(rng: random.Random, source: str) -> tuple[str, Any, str]:
    scores = {name: rng.randrange(3) for name in ("two_structures", "cystic_plate", "hepatocystic_triangle")}
    text = ", ".join(f"{name.replace('_', ' ').capitalize()}: {value}" for name, value in scores.items())
    return "Score the view.", [{"cvs_scores": scores}], text


def _skill(rng: random.Random, source: str) -> tuple[str, Any, str]:
    scores = {name: rng.randint(1, 5) for name in ASPECTS}
    return (
        "Score the skill.",
        [{"skill_level": rng.choice("NIE"), "skill_scores": scores}],
        ", ".join(f"{k}: {v}/5" for k, v in scores.items()),
    )


def _caption(rng: random.Random, source: str) -> tuple[str, Any, str]:
    return "Summarise.", [], _sentence(rng)


def _jitter(rng: random.Random, task: str, gnd: str) -> str:
    """A reference with some of its digits or its label changed: a model that is often nearly right."""
    if task == "next_action":
        return (
            gnd
            if rng.random() < 0.6
            else rng.choice(("tying", "check the patient", "Handwashing", "adjust camera", gnd.upper()))
        )
    return "".join(str((int(c) + 1) % 10) if c.isdigit() and rng.random() < 0.08 else c for c in gnd)
