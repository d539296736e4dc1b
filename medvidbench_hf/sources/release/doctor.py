"""Look at a copy of the release before anything is built from it: every row, every frame, against what is known.

`examine` opens a frame as the build does, so what it calls whole can be built. It decodes each once, at an eighth of
its size: that reads every byte of a JPEG, so a file that was cut short is found, in a fraction of the time. Nothing is
changed on disk.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from medvidbench_hf.sample import Canvas, InputError
from medvidbench_hf.sources.media import LINK_LEADS_OUT, PATH_LEADS_OUT, FrameTree
from medvidbench_hf.sources.release.checks import truth_flags
from medvidbench_hf.sources.release.files import read_files
from medvidbench_hf.sources.release.names import PUBLISHED, PUBLISHED_FRAMES, PUBLISHED_ROWS, source_named
from medvidbench_hf.sources.release.rows import sample_of
from medvidbench_hf.video import picture

FRAMES_PER_JOB = 256

MISSING = "missing frame"
OUTSIDE = "path outside the root"
EMPTY = "empty file"
UNREADABLE = "unreadable frame"
MIS_SIZED = "frame of another size than the others of its folder"
MIXED = "PNG and JPEG frames in one row, which --clips copy refuses"


class _Seen(NamedTuple):
    """A frame that was looked at: its size and whether it is a PNG, or what is wrong with it."""

    path: str
    size: Canvas | None
    png: bool = False
    problem: str = ""
    kind: str = ""


class Fault(NamedTuple):
    """Something wrong with a frame. rows: those that need it, as "test 42".

    path: as the rows have it, control characters escaped.
    """

    kind: str
    path: str
    detail: str
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Examined:
    """What a copy holds.

    rows: file kind -> (source, qa_type) -> rows. published: file kind -> qa_type -> rows known. frames: counts.
    faults: of frames, in order of path. flags: kind of oddity -> rows ("test 42: particulars"). folders: where frames
    were found, with how many.
    """

    root: str
    sources: list[str]  # whose frames were looked at; [] is all
    rows: dict[str, dict[tuple[str, str], int]]
    published: dict[str, dict[str, int]]
    frames: dict[str, int]
    faults: list[Fault]
    flags: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)

    @property
    def faults_by_kind(self) -> dict[str, int]:
        return dict(Counter(fault.kind for fault in self.faults))

    @property
    def differing(self) -> list[str]:
        """Where the rows are not as many as were published, one line each."""
        lines = []
        for kind, known in self.published.items():
            found = Counter[str]()
            for (_, qa_type), n in self.rows[kind].items():
                found[qa_type] += n
            lines += [f"{kind} {name}: {found[name]}, published {n}" for name, n in known.items() if found[name] != n]
            total = sum(found.values())
            if total != PUBLISHED_ROWS[kind]:
                lines.append(f"{kind}: {total} rows, published {PUBLISHED_ROWS[kind]}")
            listed, of_all = self.frames[f"{kind} listed"], PUBLISHED_FRAMES.get(kind)
            if of_all is not None and not self.sources and listed != of_all:
                lines.append(f"{kind}: its rows name {listed} frames, published {of_all}")
        return lines

    @property
    def healthy(self) -> bool:
        return not self.faults and not self.differing


def examine(
    root: str | Path,
    *,
    sources: Sequence[str] = (),
    decode: bool = True,
    num_proc: int = 1,
    watch: Callable[[Iterable[Any], int], Iterable[Any]] = lambda jobs, _: jobs,
) -> Examined:
    """Examine the release's files below `root`, or the one JSON file that it is with the frames beside it.

    sources: look at the frames of these alone. decode: False trusts what opens as a frame. watch: wraps the frames'
    jobs and their number, for a progress bar. Raises InputError for a root that holds no file of the release, and for a
    row that is not of its form.
    """
    files = read_files(root)
    chosen = {source_named(name).name for name in sources}
    tree = FrameTree(Path(root).parent if Path(root).is_file() else root)
    rows: dict[str, dict[tuple[str, str], int]] = {}
    needed: dict[str, list[str]] = defaultdict(list)  # path -> rows that list it
    flags: dict[str, list[str]] = defaultdict(list)
    frames: Counter[str] = Counter()
    for file in files:
        tally: Counter[tuple[str, str]] = Counter()
        listed: set[str] = set()
        for number, row in enumerate(file.rows):
            name = f"{file.kind} {number}"
            try:
                split = "test" if file.kind == "test" else "train"
                read = sample_of(row, number, split, number, answered=file.kind == "trainval")
            except InputError as error:
                raise InputError(f"{file.path} row {number} {error}") from None
            tally[read.sample.source, str(row["qa_type"])] += 1
            for kind, detail in (read.flags | truth_flags(read.sample)).items():
                flags[kind].append(_escaped(f"{name}: {detail}"))
            if chosen and read.sample.source not in chosen:
                continue
            for path in dict.fromkeys(read.paths):
                needed[path].append(name)
            listed.update(read.paths)
        rows[file.kind] = dict(tally)
        frames[f"{file.kind} listed"] = len(listed)
    faults, places, folders = _located(tree, needed)
    frames["found"] = len(places)
    portions = _looked_at(places, decode, num_proc)
    seen = [one for portion in watch(portions, -(-len(places) // FRAMES_PER_JOB)) for one in portion]
    faults += [_fault(one.kind, one.path, one.problem, needed) for one in seen if one.problem]
    faults += [_fault(MIS_SIZED, path, detail, needed) for path, detail in _mis_sized(seen)]
    if mixed := list(_mixed(seen, needed)):
        flags[MIXED] = mixed
    return Examined(
        root=str(root),
        sources=sorted(chosen),
        rows=rows,
        published={kind: PUBLISHED[kind] for kind, counts in rows.items() if not _simulated(counts)},
        frames=dict(frames),
        faults=sorted(faults, key=lambda fault: (fault.path, fault.kind)),
        flags=dict(flags),
        folders=folders,
    )


def _simulated(counts: dict[tuple[str, str], int]) -> bool:
    return all(source_named(source).simulated for source, _ in counts)


def _located(
    tree: FrameTree, needed: dict[str, list[str]]
) -> tuple[list[Fault], list[tuple[str, str]], dict[str, int]]:
    """(frames that are not there, (path, file) of those that are, where they were found)."""
    faults, places = [], []
    folders: Counter[str] = Counter()
    for path in needed:
        found = tree.find([path])
        if found.files:
            places.append((path, str(found.files[0])))
            folders[_escaped("/".join(found.files[0].relative_to(tree.root).parts[:-1][:2])) or "."] += 1
        else:
            kind = OUTSIDE if found.problem in (PATH_LEADS_OUT, LINK_LEADS_OUT) else MISSING
            faults.append(_fault(kind, path, found.problem, needed))
    return faults, places, dict(sorted(folders.items()))


def _fault(kind: str, path: str, detail: str, needed: dict[str, list[str]]) -> Fault:
    return Fault(kind, _escaped(path), _escaped(detail), tuple(needed[path]))


def _escaped(text: str) -> str:
    """One line, whatever characters a path or a file holds."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _looked_at(files: Sequence[tuple[str, str]], decode: bool, num_proc: int) -> Iterator[list[_Seen]]:
    jobs = [(files[first : first + FRAMES_PER_JOB], decode) for first in range(0, len(files), FRAMES_PER_JOB)]
    if num_proc <= 1:
        yield from map(_look, jobs)
        return
    with ProcessPoolExecutor(num_proc) as pool:
        yield from pool.map(_look, jobs)


