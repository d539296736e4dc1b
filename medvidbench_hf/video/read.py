"""Read frames of a clip: a video file, its bytes, an `hf://` address, or a folder of JPEG or PNG frames.

Frames are counted by going over the packets of the file; what its header says is not believed. Decoding is one forward
pass on one thread: for clips of 180 frames of 854x480 a second one gained nothing, and clips are read side by side.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from math import inf, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medvidbench_hf.sample import LONGEST_SIDE_PX, Canvas, InputError
from medvidbench_hf.video import picture
from medvidbench_hf.video.remote import RemoteFile
from medvidbench_hf.video.whole import check_whole

Video = str | Path | bytes  # a video file, a folder of frames, an hf:// address, or the bytes of a video file

_GROUP = 16  # frames at full size at a time, where the clip is not wanted at full size
_HALF_TICK_S = 0.0005  # `encode` rounds times to milliseconds
_SUFFIXES = (".jpg", ".jpeg", ".png")


class Probe(NamedTuple):
    """What is there, counted."""

    n_frames: int
    width: int
    height: int
    duration_s: float  # from the first frame to the end of the last; nan for a folder, which has no times
    stated_s: float = nan  # what FFmpeg takes from the header instead, and nothing here follows; nan for nothing


def need_decoder() -> None:
    """InputError with the way to install what reads clips, where it is missing."""
    try:
        import torchcodec.decoders  # noqa: F401
    except ImportError:
        raise InputError("reading clips needs the video extra: pip install 'medvidbench-hf[video]'") from None
    except RuntimeError:
        raise InputError("torchcodec cannot load FFmpeg's libraries: `apt-get install ffmpeg`") from None


def frames(video: Video, indices: Sequence[int] | None = None, size_px: Canvas | None = None) -> np.ndarray:
    """The frames at these positions, in the order asked and as often as asked; all of them without `indices`.

    (n, height, width, 3) uint8, at full size, or resized to `size_px` by an antialiased bicubic filter, that of the
    processors of video models. InputError for a position that the clip does not have, and for what does not decode.
    """
    name = _name(video)
    if _is_folder(video):
        files = frame_files(Path(str(video)))
        wanted = _positions(name, indices, len(files))
        first = picture.size_of(files[0])
        return _collected(lambda part: picture.stacked([files[k] for k in part], first), wanted, size_px)
    with _decoding(video) as decoder:
        wanted = _positions(name, indices, len(decoder))
        return _collected(lambda part: decoder.get_frames_at(part.tolist()).data.numpy(), wanted, size_px)


def frames_at(video: Video, times_s: Sequence[float], size_px: Canvas | None = None) -> np.ndarray:
    """The frames shown at the given times, in seconds from the first frame; (n, height, width, 3) uint8 as in `frames`.

    A time before the first frame or after the last gives that frame. InputError for a time that is not a finite number,
    a folder, which has no times, and for what does not decode.
    """
    name, times = _name(video), np.asarray(times_s, float)
    if not times.size:
        raise InputError(f"{name}: no time is asked for")
    if not np.isfinite(times).all():
        raise InputError(f"{name}: time {times[~np.isfinite(times)][0]} is not a finite number")
    if _is_folder(video):
        raise InputError(f"{name}: a folder of frames has no times; ask for frames by position")
    times = times + _HALF_TICK_S  # a frame's own time may be kept as a little later than what is asked for
    if _is_remote(video):
        with _decoding(video, "approximate") as decoder:
            # Without going over all packets, so that little is fetched; a header that ends too early is not followed.
            begin, end = decoder.metadata.begin_stream_seconds, decoder.metadata.end_stream_seconds
            if all(begin <= begin + t < end for t in times.tolist()):
                return _collected(lambda part: _one_by_one(decoder, part), begin + times, size_px)
    with _decoding(video) as decoder:
        begin, end = decoder.metadata.begin_stream_seconds, decoder.metadata.end_stream_seconds
        shown = np.maximum(begin + times, begin)
        shown[shown >= end] = inf
        return _collected(lambda part: _played(decoder, part), shown, size_px)


def container_times(video: Video) -> list[float]:
    """The time at which every frame is shown, in seconds from the first, as the file has it. The clip is decoded."""
    with _decoding(video) as decoder:
        n_frames = len(decoder)
        starts = range(0, n_frames, _GROUP)
        times = [
            t for k in starts for t in decoder.get_frames_in_range(k, min(k + _GROUP, n_frames)).pts_seconds.tolist()
        ]
    return [time_s - times[0] for time_s in times]


def groups(video: Video) -> Iterator[np.ndarray]:
    """All frames in order, (up to 16, height, width, 3) uint8 at a time."""
    with _decoding(video) as decoder:
        for at in range(0, len(decoder), _GROUP):
            yield decoder.get_frames_in_range(at, min(at + _GROUP, len(decoder))).data.numpy()


def probe(video: Video) -> Probe:
    """How many frames there are, their size and how long they last: counted, but not decoded."""
    if _is_folder(video):
        files = frame_files(Path(str(video)))
        first = picture.size_of(files[0])
        for file in files:
            picture.size_of(file, first)
        return Probe(len(files), *first, nan)
    with _decoding(video) as decoder:
        said = decoder.metadata
        duration_s = said.end_stream_seconds - said.begin_stream_seconds
        stated_s = said.duration_seconds_from_header
        return Probe(len(decoder), said.width, said.height, duration_s, nan if stated_s is None else stated_s)


def frame_files(folder: Path) -> list[Path]:
    """The frames of a folder in natural order, 2.jpg before 10.jpg. InputError for none, and for any other file.

    Hidden files are not looked at: file managers leave them, and so do writes that were cut off.
    """
    found = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=_natural)
    for path in found:
        if path.suffix.lower() not in _SUFFIXES:
            raise InputError(f"{path}: not a JPEG or PNG frame, in a folder of frames; move it elsewhere")
    if not found:
        raise InputError(f"{folder}: holds no JPEG or PNG frames")
    return found


def _natural(path: Path) -> tuple[list[str | int], str]:
    parts = re.split("([0-9]+)", path.name)  # digits at odd places
    return [int(part) if k % 2 else part for k, part in enumerate(parts)], path.name


def _is_remote(video: Video) -> bool:
    return isinstance(video, str) and video.startswith("hf://")


def _is_folder(video: Video) -> bool:
    return not isinstance(video, bytes) and not _is_remote(video) and Path(video).is_dir()


def _name(video: Video) -> str:
    return f"video of {len(video):,} bytes" if isinstance(video, bytes) else str(video)


@contextmanager
def _decoding(video: Video, seek_mode: str = "exact") -> Iterator[Any]:
    """A decoder; what goes wrong while it is used is told in one line. Exact: it goes over all packets once."""
    need_decoder()
    from torchcodec.decoders import VideoDecoder

    name = _name(video)
    source: Any = video
    if isinstance(video, bytes):
        check_whole(name, BytesIO(video))
    elif _is_remote(video):
        source = RemoteFile(str(video))
        check_whole(name, source)
        source.seek(0)
    else:
        if not Path(video).is_file():
            raise InputError(f"{name}: no such video file" + (" but a folder" if Path(video).is_dir() else ""))
        with Path(video).open("rb") as file:
            check_whole(name, file)
        source = str(Path(video).absolute())  # never a protocol of FFmpeg's, whatever the name
    try:
        decoder = VideoDecoder(source, dimension_order="NHWC", seek_mode=seek_mode)
        if not len(decoder):
            raise InputError(f"{name}: a video without frames")
        yield decoder
    except InputError:
        raise
    except (RuntimeError, ValueError, IndexError, AssertionError) as error:
        # The first line, without the place in torchcodec's own source.
        why = re.sub(r"^.*\.(cpp|h):\d+, ", "", str(error).strip().partition("\n")[0])[:160]
        raise InputError(f"{name}: does not decode as video ({why or type(error).__name__})") from None


def _positions(name: str, indices: Sequence[int] | None, n_frames: int) -> np.ndarray:
    if indices is None:
        return np.arange(n_frames)
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or not len(wanted) or not np.issubdtype(wanted.dtype, np.integer):
        raise InputError(f"{name}: frames {indices!r:.80}: expected the positions of one frame or more")
    outside = wanted[(wanted < 0) | (wanted >= n_frames)]
    if len(outside):
        raise InputError(f"{name}: no frame {outside[0]}: it has {n_frames}, and the first is 0")
    return wanted


def _collected(read: Callable[[np.ndarray], np.ndarray], wanted: np.ndarray, size_px: Canvas | None) -> np.ndarray:
    """What `read` gives for sorted positions or times, each read once, in the order in which they are wanted."""
    once, back = np.unique(wanted, return_inverse=True)
    if size_px is None:
        pixels = read(once)
    else:
        pixels = _resized((read(once[at : at + _GROUP]) for at in range(0, len(once), _GROUP)), len(once), size_px)
    return pixels if np.array_equal(once, wanted) else pixels[back]


def _resized(parts: Iterable[np.ndarray], n_frames: int, size_px: Canvas) -> np.ndarray:
    """Frames of the model's size; while one part is resized, the next is decoded."""
    import torch

    if not all(isinstance(side, int) and 0 < side <= LONGEST_SIDE_PX for side in size_px):
        raise InputError(f"size {tuple(size_px)}: not a width and a height in pixels")
    size = size_px.height, size_px.width
    pixels = torch.empty((n_frames, *size, 3), dtype=torch.uint8)

    def put(at: int, part: np.ndarray) -> None:
        if part.shape[1:3] == size:
            resized = torch.from_numpy(part)
        else:
            planes = torch.from_numpy(part).permute(0, 3, 1, 2)
            # On one thread whatever its settings, ten times as fast as Pillow and within 2 of 255 of its result.
            resized = torch.nn.functional.interpolate(planes, size, mode="bicubic", antialias=True).permute(0, 2, 3, 1)
        pixels[at : at + len(part)] = resized

    at, last = 0, Future[None]()
    last.set_result(None)
    with ThreadPoolExecutor(1) as pool:
        for part in parts:
            last.result()  # no more than two parts at full size at a time
            last = pool.submit(put, at, part)
            at += len(part)
    last.result()
    return pixels.numpy()


def _played(decoder: Any, times_s: np.ndarray) -> np.ndarray:
    """inf: the last frame. Its end is no sure guide to it, as some files give it no duration."""
    within = times_s[times_s < inf].tolist()
    parts = [decoder.get_frames_played_at(within).data.numpy()] if within else []
    if len(within) < len(times_s):
        parts.append(decoder.get_frames_at([len(decoder) - 1]).data.numpy())
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _one_by_one(decoder: Any, times_s: np.ndarray) -> np.ndarray:
    """A decoder that has not gone over the packets finds frames of irregular clips by single times only."""
    return np.stack([decoder.get_frame_played_at(time_s).data.numpy() for time_s in times_s.tolist()])
