"""What the release calls things: its sources, its qa_types, its folders, and how many rows it is known to have."""

from __future__ import annotations

from typing import NamedTuple

from medvidbench_hf.sample import TASKS, VARIANTS, Canvas, InputError
from medvidbench_hf.sources.simulated import WORLDS
from medvidbench_hf.tasks.answer import fold


class Source(NamedTuple):
    """A source of the release.

    canvas: where the boxes of all its rows are measured, None where that is the original frame. folder: the frames'
    container below the release's prefix. terms: of the source, beside those of the release.
    """

    name: str
    domain: str
    canvas: Canvas | None
    folder: str
    terms: str

    @property
    def simulated(self) -> bool:
        """Whether it is one of ours, which only borrows the release's form."""
        return self.name in WORLDS


#: The release's own spelling, then ours for the simulated benchmark, which can be written in the release's form.
SOURCES = {
    source.name: source
    for source in (
        Source("AVOS", "open", None, "AVOS", "not seen; YouTube videos"),
        Source("CholecT50", "laparoscopic", None, "CAMMA_data/CholecT50", "CC BY-NC-SA 4.0"),
        Source(
            "CholecTrack20",
            "laparoscopic",
            Canvas(854, 480),  # even where the stored frame is larger
            "CAMMA_data/CholecTrack20",
            "CC BY-NC-SA 4.0 and a data use agreement",
        ),
        Source("Cholec80_CVS", "laparoscopic", None, "Cholec80_CVS", "not seen; Cholec80 has its own terms"),
        Source("CoPESD", "endoscopic", None, "CoPESD", "CC BY 4.0 (annotations); imagery unclear"),
        Source("EgoSurgery", "open", Canvas(1920, 1080), "EgoSurgery", "CC BY-NC-SA 4.0, academic use, by form"),
        Source("JIGSAWS", "robotic", None, "JIGSAWS_frames", "JHU terms, academic use, no redistribution"),
        Source("NurViD", "nursing", None, "NurViD", "CC BY 4.0 with a disclaimer (research only)"),
        *(Source(name, world.domain, None, name, "Apache-2.0") for name, world in WORLDS.items()),
    )
}

#: rows by qa_type; of the train and validation file four counts are not published
PUBLISHED: dict[str, dict[str, int]] = {
    "test": {
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
    },
    "trainval": {
        "tal": 1700,
        "stg": 780,
        "dense_captioning_gpt": 750,
        "dense_captioning_gemini": 730,
        "region_caption_gpt": 140,
        "region_caption_gemini": 170,
    },
}
PUBLISHED_ROWS = {"test": 6245, "trainval": 6270}
PUBLISHED_FRAMES = {"test": 103_742}

#: qa_type -> (task, variant); the release's documentation lists the bare names, its files use the suffixed ones
QA_TYPES = {
    (f"{task}_{variant}" if variant else task): (task, variant)
    for task in TASKS
    for variant in (VARIANTS if task in ("dense_captioning", "video_summary", "region_caption") else ("",))
}

_FOLDED = {fold(name).replace(" ", ""): source for name, source in SOURCES.items()}


def source_named(name: object) -> Source:
    """The source of a name in any spelling ("Cholec80-CVS", "jigsaws"); InputError lists those there are."""
    found = _FOLDED.get(fold(name).replace(" ", "")) if isinstance(name, str) else None
    if found is None:
        raise InputError(f"{name!r:.60} is no source of the release; it has {', '.join(SOURCES)}")
    return found