def _look(job: tuple[Sequence[tuple[str, str]], bool]) -> list[_Seen]:
    files, decode = job
    seen = []
    for path, file in files:
        try:
            seen.append(_Seen(path, frame_size(file, decode), _is_png(file)))
        except InputError as error:
            empty = not Path(file).stat().st_size
            problem, kind = ("0 bytes", EMPTY) if empty else (str(error), UNREADABLE)
            seen.append(_Seen(path, None, problem=problem, kind=kind))
    return seen


def _mis_sized(seen: Iterable[_Seen]) -> Iterator[tuple[str, str]]:
    """(path, particulars) of frames that are not of the size that most of their folder have."""
    folders: dict[str, list[tuple[str, Canvas]]] = defaultdict(list)
    for path, size, *_ in seen:
        if size is not None:
            folders[path.rpartition("/")[0]].append((path, size))
    for sized in folders.values():
        usual, _ = Counter(size for _, size in sized).most_common(1)[0]
        for path, size in sized:
            if size != usual:
                yield path, f"{size.width}x{size.height}, most are {usual.width}x{usual.height}"


def _mixed(seen: Iterable[_Seen], needed: dict[str, list[str]]) -> Iterator[str]:
    """The rows ("test 42: particulars") whose clip can be made, but not of the files as they are."""
    first: dict[tuple[str, bool], str] = {}  # (row, whether it is a PNG) -> path
    for one in seen:
        if one.size is not None:
            for row in needed[one.path]:
                first.setdefault((row, one.png), one.path)
    for row in dict.fromkeys(row for row, _ in first):
        if (row, True) in first and (row, False) in first:
            yield f"{row}: {_escaped(first[row, True])} is a PNG, {_escaped(first[row, False])} a JPEG"


def frame_size(file: str | Path, decode: bool) -> Canvas:
    """Width and height of a frame. InputError, not naming the file, where the build could not use it.

    decode: False reads its head alone.
    """
    try:
        size = picture.size_of(Path(file))
        if decode:
            picture.check(Path(file))
        return size
    except InputError as error:
        reason = str(error).removeprefix(f"{file}: ")
        raise InputError(reason.partition(" (cannot identify image file")[0]) from None
    except MemoryError:
        raise InputError("too large to be decoded here") from None


def _is_png(file: str) -> bool:
    with Path(file).open("rb") as data:
        return data.read(4) == b"\x89PNG"
