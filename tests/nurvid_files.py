"""A folder shaped like the NurViD repository, written by us, with every trap of the real one.

Ids in the JSON are one above those of the table; the csv headers are spelled in two ways; one segment has no length,
one ends long after its video, two of one video overlap, and two action ids of one procedure share a name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openpyxl

PROCEDURES = ["Made Hand Wash", "Made Gowning"]
ACTIONS = ["Wet hands", "Apply soap", "Rinse", "Remove gown", "Tie knot", "Remove gown", "Never seen"]


def record(procedure: int, *annotations: tuple[int, float, float], duration: int = 100) -> dict[str, Any]:
    return {
        "operationID": procedure,
        "annotations": [{"actionID": a, "segment": [start, end]} for a, start, end in annotations],
        "duration": duration,
        "resolution": "854x480",
        "fps": 29,
        "subset": None,
        "url": "https://www.youtube.com/watch?v=made",
    }


def records() -> dict[str, dict[str, Any]]:
    """Twelve videos: procedure 1 washes hands, procedure 2 has the two actions of one name."""
    made: dict[str, dict[str, Any]] = {}
    for k in range(8):
        made[f"wash-{k}"] = record(1, (1, 5.25 + k, 15.0 + k), (2, 20.0 + k, 30.0 + k), (3, 31.0 + k, 44.44 + k))
    made["no-length"] = record(1, (1, 12.38, 12.38), (3, 20.0, 30.0))
    made["too-long"] = record(1, (1, 1.0, 4.0), (2, 150.0, 176.21), duration=30)
    made["overlap_s"] = record(1, (2, 15.0, 30.0), (1, 10.0, 20.0), (1, 18.0, 22.0))
    made["gown-1"] = record(2, (4, 1.0, 5.0), (5, 6.0, 9.5), (6, 20.0, 25.0))
    return made


def write(root: Path, made: dict[str, dict[str, Any]] | None = None) -> Path:
    """Write the folder and return it."""
    made = records() if made is None else made
    folder = root / "annotations"
    (folder / "task1&3").mkdir(parents=True)
    (folder / "NurViD_annotations.json").write_text(json.dumps(made))
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Procedure", None, None, None, None, None, "Action"])
    head = [
        "ID",
        "Chinese name",
        "English name",
        " Abbreviation",
        "Split",
        None,
        "ID",
        "Chinese",
        "English name",
        "Split",
    ]
    sheet.append(head)
    for k, action in enumerate(ACTIONS):
        left = [k, "-", f" {PROCEDURES[k]} ", "X", None] if k < len(PROCEDURES) else [None] * 5
        sheet.append([*left, None, k, "-", action, None])
    book.save(folder / "Procedure&Action_ID.xlsx")
    splits = {"train": [], "val": [], "test": []}
    for k, video_id in enumerate(made):
        splits[("train", "train", "val", "test")[k % 4]].append(video_id)
    for name, videos in splits.items():
        lines = [f"/video_path/{v}.mp4 {made[v]['operationID']}" for v in videos]
        header = "path-lable" if name == "val" else "path-label"
        (folder / "task1&3" / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")
    return root
