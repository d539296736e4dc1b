"""Write and read clip files. Frame k of a clip is the frame at `frame_times_s[k]`, and the file says so too."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medvidbench_hf.sample import InputError

_TICKS_PER_S = 1000


def need_ffmpeg() -> str:
    """The ffmpeg program; InputError with the way to install it where there is none."""
    found = shutil.which("ffmpeg")
    if found is None:
        raise InputError(
            "ffmpeg is not installed: `apt-get install ffmpeg` (Debian, Ubuntu) or `brew install ffmpeg` (macOS)"
        )
    return found


def need_decoder() -> None:
    """InputError with the way to install what reads clips, where it is missing."""
    try:
        import torchcodec.decoders  # noqa: F401
    except ImportError:
        raise InputError("reading clips needs the video extra: pip install 'medvidbench-hf[video]'") from None
    except RuntimeError:
        raise InputError("torchcodec cannot load FFmpeg's libraries: `apt-get install ffmpeg`") from None


def ticks(times_s: Sequence[float]) -> list[int]:
    """Presentation times in milliseconds from the first frame; a repeated time moves on by one millisecond."""
    result: list[int] = []
    for time_s in times_s:
        tick = round((time_s - times_s[0]) * _TICKS_PER_S)
        result.append(max(tick, result[-1] + 1) if result else tick)
    return result


def encode(frames: np.ndarray, times_s: Sequence[float], path: str | Path, crf: int = 23) -> None:
    """Write a clip as H.264 mp4 that plays in browsers, its frames at their true times.

    frames: (n, height, width, 3) uint8; an odd last row or column is repeated once, as H.264 needs even sizes.
    times_s: (n,) in order; equal times are kept one millisecond apart. The file appears whole or not at all.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or len(frames) != len(times_s):
        raise ValueError(
            f"frames {frames.shape} {frames.dtype} do not fit (n, height, width, 3) uint8 and {len(times_s)} times"
        )
    even = [(0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)]
    height, width = frames.shape[1] + even[0][1], frames.shape[2] + even[1][1]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    command = [
        *(need_ffmpeg(), "-v", "error", "-nostdin", "-y"),
        *(
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{width}x{height}",
            "-r",
            str(_TICKS_PER_S),
            "-i",
            "-",
        ),
        *(
            "-vf",
            f"setpts='{_pick(ticks(times_s))}'",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "-1",
            "-video_track_timescale",
            str(_TICKS_PER_S),
        ),
        # A short GOP, because models read frames from anywhere; one thread, because clips are written side by side.
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-g", "16", "-bf", "0", "-threads", "1"),
        *("-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", str(partial)),
    ]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stderr is not None
            try:
                for frame in frames:  # one at a time: the frames of a clip may fill a good part of the memory
                    process.stdin.write(np.pad(frame, even, mode="edge").tobytes())
                process.stdin.close()
            except BrokenPipeError:
                pass  # ffmpeg stopped and says why
            said = process.stderr.read().decode(errors="replace")
        if process.returncode:
            raise OSError(f"ffmpeg could not write {path}: {' '.join(said.split())[-300:]}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _pick(values: list[int], first: int = 0) -> str:
    """An ffmpeg expression for values[N - first], N being the frame's number.

    Only an expression can give each frame a time of its own. Halving keeps it shallow: ffmpeg refuses deep ones, such
    as a sum over 100 frames.
    """
    if len(values) == 1:
        return str(values[0])
    half = len(values) // 2
    return f"if(lt(N,{first + half}),{_pick(values[:half], first)},{_pick(values[half:], first + half)})"


def frames_at(clip: str | Path, times_s: Sequence[float]) -> np.ndarray:
    """The frames shown at the given times; (n, height, width, 3) uint8.

    A time before the first frame or after the last gives that frame. Raises InputError where the file is missing or
    does not decode.
    """
    need_decoder()
    from torchcodec.decoders import VideoDecoder

    if not Path(clip).is_file():
        raise InputError(f"{clip}: no such video file")
    try:
        decoder = VideoDecoder(str(clip), dimension_order="NHWC")
        begin, end = decoder.metadata.begin_stream_seconds, decoder.metadata.end_stream_seconds
        # A frame's presentation time may round to just after the time that was asked for.
        shown = [min(max(begin + t + 0.5 / _TICKS_PER_S, begin), np.nextafter(end, begin)) for t in times_s]
        return decoder.get_frames_played_at(shown).data.numpy()
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise InputError(f"{clip}: does not decode as video ({str(error).strip().splitlines()[0][:160]})") from None
