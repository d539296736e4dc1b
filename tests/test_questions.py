"""Question wordings: each source that feeds a task has one, and none changes unnoticed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from medvidbench_hf.sample import DOMAINS, TASKS, InputError
from medvidbench_hf.sources import simulated
from medvidbench_hf.tasks.question import question, wordings

SNAPSHOT = Path(__file__).parent / "snapshots" / "questions.json"

#: source -> (domain, tasks it feeds in the release)
FEEDS = {
    "AVOS": ("open", ("tal", "next_action", "dense_captioning")),
    "CholecT50": ("laparoscopic", ("tal", "next_action", "dense_captioning", "video_summary")),
    "CholecTrack20": ("laparoscopic", ("stg", "region_caption")),
    "Cholec80_CVS": ("laparoscopic", ("cvs_assessment",)),
    "CoPESD": ("endoscopic", ("tal", "stg", "next_action", "dense_captioning", "video_summary")),
    "EgoSurgery": (
        "open",
        ("tal", "stg", "next_action", "dense_captioning", "video_summary", "region_caption"),
    ),
    "JIGSAWS": ("robotic", ("skill_assessment",)),
    "NurViD": ("nursing", ("tal", "next_action", "dense_captioning", "video_summary")),
    "SimulatedLaparoscopy": ("laparoscopic", tuple(t for t in TASKS if t != "skill_assessment")),
    "SimulatedOpenSurgery": (
        "open",
        ("tal", "stg", "next_action", "dense_captioning", "video_summary", "region_caption"),
    ),
    "SimulatedNursing": ("nursing", ("tal", "next_action", "dense_captioning", "video_summary")),
    "SimulatedRobotics": ("robotic", ("skill_assessment",)),
}
FIELDS = {"label": "cutting", "object": "hook", "procedure": "Perineal Care", "start": "2.0", "end": "8.0", "stride": 2}


def asked() -> dict[str, list[str]]:
    """Two questions of every source and task."""
    return {
        f"{source} {task}": [
            question(task, source, domain, f"row {k}", options=("cutting", "tying"), **FIELDS) for k in range(2)
        ]
        for source, (domain, tasks) in FEEDS.items()
        for task in tasks
    }


def test_no_wording_changes_unnoticed() -> None:
    """Write the snapshot anew with MEDVIDBENCH_SNAPSHOT=1 and justify the change."""
    import os

    if os.environ.get("MEDVIDBENCH_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(asked(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert asked() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_section_belongs_to_a_source_that_feeds_the_task() -> None:
    for task in TASKS:
        for section in wordings(task):
            kind, _, source = section.partition(" ")
            assert kind in ("context", "ask"), (task, section)
            assert not source or task in FEEDS[source][1], (task, section)
        assert {s for s, (_, tasks) in FEEDS.items() if task in tasks} == {
            section.removeprefix("context ") for section in wordings(task) if section.startswith("context ")
        }
    assert set(wordings("personas")) == set(DOMAINS)


def test_no_placeholder_is_left_in_a_question() -> None:
    for texts in asked().values():
        for text in texts:
            assert not re.search(r"\{\w+\}", text)
            assert "  " not in text


def test_the_same_row_is_always_asked_the_same_and_rows_differ() -> None:
    def ask(key: str) -> str:
        return question("tal", "NurViD", "nursing", key, options=("a",), label="a", procedure="P")

    assert ask("row 1") == ask("row 1")
    drawn = {ask(f"row {k}") for k in range(200)}
    expected = (
        len(wordings("personas")["nursing"]) * len(wordings("tal")["context NurViD"]) * len(wordings("tal")["ask"])
    )
    assert len(drawn) == expected


def test_a_source_without_a_wording_is_named_with_the_file_to_write_it_in() -> None:
    with pytest.raises(InputError, match=r"tasks/stg\.txt has no section \[context AVOS\]"):
        question("stg", "AVOS", "open", "row 1")


def test_every_simulated_source_says_that_it_is_simulated_in_its_questions() -> None:
    for source in simulated.SOURCE_NAMES:
        clip = simulated.simulate(source, 3)
        assert all("imulated" in row.question for row in simulated.clip_samples(clip))
