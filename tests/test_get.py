"""`medvidbench data get`, against the Hub stub. The stub serves from a process of its own; the client runs here."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from medvidbench_hf.lock import only_one
from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.release.get import Plan, folder, frames, get, plan, remote
from medvidbench_hf.sources.release.get.listing import source_of
from medvidbench_hf.sources.release.get.rows import refuse_answers
from tests.hub_stub import TOKEN, Hub, running
from tests.hub_stub.storage import Store

TEST, TRAINVAL = "datasets/UII-AI/MedVidBench", "datasets/UII-AI/MedVidU_ECCV2026_TrainVal"
ROWS = "cleaned_test_data_11_04.json"
QUESTION = {"id": "a", "qa_type": "tal", "conversations": [{"from": "human", "value": "When?"}], "struc_info": []}


class Official:
    """The official repositories as a test wants them; each content is a commit of its own."""

    def __init__(self, hub: Hub, store: Store, scratch: Path) -> None:
        self.hub, self._store, self._scratch = hub, store, scratch
        for repo in (TEST, TRAINVAL):
            store.create(repo)

    def commit(self, files: Mapping[str, bytes], repo: str = TEST) -> str:
        """A commit with these files and no others."""
        old = self._store.read_commit(repo, self._store.commit_id(repo, "main")).files
        changes: list[tuple[str, Any]] = [(path, None) for path in old if path not in files]
        for path, content in files.items():
            self._scratch.write_bytes(content)
            large = path.endswith((".zip", ".jpg", ".png", ".gz"))
            file = self._store.large_file(self._scratch) if large else self._store.text_file(content)
            changes.append((path, file))
        return self._store.commit(repo, "main", "content", changes)

    def release(self, archive: bytes, rows: Any = (QUESTION,)) -> str:
        return self.commit({ROWS: json.dumps(list(rows)).encode(), "testdata.zip": archive, "README.md": b"-"})


def online(patch: pytest.MonkeyPatch, url: str, token: str) -> None:
    """What the environment says before huggingface_hub is imported, said after it."""
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setenv("HF_TOKEN", token)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Official]:
    folder = tmp_path_factory.mktemp("official")
    with running(folder / "hub") as hub, pytest.MonkeyPatch.context() as patch:
        online(patch, hub.url, TOKEN)
        yield Official(hub, Store(folder / "hub"), folder / "scratch")


def image(width: int, height: int, *, kind: str = "JPEG", seed: int = 0, mode: str = "RGB", **options: Any) -> bytes:
    """A picture drawn by code: coarse noise, so that no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    pixels = coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    target = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(target, kind, **options)
    return target.getvalue()


