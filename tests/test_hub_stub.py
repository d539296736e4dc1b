"""The Hub stub, as its clients see it. Clients are processes of their own, so one of them does most of the asking."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.hub_stub import TOKEN, Hub, running
from tests.hub_stub.storage import Refused, Store, lfs_file
from tests.make import sample

LARGE = bytes(range(256)) * 400  # 102,400 bytes

ASK = r"""
import json, sys
from pathlib import Path
from huggingface_hub import HfApi, HfFileSystem, snapshot_download

folder, api, fs, repo = sys.argv[1], HfApi(), HfFileSystem(), "datasets/org/thing"
told = {"user": api.whoami()["name"]}

def refusal(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as error:
        response = getattr(error, "response", None)
        return [type(error).__name__, getattr(response, "status_code", None)]

def create(kind):
    sdk = "gradio" if kind == "space" else None
    api.create_repo("org/thing", repo_type=kind, space_sdk=sdk)
    again = refusal(api.create_repo, "org/thing", repo_type=kind, space_sdk=sdk)
    return [str(api.create_repo("org/thing", repo_type=kind, space_sdk=sdk, exist_ok=True)), again[1]]

told["created"] = [create(kind) for kind in ("model", "dataset", "space")]
thing = {"repo_id": "org/thing", "repo_type": "dataset"}
first = api.upload_folder(folder_path=folder, **thing).oid
told["unchanged"] = api.upload_folder(folder_path=folder, **thing).oid == first
api.create_tag(tag="v1", **thing)
second = api.upload_file(path_or_fileobj=b"second", path_in_repo="README.md", parent_commit=first, **thing).oid
stale = {"path_or_fileobj": b"third", "path_in_repo": "README.md", "parent_commit": first, **thing}
told["stale"] = refusal(api.upload_file, **stale)
told["commits"] = [first, second]
refs = api.list_repo_refs(**thing)
told["refs"] = {ref.name: ref.target_commit for ref in refs.branches + refs.tags}
told["history"] = [commit.commit_id for commit in api.list_repo_commits(**thing)][:2]
files = {file.path: file for file in api.list_repo_tree(recursive=True, **thing) if hasattr(file, "size")}
told["files"] = {path: [file.size, file.lfs and file.lfs.sha256] for path, file in files.items()}
told["paths"] = sorted(info.path for info in api.get_paths_info(paths=["sub", "README.md", "absent"], **thing))
told["infos"] = [api.repo_info("org/thing", repo_type=kind).sha for kind in ("model", "dataset", "space")]
for revision in ("v1", "main"):
    place = Path(snapshot_download(revision=revision, **thing))
    told[revision] = {str(p.relative_to(place)): len(p.read_bytes()) for p in place.rglob("*") if p.is_file()}
    told[revision]["README.md"] = (place / "README.md").read_text()
told["listed"] = [fs.ls(f"{repo}@{first}/sub", detail=False), fs.find(f"{repo}/sub")]
with fs.open(f"{repo}@{first}/sub/large.bin", block_size=1000, cache_type="none") as file:
    file.seek(70_000)
    told["range"] = list(file.read(100))
told["refused"] = {
    "entry": refusal(api.hf_hub_download, filename="absent.txt", **thing),
    "revision": refusal(api.hf_hub_download, filename="README.md", revision="v2", **thing),
    "repo": refusal(api.hf_hub_download, "org/absent", "README.md", repo_type="dataset"),
    "info": refusal(api.dataset_info, "org/absent"),
    "folder": refusal(fs.ls, f"{repo}/absent"),
    "gated": refusal(api.hf_hub_download, "org/gated", "README.md", repo_type="dataset"),
}
told["gated"] = api.dataset_info("org/gated").gated
told["let in"] = Path(api.hf_hub_download("org/open", "README.md", repo_type="dataset")).read_text()
api.delete_folder("sub", **thing)
api.create_branch(branch="other", **thing)
api.delete_repo("org/thing", repo_type="model")
told["left"] = [api.list_repo_files(**thing), api.repo_exists("org/thing")]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hub(place: Path) -> Iterator[Hub]:
    """A Hub with two data sets, of which the token may read one."""
    store = Store(place)
    for name in ("gated", "open"):
        store.create(f"datasets/org/{name}")
        store.commit(f"datasets/org/{name}", "main", "card", [("README.md", store.text_file(b"for the few"))])
    with running(place) as hub:
        hub.gate("datasets/org/gated", allow=["hf_other"])
        hub.gate("datasets/org/open", allow=["hf_other", TOKEN])
        yield hub


@pytest.fixture(scope="module")
def told(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one client was told, and in "log" what the Hub served it."""
    folder = tmp_path_factory.mktemp("upload")
    (folder / "sub").mkdir()
    (folder / "sub/large.bin").write_bytes(LARGE)
    (folder / "sub/empty.txt").touch()
    (folder / "README.md").write_text("first", encoding="utf-8")
    hub.clear_log()
    done = hub.client(ASK, str(folder))
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "log": hub.log()}


def get(hub: Hub, path: str, method: str = "GET", data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of a bare request."""
    request = urllib.request.Request(hub.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_models_data_sets_and_spaces_are_created_once(hub: Hub, told: dict[str, Any]) -> None:
    assert told["user"] == "tester"
    assert told["created"] == [[f"{hub.url}/{kind}org/thing", 409] for kind in ("", "datasets/", "spaces/")]
    assert len(set(told["infos"])) == 3
    assert told["left"][1] is False


def test_an_uploaded_folder_holds_regular_and_large_files(told: dict[str, Any]) -> None:
    assert told["files"]["sub/large.bin"] == [len(LARGE), hashlib.sha256(LARGE).hexdigest()]
    assert told["files"]["sub/empty.txt"] == [0, None]
    assert told["files"]["README.md"] == [6, None]
    assert told["unchanged"]
    puts = [line for line in told["log"] if line["method"] == "PUT"]
    assert [line["status"] for line in puts] == [200]


def test_a_commit_on_a_stale_parent_is_refused(told: dict[str, Any]) -> None:
    assert told["stale"] == ["HfHubHTTPError", 412]
    assert told["history"] == told["commits"][::-1]


def test_a_tag_and_a_commit_keep_what_main_has_left(told: dict[str, Any]) -> None:
    assert told["refs"] == {"main": told["commits"][1], "v1": told["commits"][0]}
    assert told["v1"] == {
        ".gitattributes": told["files"][".gitattributes"][0],
        "README.md": "first",
        "sub/large.bin": len(LARGE),
        "sub/empty.txt": 0,
    }
    assert told["main"] == {**told["v1"], "README.md": "second"}
    assert told["left"][0] == [".gitattributes", "README.md"]


def test_listings_name_files_and_folders(told: dict[str, Any]) -> None:
    pinned = f"datasets/org/thing@{told['commits'][0]}/sub"
    assert told["listed"][0] == [f"{pinned}/empty.txt", f"{pinned}/large.bin"]
    assert told["listed"][1] == ["datasets/org/thing/sub/empty.txt", "datasets/org/thing/sub/large.bin"]
    assert told["paths"] == ["README.md", "sub"]


def test_of_a_range_only_the_asked_bytes_move(told: dict[str, Any]) -> None:
    assert bytes(told["range"]) == LARGE[70_000:70_100]
    assert [line["bytes"] for line in told["log"] if line["status"] == 206] == [100]


def test_what_is_not_there_raises_what_the_hub_would_raise(told: dict[str, Any]) -> None:
    refused = told["refused"]
    assert refused["entry"] == ["RemoteEntryNotFoundError", 404]
    assert refused["revision"] == ["RevisionNotFoundError", 404]
    assert refused["repo"] == ["RepositoryNotFoundError", 404]
    assert refused["info"] == ["RepositoryNotFoundError", 404]
    assert refused["folder"][0] == "FileNotFoundError"


def test_a_gated_repository_shows_itself_but_gives_files_to_the_listed_tokens_only(told: dict[str, Any]) -> None:
    assert told["gated"] == "manual"
    assert told["refused"]["gated"] == ["GatedRepoError", 403]
    assert told["let in"] == "for the few"


def test_a_range_of_a_blob_of_gigabytes_costs_its_own_bytes(hub: Hub, place: Path) -> None:
    store, sha256, size = Store(place), "0" * 64, 5 << 30
    with (store.blobs / sha256).open("wb") as blob:
        blob.seek(size - 3)  # the rest is a hole, which takes no disk
        blob.write(b"end")
    store.create("models/org/large")
    store.commit("models/org/large", "main", "weights", [("weights.bin", lfs_file(sha256, size))])
    last = f"bytes={size - 5}-{size - 1}"
    assert get(hub, "/org/large/resolve/main/weights.bin", Range=last) == (206, b"\0\0end")
    head = urllib.request.Request(f"{hub.url}/org/large/resolve/main/weights.bin", method="HEAD")
    with urllib.request.urlopen(head, timeout=30) as answer:
        assert answer.headers["X-Linked-Etag"] == answer.headers["ETag"] == f'"{sha256}"'
        assert answer.headers["X-Linked-Size"] == answer.headers["Content-Length"] == str(size)
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["X-Repo-Commit"] == store.commit_id("models/org/large", "main")


def test_a_content_that_is_not_what_it_is_called_is_not_kept(hub: Hub, place: Path) -> None:
    name = hashlib.sha256(b"this").hexdigest()
    assert get(hub, f"/_lfs/{name}", "PUT", b"that")[0] == 400
    assert not (place / "blobs" / name).exists()
    assert not list((place / "blobs").glob(".*"))
    lines = [{"key": "header", "value": {"summary": "x"}}, {"key": "lfsFile", "value": {"path": "a", "oid": name}}]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    status, said = get(hub, "/api/datasets/org/open/commit/main", "POST", body)
    assert status == 400
    assert b"was not uploaded" in said


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", "a/./b", ""])
def test_no_path_leaves_a_repository(place: Path, path: str) -> None:
    store = Store(place)
    head = store.commit_id("datasets/org/open", "main")
    with pytest.raises(Refused, match="not a path"):
        store.commit("datasets/org/open", "main", "x", [(path, lfs_file("0" * 64, 1))])
    assert store.commit_id("datasets/org/open", "main") == head
    with pytest.raises(Refused, match="no revision"):
        store.commit_id("datasets/org/open", f"../../open/commits/{head}")
    with pytest.raises(Refused, match="not the name"):
        store.meta("datasets/../blobs")


def test_a_restart_on_the_same_folder_serves_the_same_repositories(place: Path, told: dict[str, Any]) -> None:
    with running(place) as again:
        assert again.log() == []
        for revision, text in (("v1", b"first"), (told["commits"][0], b"first"), ("main", b"second")):
            assert get(again, f"/datasets/org/thing/resolve/{revision}/README.md") == (200, text)
        status, body = get(again, "/api/datasets/org/thing/revision/v1")
        assert (status, json.loads(body)["sha"]) == (200, told["commits"][0])
        assert get(again, "/api/models/org/thing")[0] == 404
        assert get(again, "/datasets/org/gated/resolve/main/README.md")[0] == 403
        assert get(again, "/datasets/org/open/resolve/main/README.md", Authorization=f"Bearer {TOKEN}")[0] == 200


LOAD = r"""
import json, sys
import datasets, torchcodec.decoders
from huggingface_hub import HfApi

folder, api = sys.argv[1], HfApi()
api.create_repo("org/films", repo_type="dataset")
films = {"repo_id": "org/films", "repo_type": "dataset"}
clips = api.upload_folder(folder_path=f"{folder}/clips", path_in_repo="clips", **films).oid
sys.path.insert(0, ".")
from tests.test_hub_stub import write_rows
write_rows(folder, f"hf://datasets/org/films@{clips}")
api.upload_folder(folder_path=f"{folder}/rows", **films)
api.create_tag(tag="v1", **films)
told = {"configs": datasets.get_dataset_config_names("org/films")}
for streaming in (False, True):
    rows = datasets.load_dataset("org/films", "tal", split="test", revision="v1", streaming=streaming)
    told[str(streaming)] = [[row["index"], round(row["video"][0].float().mean().item())] for row in rows]
print(json.dumps(told))
"""


def write_rows(folder: str, address: str) -> None:
    """Three rows over two clips as Parquet, and a card with two configs."""
    import datasets

    from medvidbench_hf.sample import features

    samples = [sample(index=k, video=f"{address}/clips/Made/v{k % 2}/0.mp4") for k in range(3)]
    for task in ("tal", "stg"):
        rows = datasets.Dataset.from_list([s.to_row() for s in samples], features=features())
        path = Path(folder, "rows/data", task, "test-00000.parquet")
        path.parent.mkdir(parents=True)
        rows.to_parquet(path)
    configs = [
        f"- config_name: {task}\n  data_files:\n  - split: test\n    path: data/{task}/test-*.parquet"
        for task in ("tal", "stg")
    ]
    Path(folder, "rows/README.md").write_text("\n".join(["---", "configs:", *configs, "---", ""]), encoding="utf-8")


@pytest.mark.slow
def test_rows_with_pinned_clips_load_and_stream_with_their_frames(hub: Hub, tmp_path: Path) -> None:
    from medvidbench_hf.video import encode

    for k, grey in enumerate((40, 200)):
        frames = np.full((4, 48, 64, 3), grey, np.uint8)
        encode(frames, [2.0 * n for n in range(4)], tmp_path / f"clips/Made/v{k}/0.mp4")
    hub.clear_log()
    done = hub.client(LOAD, str(tmp_path))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["configs"] == ["tal", "stg"]
    assert told["True"] == told["False"]
    assert [[index, abs(grey - true) < 4] for (index, grey), true in zip(told["True"], (40, 200, 40), strict=True)] == [
        [0, True],
        [1, True],
        [2, True],
    ]
    read = [line for line in hub.log() if line["path"].endswith(".mp4") and line["method"] == "GET"]
    assert {line["status"] for line in read} == {206}


@pytest.mark.slow
def test_a_stream_reaches_its_first_frame_for_less_than_a_megabyte(tmp_path: Path) -> None:
    from tests.bench.streaming import CLIPS, ROWS, measure

    measured = measure(tmp_path)
    assert (measured["rows"], measured["clips"]) == (ROWS, CLIPS) == (6_000, 4_000)
    assert measured["first_bytes"] < 1_000_000
    assert measured["first_listing_bytes"] < 10_000
