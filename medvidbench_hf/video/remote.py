"""A file of a dataset repository on the Hub, read by ranges: no listing of its folder, no more than is asked for.

    RemoteFile("hf://datasets/org/name@<commit>/clips/SourceA/v1/clip.mp4").read(100)

`HfFileSystem` lists a file's whole folder before it opens it; here the first range tells the size. The login is
huggingface_hub's own (`hf auth login` or HF_TOKEN).
"""

from __future__ import annotations

import io
import re
from functools import lru_cache
from urllib.parse import unquote

from medvidbench_hf.sample import InputError

_SMALLEST_BYTES, _LARGEST_BYTES = 1 << 16, 1 << 22  # of one request; FFmpeg itself reads 64 KiB at a time

_ADDRESS = re.compile(r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?/(?P<path>.+)")


class _Fetched:
    """What is here of a file."""

    def __init__(self) -> None:
        self.size = -1  # not known yet
        self.pieces: dict[int, bytes] = {}  # first byte -> content


@lru_cache(maxsize=2)
def _kept(address: str) -> _Fetched:
    """Of the last two files: who looks at a clip and then reads it does not fetch it twice."""
    return _Fetched()


class RemoteFile:
    """read() and seek() over HTTP ranges: small ones at a jump, larger ones where the reading goes on.

    InputError where the Hub does not give the file. A file of a fixed commit (40 hexadecimal digits) may be answered
    from what was fetched before.
    """

    def __init__(self, address: str) -> None:
        found = _ADDRESS.fullmatch(address)
        if found is None or {"", ".", ".."} & set(found["path"].split("/")):
            raise InputError(f"{address}: not an address such as hf://datasets/<org>/<name>@<revision>/<path>")
        from huggingface_hub import hf_hub_url

        revision = unquote(found["revision"] or "main")
        self.address = address
        self._url = hf_hub_url(found["repo"], found["path"], repo_type="dataset", revision=revision)
        self._fetched = _kept(address) if re.fullmatch("[0-9a-f]{40}", revision) else _Fetched()
        self._at = 0
        self._last_end, self._last_bytes = -1, 0
        self._piece()

    def read(self, size: int = -1) -> bytes:
        end = self._fetched.size if size < 0 else min(self._at + size, self._fetched.size)
        parts = []
        while self._at < end:
            start, piece = self._piece()
            parts.append(piece[self._at - start : end - start])
            self._at += len(parts[-1])
        return b"".join(parts)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._fetched.size)[whence]
        return self._at

    def _piece(self) -> tuple[int, bytes]:
        """The piece that holds the current byte, and its first byte."""
        pieces = self._fetched.pieces
        for start, piece in list(pieces.items()):
            if start <= self._at < start + len(piece):
                return start, piece
        wanted = min(2 * self._last_bytes, _LARGEST_BYTES) if self._at == self._last_end else _SMALLEST_BYTES
        end = min([self._at + wanted, *(start for start in pieces if start > self._at)])
        first, piece, size = self._ask(self._at, end)
        if size == 0:
            raise InputError(f"{self.address}: empty file")
        if self._fetched.size not in (-1, size) or not first <= self._at < first + len(piece):
            raise InputError(f"{self.address}: changed while it was read; name a commit in the address")
        self._fetched.size = size
        self._last_end, self._last_bytes = first + len(piece), wanted
        pieces[first] = piece
        return first, piece

    def _ask(self, start: int, end: int) -> tuple[int, bytes, int]:
        """Bytes start to end, or all from a server without ranges: their first byte, they, the size of the file."""
        from huggingface_hub import constants
        from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled
        from huggingface_hub.utils import build_hf_headers, http_backoff

        headers = {**build_hf_headers(), "Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        try:
            answer = http_backoff("GET", self._url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
        except OfflineModeIsEnabled:
            raise InputError(f"{self.address}: HF_HUB_OFFLINE is set: unset it, or give a local file") from None
        except (HTTPError, OSError) as error:  # only its kind is told: its text may hold a signed address
            raise InputError(f"{self.address}: the Hub could not be asked ({type(error).__name__})") from None
        match answer.status_code:
            case 206:
                return start, answer.content, int(answer.headers["Content-Range"].rpartition("/")[2])
            case 200:
                return 0, answer.content, len(answer.content)
            case 416:
                raise InputError(f"{self.address}: empty file")
            case 401 | 403:
                way = "log in with `hf auth login`, and accept the terms on its page if it is gated"
                raise InputError(f"{self.address}: not open to this login: {way}")
            case 404:
                raise InputError(f"{self.address}: no such repository, revision or file on the Hub")
            case code:
                raise InputError(f"{self.address}: the Hub answered with status {code}")