def archive(members: Mapping[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", packing) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return target.getvalue()


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


SMALL = {
    "testdata/AVOS/frames_15fps/v1/15.jpg": image(64, 48, seed=1),
    "testdata/AVOS/frames_15fps/v1/30.jpg": image(64, 48, seed=2),
    "testdata/CAMMA_data/CholecT50/videos/VID01/000001.png": image(48, 32, kind="PNG", seed=3),
    "testdata/Cholec80-CVS_frames/video01/1.jpg": image(64, 48, seed=4),
    "testdata/elsewhere/frames/1.jpg": b"",  # the release's own faults are kept: `data doctor` finds them
}


def test_frames_rows_and_commit_arrive_and_a_second_call_moves_nothing(official: Official, tmp_path: Path) -> None:
    junk = {"testdata/": b"", "testdata/readme.txt": b"no", "__MACOSX/testdata/AVOS/._15.jpg": b"no"}
    commit = official.release(archive({**junk, **SMALL}, zipfile.ZIP_DEFLATED))
    found = plan("test", tmp_path / "deep/root")
    assert not (tmp_path / "deep").exists(), "a plan writes nothing"
    assert (found.revision, found.recorded, found.n_frames, found.present, found.skipped) == (commit, False, 5, 0, 3)
    assert found.found == {"AVOS": 2, "CholecT50": 1, "Cholec80_CVS": 1, "testdata/elsewhere": 1}
    assert found.unknown == {"testdata/elsewhere": 1}
    assert found.needed_bytes >= sum(map(len, SMALL.values()))
    done = get(found)
    assert (done.written, done.resized, done.present, done.refused) == (5, 0, 0, ())
    record = {"UII-AI/MedVidBench": {"revision": commit, "max_side_px": None}}
    there = tree(found.root)
    assert json.loads(there.pop("get.json")) == record
    assert json.loads(there.pop(ROWS)) == [QUESTION]
    assert there == SMALL

    again = plan("test", found.root)
    assert (again.recorded, again.present, again.download_bytes, again.needed_bytes) == (True, 5, 0, 0)
    official.hub.clear_log()
    assert get(again).written == 0
    assert official.hub.log() == []


def test_a_frame_that_is_gone_or_cut_short_comes_again(official: Official, tmp_path: Path) -> None:
    official.release(archive(SMALL))
    found: Plan = plan("test", tmp_path)
    packed = sum(map(len, SMALL.values()))
    assert packed < found.download_bytes < packed + 1000
    assert found.free_bytes > 0
    get(found)
    first, second, *_ = SMALL
    (tmp_path / first).unlink()
    (tmp_path / second).write_bytes(SMALL[second][:-1])
    found = plan("test", tmp_path)
    assert [frame.path for frame in found.todo] == [first, second]
    get(found)
    assert (tmp_path / second).read_bytes() == SMALL[second]


def test_a_chosen_source_is_all_that_is_moved(official: Official, tmp_path: Path) -> None:
    large = {f"testdata/AVOS/frames_15fps/v1/{k}.jpg": os.urandom(200_000) for k in range(4)}
    large["testdata/CoPESD/high_light_images/c/0001.jpg"] = os.urandom(1000)
    large |= {f"testdata/NurViD/frames_2fps/n/{k}.jpg": os.urandom(200_000) for k in range(4)}
    official.release(archive({**large, **SMALL}))
    official.hub.clear_log()
    found = plan("test", tmp_path, sources=["copesd", "Cholec80-CVS"])
    assert (found.n_frames, found.left_out) == (2, 12)
    get(found)
    assert sum(line["bytes"] for line in official.hub.log()) < 100_000
    assert {Path(path).parts[1] for path in tree(tmp_path) if path.startswith("testdata")} == {
        "CoPESD",
        "Cholec80-CVS_frames",
    }
    get(plan("test", tmp_path, sources=["nurvid"]))
    assert len([path for path in tree(tmp_path) if path.startswith("testdata")]) == 6
    with pytest.raises(InputError, match=r"has no frames of JIGSAWS that can be taken; it has AVOS, .*NurViD"):
        plan("test", tmp_path, sources=["JIGSAWS"])
    with pytest.raises(InputError, match=r"'endovis' is no source of the release; it has AVOS"):
        plan("test", tmp_path, sources=["endovis"])


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("testdata/AVOS/frames_15fps/id/1.jpg", "AVOS"),
        ("CAMMA_data/CholecT50/videos/VID01/1.png", "CholecT50"),
        ("camma_data/cholec-track-20/Testing/VID01/Frames/1.png", "CholecTrack20"),
        ("valdata/CoPESD/high_light_images/c/1.jpg", "CoPESD"),
        ("valdata/EgoSurgery/images/01/01_1_0376.jpg", "EgoSurgery"),
        ("testdata/NurViD/frames_2fps/id/1.jpg", "NurViD"),
        ("testdata/JIGSAWS_frames/Suturing/1.jpg", "JIGSAWS"),
        ("testdata/jigsaws/1.jpg", "JIGSAWS"),
        ("testdata/Cholec80-CVS/video01/1.jpg", "Cholec80_CVS"),
        ("testdata/cholec80_cvs_frames/1.jpg", "Cholec80_CVS"),
        ("testdata/CAMMA_data/Endoscapes/1.jpg", None),
    ],
)
def test_the_container_folder_tells_the_source(path: str, source: str | None) -> None:
    assert source_of(path) == source


