"""What huggingface_hub 2.4 asks of a Hub, answered from a Store.

Not here: Xet, pull requests, pages of a listing, .gitignore, accounts (any token may write), enforced privacy, and
revisions with a slash in their name.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.convertors import StringConvertor, register_url_convertor

from tests.hub_stub.storage import LFS_SUFFIXES, Commit, File, Refused, Store, lfs_file, lfs_pointer

USER = "tester"
LARGEST_REGULAR_BYTES = 10_000_000


class RepoInApi(StringConvertor):
    regex = "(?:models|datasets|spaces)/[^/]+/[^/]+"


class RepoOnSite(StringConvertor):
    """A model has no prefix there."""

    regex = "(?:datasets/|spaces/)?[^/]+/[^/]+?"

    def convert(self, value: str) -> str:
        return value if value.count("/") == 2 else f"models/{value}"


register_url_convertor("repo", RepoInApi())
register_url_convertor("site", RepoOnSite())


def make_app(store: Store) -> Callable[..., Any]:
    app = FastAPI(openapi_url=None)
    log: list[dict[str, Any]] = []

    def at(repo: str, revision: str) -> Commit:
        return store.read_commit(repo, store.commit_id(repo, revision))

    @app.exception_handler(Refused)
    def refused(_: Request, error: Refused) -> Response:
        headers = {"X-Error-Message": str(error), **({"X-Error-Code": error.code} if error.code else {})}
        return JSONResponse({"error": str(error)}, error.status, {**headers, **error.headers})

    # --- for tests ---------------------------------------------------------------------------------------------

    @app.get("/_log")
    async def read_log() -> Response:
        return JSONResponse(log)

    @app.delete("/_log")
    async def clear_log() -> None:
        log.clear()

    @app.put("/_gate/{repo:repo}")
    def gate(repo: str, body: dict[str, Any]) -> None:
        with store.changed_meta(repo) as meta:
            meta.update(gated="manual", allowed=body["allow"])

    # --- repositories ------------------------------------------------------------------------------------------

    @app.get("/api/whoami-v2")
    def whoami() -> dict[str, Any]:
        token = {"accessToken": {"displayName": "stub", "role": "write"}}
        return {"type": "user", "id": USER, "name": USER, "fullname": "Tester", "orgs": [], "auth": token}

    @app.post("/api/validate-yaml")
    def validate_yaml() -> dict[str, Any]:
        return {"errors": [], "warnings": []}

    @app.post("/api/repos/create")
    def create(request: Request, body: dict[str, Any]) -> Response:
        repo, status = named(body), 200
        try:
            store.create(repo, private=body.get("visibility") == "private", sdk=body.get("sdk"))
        except FileExistsError:
            status = 409
        return JSONResponse({"url": site_address(request, repo), "name": repo.partition("/")[2]}, status)

    @app.delete("/api/repos/delete")
    def delete(body: dict[str, Any]) -> None:
        store.delete(named(body))

    @app.get("/api/{repo:repo}")
    @app.get("/api/{repo:repo}/revision/{revision:path}")
    def info(repo: str, revision: str = "main", blobs: bool = False) -> Response:
        meta, commit = store.meta(repo), at(repo, revision)
        _, org, name = repo.split("/")
        answer = {"id": f"{org}/{name}", "author": org, "sha": commit.id, "private": meta["private"]}
        answer |= {"gated": meta["gated"], "disabled": False, "tags": [], "downloads": 0, "likes": 0}
        answer |= {"createdAt": meta["created"], "lastModified": commit.date, "sdk": meta.get("sdk")}
        answer["siblings"] = [
            {"rfilename": path, **(size_and_oids(file, "blobId", "sha256") if blobs else {})}
            for path, file in commit.files.items()
        ]
        return JSONResponse(answer)

    # --- revisions ---------------------------------------------------------------------------------------------

    @app.get("/api/{repo:repo}/refs")
    def refs(repo: str) -> dict[str, Any]:
        meta = store.meta(repo)
        found: dict[str, Any] = {"converts": [], "pullRequests": []}
        for key, prefix in (("branches", "refs/heads"), ("tags", "refs/tags")):
            named_commits = meta[key].items()
            found[key] = [{"name": n, "ref": f"{prefix}/{n}", "targetCommit": commit} for n, commit in named_commits]
        return found

    @app.get("/api/{repo:repo}/commits/{revision}")
    def commits(repo: str, revision: str) -> list[dict[str, Any]]:
        found = []
        commit: Commit | None = at(repo, revision)
        while commit:
            shown = {"id": commit.id, "title": commit.title, "message": "", "date": commit.date}
            found.append({**shown, "authors": [{"user": USER}]})
            commit = store.read_commit(repo, commit.parent) if commit.parent else None
        return found

    @app.post("/api/{repo:repo}/tag/{revision}")
    def tag(repo: str, revision: str, body: dict[str, Any]) -> None:
        store.set_ref(repo, "tags", body["tag"], store.commit_id(repo, revision))

    @app.post("/api/{repo:repo}/branch/{ref}")
    def branch(repo: str, ref: str, body: dict[str, Any]) -> None:
        store.set_ref(repo, "branches", ref, store.commit_id(repo, body.get("startingPoint", "main")))

    @app.delete("/api/{repo:repo}/tag/{ref}")
    def untag(repo: str, ref: str) -> None:
        store.set_ref(repo, "tags", ref, None)

    @app.delete("/api/{repo:repo}/branch/{ref}")
    def unbranch(repo: str, ref: str) -> None:
        store.set_ref(repo, "branches", ref, None)

    # --- reading -----------------------------------------------------------------------------------------------

    @app.get("/api/{repo:repo}/tree/{revision}")
    @app.get("/api/{repo:repo}/tree/{revision}/{path:path}")
    def tree(repo: str, revision: str, path: str = "", recursive: bool = False) -> Response:
        found = entries(at(repo, revision).files, path, recursive)
        if path and not found:
            raise Refused(404, "EntryNotFound", f"{repo}: no folder {path} at {revision}")
        return JSONResponse(found)

    @app.post("/api/{repo:repo}/paths-info/{revision}")
    async def paths_info(repo: str, revision: str, request: Request) -> Response:
        body = (await request.body()).decode()
        as_json = request.headers.get("content-type", "").startswith("application/json")
        paths = set(json.loads(body)["paths"] if as_json else parse_qs(body).get("paths", []))
        return JSONResponse([e for e in entries(at(repo, revision).files, "", recursive=True) if e["path"] in paths])

    @app.api_route("/{repo:site}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    def resolve(request: Request, repo: str, revision: str, path: str) -> Response:
        meta, commit = store.meta(repo), at(repo, revision)
        headers = {"X-Repo-Commit": commit.id}
        if meta["gated"] and request.headers.get("authorization", "").removeprefix("Bearer ") not in meta["allowed"]:
            raise Refused(403, "GatedRepo", f"{repo} is gated, and this token is not let in", headers)
        file = commit.files.get(path)
        if file is None:
            raise Refused(404, "EntryNotFound", f"{repo}: no file {path} at {revision}", headers)
        headers["ETag"] = f'"{file.sha256 if file.lfs else file.oid}"'
        if file.lfs:
            headers |= {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(file.size)}
        # Streams from the file, answers a Range with 206, and says Accept-Ranges.
        return FileResponse(store.blobs / file.sha256, headers=headers, filename=PurePosixPath(path).name)

    # --- writing -----------------------------------------------------------------------------------------------

    @app.post("/api/{repo:repo}/preupload/{revision}")
    def preupload(repo: str, revision: str, body: dict[str, Any]) -> dict[str, Any]:
        files, answers = at(repo, revision).files, []
        for wanted in body["files"]:
            path, there = wanted["path"], files.get(wanted["path"])
            large = wanted["size"] > LARGEST_REGULAR_BYTES or b"\0" in base64.b64decode(wanted["sample"])
            mode = "lfs" if large or PurePosixPath(path).suffix in LFS_SUFFIXES else "regular"
            oid = there and (there.sha256 if there.lfs else there.oid)
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answers}

    @app.post("/{repo:site}.git/info/lfs/objects/batch")
    def lfs_batch(request: Request, repo: str, body: dict[str, Any]) -> dict[str, Any]:
        store.meta(repo)
        objects = [{"oid": wanted["oid"], "size": wanted["size"]} for wanted in body["objects"]]
        for wanted in objects:
            if store.blob_size(wanted["oid"]) is None:
                wanted["actions"] = {"upload": {"href": f"{request.base_url}_lfs/{wanted['oid']}"}}
        return {"transfer": "basic", "objects": objects}

    @app.put("/_lfs/{oid}")
    async def lfs_put(oid: str, request: Request) -> None:
        with store.new_blob() as blob:
            async for piece in request.stream():
                blob.write(piece)
            if blob.digest.hexdigest() != oid:
                raise Refused(400, "", f"the content's SHA-256 is {blob.digest.hexdigest()}, not {oid}")
            blob.keep()

    @app.post("/api/{repo:repo}/commit/{revision}")
    async def commit(repo: str, revision: str, request: Request) -> dict[str, Any]:
        store.meta(repo)
        if request.query_params.get("create_pr"):
            raise Refused(400, "", "this stub has no pull requests")
        header, *items = [json.loads(line) for line in (await request.body()).splitlines()]
        parent = header["value"].get("parentCommit")
        made = store.commit(repo, revision, header["value"]["summary"], list(changes(store, items)), parent)
        return {"success": True, "commitOid": made, "commitUrl": f"{site_address(request, repo)}/commit/{made}"}

    return logged(app, log)


def named(body: dict[str, Any]) -> str:
    return f"{body.get('type') or 'model'}s/{body.get('organization') or USER}/{body['name']}"


def site_address(request: Request, repo: str) -> str:
    return f"{request.base_url}{repo.removeprefix('models/')}"


def size_and_oids(file: File, oid: str, sha256: str) -> dict[str, Any]:
    """Listings and infos call the same two things by different names."""
    lfs = {sha256: file.sha256, "size": file.size, "pointerSize": len(lfs_pointer(file.sha256, file.size))}
    return {oid: file.oid, "size": file.size, **({"lfs": lfs} if file.lfs else {})}


def entries(files: dict[str, File], folder: str, recursive: bool) -> list[dict[str, Any]]:
    """What a folder holds, directories and files, as the tree endpoint lists it."""
    prefix = f"{folder}/" if folder else ""
    found: list[dict[str, Any]] = []
    digests: dict[str, Any] = {}  # of directories, over what is below
    for path, file in files.items():
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        above = [prefix + "/".join(parts[:k]) for k in range(1, len(parts))]
        for parent in above if recursive else above[:1]:
            if parent not in digests:
                digests[parent] = hashlib.sha1()
                found.append({"type": "directory", "path": parent, "size": 0})
            digests[parent].update(f"{path} {file.oid}\n".encode())
        if recursive or not above:
            found.append({"type": "file", "path": path, **size_and_oids(file, "oid", "oid")})
    for entry in found:
        if entry["type"] == "directory":
            entry["oid"] = digests[entry["path"]].hexdigest()
    return found


def changes(store: Store, items: list[dict[str, Any]]) -> Iterator[tuple[str, File | None]]:
    """The lines of a commit as Store.commit takes them; the contents that come with it are kept."""
    for item in items:
        path, value = item["value"]["path"], item["value"]
        match item["key"]:
            case "file":
                yield path, store.text_file(base64.b64decode(value["content"]))
            case "lfsFile":
                size = store.blob_size(value["oid"])
                if size is None:
                    raise Refused(400, "", f"{path}: {value['oid']} was not uploaded")
                yield path, lfs_file(value["oid"], size)
            case "deletedFile":
                yield path, None
            case "deletedFolder":
                yield path.rstrip("/") + "/", None
            case other:
                raise Refused(400, "", f"{path}: unknown operation {other!r}")


def logged(app: Callable[..., Any], log: list[dict[str, Any]]) -> Callable[..., Any]:
    """The app with a line in `log` for every request: method, path with query, status, bytes of body sent back."""

    async def logging(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] == "/_log":
            await app(scope, receive, send)
            return
        query = scope["query_string"].decode()
        path = f"{scope['path']}?{query}" if query else scope["path"]
        line = {"method": scope["method"], "path": path, "status": 0, "bytes": 0}

        async def counting(message: dict[str, Any]) -> None:
            # Before it is sent: who has the whole answer finds all of it in the log.
            if message["type"] == "http.response.start":
                line["status"] = message["status"]
                log.append(line)
            elif scope["method"] != "HEAD":
                line["bytes"] += len(message.get("body", b""))
            await send(message)

        await app(scope, receive, counting)

    return logging
