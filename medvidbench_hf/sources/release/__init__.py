"""The official release: its test file and its train/val file, with their frames or the source videos, as rows.

    ROOT/cleaned_test_data_11_04.json        questions; a copy with answers is refused
    ROOT/medvidu_eccv2026_trainval.json      questions with answers; shared out by video
    ROOT/testdata/..., ROOT/valdata/...      frames, under these or any other folders

Every row is kept in its place: what is odd about one is a flag, listed in the build. `rows.py` reads and writes rows,
`times.py` says when each frame is, `checks.py` what a row's truth says against its clip, `doctor.py` looks at the
frames on disk, `get.py` downloads, `write.py` puts any samples into the release's form.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medvidbench_hf.sample import Canvas, InputError, Sample
from medvidbench_hf.sources import Flagged, Reading
from medvidbench_hf.sources.media import SIZES_FILE, VIDEO_SUFFIXES, FrameTree, video_file, video_files
from medvidbench_hf.sources.release.checks import truth_flags
from medvidbench_hf.sources.release.files import ReleaseFile, read_files, row_splits
from medvidbench_hf.sources.release.names import PUBLISHED_ROWS
from medvidbench_hf.sources.release.rows import UNKNOWN_CANVAS, frame_list, row_times, sample_of, source_of
from medvidbench_hf.sources.splits import leaks
from medvidbench_hf.tasks.struc_info import as_dict

if TYPE_CHECKING:
    from medvidbench_hf.video import Probe

__all__ = ["Row", "clip_frames", "clip_path", "clip_seconds", "media_size", "no_canvas", "read", "samples"]

VALIDATION = 0.12  # of the train/val rows; the cut of 12 % by video is the one in use elsewhere
NO_FRAMES_HERE = "frames are missing"
NO_VIDEO_HERE = "its video is missing"
NO_PLACE = "its place in its video is not known"
NO_CANVAS = "the size of its original frames is not known"
BOXED = ("stg", "region_caption", "region_caption_gpt", "region_caption_gemini")
FRAMES_TRIED = 5
HEADER_SLACK_S = 2.0  # audio may run on, and containers round


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the release to be built; picklable.

    origin: the JSON file. file: what the clip is made from, one frame or the video; None without media. frames: their
    files, in order. size: of the original frames. absent: why there is no media.
    """

    split: str
    video_id: str
    index: int
    number: int
    row: dict[str, Any]
    answered: bool
    origin: str
    file: str | None = None
    frames: tuple[str, ...] = ()
    size: Canvas | None = None
    absent: tuple[str, str] | None = None


def read(
    root: str | Path | None,
    *,
    from_videos: str | Path | None = None,
    media: bool = True,
    validation: float = VALIDATION,
    seed: int = 0,
) -> Reading:
    """Read the release's files below `root`, or the one file that it is, and find each row's frames.

    from_videos: a folder with the source videos, to cut the clips from them and not from frames. media: False makes
    text-only rows. validation: the share of the train/val rows that becomes the validation split, by video. Raises
    InputError that names file, row and field.
    """
    if root is None:
        raise InputError("release needs --root: the folder that `medvidbench data get` filled")
    if from_videos is not None and not media:
        raise InputError("from_videos makes clips, without media there are none: give one of the two")
    files = read_files(root)
    tree = FrameTree(_folder(root)) if media and from_videos is None else None
    on_disk = video_files(from_videos) if from_videos is not None else None
    sizes: dict[Path, Canvas | None] = {}
    rows: list[Row] = []
    for file in files:
        next_index: Counter[str] = Counter()
        for number, (row, split) in enumerate(zip(file.rows, row_splits(file, validation, seed), strict=True)):
            record = Row(split, _video_id(row), next_index[split], number, row, file.kind == "trainval", str(file.path))
            next_index[split] += 1
            try:
                if tree is not None:
                    record = _with_frames(record, tree)
                elif on_disk is not None:
                    record = _with_video(record, on_disk, sizes)
            except InputError as error:
                raise InputError(f"{file.path} row {number} {error}") from None
            rows.append(record)
    if on_disk is not None and not any(row.file for row in rows):
        first = next((row.video_id for row in rows if row.video_id), "<video_id>")
        raise InputError(f"{from_videos}: no video of these rows; a file is named as its video, such as {first}.mp4")
    sizes_file = _folder(root) / SIZES_FILE
    options = {"from_videos": from_videos and str(from_videos), "media": media, "validation": validation, "seed": seed}
    return Reading(
        videos=rows,
        found={f"{file.kind} rows": len(file.rows) for file in files},
        known={f"{file.kind} rows": PUBLISHED_ROWS[file.kind] for file in files if not _simulated(file)},
        options=options,
        warnings=tuple(_warnings(rows)),
        files=(*(file.path for file in files), *([sizes_file] if sizes_file.is_file() else [])),
        media=media,
        keeps_rows=True,
    )