def test_frames_are_made_smaller_and_what_they_measured_is_kept(official: Official, tmp_path: Path) -> None:
    profile = b"profile" * 20
    exif = Image.Exif()
    exif[0x0112] = 6
    big = {
        "testdata/AVOS/v/1.jpg": image(1280, 720, icc_profile=profile, exif=exif),
        "testdata/AVOS/v/2.jpg": image(1280, 720, seed=1),
        "testdata/CholecT50/v/1.png": image(600, 900, kind="PNG", mode="P"),
        "testdata/CholecT50/v/2.png": image(448, 300, kind="PNG"),
    }
    official.release(archive(big))
    found = plan("test", tmp_path, max_side_px=448)
    assert found.needed_bytes < sum(map(len, big.values()))
    done = get(found)
    assert (done.written, done.resized) == (4, 3)
    sizes = {name: Image.open(tmp_path / name).size for name in big}
    assert list(sizes.values()) == [(448, 252), (448, 252), (299, 448), (448, 300)]
    assert (tmp_path / "testdata/CholecT50/v/2.png").read_bytes() == big["testdata/CholecT50/v/2.png"]
    with Image.open(tmp_path / "testdata/AVOS/v/1.jpg") as first:
        assert first.format == "JPEG"
        assert first.info["icc_profile"] == profile
        assert first.getexif()[0x0112] == 6
    assert Image.open(tmp_path / "testdata/CholecT50/v/1.png").format == "PNG"
    assert json.loads((tmp_path / "frame_sizes.json").read_text()) == {
        "testdata/AVOS/v": [1280, 720],
        "testdata/CholecT50/v/1.png": [600, 900],
        "testdata/CholecT50/v/2.png": [448, 300],
    }
    again = plan("test", tmp_path, max_side_px=448)
    assert (again.present, again.download_bytes) == (4, 0)
    (tmp_path / "frame_sizes.json").write_text('{"testdata/AVOS/v": [1280, 720]}')
    again = plan("test", tmp_path, max_side_px=448)
    assert [frame.path for frame in again.todo] == ["testdata/CholecT50/v/1.png", "testdata/CholecT50/v/2.png"]
    with pytest.raises(InputError, match=r"get.json field max_side_px: .* the limit 448, asked for is none: choose"):
        plan("test", tmp_path)
    with pytest.raises(InputError, match=r"max side 8: expected 32 pixels or more"):
        plan("test", tmp_path, max_side_px=8)


def test_a_smaller_frame_still_shows_what_it_showed() -> None:
    pixels = np.zeros((480, 640, 3), np.uint8)
    pixels[120:240, 160:320] = (250, 40, 30)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=95)
    content, size, smaller = frames.shrunk(target.getvalue(), 320)
    found = np.asarray(Image.open(io.BytesIO(content)))
    assert (found.shape, size, smaller) == ((240, 320, 3), [640, 480], True)
    assert abs(found[65:115, 85:155].astype(int) - (250, 40, 30)).max() < 12
    assert found[:55].max() < 12


def test_a_folder_has_one_size_until_a_frame_of_another_comes(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/0.jpg").touch()  # of an earlier run
    (tmp_path / "frame_sizes.json").write_text('{"v": [8, 6], "w/1.jpg": [2, 1]}')
    sizes = folder.Sizes(tmp_path)
    sizes.add({"v/1.jpg": [8, 6], "w/2.jpg": [2, 1], "x/1.jpg": [4, 4]})
    sizes.add({"v/2.jpg": [6, 8], "v/3.jpg": [8, 6]})
    written = {
        **{"v/0.jpg": [8, 6], "v/1.jpg": [8, 6], "v/2.jpg": [6, 8], "v/3.jpg": [8, 6]},
        **{"w/1.jpg": [2, 1], "w/2.jpg": [2, 1], "x": [4, 4]},
    }
    assert json.loads((tmp_path / "frame_sizes.json").read_text()) == written
    again = folder.Sizes(tmp_path)
    assert (again.of("v/2.jpg"), again.of("x/9.jpg"), again.of("w/9.jpg")) == ([6, 8], [4, 4], None)


def test_a_folder_keeps_its_commit(official: Official, tmp_path: Path) -> None:
    first = official.release(archive(SMALL))
    get(plan("test", tmp_path, sources=["AVOS"]))
    second = official.release(archive({"testdata/AVOS/v/1.jpg": image(64, 48)}))
    found = plan("test", tmp_path)
    assert (found.revision, found.recorded, found.n_frames) == (first, True, 5)
    assert plan("test", tmp_path, revision=first).revision == first
    for moved in (second, "main"):
        with pytest.raises(InputError, match=rf"holds {first}, asked for is {second}: choose another folder, or"):
            plan("test", tmp_path, revision=moved)
    assert plan("test", tmp_path / "new", revision=first).revision == first
    with pytest.raises(InputError, match=r"UII-AI/MedVidBench has no revision 'v9'"):
        plan("test", tmp_path / "new", revision="v9")
    stale = plan("test", tmp_path / "new", revision=second)
    get(plan("test", tmp_path / "new", revision=first))
    with pytest.raises(InputError, match=r"get.json has changed since the plan was made"):
        get(stale)


def test_test_rows_that_hold_answers_do_not_stay(official: Official, tmp_path: Path) -> None:
    official.release(archive(SMALL), [QUESTION, {**QUESTION, "gnd": "1.0-2.0"}])
    with pytest.raises(InputError, match=rf"{ROWS} row 1 field gnd: a possible leak .*: use the current revision"):
        get(plan("test", tmp_path))
    assert tree(tmp_path) == {}
    later = official.release(archive(SMALL))
    assert plan("test", tmp_path).revision == later, "the commit was not recorded"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"conversations": [{"from": "gpt", "value": "1.0-2.0"}]}, r"row 1 field conversations\[0\]"),
        ({"struc_info": [{"spans": [{"start": 1, "end": 2}]}]}, "row 1 field struc_info"),
        ({"answer": "1.0-2.0"}, "row 1 field answer"),
        ([], "row 1: a JSON list, expected an object"),
    ],
)
def test_the_first_answer_among_test_rows_is_named(tmp_path: Path, row: Any, said: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([QUESTION, row, {"gnd": "later"}]))
    with pytest.raises(InputError, match=said):
        refuse_answers(file, file)


