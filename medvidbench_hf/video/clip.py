"""Write clip files. Frame k of a clip is the frame at `frame_times_s[k]`, and the file says so too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from math import inf, isfinite, log10
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medvidbench_hf.sample import Canvas, InputError
from medvidbench_hf.video import picture
from medvidbench_hf.video.read import Video, groups

_TICKS_PER_S = 1000
_LATEST_TICKS = 100  # by which repeated times may push a frame
_USUAL_FPS = 25  # what an encoder is told
_LONGEST_S = 1_000_000.0  # eleven days; the ticks of an mp4 last for 24

_ENDINGS = {"h264": ".mp4", "av1": ".mp4", "copy": ".mkv"}
_CRF = {"h264": 18, "av1": 28}  # of about the same PSNR
_WORST_CRF = {"h264": 51, "av1": 63}
_AV1_SMALLEST_PX = 64

_MACHINE_SAYS = ("No space left", "Input/output error", "Cannot allocate memory", "quota exceeded", "Read-only file")
_LONGEST_ARGUMENT = 120_000  # characters; Linux allows 128 KiB

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}


class Encoded(NamedTuple):
    """What was written."""

    path: Path
    codec: str  # h264, av1 or copy
    n_frames: int
    size_bytes: int
    psnr_db: float | None  # None where it was not measured, and for a copy, which loses nothing


def need_ffmpeg(program: str = "ffmpeg") -> str:
    """Where ffmpeg, or the ffprobe that comes with it, is; InputError with the way to install it where it is not."""
    found = shutil.which(program)
    if found is None:
        raise InputError(
            f"{program} is not installed: `apt-get install ffmpeg` (Debian, Ubuntu) or `brew install ffmpeg` (macOS)"
        )
    return found


def encode(
    frames: np.ndarray | Sequence[Path],
    times_s: Sequence[float],
    path: str | Path,
    *,
    codec: str = "h264",
    crf: int | None = None,
    measure: bool = False,
) -> Encoded:
    """Write a clip, its frames at their true times, to 1 ms. The file appears whole or not at all.

    frames: (n, height, width, 3) uint8, or JPEG or PNG files, of which one at a time is in memory.
    times_s: (n,) in order; equal times are kept one millisecond apart.
    codec: "h264" is an mp4 that plays in browsers; "av1" an mp4 of fewer bytes that takes longer to write; "copy" an
        mkv that holds JPEG or PNG files as they are, each a packet: they are read back and compared with the files by
        SHA-256. Browsers do not play a copy. In h264 and av1 an odd last row or column is repeated once.
    crf: quality of h264 (default 18) or av1 (default 28); lower is better. measure: decode the clip again for its PSNR.

    InputError for no frames; for files that are missing, cut off, of several sizes or formats, turned by EXIF or
    transparent; for times that are not finite, run backwards or are more than 1000 a second.
    """
    path = Path(path)
    if codec not in _ENDINGS:
        raise InputError(f"{path}: codec {codec!r}: expected one of {', '.join(_ENDINGS)}")
    if path.suffix != _ENDINGS[codec]:
        raise InputError(f"{path}: a clip of codec {codec} is named *{_ENDINGS[codec]}")
    if codec == "copy" and (crf is not None or isinstance(frames, np.ndarray)):
        raise InputError(f"{path}: codec copy keeps image files as they are: it takes files, and no crf")
    if crf is not None and not 0 <= crf <= _WORST_CRF[codec]:
        raise InputError(f"{path}: crf {crf}: {codec} takes 0 to {_WORST_CRF[codec]}")
    if isinstance(frames, np.ndarray) and (frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8):
        raise InputError(f"{path}: frames {frames.shape} {frames.dtype} do not fit (n, height, width, 3) uint8")
    if len(frames) != len(times_s):
        raise InputError(f"{path}: {len(frames)} frames do not fit {len(times_s)} times")
    shown = _checked_ticks(path, times_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if codec == "copy":
            _copy([Path(frame) for frame in frames], shown, path, partial)
        else:
            _compress(frames, shown, path, partial, codec, crf)
        decibels = psnr(partial, frames) if measure and codec != "copy" else None
        size_bytes = partial.stat().st_size
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return Encoded(path, codec, len(frames), size_bytes, decibels)


def psnr(clip: Video, frames: np.ndarray | Sequence[Path]) -> float:
    """Peak signal-to-noise ratio of a clip's frames against these, in dB; inf where they are equal.

    10 log10(255² / e), e being the mean squared difference over all pixels, RGB channels and frames together. What the
    ways from RGB to YUV 4:2:0 and back cost counts. The row and the column by which a clip was made even do not.
    """
    squares, n_values, at = 0, 0, 0
    for group in groups(clip):
        for decoded in group:
            if at < len(frames):
                true = _pixels(frames[at])
                difference = decoded[: true.shape[0], : true.shape[1]].astype(np.int32) - true
                squares += int(np.square(difference).sum(dtype=np.int64))
                n_values += true.size
            at += 1
    if at != len(frames):
        raise InputError(f"a clip of {at} frames cannot be compared with {len(frames)} frames")
    return 10 * log10(255**2 * n_values / squares) if squares else inf


def ticks(times_s: Sequence[float]) -> list[int]:
    """Presentation times in milliseconds from the first frame; a repeated time moves on by one millisecond."""
    result: list[int] = []
    for time_s in times_s:
        tick = round((time_s - times_s[0]) * _TICKS_PER_S)
        result.append(max(tick, result[-1] + 1) if result else tick)
    return result


def _checked_ticks(path: Path, times_s: Sequence[float]) -> list[int]:
    """ticks() of times that a clip can keep."""
    if not len(times_s):
        raise InputError(f"{path}: no frames: a clip has at least one")
    for k, time_s in enumerate(times_s):
        if not isfinite(time_s):
            raise InputError(f"{path}: time {k} is {time_s}, not a finite number")
        if k and time_s < times_s[k - 1]:
            raise InputError(f"{path}: time {k} runs backwards, from {times_s[k - 1]} s to {time_s} s")
    if times_s[-1] - times_s[0] > _LONGEST_S:
        raise InputError(
            f"{path}: times from {times_s[0]} s to {times_s[-1]} s: a clip lasts at most {_LONGEST_S:.0f} s"
        )
    shown = ticks(times_s)
    for k, (tick, time_s) in enumerate(zip(shown, times_s, strict=True)):
        if tick - (time_s - times_s[0]) * _TICKS_PER_S > _LATEST_TICKS:
            raise InputError(f"{path}: more than {_TICKS_PER_S} frames a second up to frame {k} at {time_s} s")
    return shown


def _compress(
    frames: np.ndarray | Sequence[Path], shown: list[int], path: Path, partial: Path, codec: str, crf: int | None
) -> None:
    """H.264 or AV1 in mp4; frames go through a pipe one at a time, as a clip's may fill a good part of the memory."""
    size = _size(frames[0])
    width, height = (side + side % 2 for side in size)
    if codec == "h264":
        # Tuned for decoding: twice as fast to read, for an eighth more bytes.
        options = ["libx264", "-preset", "veryfast", "-tune", "fastdecode", "-bf", "0", "-threads", "1"]
    else:
        if min(width, height) < _AV1_SMALLEST_PX:
            raise InputError(
                f"{path}: {width}x{height} is too small for av1, which begins at {_AV1_SMALLEST_PX}: use h264"
            )
        options = ["libsvtav1", "-preset", "8", "-svtav1-params", "lp=1"]
    command = [
        *(need_ffmpeg(), "-v", "error", "-nostdin", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(_USUAL_FPS), "-i", "-"),
        # The colour matrix is written and named: players guess it from the size where it is not.
        *("-vf", "scale=out_color_matrix=bt601:out_range=tv", "-pix_fmt", "yuv420p"),
        *("-colorspace", "smpte170m", "-color_range", "tv", "-enc_time_base", f"1:{_TICKS_PER_S}"),
        # A short GOP, because models read frames from anywhere; one thread, because clips are written side by side.
        *("-fps_mode", "passthrough", "-c:v", *options, "-crf", str(_CRF[codec] if crf is None else crf), "-g", "16"),
        *("-bsf:v", _set_times(path, shown)),
        *("-video_track_timescale", str(_TICKS_PER_S), "-movflags", "+faststart", "-f", "mp4", str(partial.absolute())),
    ]
    quiet = {**os.environ, "SVT_LOG": "1"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=quiet) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for frame in frames:
                even = [(0, height - size.height), (0, width - size.width), (0, 0)]
                process.stdin.write(np.pad(_pixels(frame, size), even, mode="edge").tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass  # ffmpeg stopped and says why
        said = process.stderr.read()
    _check_done(process.returncode, said, path)


def _copy(files: list[Path], shown: list[int], path: Path, partial: Path) -> None:
    """The files as they are in mkv, one a packet."""
    size, first = picture.size_of(files[0]), picture.check(files[0])
    for file in files:
        if picture.check(file, size) != first:
            raise InputError(f"{file}: not {first}, as {files[0]}: the frames of a copy have one format")
    with tempfile.TemporaryDirectory() as folder:
        # ffmpeg reads numbered files. Links give numbers to files of any name, and to one that comes twice.
        for k, file in enumerate(files):
            Path(folder, f"{k:08d}{_SUFFIXES[first]}").symlink_to(file.absolute())
        command = [
            *(need_ffmpeg(), "-v", "error", "-nostdin", "-y", "-f", "image2", "-framerate", str(_TICKS_PER_S)),
            *("-i", f"%08d{_SUFFIXES[first]}", "-c:v", "copy", "-bsf:v", _set_times(path, shown)),
            *("-f", "matroska", str(partial.absolute())),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    _check_done(done.returncode, done.stderr, path)
    if _packets(partial) != [
        (tick, sha256(file.read_bytes()).hexdigest()) for tick, file in zip(shown, files, strict=True)
    ]:
        raise OSError(f"{path}: what was read back are not the files at their times; no clip was written")


def _packets(clip: Path) -> list[tuple[int, str]]:
    """Time in ticks and SHA-256 of each packet of a clip written by `_copy`."""
    command = [need_ffmpeg("ffprobe"), "-v", "error", "-of", "json", "-show_data_hash", "sha256"]
    command += ["-show_entries", "packet=pts,data_hash", str(clip.absolute())]
    done = subprocess.run(command, capture_output=True, check=False)
    _check_done(done.returncode, done.stderr, clip)
    found = json.loads(done.stdout)
    return [(packet["pts"], packet["data_hash"].removeprefix("SHA256:")) for packet in found["packets"]]


def _check_done(code: int, said: bytes, path: Path) -> None:
    """OSError where the machine gave out, InputError where the encoder takes no such frames."""
    if not code:
        return
    why = " ".join(said.decode(errors="replace").split())[-300:]
    if code < 0 or any(sign in why for sign in _MACHINE_SAYS):
        raise OSError(f"ffmpeg could not write {path}: {why or f'ended by signal {-code}'}")
    raise InputError(f"{path}: ffmpeg cannot make such a clip: {why}")


def _size(frame: np.ndarray | Path) -> Canvas:
    return Canvas(frame.shape[1], frame.shape[0]) if isinstance(frame, np.ndarray) else picture.size_of(Path(frame))


def _pixels(frame: np.ndarray | Path, size: Canvas | None = None) -> np.ndarray:
    return frame if isinstance(frame, np.ndarray) else picture.pixels(Path(frame), size)


def _set_times(path: Path, values: list[int]) -> str:
    """The bitstream filter that gives packet N the time values[N], after encoding: to an encoder every clip is a usual
    film, so that its quality does not depend on the times. The last frame lasts as long as the mean of the others.

    Only an expression can give each packet a time of its own. It names the runs of equal steps, which are few in a
    regular clip.
    """
    runs: list[tuple[int, str]] = []  # number of its first frame, expression
    k = 0
    while k < len(values):
        first, step = k, values[k + 1] - values[k] if k + 1 < len(values) else 0
        k += 1
        while k < len(values) and values[k] - values[k - 1] == step:
            k += 1
        runs.append((first, f"{values[first]}+{step}*(N-{first})"))
    expression = _halved(runs)
    if len(expression) > _LONGEST_ARGUMENT:
        raise InputError(
            f"{path}: {len(values)} frames at irregular times are more than ffmpeg can be told: cut the clip"
        )
    last = max(1, round(values[-1] / max(1, len(values) - 1)))
    return f"setts=ts='{expression}':duration={last}"


def _halved(runs: list[tuple[int, str]]) -> str:
    """Halving keeps the expression shallow: ffmpeg refuses deep ones, such as a sum of 100 terms."""
    if len(runs) == 1:
        return runs[0][1]
    half = len(runs) // 2
    return f"if(lt(N,{runs[half][0]}),{_halved(runs[:half])},{_halved(runs[half:])})"