def samples(row: Row) -> Iterator[Sample | Flagged]:
    """The row as a sample, and its flags. Raises InputError that names the row and the field."""
    try:
        sample, paths, _, flags = sample_of(
            row.row, row.index, row.split, row.number, answered=row.answered, size=row.size
        )
    except InputError as error:
        raise InputError(f"{row.origin} row {row.number} {error}") from None
    if row.absent:
        flags[row.absent[0]] = row.absent[1]
    flags |= truth_flags(sample)
    if row.file is not None:
        sample = replace(sample, video=clip_path(sample, paths))
        if no_canvas(sample):
            flags[NO_CANVAS] = "its boxes are in pixels of the release's frames, the clip is from a video"
    yield sample
    for reason, detail in flags.items():
        yield Flagged(sample.source, row.split, sample.video_id, sample.task, reason, detail, row.index)


def clip_frames(row: Row, sample: Sample) -> np.ndarray | Sequence[Path]:
    """The files of the clip's frames, or frames cut from the source video."""
    if row.frames:
        return [Path(frame) for frame in row.frames]
    assert row.file is not None
    return clip_seconds(row.file, sample)


def clip_seconds(file: str | Path, sample: Sample) -> np.ndarray:
    """The frames of a sample out of its source video; (n, height, width, 3) uint8. InputError where it is too short."""
    from medvidbench_hf.video import frames_at

    end_s, lasts_s = sample.clip_start_s + sample.frame_times_s[-1], probed(str(file)).duration_s
    if end_s > lasts_s + sample.frame_interval_s:
        raise InputError(f"{file} lasts {lasts_s:.1f} s, but the clip's last frame is at {end_s:.1f} s of its video")
    return frames_at(file, [sample.clip_start_s + t for t in sample.frame_times_s])


def media_size(files: Sequence[str | Path], tree: FrameTree | None = None) -> Canvas | None:
    """Width and height of the original frames: of the first frame that can be read, or of the one video.

    Frames that were made smaller are known to the tree. None where nothing can be read: the build says so of the clip.
    """
    from medvidbench_hf.video import picture

    for file in files[:FRAMES_TRIED]:
        if tree is not None and (kept := tree.size(Path(file))):
            return kept
        with suppress(InputError):
            if Path(file).suffix.lower() in VIDEO_SUFFIXES:
                found = probed(str(file))
                return Canvas(found.width, found.height)
            return picture.size_of(Path(file))
    return None


@lru_cache(maxsize=256)
def probed(file: str) -> Probe:
    """`video.probe` of a source video, which goes over all of it: once a process. InputError as there."""
    from medvidbench_hf.video import probe

    return probe(file)


def no_canvas(sample: Sample) -> bool:
    """Whether a row asks about boxes whose frame nobody knows."""
    return sample.canvas == UNKNOWN_CANVAS and sample.task in ("stg", "region_caption")