def test_train_and_validation_files_are_gated_and_come_in_several_forms(official: Official, tmp_path: Path) -> None:
    plain, packed = "valdata/AVOS/v/1.jpg", "valdata/CoPESD/c/1.jpg"
    whole = os.urandom(300_000)
    official.commit(
        {
            "medvidu_eccv2026_trainval.json": b'[{"struc_info": [{"spans": []}]}]',
            plain: image(64, 48),
            "valdata/AVOS/v/2.jpg": b"",
            "valdata/part.zip": archive({"CoPESD/c/1.jpg": image(64, 48, seed=1)}),
            "valdata/NurViD.tar.gz": whole,
        },
        TRAINVAL,
    )
    official.hub.gate(TRAINVAL)
    gate = r"is gated: ask for access at https://huggingface.co/datasets/UII-AI/MedVidU_ECCV2026_TrainVal "
    with pytest.raises(InputError, match=gate + r"\(approved by hand, takes days\), then log in with `hf auth login`"):
        plan("trainval", tmp_path)
    official.hub.gate(TRAINVAL, [TOKEN])
    found = plan("trainval", tmp_path)
    assert [file.path for file in found.by_hand] == ["valdata/NurViD.tar.gz"]
    done = get(found)
    assert (done.written, done.by_hand) == (3, (tmp_path / "valdata/NurViD.tar.gz",))
    there = tree(tmp_path)
    assert there["valdata/NurViD.tar.gz"] == whole
    assert {plain, packed} < set(there)
    assert plan("trainval", tmp_path).download_bytes == 0
    assert plan("trainval", tmp_path / "other", sources=["avos"]).by_hand == ()
    official.release(archive(SMALL))
    assert get(plan("test", tmp_path)).written == 5, "both parts may share a folder"


