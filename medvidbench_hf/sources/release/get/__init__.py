"""The files of the official repositories, at one commit, with each frame a file of its own.

    found = plan("test", root, sources=["CoPESD"], max_side_px=448)   # what it would take
    get(found)                                                        # after a kill, both again go on

    ROOT/get.json           {repository: {"revision": commit, "max_side_px": limit or null}}; never mixed in one folder
    ROOT/<the rows>.json    of the test set only if it holds no answers
    ROOT/testdata/...       the frames, at the paths they have in the archive
    ROOT/frame_sizes.json   what frames measured before they were made smaller, since boxes are in those pixels:
                            {folder: [width, height]}, or {folder/file: ...} for each in a folder of several sizes.
                            An entry is written before the first frame that needs it is there.
    ROOT/.get/              what is on its way

A frame counts as there if it has the archive's size; one that was made smaller, if frame_sizes.json knows it. Not
covered: a power cut (nothing is flushed to the disk file by file), and frames that somebody changed to the same size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from medvidbench_hf.lock import only_one
from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.release.get.folder import (
    RECORD,
    WORK,
    Record,
    Sizes,
    disk_bytes,
    free_bytes,
    has,
    missing,
    read_record,
)
from medvidbench_hf.sources.release.get.frames import batches, get_batch
from medvidbench_hf.sources.release.get.listing import Frame, list_repository
from medvidbench_hf.sources.release.get.remote import RELEASES, File, Hub
from medvidbench_hf.sources.release.get.rows import get_rows
from medvidbench_hf.sources.release.names import SOURCES, source_named

SMALLEST_SIDE_PX = 32


class Plan(NamedTuple):
    """What a `get` would do."""

    which: str
    root: Path
    repo: str
    revision: str  # commit
    recorded: bool  # the commit is the one in ROOT/get.json
    sources: tuple[str, ...]  # () for all
    max_side_px: int | None
    rows: File
    todo: tuple[Frame, ...]
    by_hand: tuple[File, ...]  # archives of other kinds: they come whole, the user unpacks them
    n_frames: int  # asked for, there or not
    present: int  # of them there
    found: dict[str, int]  # source, or folder of none that is known -> frames in the repository
    left_out: int  # frames in the repository that were not asked for
    refused: tuple[str, ...]  # "path: why" of members that are never written
    skipped: int  # files and members that are no images
    download_bytes: int  # still to come
    needed_bytes: int  # on the disk; an estimate where frames are made smaller
    free_bytes: int

    @property
    def unknown(self) -> dict[str, int]:
        """Folder that belongs to no known source -> frames."""
        return {folder: n for folder, n in self.found.items() if folder not in SOURCES}


class Got(NamedTuple):
    """What a `get` did."""

    rows: Path
    written: int  # frames
    resized: int  # of them made smaller
    present: int  # frames that were there before
    refused: tuple[str, ...]  # "path: why", those of the plan first
    by_hand: tuple[Path, ...]  # unpack these by hand


def plan(
    which: str,
    root: str | Path,
    *,
    revision: str | None = None,
    sources: Sequence[str] = (),
    max_side_px: int | None = None,
) -> Plan:
    """Find out what is to be fetched into `root`, and what it takes; writes nothing.

    which: test or trainval. revision: for a folder that has none yet; it is resolved to a commit, which the folder
    then keeps. sources: names in any spelling, all if empty. max_side_px: frames are made smaller until the longer
    side is no more; none is enlarged. Raises InputError on a wrong argument, a gated or missing repository and an
    archive that cannot be read, OSError where the Hub cannot be reached.
    """
    if which not in RELEASES:
        raise InputError(f"{which!r:.40} is not a part of the release; known: {', '.join(RELEASES)}")
    if max_side_px is not None and max_side_px < SMALLEST_SIDE_PX:
        raise InputError(f"max side {max_side_px}: expected {SMALLEST_SIDE_PX} pixels or more")
    release, root = RELEASES[which], Path(root)
    wanted = {source_named(source).name for source in sources}
    free = free_bytes(root)
    record = read_record(root, release.repo)
    if record and record.max_side_px != max_side_px:
        raise InputError(
            f"{root / RECORD} field max_side_px: the frames of this folder have the limit "
            f"{record.max_side_px or 'none'}, asked for is {max_side_px or 'none'}: choose another folder"
        )
    hub = Hub(release)
    hub.commit = record.revision if record and revision in (None, record.revision) else hub.resolve(revision or "main")
    if record and record.revision != hub.commit:
        raise InputError(
            f"{root / RECORD} field revision: this folder holds {record.revision}, asked for is {hub.commit}: choose "
            "another folder, or leave the revision out"
        )
    rows, listed = list_repository(hub)
    found = Counter(frame.group for frame in listed.frames)
    chosen = [frame for frame in listed.frames if not wanted or frame.group in wanted]
    by_hand = [archive for archive, source in listed.by_hand if not wanted or source in wanted | {None}]
    if not chosen and not by_hand:
        asked = f" of {', '.join(sorted(wanted))}" if wanted else ""
        raise InputError(
            f"{release.repo} at {hub.commit} has no frames{asked} that can be taken; it has "
            f"{', '.join(sorted(found)) or 'none at all'}, and {len(listed.refused)} were refused"
        )
    todo = missing(root, chosen, Sizes(root) if max_side_px else None)
    whole = [file for file in by_hand if not has(root / file.path, file.size)]
    if not (record and has(root / rows.path, rows.size)):
        whole.append(rows)
    return Plan(
        which=which,
        root=root,
        repo=release.repo,
        revision=hub.commit,
        recorded=record is not None,
        sources=tuple(sorted(wanted)),
        max_side_px=max_side_px,
        rows=rows,
        todo=tuple(todo),
        by_hand=tuple(by_hand),
        n_frames=len(chosen),
        present=len(chosen) - len(todo),
        found=dict(found),
        left_out=len(listed.frames) - len(chosen),
        refused=tuple(listed.refused),
        skipped=listed.skipped,
        download_bytes=sum(frame.packed for frame in todo) + sum(file.size for file in whole),
        needed_bytes=sum(disk_bytes(frame, max_side_px) for frame in todo) + sum(file.size for file in whole),
        free_bytes=free,
    )


def get(plan: Plan, *, threads: int = 4, progress: bool = False) -> Got:
    """Fetch what a plan found missing. What is done stays when it is cut off, and the same call goes on.

    Raises InputError where another process is at it, where the disk is too small, where the test rows hold answers, and
    as `plan` does; OSError on a fault of the network or the disk. A frame that cannot be taken is listed in `refused`.
    """
    if threads < 1:
        raise InputError(f"threads {threads}: expected 1 or more")
    with only_one(plan.root, "filled"):
        record = read_record(plan.root, plan.repo)
        if record and record != Record(plan.revision, plan.max_side_px):
            raise InputError(f"{plan.root / RECORD} has changed since the plan was made: make it again")
        free = free_bytes(plan.root)
        if free < plan.needed_bytes:
            raise InputError(
                f"{plan.root}: {plan.needed_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free: choose "
                "another disk, fewer sources or a smaller side"
            )
        try:
            with _bar(plan, progress) as advance:
                return _get(plan, threads, advance)
        except OSError as error:
            raise OSError(f"{error}; what is done stays in {plan.root}, the same command goes on with it") from error


def _get(plan: Plan, threads: int, advance: Callable[[int], None]) -> Got:
    work = plan.root / WORK
    work.mkdir(parents=True, exist_ok=True)
    for left in work.glob("*.frame"):
        left.unlink()
    hub = Hub(RELEASES[plan.which], plan.revision, advance)
    rows = get_rows(hub, plan.root, plan.rows, Record(plan.revision, plan.max_side_px), there=plan.recorded)
    for file in plan.by_hand:
        if not has(plan.root / file.path, file.size):
            hub.fetch(file, work, plan.root / file.path)
    sizes = Sizes(plan.root)
    written = resized = 0
    refused = list(plan.refused)
    with ThreadPoolExecutor(threads) as pool:
        futures = [
            pool.submit(get_batch, hub, batch, work / str(k), plan.root, plan.max_side_px, sizes)
            for k, batch in enumerate(batches(plan.todo))
        ]
        try:
            for future in as_completed(futures):
                done = future.result()
                written, resized = written + done.written, resized + done.resized
                refused += done.refused
        finally:
            hub.stop.set()
            pool.shutdown(cancel_futures=True)
    with suppress(OSError):  # another repository's archive is half in it
        work.rmdir()
    return Got(rows, written, resized, plan.present, tuple(refused), tuple(plan.root / f.path for f in plan.by_hand))


@contextmanager
def _bar(plan: Plan, show: bool) -> Iterator[Callable[[int], None]]:
    """A bar over all bytes; gives the function that is told of those that came."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), disable=not show) as bar:
        task = bar.add_task(f"getting {plan.which}", total=plan.download_bytes)
        yield lambda n: bar.advance(task, n)
