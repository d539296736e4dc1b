"""An official repository at a commit, read in ranges, over cut connections and busy servers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import NamedTuple, TypeVar

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from medvidbench_hf.sample import InputError

BUSY = (408, 429, 500, 502, 503, 504)
ASK_TRIES, READ_TRIES = 4, 8  # one after the other without a byte between: 7 s of waiting, and 2 minutes
FIRST_WAIT_S = 1.0  # doubled from try to try
LONGEST_WAIT_S = 600.0  # that a server may ask for

T = TypeVar("T")


class Release(NamedTuple):
    """rows: the file with the rows. folder: how the paths of its frames and archives begin; "" where not known."""

    repo: str
    rows: str
    folder: str
    gated: bool


RELEASES = {
    "test": Release("UII-AI/MedVidBench", "cleaned_test_data_11_04.json", "testdata", gated=False),
    "trainval": Release("UII-AI/MedVidU_ECCV2026_TrainVal", "medvidu_eccv2026_trainval.json", "", gated=True),
}


class File(NamedTuple):
    """A file of a repository. sha256: None where the Hub does not tell it."""

    path: str
    size: int
    sha256: str | None


class Hub:
    """A repository at a commit. Threads may share it.

    Every method raises InputError where access is refused or HF_HUB_OFFLINE is set, and OSError where trying again has
    not helped.
    """

    def __init__(self, release: Release, commit: str = "", advance: Callable[[int], None] = lambda n: None) -> None:
        """advance: told of every number of bytes that came."""
        if constants.HF_HUB_OFFLINE:
            raise InputError(f"HF_HUB_OFFLINE is set, so {release.repo} cannot be reached: unset it")
        self.release, self.commit = release, commit
        self.stop = Event()  # ends every read
        self._advance = advance
        self._headers = {**build_hf_headers(), "Accept-Encoding": "identity"}

    def resolve(self, revision: str) -> str:
        """The commit that a branch, a tag or a commit names."""
        timeout_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
        info = self._ask(
            lambda: HfApi().dataset_info(self.release.repo, revision=revision, timeout=timeout_s), revision
        )
        return str(info.sha)

    def files(self) -> list[File]:
        """Every file of the commit."""

        def ask() -> list[RepoFile]:
            tree = HfApi().list_repo_tree(self.release.repo, recursive=True, revision=self.commit, repo_type="dataset")
            return [entry for entry in tree if isinstance(entry, RepoFile)]

        return [File(f.path, f.size, f.lfs.sha256 if f.lfs else None) for f in self._ask(ask, self.commit)]

    def read(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        """Bytes start..stop of a file; after a cut it goes on where it was."""
        url = hf_hub_url(self.release.repo, file.path, repo_type="dataset", revision=self.commit)
        failures = 0
        while start < stop:
            headers = {**self._headers, "Range": f"bytes={start}-{stop - 1}"}
            try:
                with get_session().stream(
                    "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
                ) as response:
                    hf_raise_for_status(response)
                    if response.status_code != 206 and (start, stop) != (0, file.size):
                        raise OSError(
                            f"{file.path}: {constants.ENDPOINT} sends the whole file where a part was asked for"
                        )
                    for chunk in response.iter_bytes():
                        if self.stop.is_set():
                            raise InterruptedError(f"{file.path}: stopped")
                        chunk = chunk[: stop - start]
                        start += len(chunk)
                        failures = 0 if chunk else failures
                        self._advance(len(chunk))
                        yield chunk
                if start < stop:
                    raise HTTPError("the answer is too short")
            except HTTPError as error:
                failures += 1
                self._wait(error, file.path, failures, READ_TRIES)

    def fetch(self, file: File, work: Path, place: Path) -> None:
        """A whole file to its place, by way of the work folder; a later call goes on where this one was cut off."""
        name = hashlib.sha256(f"{self.release.repo} {self.commit} {file.path}".encode()).hexdigest()[:16]
        partial = work / f"{name}.partial"
        with partial.open("ab") as target:
            if target.tell() > file.size:
                target.truncate(0)
            for chunk in self.read(file, target.tell(), file.size):
                target.write(chunk)
        if file.sha256 is not None:
            with partial.open("rb") as source:
                digest = hashlib.file_digest(source, "sha256").hexdigest()
            if digest != file.sha256:
                partial.unlink()
                raise OSError(f"{file.path}: what came has the SHA-256 {digest}, not {file.sha256}")
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(place)

    def _ask(self, ask: Callable[[], T], revision: str) -> T:
        failures = 0
        while True:
            try:
                return ask()
            except RevisionNotFoundError:
                raise InputError(f"{self.release.repo} has no revision {revision!r:.60}") from None
            except HTTPError as error:
                failures += 1
                self._wait(error, self.release.repo, failures, ASK_TRIES)

    def _wait(self, error: HTTPError, what: str, failures: int, tries: int) -> None:
        """Wait until a next try makes sense; raises where none does.

        The text of an HTTP error is not passed on: the address in it may be signed.
        """
        response = error.response if isinstance(error, HfHubHTTPError) else None
        if response is not None and response.status_code not in BUSY:
            raise self._refusal(error, response.status_code, what) from None
        fault = f"HTTP {response.status_code}" if response is not None else f"{type(error).__name__}: {error}"
        asked_s = asked_wait_s(response.headers) if response is not None else None
        if failures >= tries or (asked_s or 0.0) > LONGEST_WAIT_S:
            asks = f", and is asked to wait {asked_s:.0f} s" if asked_s else ""
            raise OSError(f"{what} at {constants.ENDPOINT}: {fault}, tried {failures} times{asks}") from None
        self.stop.wait(FIRST_WAIT_S * 2 ** (failures - 1) if asked_s is None else asked_s)

    def _refusal(self, error: HTTPError, status: int, what: str) -> Exception:
        repo = self.release.repo
        closed = isinstance(error, RepositoryNotFoundError) or status in (401, 403)
        if isinstance(error, GatedRepoError) or (closed and self.release.gated):
            return InputError(
                f"{repo} is gated: ask for access at https://huggingface.co/datasets/{repo} (approved by hand, takes "
                "days), then log in with `hf auth login`"
            )
        if closed:
            return InputError(
                f"{repo} cannot be read at {constants.ENDPOINT} (HTTP {status}): a token that is set may be stale: "
                "`hf auth login`"
            )
        return OSError(f"{what} at {constants.ENDPOINT}: HTTP {status}")


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that a busy server asks to wait: Retry-After, else the Hub's ratelimit header."""
    asked = re.fullmatch(r"\s*(\d{1,9})\s*", headers.get("Retry-After", "")) or re.search(
        r";\s*r=0\s*;\s*t=(\d{1,9})", headers.get("ratelimit", "")
    )
    return float(asked[1]) if asked else None