def test_hostile_members_are_named_and_never_written(official: Official, tmp_path: Path) -> None:
    good = "testdata/AVOS/v/1.jpg"
    bad = {
        "testdata/../../evil.jpg": "leads out of the folder",
        "/etc/evil.jpg": "leads out of the folder",
        "testdata//evil.jpg": "leads out of the folder",
        "C:/evil.jpg": "a control character, a backslash or a colon",
        "testdata\\evil.jpg": "a control character, a backslash or a colon",
        "testdata/ev\nil.jpg": "a control character, a backslash or a colon",
        "../evil.txt": "leads out of the folder",
        "testdata/" + "e" * 300 + ".jpg": "its name is too long",
        "testdata/avos/V/1.JPG": "another one has its name, upper and lower case aside",
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        made.writestr(good, image(64, 48))
        for name in bad:
            made.writestr(zipfile.ZipInfo(name), b"evil")
        link = zipfile.ZipInfo("testdata/link.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        made.writestr(link, "/etc/passwd")
        made.writestr("testdata/bomb.png", b"\0" * 5_000_000, zipfile.ZIP_DEFLATED)
        made.writestr("testdata/other.png", b"\0" * 5000, zipfile.ZIP_BZIP2)
        made.writestr("testdata/AVOS.jpg/v/2.jpg", image(64, 48))
        made.writestr("testdata/AVOS.jpg", image(64, 48))
        made.writestr("testdata/nul_.jpg", b"evil")
    bad |= {
        "testdata/link.jpg": "no plain file but a link or a device",
        "testdata/bomb.png": "it would unpack from",
        "testdata/other.png": "packed by method 12",
        "testdata/AVOS.jpg": "it is also a folder",
        "testdata/nul": "a control character",
    }
    content = target.getvalue().replace(b"testdata/nul_.jpg", b"testdata/nul\0.jpg")
    official.release(content)
    found = plan("test", tmp_path / "root")
    assert len(found.refused) == len(bad)
    for name, reason in bad.items():
        shown = ascii(name)[:-1][:120]
        assert [line for line in found.refused if line.startswith(shown) and reason in line], (name, found.refused)
    done = get(found)
    assert done.refused == found.refused
    assert set(tree(tmp_path)) == {f"root/{name}" for name in (good, "testdata/AVOS.jpg/v/2.jpg", ROWS, "get.json")}


def test_a_member_that_is_not_what_the_directory_says_is_left_out(official: Official, tmp_path: Path) -> None:
    names = [f"testdata/AVOS/v/{name}.jpg" for name in ("crc", "size", "header", "deflate", "short", "good")]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        for name in names:
            packing = zipfile.ZIP_DEFLATED if "deflate" in name or "short" in name else zipfile.ZIP_STORED
            made.writestr(name, name.encode() * 100, packing)
        entries = {Path(entry.filename).stem: entry for entry in made.infolist()}
    content = bytearray(target.getvalue())

    def body(name: str) -> int:
        return entries[name].header_offset + 30 + len(entries[name].filename)

    content[body("crc")] ^= 1
    content[entries["header"].header_offset] ^= 1
    content[body("deflate")] = 0xFF
    for name, where, value in (("size", 20, 99), ("short", 24, 2000)):  # sizes in the directory
        entry = content.index(b"PK\1\2", content.rindex(entries[name].filename.encode()) - 46)
        content[entry + where : entry + where + 4] = struct.pack("<I", value)
    official.release(bytes(content))
    done = get(plan("test", tmp_path))
    assert done.written == 1
    assert (tmp_path / names[-1]).read_bytes() == names[-1].encode() * 100
    reasons = {line.split(".jpg")[0].rpartition("/")[2]: line for line in done.refused}
    assert set(reasons) == {"crc", "size", "header", "deflate", "short"}
    assert "its CRC is wrong" in reasons["crc"]
    assert "no member where its directory says" in reasons["header"]
    assert "does not unpack to the 2000 bytes" in reasons["short"]


def test_what_is_no_image_cannot_be_made_smaller(official: Official, tmp_path: Path) -> None:
    wide = Image.new("1", (9000, 9000))
    target = io.BytesIO()
    wide.save(target, "PNG")
    cut = image(640, 480)
    official.release(
        archive(
            {
                "testdata/AVOS/text.jpg": b"no image",
                "testdata/AVOS/cut.jpg": cut[: len(cut) // 2],
                "testdata/AVOS/gif.jpg": image(64, 48, kind="GIF"),
                "testdata/AVOS/wide.png": target.getvalue(),
                "testdata/AVOS/good.jpg": image(640, 480),
            }
        )
    )
    done = get(plan("test", tmp_path, max_side_px=320))
    assert (done.written, len(done.refused)) == (1, 4)
    assert any("it has 9000x9000 pixels" in line for line in done.refused)
    assert set(json.loads((tmp_path / "frame_sizes.json").read_text())) == {"testdata/AVOS"}


def test_nothing_moves_without_room_for_it_or_beside_another_process(
    official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official.release(archive(SMALL))
    found = plan("test", tmp_path / "root")
    official.hub.clear_log()
    with pytest.raises(InputError, match=r"root: 1000000.0 GB are needed and \d+\.\d GB are free: choose another disk"):
        get(found._replace(needed_bytes=10**15))
    with only_one(found.root, "filled"), pytest.raises(InputError, match=r"root is being filled by another process"):
        get(found)
    assert official.hub.log() == []
    assert tree(tmp_path) == {}


def test_wrong_input_is_one_line_with_the_way_out(
    official: Official, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("-")
    with pytest.raises(InputError, match=r"'train' is not a part of the release; known: test, trainval"):
        plan("train", tmp_path)
    with pytest.raises(InputError, match=r"file is a file, not a folder"):
        plan("test", tmp_path / "file/root")
    official.commit({ROWS: b"[]", "testdata.zip": b"no archive"})
    with pytest.raises(InputError, match=r"MedVidBench testdata.zip: not a readable zip archive \(File is not a zip"):
        plan("test", tmp_path)
    official.commit({"testdata.zip": archive(SMALL)})
    with pytest.raises(InputError, match=rf"has no {ROWS}: give another revision"):
        plan("test", tmp_path)
    official.commit({ROWS: b"[]", "other.zip": archive(SMALL)})
    with pytest.raises(InputError, match=r"has no frames that can be taken; it has none at all, and 0 were refused"):
        plan("test", tmp_path)
    for content in ("[", "[]", '{"UII-AI/MedVidBench": {"revision": 1}}'):
        (tmp_path / "get.json").write_text(content)
        with pytest.raises(InputError, match=r"get.json.*choose another folder"):
            plan("test", tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"HF_HUB_OFFLINE is set, so UII-AI/MedVidBench cannot be reached: unset it"):
        plan("test", tmp_path / "new")


# --- a server with faults


class Faulty(BaseHTTPRequestHandler):
    """Serves one content in ranges, after the faults in `script`, one a request."""

    content = bytes(range(256)) * 40
    script: list[str] = []  # noqa: RUF012
    seen: list[dict[str, str]] = []  # noqa: RUF012
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        self.seen.append(dict(self.headers))
        fault = self.script.pop(0) if self.script else ""
        start, stop = (int(side) for side in self.headers["Range"].removeprefix("bytes=").split("-"))
        body = self.content[start : stop + 1]
        if fault.startswith("redirect "):
            self._answer(302, b"", Location=fault.removeprefix("redirect "))
        elif fault.isdigit():
            waits = {"503": {"Retry-After": "7"}, "429": {"ratelimit": '"api";r=0;t=3'}}.get(fault, {})
            self._answer(int(fault), b"secret-address", **waits)
        elif fault == "cut":
            self._answer(206, body[: len(body) // 2], length=len(body))
            self.close_connection = True
        elif fault == "whole":
            self._answer(200, self.content)
        else:
            self._answer(206, body)

    def _answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[float]]]:
    """The server's address, and the waits that the client takes, which cost no time here."""
    waits: list[float] = []
    monkeypatch.setattr(Faulty, "script", [])
    monkeypatch.setattr(Faulty, "seen", [])
    monkeypatch.setattr(threading.Event, "wait", _recording(waits, threading.Event.wait))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    url = f"http://127.0.0.1:{server.server_port}"
    online(monkeypatch, url, "hf_secret")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield url, waits
    server.shutdown()
    thread.join()
    server.server_close()


def _recording(waits: list[float], wait: Any) -> Any:
    def record(event: threading.Event, timeout: float | None = None) -> bool:
        if timeout is None or timeout < 0.5:
            return wait(event, timeout)
        waits.append(timeout)
        return False

    return record


def read(start: int = 0, stop: int | None = None) -> bytes:
    file = remote.File("testdata.zip", len(Faulty.content), None)
    hub = remote.Hub(remote.RELEASES["test"], "c" * 40)
    return b"".join(hub.read(file, start, len(Faulty.content) if stop is None else stop))


def test_a_busy_server_and_a_cut_connection_cost_time_and_no_bytes(faulty: tuple[str, list[float]]) -> None:
    Faulty.script[:] = ["503", "cut", "429", "500", "500", "cut"]
    assert read(100, 9000) == Faulty.content[100:9000]
    assert faulty[1] == [7.0, 1.0, 3.0, 4.0, 8.0, 1.0], "what the server asks, else doubled until bytes come"
    assert Faulty.seen[2]["Range"] == "bytes=4550-8999"


def test_a_server_that_stays_away_is_an_os_error_without_its_secrets(faulty: tuple[str, list[float]]) -> None:
    Faulty.script[:] = ["500"] * 99
    with pytest.raises(OSError, match=r"testdata.zip at http://127.0.0.1:\d+: HTTP 500, tried 8 times$") as caught:
        read()
    assert "secret" not in str(caught.value)
    Faulty.script[:] = ["404"]
    with pytest.raises(OSError, match=r"testdata.zip at http://127.0.0.1:\d+: HTTP 404$"):
        read()
    Faulty.script[:] = ["401"]
    with pytest.raises(InputError, match=r"cannot be read at .* \(HTTP 401\): a token that is set may be stale: `hf "):
        read()
    Faulty.script[:] = ["whole"]
    with pytest.raises(OSError, match="sends the whole file where a part was asked for"):
        read(5, 10)


def test_a_whole_file_goes_on_where_it_was_cut_off(faulty: tuple[str, list[float]], tmp_path: Path) -> None:
    file = remote.File("valdata.tar", len(Faulty.content), hashlib.sha256(Faulty.content).hexdigest())
    hub = remote.Hub(remote.RELEASES["trainval"], "c" * 40)
    Faulty.script[:] = ["cut", "404"]
    with pytest.raises(OSError, match="HTTP 404"):
        hub.fetch(file, tmp_path, tmp_path / "deep/valdata.tar")
    hub.fetch(file, tmp_path, tmp_path / "deep/valdata.tar")
    assert Faulty.seen[-1]["Range"] == f"bytes={len(Faulty.content) // 2}-{len(Faulty.content) - 1}"
    assert (tmp_path / "deep/valdata.tar").read_bytes() == Faulty.content
    with pytest.raises(OSError, match=r"what came has the SHA-256 [0-9a-f]{64}, not 0"):
        hub.fetch(file._replace(sha256="0"), tmp_path, tmp_path / "other")
    assert tree(tmp_path) == {"deep/valdata.tar": Faulty.content}


def test_the_token_does_not_follow_a_redirect_to_another_server(faulty: tuple[str, list[float]]) -> None:
    other = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    Faulty.script[:] = [f"redirect http://127.0.0.1:{other.server_port}/signed"]
    assert read(3, 50) == Faulty.content[3:50]
    other.shutdown()
    other.server_close()
    assert ["authorization" in {name.lower() for name in headers} for headers in Faulty.seen] == [True, False]


# --- kills

CLIENT = (
    "import sys\nfrom medvidbench_hf.sources.release.get import get, plan\n"
    "get(plan('test', sys.argv[1], max_side_px=int(sys.argv[2]) or None), threads=2)\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("max_side_px", [0, 320])
def test_a_killed_get_ends_as_one_that_was_not(official: Official, tmp_path: Path, max_side_px: int) -> None:
    members = {f"testdata/AVOS/v{k % 7}/{k}.jpg": image(1280, 720, seed=k % 50, quality=95) for k in range(400)}
    members |= {f"testdata/AVOS/v{k}/odd.jpg": image(720, 576, seed=k) for k in range(3)}
    official.release(archive(members))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = official.hub.client(CLIENT, str(whole), str(max_side_px))
    assert done.returncode == 0, done.stderr
    kills = 0
    for wait_s in (0.02, 0.2, 0.4, 0.6):
        command = [sys.executable, "-c", CLIENT, str(killed), str(max_side_px)]
        with subprocess.Popen(command, env={**os.environ, **official.hub.environment()}) as process:
            before = len(list(killed.rglob("*.jpg")))
            while process.poll() is None and len(list(killed.rglob("*.jpg"))) == before:
                time.sleep(0.01)
            time.sleep(wait_s)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
    assert kills
    sizes = folder.Sizes(killed)
    assert not max_side_px or all(sizes.of(str(p.relative_to(killed))) for p in killed.glob("testdata/**/*.jpg"))
    done = official.hub.client(CLIENT, str(killed), str(max_side_px))
    assert done.returncode == 0, done.stderr
    found, expected = tree(killed), tree(whole)
    for one in (found, expected):
        one["frame_sizes.json"] = json.dumps(json.loads(one.get("frame_sizes.json", b"{}")), sort_keys=True).encode()
    assert found == expected