def clip_path(sample: Sample, paths: Sequence[str]) -> str:
    """Where a clip is kept: one file for the same frames at the same times, whatever the number of questions."""
    digest = hashlib.sha256(repr((sample.source, paths, sample.frame_times_s)).encode()).hexdigest()[:12]
    first, last = (_safe(Path(path).stem) for path in (paths[0], paths[-1]))
    return f"clips/{sample.source}/{_safe(sample.video_id)}/{first}-{last}-{digest}.mp4"


def _with_frames(record: Row, tree: FrameTree) -> Row:
    paths, _ = frame_list(record.row)
    found = tree.find(paths)
    if found.missing or not found.files:
        some = f"{found.missing[0][-80:]!r} and {len(found.missing) - 1} more" if found.missing else "no frames listed"
        if found.problem:
            some = f"{found.problem}: {found.missing[0][-80:]!r}"
        return replace(record, absent=(NO_FRAMES_HERE, some))
    files = tuple(map(str, found.files))
    return replace(record, file=files[0], frames=files, size=media_size(files, tree))


def _with_video(record: Row, on_disk: dict[str, list[Path]], sizes: dict[Path, Canvas | None]) -> Row:
    if row_times(record.row, frame_list(record.row)[0]).clock_hz is None:
        return replace(record, absent=(NO_PLACE, "the clock of its frame ids is not known"))
    file = video_file(on_disk, source_of(record.row).name, record.video_id)
    if file is None:
        return replace(record, absent=(NO_VIDEO_HERE, f"no file is called {record.video_id}"))
    # Boxes are in pixels of the release's own frames: a holder's video may be of another size.
    if record.row["qa_type"] in BOXED or as_dict(record.row.get("RC_info")):
        return replace(record, file=str(file))
    if file not in sizes:
        sizes[file] = media_size([file])
    return replace(record, file=str(file), size=sizes[file])


def _warnings(rows: Sequence[Row]) -> Iterator[str]:
    for reason, what in ((NO_FRAMES_HERE, "frames"), (NO_VIDEO_HERE, "video"), (NO_PLACE, "place in their video")):
        absent = [row for row in rows if row.absent and row.absent[0] == reason]
        if absent:
            yield (
                f"{len(absent)} of {len(rows)} rows have no {what} here and are text-only; the first is row "
                f"{absent[0].number}: {absent[0].absent and absent[0].absent[1]}"
            )

    for file in sorted({row.file for row in rows if row.file and not row.frames}):
        with suppress(InputError):  # a video that cannot be read is told with its rows
            found = probed(file)
            if abs(found.stated_s - found.duration_s) > HEADER_SLACK_S:
                lasts = f"its frames last {found.duration_s:.1f} s, which counts"
                yield f"{file}: its header says {found.stated_s:.1f} s, {lasts}"
    by_split: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        by_split.setdefault(row.split, []).append((source_of(row.row).name, row.video_id))
    shared = leaks(by_split)
    if shared:
        yield (
            f"{len(shared)} videos are in the test file and in the train/val file, {next(iter(shared))} first: "
            "`medvidbench data stats` lists them"
        )


def _simulated(file: ReleaseFile) -> bool:
    """Whether it is our benchmark in the release's form, whose size is nobody's."""
    return all(source_of(row).simulated for row in file.rows)


def _video_id(row: dict[str, Any]) -> str:
    metadata = row.get("metadata")
    return str(metadata.get("video_id", "")).strip() if isinstance(metadata, dict) else ""


def _folder(root: str | Path) -> Path:
    return Path(root).parent if Path(root).is_file() else Path(root)


def _safe(name: str) -> str:
    """A name that is one folder: what may not be in it becomes _, and a digest keeps two such names apart."""
    plain = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:60]
    return plain if plain == name and not plain.startswith(".") else f"_{plain.strip('.')}-{_digest(name)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
