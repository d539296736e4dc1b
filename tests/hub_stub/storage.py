"""Repositories in a folder: plain files and JSON, each written whole or not at all, so a restart finds what was there.

    ROOT/blobs/<sha256>                         contents, shared by all repositories
    ROOT/<kind>/<org>/<name>/repo.json          visibility, gate, branches and tags
    ROOT/<kind>/<org>/<name>/commits/<id>.json  parent, title, date, and the whole tree: path -> File

A repository is named as the Hub's API names it: `datasets/org/name`. One process writes to a ROOT at a time.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

KINDS = ("models", "datasets", "spaces")
LFS_SUFFIXES = (".parquet", ".arrow", ".mp4", ".mkv", ".safetensors", ".bin", ".zip", ".png", ".jpg")


class Refused(Exception):
    """A request that the Hub would refuse: HTTP status, X-Error-Code ("" for none), message."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, dict(headers)


class File(NamedTuple):
    """A file of a commit. `oid` is git's: of the content, or of the pointer where the content lies in LFS."""

    sha256: str
    size: int
    oid: str
    lfs: bool


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def lfs_file(sha256: str, size: int) -> File:
    return File(sha256, size, git_oid(lfs_pointer(sha256, size)), lfs=True)


class Store:
    """All that a Hub keeps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()

    @contextmanager
    def new_blob(self) -> Iterator[Blob]:
        """A content to write piece by piece; it stays only if it was kept."""
        with tempfile.NamedTemporaryFile(dir=self.blobs, prefix=".", delete=False) as handle:
            try:
                yield Blob(self, handle)
            finally:
                Path(handle.name).unlink(missing_ok=True)

    def blob_size(self, sha256: str) -> int | None:
        path = self.blobs / sha256
        return path.stat().st_size if re.fullmatch(r"[0-9a-f]{64}", sha256) and path.is_file() else None

    def text_file(self, content: bytes) -> File:
        """Keep a content that is no LFS file."""
        with self.new_blob() as blob:
            blob.write(content)
            return File(blob.keep(), len(content), git_oid(content), lfs=False)

    def large_file(self, path: Path) -> File:
        """Keep a file of this machine as an LFS file, as if it had been uploaded."""
        with self.new_blob() as blob, path.open("rb") as source:
            while piece := source.read(1 << 20):
                blob.write(piece)
            return lfs_file(blob.keep(), path.stat().st_size)

    def create(self, repo: str, **meta: Any) -> None:
        """An empty repository with its first commit."""
        path = self._folder(repo) / "repo.json"
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)
        with self.lock:
            if path.exists():
                raise FileExistsError(f"{repo} exists already")
            meta = {"private": False, "gated": False, "allowed": [], "branches": {"main": None}, "tags": {}, **meta}
            write_json(path, {**meta, "created": now()})
        self.commit(repo, "main", "initial commit", [(".gitattributes", self.text_file(attributes.encode()))])

    def delete(self, repo: str) -> None:
        self.meta(repo)
        shutil.rmtree(self._folder(repo))

    def meta(self, repo: str) -> dict[str, Any]:
        path = self._folder(repo) / "repo.json"
        if not path.is_file():
            raise Refused(404, "RepoNotFound", f"{repo}: no such repository")
        return json.loads(path.read_text())

    @contextmanager
    def changed_meta(self, repo: str) -> Iterator[dict[str, Any]]:
        """repo.json to change; written when the block ends well."""
        with self.lock:
            meta = self.meta(repo)
            yield meta
            write_json(self._folder(repo) / "repo.json", meta)

    def set_ref(self, repo: str, key: str, ref: str, commit: str | None) -> None:
        """Make a tag or branch (key "tags" or "branches"), or with None for a commit remove it."""
        if not re.fullmatch(r"\w[\w.-]*", ref):
            raise Refused(400, "", f"{ref!r} is not a name that this stub takes for a tag or branch")
        with self.changed_meta(repo) as meta:
            if commit and ref in meta[key]:
                raise Refused(409, "", f"{repo}: {ref} exists already")
            if not commit and ref not in meta[key]:
                raise Refused(404, "RevisionNotFound", f"{repo}: no {ref} to delete")
            meta[key] = {**{r: c for r, c in meta[key].items() if r != ref}, **({ref: commit} if commit else {})}

    def commit_id(self, repo: str, revision: str) -> str:
        """The commit that a branch, a tag or a commit id names."""
        meta = self.meta(repo)
        found = meta["branches"].get(revision) or meta["tags"].get(revision)
        if found:
            return found
        if re.fullmatch(r"[0-9a-f]{40}", revision) and self._commit_path(repo, revision).is_file():
            return revision
        raise Refused(404, "RevisionNotFound", f"{repo}: no revision {revision!r}")

    def read_commit(self, repo: str, commit: str) -> Commit:
        return _read_commit(self._commit_path(repo, commit))

    def commit(
        self, repo: str, branch: str, title: str, changes: Iterable[tuple[str, File | None]], parent: str | None = None
    ) -> str:
        """Add files, or delete what is None (a path that ends in "/" is a folder); the new commit's id."""
        with self.changed_meta(repo) as meta:
            if branch not in meta["branches"]:
                raise Refused(404, "RevisionNotFound", f"{repo}: no branch {branch!r} to commit to")
            head = meta["branches"][branch]
            if parent is not None and parent != head:
                raise Refused(412, "", f"{repo}: {branch} has moved from {parent} to {head}")
            files = dict(self.read_commit(repo, head).files) if head else {}
            for path, file in changes:
                if any(part in ("", ".", "..") for part in path.removesuffix("/").split("/")):
                    raise Refused(400, "", f"not a path in a repository: {path!r}")
                if file is not None:
                    files[path] = file
                    continue
                gone = [p for p in files if p == path or (path.endswith("/") and p.startswith(path))]
                if not gone:
                    raise Refused(404, "EntryNotFound", f"{repo}: no {path} to delete")
                for name in gone:
                    del files[name]
            tree = {path: files[path]._asdict() for path in sorted(files)}
            commit = {"parent": head, "title": title, "date": now(), "files": tree}
            made = hashlib.sha1(json.dumps(commit).encode()).hexdigest()
            write_json(self._commit_path(repo, made), commit)
            meta["branches"][branch] = made
            return made

    def _folder(self, repo: str) -> Path:
        kind, *names = repo.split("/")
        if kind not in KINDS or len(names) != 2 or not all(re.fullmatch(r"\w[\w.-]*", name) for name in names):
            raise Refused(404, "RepoNotFound", f"{repo!r} is not the name of a repository")
        return self.root / repo

    def _commit_path(self, repo: str, commit: str) -> Path:
        return self._folder(repo) / "commits" / f"{commit}.json"


class Blob:
    """A content while it is written."""

    def __init__(self, store: Store, handle: Any) -> None:
        self.store, self.handle, self.digest = store, handle, hashlib.sha256()

    def write(self, piece: bytes) -> None:
        self.handle.write(piece)
        self.digest.update(piece)

    def keep(self) -> str:
        """Give the content its place; its SHA-256."""
        self.handle.flush()
        sha256 = self.digest.hexdigest()
        Path(self.handle.name).replace(self.store.blobs / sha256)
        return sha256


class Commit(NamedTuple):
    id: str
    parent: str | None
    title: str
    date: str
    files: dict[str, File]  # by path


@lru_cache(maxsize=64)  # a commit never changes
def _read_commit(path: Path) -> Commit:
    commit = json.loads(path.read_text())
    files = {name: File(**file) for name, file in commit.pop("files").items()}
    return Commit(id=path.stem, files=files, **commit)


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value))
    partial.replace(path)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
