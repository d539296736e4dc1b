"""The rating form: a fair draw, a blind page, and a CSV that the agreement study reads."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvidbench_hf.judge.form import Item, draw, page, rating_lines, write_form
from medvidbench_hf.judge.pairs import DIMENSIONS, MAX_CHARS, Pair, read_pairs
from medvidbench_hf.judge.ratings import read_ratings
from medvidbench_hf.sample import InputError

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"> {{js}} \u2028 &lt; The grasper holds the duct."
RUBRIC = Path(__file__).parents[1] / "medvidbench_hf/judge/rubrics/comparative.txt"


def item(k: int, source: str = "SourceA", task: str = "video_summary", **known: Any) -> Item:
    about = {"index": 90_000 + k, "source": source, "task": task, "model": "SecretModel-7B", "video_id": f"VID_{k}"}
    return {**about, **known}, Pair(f"The hook frees structure {k}.", f"A tool works, take {k}.", task, "What is seen?")


def write(folder: Path, items: list[Item], **how: Any) -> tuple[str, list[tuple[str, Pair]], dict[str, Any]]:
    """(the page's text, the pairs file as it is read, the key)."""
    form = write_form(items, folder, **how)
    return form.page.read_text(), read_pairs(form.items), json.loads(form.key.read_text())


def data_of(text: str) -> dict[str, Any]:
    """What a browser finds in the page's data script."""
    found = re.search(r'<script type="application/json" id="form">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


# --- draw ------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["tal", "stg"])), min_size=1, max_size=40),
    st.integers(1, 45),
    st.integers(0, 3),
)
def test_a_draw_is_as_even_over_the_strata_as_they_have_items(kinds: list[tuple[str, str]], n: int, seed: int) -> None:
    items = [item(k, *kind) for k, kind in enumerate(kinds)]
    drawn = draw(items, n, seed)
    assert len(set(drawn)) == len(drawn) == min(n, len(items))
    assert drawn == draw(items, n, seed)
    given_of, drawn_of = Counter(kinds), Counter(kinds[k] for k in drawn)
    not_used_up = [kind for kind in given_of if drawn_of[kind] < given_of[kind]]
    if not_used_up:  # none that is used up got more than one that is not
        assert max(drawn_of.values()) <= min(drawn_of[kind] for kind in not_used_up) + 1


def test_a_draw_has_low_and_high_scores_in_their_share() -> None:
    items = [item(k, score=(37 * k) % 100 / 20) for k in range(100)]
    scores = [items[k][0]["score"] for k in draw(items, 10)]
    assert sorted(int(score * 2) for score in scores) == list(range(10))
    assert scores != sorted(scores)


def test_a_pair_counts_once_and_what_needs_no_rater_is_left_out() -> None:
    plain = [item(k) for k in range(3)]
    again = ({"index": 7, "source": "SourceB"}, plain[0][1])
    empty = ({"index": 8}, Pair("The hook frees the duct.", " \n"))
    endless = ({"index": 9}, Pair("The hook frees the duct.", "x" * (MAX_CHARS + 1)))
    assert sorted(draw([*plain, again, empty, endless], 100)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("items", "n", "message"),
    [
        ([], 10, "nothing to rate"),
        ([({}, Pair("a", ""))], 10, "nothing to rate"),
        ([item(0)], 0, "n: 0, expected at least one item"),
        ([item(0, score="4")], 1, r"items\[0\] field score: '4', expected a number or None"),
        ([item(0, score=float("nan"))], 1, r"items\[0\] field score: nan"),
        ([({}, Pair("a", None))], 1, r"pairs\[0\] field candidate: NoneType, expected text"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_drawn_from_is_named(items: list[Item], n: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(items, n)


# --- files -----------------------------------------------------------------------------------------------------


def test_the_three_files_name_the_same_items(tmp_path: Path) -> None:
    items = [item(k, "AB"[k % 2], ["video_summary", "region_caption"][k % 3 == 0]) for k in range(30)]
    text, pairs, key = write(tmp_path, items, n=20, seed=3)
    shown = data_of(text)
    assert [one["item"] for one in shown["items"]] == [name for name, _ in pairs] == list(key["items"])
    assert len(pairs) == 20
    for name, pair in pairs:
        about, given_pair = items[key["items"][name]["index"] - 90_000]
        assert key["items"][name] == about
        assert pair == given_pair._replace(question="")
    assert [about["index"] for about in key["items"].values()] != sorted(a["index"] for a in key["items"].values())


def test_the_page_does_not_tell_what_the_key_holds(tmp_path: Path) -> None:
    items = [item(k, f"Source{k % 4}", score=3.21987) for k in range(40)]
    text, _, key = write(tmp_path, items, n=12)
    for about in key["items"].values():
        for secret in (about["source"], about["model"], about["video_id"], str(about["index"]), "3.21987"):
            assert secret not in text
    assert data_of(text)["items"][0].keys() == {"item", "reference", "candidate", "task"}
    assert re.fullmatch(r"[b-df-hj-np-tv-z]{6}", key["form"])  # no vowel: no month, no TRUE, no 1e5
    assert [one["item"] for one in data_of(text)["items"]] == [f"{key['form']}-{k:02d}" for k in range(1, 13)]


def test_the_page_asks_nothing_of_a_network(tmp_path: Path) -> None:
    text, _, _ = write(tmp_path, [item(0)])
    assert not re.search(r"://|url\(|@import|<link|\bsrc=|fetch\(|XMLHttpRequest|WebSocket|sendBeacon", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]


def test_no_text_ends_the_script_that_holds_it(tmp_path: Path) -> None:
    text, pairs, _ = write(tmp_path, [({"index": 0}, Pair(HOSTILE, HOSTILE + "\ud800"))])
    assert text.count("</script>") == 2
    assert "<img" not in text
    assert data_of(text)["items"][0]["reference"] == HOSTILE == pairs[0][1].reference
    assert data_of(text)["items"][0]["candidate"] == HOSTILE + "?" == pairs[0][1].candidate
    assert not re.search(r"\{\{(policy|css|data)\}\}", text)


def test_the_same_arguments_give_the_same_bytes_and_others_another_form(tmp_path: Path) -> None:
    items = [item(k, score=k / 10) for k in range(40)]
    texts = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        form = write_form(items, tmp_path / name, n=10, seed=seed)
        texts.append([path.read_bytes() for path in (form.page, form.items, form.key)])
    assert texts[0] == texts[1]
    assert all(one != other for one, other in zip(texts[0], texts[2], strict=True))
    assert json.loads(texts[0][2])["form"] != json.loads(texts[2][2])["form"]


def test_a_folder_with_the_key_of_another_form_is_left_as_it_is(tmp_path: Path) -> None:
    items = [item(k) for k in range(9)]
    form = write_form(items, tmp_path, n=5)
    before = form.key.read_bytes()
    assert write_form(items, tmp_path, n=5) == form
    with pytest.raises(InputError, match=r"rate\.key\.json: is the key of another form; choose another folder"):
        write_form(items, tmp_path, n=6)
    assert form.key.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"rate.html", "rate.items.jsonl", "rate.key.json"}


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="what is known of an item cannot be written as JSON"):
        write_form([item(0, when=Path("x"))], tmp_path / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be made a folder"):
        write_form([item(0)], tmp_path / "file")
    assert not (tmp_path / "a").exists()


def test_people_rate_by_the_lines_that_the_judge_gets(tmp_path: Path) -> None:
    rubric = RUBRIC.read_text()
    rules, dimensions = lines = rating_lines()
    assert len(rules) >= 7
    assert tuple(dimension["name"] for dimension in dimensions) == DIMENSIONS
    for dimension in dimensions:
        for score, line in enumerate(dimension["lines"], start=1):
            assert f"\n{score}: {line}\n" in rubric
    shown = data_of(page("bcdfgh", [], lines))
    assert (shown["rules"], shown["dimensions"]) == (rules, dimensions)


def test_raters_of_another_domain_are_told_what_counts_in_it(tmp_path: Path) -> None:
    assert any("modality" in rule for rule in rating_lines("radiology").rules)
    assert not any("modality" in rule for rule in rating_lines().rules)
    with pytest.raises(InputError, match="unknown domain 'dentistry'"):
        write_form([item(0)], tmp_path / "form", domain="dentistry")
    assert not (tmp_path / "form").exists()


# --- in a browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


def downloaded(tab: Any, path: Path) -> Path:
    with tab.expect_download() as waiting:
        tab.click("#save")
    assert re.fullmatch(r"ratings-[a-z]{6}-Anna-Müller\.csv", waiting.value.suggested_filename)
    waiting.value.save_as(path)
    return path


def answers(path: Path) -> list[list[float]]:
    """(items, 5) of the one rater of a CSV, 0 where not rated."""
    ratings = read_ratings(path)
    assert (ratings.raters, ratings.kinds) == (("Anna Müller",), ("human",))
    return np.nan_to_num(ratings.scores[:, 0]).tolist()


@pytest.mark.slow
def test_items_are_rated_by_keyboard_and_survive_a_reload_a_download_and_another_machine(
    tmp_path: Path, browser: Any
) -> None:
    hostile = ({"index": 0}, Pair(HOSTILE, "<b>A tool</b> works." + HOSTILE))
    form = write_form([hostile, *(item(k) for k in range(4))], tmp_path / "form")
    other = write_form([item(k) for k in range(5)], tmp_path / "other")
    names = [name for name, _ in read_pairs(form.items)]
    machine = browser.new_context(viewport={"width": 1280, "height": 860})
    tab = machine.new_page()
    asked, complaints = [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(form.page.as_uri())
    assert tab.is_disabled("#save")
    for keys in ("12345", "54030", "2"):  # 0 is not sure; the third item is left after one score
        for key in keys:
            tab.keyboard.press(key)
        tab.keyboard.press("Enter")
    assert tab.is_disabled("#save")  # nobody has said who rated
    tab.fill("#rater", " Anna  Müller")
    tab.keyboard.press("Enter")

    tab.reload()
    assert tab.input_value("#rater") == " Anna  Müller"
    assert tab.inner_text("#progress") == "2 of 5 items complete"
    assert tab.inner_text("#place") == "Item 4 of 5"
    tab.click("#previous")
    tab.keyboard.press("ArrowDown")  # from the second dimension to the third
    tab.keyboard.press("4")
    first = downloaded(tab, tmp_path / "first.csv")
    assert tab.inner_text("#status") == "Downloaded. 3 of 5 items are not complete yet."
    assert read_ratings(first).items == tuple(names[:3])
    expected = [[1, 2, 3, 4, 5], [5, 4, 0, 3, 0], [2, 0, 4, 0, 0]]
    assert answers(first) == expected

    tab.click("#progress")
    for k, (_, pair) in enumerate(read_pairs(form.items), start=1):  # the hostile one is among them
        tab.click(f"#dots button:nth-child({k})")
        assert tab.text_content("#reference") == pair.reference
        assert tab.text_content("#candidate") == pair.candidate
        assert tab.locator("main img, main b:not(.score b)").count() == 0
    assert tab.title() == "Caption rating"

    tab.goto(other.page.as_uri())  # another form in the same browser knows nothing of this one
    assert tab.inner_text("#progress") == "0 of 5 items complete"
    assert tab.input_value("#rater") == ""
    tab.set_input_files("#open", first)
    tab.wait_for_function("document.getElementById('status').textContent")
    assert tab.inner_text("#status") == "That file holds nobody's ratings of this form."

    elsewhere = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    elsewhere.goto(form.page.as_uri())
    assert elsewhere.inner_text("#progress") == "0 of 5 items complete"
    spreadsheet = tmp_path / "spreadsheet.csv"  # what a spreadsheet may make of it on the way
    spreadsheet.write_bytes(b"\xef\xbb\xbf" + first.read_bytes().replace(b",", b";"))
    elsewhere.set_input_files("#open", spreadsheet)
    elsewhere.wait_for_function("document.getElementById('status').textContent")
    assert elsewhere.inner_text("#status") == "Opened: 3 items of Anna Müller."
    assert elsewhere.evaluate("document.documentElement.scrollWidth") <= 390
    elsewhere.click("#next")
    elsewhere.click(".dimension.active .score:has(b:text-is('1'))")  # the first open dimension, by touch
    assert answers(downloaded(elsewhere, tmp_path / "second.csv")) == [expected[0], [5, 4, 1, 3, 0], expected[2]]
    assert asked == [form.page.as_uri(), form.page.as_uri(), other.page.as_uri()]
    assert complaints == []


@pytest.mark.slow
def test_the_policy_of_the_page_lets_nothing_out_and_no_script_in(tmp_path: Path, browser: Any) -> None:
    tab = browser.new_context().new_page()
    tab.goto(write_form([item(0)], tmp_path).page.as_uri())
    blocked = tab.evaluate(
        """async () => {
            const blocked = [];
            document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
            await fetch("http://127.0.0.1:9/").catch(() => {});
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            while (blocked.length < 2) await new Promise((done) => setTimeout(done, 5));
            return blocked.sort();
        }"""
    )
    assert blocked == ["connect-src", "script-src-elem"]
    assert tab.title() == "Caption rating"
