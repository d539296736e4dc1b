"""Splits by video: no recording is in two, the Cholec sources share theirs, shares are met, subsets are spread."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.splits import leaks, recording, subset, video_splits
from tests.make import sample

SOURCES = ("AVOS", "CholecT50", "CholecTrack20", "Cholec80_CVS", "CoPESD", "EgoSurgery", "JIGSAWS", "NurViD")
NAMES = {
    "CholecT50": "VID{:02d}",
    "CholecTrack20": "VID{:02d}",
    "Cholec80_CVS": "video{:02d}",
    "EgoSurgery": "{:02d}_1",
    "CoPESD": "{:06d}_part0",
}
videos = st.tuples(st.sampled_from(SOURCES), st.integers(1, 80)).map(
    lambda pair: (pair[0], NAMES.get(pair[0], "v{}").format(pair[1]))
)
counts = st.dictionaries(videos, st.integers(1, 50), min_size=1, max_size=60)


@given(counts, st.floats(0, 0.9), st.integers(0, 5))
def test_no_recording_is_in_two_splits_and_the_same_seed_gives_the_same_splits(rows, share, seed) -> None:
    splits = video_splits(rows, validation=share, seed=seed)
    assert set(splits) == set(rows)
    by_split: dict[str, list[tuple[str, str]]] = {}
    for video, split in splits.items():
        by_split.setdefault(split, []).append(video)
    assert not leaks(by_split)
    assert "train" in by_split
    backwards = dict(reversed(rows.items()))
    assert video_splits(backwards, validation=share, seed=seed) == splits


def test_a_number_is_one_video_for_the_three_cholec_sources() -> None:
    names = [("CholecT50", "VID07"), ("CholecTrack20", "VID07"), ("Cholec80_CVS", "video07"), ("Cholec80_CVS", "7")]
    assert {recording(*name) for name in names} == {"Cholec/7"}
    rows = {(source, NAMES[source].format(n)): 5 for source in SOURCES[1:4] for n in range(1, 41)}
    for seed in range(20):
        splits = video_splits(rows, validation=0.2, seed=seed)
        for n in range(1, 41):
            assert len({splits[source, NAMES[source].format(n)] for source in SOURCES[1:4]}) == 1


def test_parts_and_segments_of_one_recording_stay_together() -> None:
    assert recording("CoPESD", "023521_part0") == recording("CoPESD", "023521_part3") == recording("CoPESD", "023521")
    assert recording("EgoSurgery", "01_1") == recording("EgoSurgery", "01_2") != recording("EgoSurgery", "11_1")
    assert recording("NurViD", "01_1") != recording("NurViD", "01_2")
    assert recording("NurViD", "7") != recording("AVOS", "7")


@pytest.mark.parametrize("share", [0.05, 0.12, 0.15, 0.5])
def test_validation_has_about_its_share_of_the_rows_of_every_source(share: float) -> None:
    rows = {("AVOS", f"v{n}"): 1 + n % 7 for n in range(200)} | {("NurViD", f"w{n}"): 1 + n % 3 for n in range(100)}
    splits = video_splits(rows, validation=share, seed=1)
    for source in ("AVOS", "NurViD"):
        total = sum(n for (name, _), n in rows.items() if name == source)
        given_rows = sum(n for video, n in rows.items() if video[0] == source and splits[video] == "validation")
        assert abs(given_rows / total - share) < 0.02


def test_another_seed_is_another_cut_and_no_share_is_no_validation() -> None:
    rows = {("AVOS", f"v{n}"): 1 for n in range(50)}
    assert video_splits(rows, seed=0) != video_splits(rows, seed=1)
    assert set(video_splits(rows, validation=0.0).values()) == {"train"}
    with pytest.raises(InputError, match=r"validation 1\.5 is not a share"):
        video_splits(rows, validation=1.5)


def many(n: int) -> list:
    kinds = [("tal", ""), ("stg", ""), ("video_summary", "gpt"), ("video_summary", "gemini")]
    return [
        sample(kinds[k % 4][0], index=k, variant=kinds[k % 4][1], video_id=f"v{k // 40}", source=f"S{k // 200}")
        for k in range(n)
    ]


@pytest.mark.parametrize(("name", "each"), [("smoke", 2), ("lite", 10)])
def test_a_subset_has_as_many_of_each_qa_type_from_different_sources_and_videos(name: str, each: int) -> None:
    rows = many(400)
    chosen = subset(rows, name)
    assert chosen == sorted(set(chosen)) == subset(reversed(rows), name)
    kinds = Counter((rows[k].task, rows[k].variant) for k in chosen)
    assert set(kinds.values()) == {each}
    for kind in kinds:
        videos_of = [rows[k].video_id for k in chosen if (rows[k].task, rows[k].variant) == kind]
        assert len(set(videos_of)) == min(each, 10)
    assert subset(rows, name, seed=1) != chosen


def test_a_subset_of_few_rows_is_all_of_them_and_an_unknown_one_is_named() -> None:
    assert subset(many(6), "lite") == list(range(6))
    with pytest.raises(InputError, match="unknown subset 'tiny'; known: smoke, lite"):
        subset(many(6), "tiny")
