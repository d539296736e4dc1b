"""Asking a server: what fails says so, what is paid for is counted, what was answered is kept."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import traceback
import urllib.request
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from medvidbench_hf.endpoint import (
    AskFailed,
    Budget,
    BudgetSpent,
    Endpoint,
    Price,
    Reply,
    Usage,
    answers,
    chat,
    estimated_tokens,
    price_of,
)
from medvidbench_hf.endpoint.spending import Tokens
from medvidbench_hf.sample import InputError
from tests.llm_stub import Fault, ReplyFunction, completion, running

ROOT = Path(__file__).parents[1]
KEY = "sk-a-key-nobody-may-see"
ASKED = [{"role": "user", "content": "How close is the candidate to the reference?"}]
SCHEMA = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(answers, "FIRST_WAIT_S", 0.01)


def ask(endpoint: Endpoint, **settings: Any) -> Reply:
    return asyncio.run(endpoint.ask(ASKED, **settings))


def ask_many(endpoint: Endpoint, texts: list[str], **settings: Any) -> list[Reply | BaseException]:
    async def gathered() -> list[Reply | BaseException]:
        calls = (endpoint.ask([{"role": "user", "content": text}], **settings) for text in texts)
        return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(gathered())


def first_then(*faults: str | Fault, then: str | Fault = "ok") -> ReplyFunction:
    """The faults one after the other, then always the same."""
    left = list(faults)
    return lambda request: left.pop(0) if left else then


def failure(reply: ReplyFunction, **settings: Any) -> tuple[str, Endpoint, int]:
    """The text of AskFailed, the endpoint and the number of requests."""
    with running(reply) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, api_key=KEY, **{"attempts": 3, **settings})
        with pytest.raises(AskFailed) as caught:
            ask(endpoint)
        text = str(caught.value)
        assert text
        assert "\n" not in text
        return text.replace(stub.base_url, "URL"), endpoint, len(stub.log)


# --- asking


def test_a_reply_comes_with_its_tokens_and_the_request_says_what_was_asked() -> None:
    with running(lambda request: "R2: 4 and more") as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url + "/", api_key=KEY)
        reply = ask(endpoint, schema=SCHEMA, schema_name="scores", max_tokens=99, extra={"seed": 7})
        plain = ask(endpoint)
    assert reply == Reply("R2: 4 and more", "stop", len(ASKED[0]["content"]) // 4, 3)
    assert plain.text == reply.text
    body = {name: value for name, value in stub.log[0].items() if name not in ("headers", "at_s")}
    assert body == {
        "model": "stub",
        "messages": ASKED,
        "temperature": 0.0,
        "max_tokens": 99,
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "scores", "schema": SCHEMA, "strict": True},
        },
    }
    assert "response_format" not in stub.log[1]
    assert "max_tokens" not in stub.log[1]
    assert endpoint.usage == Usage(2, 0, 0, 2 * reply.input_tokens, 2 * reply.output_tokens)


def test_address_and_key_come_from_the_environment_and_a_local_server_needs_no_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running() as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", stub.base_url)
        assert ask(Endpoint("stub")).text == "ok"
        monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")  # as `export KEY=$(cat file)` may leave it
        assert ask(Endpoint("stub")).text == "ok"


def test_a_server_on_this_machine_is_asked_past_a_proxy_and_another_through_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with running() as proxy, running() as stub:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base_url.removesuffix("/v1"))
        assert ask(Endpoint("stub", base_url=stub.base_url)).text == "ok"
        with pytest.raises(AskFailed, match=r"^404"):  # the proxy's answer: it serves no such address
            ask(Endpoint("stub", base_url="http://elsewhere.invalid/v1"))
    assert not proxy.log


def test_text_that_utf8_cannot_hold_is_sent_and_received_with_replacements() -> None:
    with running(lambda request: Fault(200, body=completion("a\ud800b 😀", request))) as stub:
        reply = asyncio.run(
            Endpoint("stub", base_url=stub.base_url).ask([{"role": "user", "content": "x\udfffy \ud83d\ude00"}])
        )
    assert stub.log[0]["messages"][0]["content"] == "x\ufffdy 😀"
    assert reply.text == "a\ufffdb 😀"


def test_no_more_calls_are_in_flight_than_the_bound() -> None:
    with running(lambda request: request["messages"][0]["content"], latency_s=0.05) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=6)
        texts = [f"text {n}" for n in range(40)]
        assert [getattr(reply, "text", reply) for reply in ask_many(endpoint, texts)] == texts
    assert stub.most_at_once == 6
    assert endpoint.usage.calls == 40


# --- loops


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_one_endpoint_serves_loop_after_loop_and_leaves_no_connection_open() -> None:
    with running() as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=4)
        for _ in range(3):
            assert all(isinstance(reply, Reply) for reply in ask_many(endpoint, ["x"] * 8))
        del endpoint
        ask_many(Endpoint("stub", base_url=stub.base_url), ["x"] * 8)  # gone before its loop ends
    gc.collect()


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_it_works_on_a_loop_in_a_daemon_thread_as_trl_runs_rewards() -> None:
    loop = asyncio.new_event_loop()
    endpoints: list[Endpoint] = []
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def batch() -> list[Reply]:
        return await asyncio.gather(*(endpoints[0].ask(ASKED) for _ in range(5)))

    with running() as stub:
        endpoints.append(Endpoint("stub", base_url=stub.base_url, concurrency=2))
        for _ in range(3):
            replies = asyncio.run_coroutine_threadsafe(batch(), loop).result(30)
            assert [reply.text for reply in replies] == ["ok"] * 5
        assert stub.most_at_once <= 2
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    loop.close()
    gc.collect()


def test_loops_in_several_threads_share_one_count() -> None:
    with running() as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        threads = [threading.Thread(target=ask_many, args=(endpoint, ["x"] * 20)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert endpoint.usage.calls == len(stub.log) == 80


# --- failures that pass


@pytest.mark.parametrize(
    ("header", "value", "asked_s"),
    [("retry-after-ms", "200", 0.2), ("Retry-After", "0.4", 0.4)],
)
def test_the_wait_that_the_server_asks_for_is_kept(header: str, value: str, asked_s: float) -> None:
    with running(first_then(Fault(429, {header: value}))) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        assert ask(endpoint).text == "ok"
    first, second = (request["at_s"] for request in stub.log)
    assert second - first >= asked_s
    assert endpoint.usage.retries == 1


def test_what_a_retry_after_header_may_say() -> None:
    def says(**headers: str) -> float | None:
        return answers.retry_after_s({name.replace("_", "-"): value for name, value in headers.items()})

    assert says() is None
    assert says(retry_after="2") == 2.0
    assert says(retry_after="90", retry_after_ms="250") == 0.25
    assert says(retry_after="3", retry_after_ms="soon") == 3.0
    for useless in ("", "soon", "nan", "inf", "-1", "0", "1e999"):
        assert says(retry_after=useless) is None, useless
    now = datetime.now(UTC)
    in_a_minute = says(retry_after=format_datetime(now + timedelta(seconds=60), usegmt=True))
    assert in_a_minute is not None
    assert 0 < in_a_minute <= 60
    assert says(retry_after=format_datetime(now - timedelta(days=1), usegmt=True)) is None


def test_waits_grow_and_have_a_bound() -> None:
    waits = [max(answers.wait_s(attempt, None) for _ in range(50)) for attempt in (1, 3, 5, 10**6)]
    assert waits == sorted(waits)
    assert waits[-1] <= answers.LONGEST_WAIT_S


def test_a_server_that_asks_for_an_hour_is_given_up_at_once() -> None:
    text, _, requests = failure(lambda request: Fault(429, {"retry-after": "3600"}))
    assert text == "429 (stub_fault): the server asks to wait 3,600 s"
    assert requests == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_what_may_pass_is_asked_again_until_it_is_answered(status: int) -> None:
    with running(first_then(Fault(status), Fault(status, body="<html>busy</html>"))) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, attempts=3)
        assert ask(endpoint).text == "ok"
    assert len(stub.log) == 3
    assert endpoint.usage.retries == 2
    assert endpoint.usage.calls == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(500), "500 (stub_fault), in 3 attempts"),
        (Fault(503, body=""), "503, in 3 attempts"),
        (Fault(200, cut=True), "the connection to URL failed (RemoteProtocolError), in 3 attempts"),
        (Fault(200, body="<html>Welcome</html>"), "the answer is not JSON, in 3 attempts"),
        (Fault(200, body=""), "the answer is not JSON, in 3 attempts"),
        (Fault(200, body="[" * 100_000), "the answer is not JSON, in 3 attempts"),
        (Fault(200, body='["ok"]'), "the answer is a JSON list, not an object, in 3 attempts"),
        (Fault(200, body='{"error": {"code": 502}}'), "the reply is an error (502), in 3 attempts"),
    ],
)
def test_what_does_not_pass_fails_after_its_attempts(fault: Fault, says: str) -> None:
    text, endpoint, requests = failure(lambda request: fault)
    assert (text, requests) == (says, 3)
    assert (endpoint.usage.calls, endpoint.usage.failed, endpoint.usage.retries) == (0, 1, 2)


def test_a_server_that_is_not_there_is_named() -> None:
    with running() as stub:
        gone = stub.base_url
    endpoint = Endpoint("stub", base_url=gone, attempts=2)
    with pytest.raises(AskFailed, match=f"^the connection to {gone} failed .ConnectError., in 2 attempts$"):
        ask(endpoint)
    assert endpoint.usage == Usage(failed=1, retries=1)


# --- failures that do not pass


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(401), "401: URL refuses the key (api_key, or OPENAI_API_KEY)"),
        (Fault(404), "404: no model 'stub' at URL, or no such address (most end in /v1)"),
        (Fault(403), "403 (stub_fault)"),
        (Fault(400, body='{"error": {"code": "unsupported_value", "param": "x"}}'), "400 (unsupported_value, x)"),
        (Fault(400, body='{"code": 400, "type": "BadRequestError"}'), "400 (400, BadRequestError)"),
        (Fault(429, body='{"error": {"code": "insufficient_quota"}}'), "429 (insufficient_quota)"),
        (Fault(200, body="{}"), "the reply has no choices"),
        (Fault(200, body='{"choices": []}'), "the reply has no choices"),
        (Fault(200, body='{"choices": null}'), "the reply has no choices"),
        (Fault(200, body='{"choices": [{"message": null}]}'), "the reply has no text (finish_reason none)"),
        (
            Fault(200, body='{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}'),
            "the reply has no text (finish_reason length)",
        ),
        (
            Fault(200, body='{"choices": [{"message": {"content": ["x"]}, "finish_reason": "a\\nb"}]}'),
            "the reply has no text (finish_reason other)",
        ),
        (
            Fault(200, body='{"choices": [{"message": {"content": "part"}, "finish_reason": "content_filter"}]}'),
            "the model refused (content_filter)",
        ),
        (
            Fault(200, body='{"choices": [{"message": {"content": null, "refusal": "I cannot"}}]}'),
            "the model refused (refusal)",
        ),
    ],
)
def test_what_is_refused_for_good_is_asked_once(fault: Fault, says: str) -> None:
    text, endpoint, requests = failure(lambda request: fault)
    assert (text, requests) == (says, 1)
    assert (endpoint.usage.calls, endpoint.usage.failed) == (0, 1)


def test_a_reply_cut_off_by_its_length_is_a_reply() -> None:
    with running(lambda request: Fault(200, body=completion("The grasper ret", request, "length"))) as stub:
        reply = ask(Endpoint("stub", base_url=stub.base_url))
    assert (reply.text, reply.finish_reason) == ("The grasper ret", "length")


def test_a_hung_call_ends_alone_and_the_others_are_answered() -> None:
    def reply(request: dict[str, Any]) -> str | Fault:
        return Fault(hang_s=60) if request["messages"][0]["content"] == "hang" else "ok"

    with running(reply) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=4, timeout_s=1.0)
        hung, *others = ask_many(endpoint, ["hang"] + ["x"] * 20)
        assert ask(endpoint).text == "ok"
    assert isinstance(hung, AskFailed)
    assert str(hung) == "no answer within 1 s"
    assert all(isinstance(reply, Reply) for reply in others)
    assert len(stub.log) == 22  # the hung call was not asked again
    assert endpoint.usage.failed == 1


def test_a_cancelled_call_frees_its_place_and_counts_as_spent() -> None:
    async def cancelled(endpoint: Endpoint) -> Reply:
        task = asyncio.create_task(endpoint.ask([{"role": "user", "content": "hang"}]))
        while not stub.log:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await endpoint.ask(ASKED)

    with running(lambda request: Fault(hang_s=60) if len(stub.log) == 1 else "four") as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=1)
        reply = asyncio.run(cancelled(endpoint))
    assert endpoint.usage.calls == 1
    assert endpoint.usage.output_tokens == reply.output_tokens + 512


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("stop", "stop"),
        ("MAX_TOKENS", "MAX_TOKENS"),
        ("\x1b[31mEVIL\n", "other"),
        ("x" * 5_000, "other"),
        (None, ""),
        (7, ""),
    ],
)
def test_a_finish_reason_is_one_short_word(said: Any, shown: str) -> None:
    with running(lambda request: Fault(200, body=completion("ok", request, said))) as stub:
        assert ask(Endpoint("stub", base_url=stub.base_url)).finish_reason == shown


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("http://elsewhere.example:8/v1/chat/completions?key=secret", "elsewhere.example:8"),
        ("https://me:secret@elsewhere.example/", "elsewhere.example"),
        ("/v2/chat/completions", "another address"),
        ("http://\x1b[31m", "another address"),
        ("http://[", "another address"),
        ("", "another address"),
    ],
)
def test_no_redirect_takes_the_prompt_elsewhere(location: str, host: str) -> None:
    text, endpoint, requests = failure(lambda request: Fault(307, {"location": location}))
    assert text == f"307: URL sends on to {host}; not followed, name it as base_url"
    assert requests == 1
    assert endpoint.usage.tokens.total == 0


def test_an_answer_is_read_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MAX_ANSWER_BYTES", 2**20)
    with running(lambda request: Fault(200, body=completion("x" * 2**20, request))) as stub:
        with pytest.raises(AskFailed, match=r"^the answer is longer than 1 MiB$"):
            ask(Endpoint("stub", base_url=stub.base_url))
        assert len(stub.log) == 1
    with running(lambda request: Fault(400, body="x" * 2**21)) as stub, pytest.raises(AskFailed, match="longer than"):
        ask(Endpoint("stub", base_url=stub.base_url))
    with running(lambda request: "x" * 10**6) as stub:
        assert len(ask(Endpoint("stub", base_url=stub.base_url)).text) == 10**6


@pytest.mark.parametrize("told", [{"param": "temperature"}, {"message": "only temperature=1 is supported"}], ids=str)
def test_a_server_that_refuses_the_temperature_is_asked_at_its_default_from_then_on(told: dict[str, str]) -> None:
    def reply(request: dict[str, Any]) -> str | Fault:
        return Fault(400, body=json.dumps({"error": told})) if "temperature" in request else "warm"

    with running(reply) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        with pytest.warns(UserWarning, match="refuses the temperature.* may vary from call to call") as warned:
            replies = ask_many(endpoint, ["x"] * 5, schema=SCHEMA)
        assert {getattr(reply, "without", reply) for reply in replies} == {frozenset({"temperature"})}
        assert len(warned) == 1
        before = len(stub.log)
        assert ask(endpoint, schema=SCHEMA).without == {"temperature"}
        assert ask(endpoint, temperature=None).without == set()
        assert len(stub.log) == before + 2
    assert all("response_format" in request for request in stub.log[:-1])
    assert endpoint.usage.failed == 0


def test_a_server_may_refuse_both_the_schema_and_the_temperature() -> None:
    def reply(request: dict[str, Any]) -> str | Fault:
        for name in ("response_format", "temperature"):
            if name in request:
                return Fault(400, body=json.dumps({"error": {"param": name, "message": "temperature response_format"}}))
        return "plain"

    with running(reply) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        with pytest.warns(UserWarning, match="refuses") as warned:
            both = ask(endpoint, schema=SCHEMA)
    assert both.without == {"response_format", "temperature"}
    assert len(warned) == 2


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_that_refuses_schemas_is_asked_without_from_then_on(status: int) -> None:
    with running(lambda request: Fault(status) if "response_format" in request else "plain") as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        with pytest.warns(UserWarning, match="refuses JSON schemas") as warned:
            replies = ask_many(endpoint, ["x"] * 5, schema=SCHEMA)
        assert [getattr(reply, "text", reply) for reply in replies] == ["plain"] * 5
        assert len(warned) == 1
        before = len(stub.log)
        assert ask(endpoint, schema=SCHEMA).text == "plain"
        assert len(stub.log) == before + 1
    assert endpoint.usage.calls == 6
    assert endpoint.usage.failed == 0


def test_a_request_refused_for_another_reason_does_not_give_up_schemas() -> None:
    with running(first_then(Fault(400), Fault(400))) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        with pytest.raises(AskFailed, match=r"^400"):
            ask(endpoint, schema=SCHEMA)
        assert ask(endpoint, schema=SCHEMA).text == "ok"
    assert ["response_format" in request for request in stub.log] == [True, False, True]


# --- secrets


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_the_key_is_in_no_text_log_or_error_and_the_prompt_in_no_error(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    prompt = "a patient's secret"
    told = {"message": f"{prompt}, key {KEY}", "code": f"{prompt} {KEY}", "param": KEY + " ", "type": prompt}
    with running(lambda request: Fault(status, body=json.dumps({"error": told}))) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, api_key=KEY, attempts=2)
        with pytest.raises(AskFailed) as caught:
            asyncio.run(endpoint.ask([{"role": "user", "content": prompt}]))
        assert "authorization" not in stub.log[0]["headers"]
        assert KEY not in json.dumps(stub.log)
    error = "".join(traceback.format_exception(caught.value))
    assert KEY not in error + repr(endpoint) + caplog.text
    assert prompt not in error + repr(endpoint)
    assert caplog.text


@pytest.mark.parametrize("field", ["code", "type", "param"])
def test_a_server_that_repeats_the_key_puts_it_into_no_error(field: str) -> None:
    for echoed in (KEY, KEY.upper(), f"key.{KEY}"):
        told = {"error": {field: echoed}}
        text, _, _ = failure(lambda request, told=told: Fault(400, body=json.dumps(told)))  # type: ignore[misc]
        assert text in ("400 ([key])", "400 (key.[key])")
    text, _, _ = failure(lambda request: Fault(307, {"location": f"http://{KEY}.example/"}))
    assert KEY not in text


def test_a_server_that_repeats_the_key_puts_it_into_no_reply() -> None:
    said = f"Your key is {KEY}. Authorization: Bearer abc.def-0123456789"
    with running(lambda request: Fault(200, body=completion(said, request, "sk-key"))) as stub:
        reply = ask(Endpoint("stub", base_url=stub.base_url, api_key=KEY))
        assert reply.text == "Your key is [key]. Authorization: Bearer [key]"
        for placeholder in ("", "is"):  # no secrets
            text = ask(Endpoint("stub", base_url=stub.base_url, api_key=placeholder)).text
            assert text == said.replace("abc.def-0123456789", "[key]")
    with running(lambda request: Fault(200, body=completion("x", request, "secretkey"))) as stub:
        assert ask(Endpoint("stub", base_url=stub.base_url, api_key="secretkey")).finish_reason == "[key]"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"api_key": KEY + "\nx"}, "api_key .or OPENAI_API_KEY.: holds characters that no key has"),
        ({"api_key": KEY + "é"}, "api_key .or OPENAI_API_KEY.: holds characters that no key has"),
        ({"base_url": f"http://me:{KEY}@host/v1"}, "without password or query"),
        ({"base_url": f"http://host/v1?key={KEY}"}, "without password or query"),
        ({"base_url": "localhost:8000/v1"}, "expected http"),
        ({"base_url": "ftp://host"}, "expected http"),
        ({"base_url": "http://host:port/v1"}, "expected http"),
        ({"base_url": "http://[::1/v1"}, "expected http"),
        ({"base_url": None}, "no API key: set OPENAI_API_KEY"),
        ({"model": " "}, "model: ' '"),
        ({"model": None}, "model: None"),
        ({"concurrency": 0}, "concurrency: 0, expected 1 or more"),
        ({"attempts": True}, "attempts: True"),
        ({"timeout_s": float("nan")}, "timeout_s: nan"),
        ({"timeout_s": 0}, "timeout_s: 0"),
        ({"budget": Budget(usd=1.0)}, "the price of 'stub' is not known"),
    ],
)
def test_settings_that_cannot_work_are_named_and_secrets_are_not(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        Endpoint(**{"model": "stub", "base_url": "http://127.0.0.1:1/v1", **settings})
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_openai_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match=r"pip install 'medvidbench-hf\[judge\]'"):
        Endpoint("stub", base_url="http://127.0.0.1:1/v1")


def test_importing_the_room_does_not_import_openai() -> None:
    program = "import sys, medvidbench_hf.endpoint; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


# --- money


def test_a_budget_in_tokens_stops_and_what_was_in_flight_is_counted() -> None:
    text = "x" * 384  # 100 tokens with the message's own, 96 as the stub counts
    with running(lambda request: "y" * 40, latency_s=0.02) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=8, budget=Budget(tokens=2_000))
        replies = ask_many(endpoint, [text] * 60, max_tokens=10)
        answered = [reply for reply in replies if isinstance(reply, Reply)]
        assert len(answered) == len(stub.log) == endpoint.usage.calls
        spent = endpoint.usage.tokens.total
        assert spent == 106 * len(answered)
        assert 2_000 - 110 < spent <= 2_000
        others = {str(reply) for reply in replies if not isinstance(reply, Reply)}
        assert others == {
            "nothing more is asked: the budget of 2,000 tokens has no room for another call; 18 calls took 1,908 tokens"
        }
        with pytest.raises(BudgetSpent):  # a call that would fit: the short are not asked where the long are not
            ask(endpoint, max_tokens=1)
        assert len(stub.log) == len(answered)
    assert all(isinstance(reply, Reply | BudgetSpent) for reply in replies)


def test_a_budget_in_dollars_stops_at_the_price() -> None:
    price = Price(input_usd=1_000.0, output_usd=10_000.0)
    with running(lambda request: "y" * 40) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, price=price, concurrency=1, budget=Budget(usd=1.0))
        replies = ask_many(endpoint, ["x" * 384] * 20, max_tokens=10)
    usd = endpoint.usage.usd(price)
    assert usd is not None
    assert usd == pytest.approx(0.196 * len(stub.log))
    assert len(stub.log) == 5
    with pytest.raises(BudgetSpent, match=r"the budget of \$1.00 has no .*; 5 calls took 530 tokens \(\$0.9800\)$"):
        raise next(reply for reply in replies if isinstance(reply, BudgetSpent))


def test_calls_wait_for_those_in_flight_before_a_budget_counts_as_spent() -> None:
    with running(latency_s=0.02) as stub:  # each call may take 1,004 tokens, and takes 1
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=8, budget=Budget(tokens=2_500))
        assert all(isinstance(reply, Reply) for reply in ask_many(endpoint, ["x" * 4] * 30, max_tokens=1_000))
    assert stub.most_at_once <= 2


def test_replies_longer_than_estimated_overshoot_by_no_more_than_the_calls_in_flight() -> None:
    with running(lambda request: "y" * 4_000, latency_s=0.02) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=4, budget=Budget(tokens=5_000))
        ask_many(endpoint, ["x"] * 40, max_tokens=1)
    assert 5_000 < endpoint.usage.tokens.total <= 5_000 + 4 * 1_000
    assert len(stub.log) == endpoint.usage.calls


def test_a_budget_without_max_tokens_follows_the_longest_reply_and_the_first_call_goes_alone() -> None:
    with running(lambda request: "y" * 12_000, latency_s=0.02) as stub:  # 3,000 tokens
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=32, budget=Budget(tokens=20_000))
        replies = ask_many(endpoint, ["x"] * 60)
        assert len(stub.log) == endpoint.usage.calls == 6
        assert 1 < stub.most_at_once <= 5
    assert endpoint.usage.tokens.total <= 20_000
    assert sum(isinstance(reply, BudgetSpent) for reply in replies) == 54


def test_a_first_call_that_fails_holds_up_no_other() -> None:
    with running(first_then(Fault(400), then="ok")) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, concurrency=8, budget=Budget(tokens=50_000))
        assert sum(isinstance(reply, Reply) for reply in ask_many(endpoint, ["x"] * 20)) == 19


def test_a_call_that_no_budget_holds_is_not_asked() -> None:
    with running() as stub:
        for budget in (Budget(tokens=0), Budget(usd=0.0), Budget(tokens=100)):
            endpoint = Endpoint("gpt-4.1", base_url=stub.base_url, budget=budget)
            with pytest.raises(BudgetSpent, match="0 calls took 0 tokens"):
                ask(endpoint)
    assert not stub.log


def test_what_failed_is_counted_where_it_may_have_been_billed() -> None:
    for fault, output_tokens in (
        (Fault(500), 0),  # refused: not billed
        (Fault(200, cut=True), 2 * 50),  # lost on the way
        (Fault(200, body="{"), 2 * 50),
    ):
        with running(first_then(then=fault)) as stub:
            endpoint = Endpoint("stub", base_url=stub.base_url, attempts=2)
            with pytest.raises(AskFailed):
                ask(endpoint, max_tokens=50)
        assert endpoint.usage.output_tokens == output_tokens


def test_a_call_says_what_all_its_attempts_took() -> None:
    lost = Usage(retries=2, input_tokens=2 * 15, output_tokens=2 * 50)
    with running(first_then(Fault(200, body="{"), Fault(200, cut=True))) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        reply = ask(endpoint, max_tokens=50)
        assert reply.lost == lost
        assert reply.usage == endpoint.usage
    with running(lambda request: Fault(200, body="{")) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url, attempts=3)
        with pytest.raises(AskFailed) as failed:
            ask(endpoint, max_tokens=50)
        assert failed.value.usage == endpoint.usage == Usage(0, 1, 2, 3 * 15, 3 * 50)


def test_a_refusal_is_billed_as_the_server_says() -> None:
    with running(lambda request: Fault(200, body=completion("y" * 400, request, "content_filter"))) as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        with pytest.raises(AskFailed):
            ask(endpoint)
    assert endpoint.usage == Usage(failed=1, input_tokens=11, output_tokens=100)


def test_list_prices_are_found_by_name_dated_name_and_not_by_likeness() -> None:
    assert price_of("gpt-4.1") == Price(2.0, 8.0)
    assert price_of("gpt-4.1-2025-04-14") == price_of("gpt-4.1")
    assert price_of("models/gemini-2.5-pro") == price_of("gemini-2.5-pro") is not None
    for unknown in ("gpt-4.1-tuned", "my-model", "", "gpt-4.1-2025"):
        assert price_of(unknown) is None
    listed = json.loads((ROOT / "medvidbench_hf/endpoint/prices.json").read_text())["prices"]
    for entry in listed.values():
        date.fromisoformat(entry["read"])
        assert 0 < entry["input_usd"] < entry["output_usd"]


def test_dollars_are_tokens_times_price_and_none_without_one() -> None:
    assert Usage(1, input_tokens=1_500_000, output_tokens=250_000).usd(Price(2.0, 8.0)) == 5.0
    assert Usage(1).usd(None) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Budget(usd=-1),
        lambda: Budget(usd=float("nan")),
        lambda: Budget(tokens=-1),
        lambda: Budget(tokens=True),
        lambda: Price(float("inf"), 1.0),
        lambda: Price(True, 1.0),
    ],
)
def test_amounts_that_are_none_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        make()


def test_tokens_are_estimated_from_text_media_and_schema() -> None:
    assert estimated_tokens([]) == 0
    assert estimated_tokens([{"role": "user", "content": "x" * 400}]) == 104
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}}
    parts = [{"type": "text", "text": "x" * 400}, picture]
    assert estimated_tokens([{"role": "user", "content": parts}]) == 1_104
    assert estimated_tokens([{"role": "user", "content": "\ud800"}, {"role": "assistant"}]) == 9
    assert estimated_tokens([], SCHEMA) == -(-len(json.dumps(SCHEMA)) // 4)


# --- any answer at all

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
messages = st.fixed_dictionaries({}, optional={"content": json_values, "refusal": json_values})
choices = st.fixed_dictionaries({}, optional={"message": messages | json_values, "finish_reason": json_values})
bodies = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(choices | json_values, max_size=2) | json_values,
        "usage": st.dictionaries(
            st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens"]), json_values, max_size=3
        )
        | json_values,
        "error": json_values,
    },
)


@settings(max_examples=150)
@given(bodies)
def test_any_body_is_a_reply_or_a_failure_of_one_line(body: dict[str, Any]) -> None:
    used = answers.used_tokens(body, Tokens(5, 7))
    assert used.input >= 0
    assert used.output >= 0
    try:
        text = answers.read_reply(answers.read_body(json.dumps(body).encode()), used).text
    except (AskFailed, answers.TryAgain) as error:
        text = str(error)
        event("a failure")
        one_line = text.isprintable()
    else:
        one_line = True
    assert one_line
    assert text.encode().decode() == text


def test_tokens_come_from_the_server_or_from_the_texts() -> None:
    said = {"choices": [{"message": {"content": "y" * 40}}]}
    assert answers.used_tokens(said, Tokens(5, 7)) == (5, 10)
    assert answers.used_tokens({**said, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, Tokens(5, 7)) == (3, 4)
    # Thinking that only the total counts is billed.
    thought = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 100}
    assert answers.used_tokens({**said, "usage": thought}, Tokens(5, 7)) == (3, 97)
    for many in (10**400, 10**9):
        usage = {"prompt_tokens": many, "total_tokens": many}
        assert answers.used_tokens({**said, "usage": usage}, Tokens(5, 7)) == (5, 10)
    broken = {"prompt_tokens": -3, "completion_tokens": "4", "total_tokens": True}
    assert answers.used_tokens({**said, "usage": broken}, Tokens(5, 7)) == (5, 10)


@given(st.text(st.characters() | st.characters(categories=["Cs"])))
def test_only_lone_surrogates_are_replaced(text: str) -> None:
    clean = answers.without_surrogates(text)
    assert clean.encode().decode() == clean
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert clean == text


# --- the stub


def test_the_stub_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "tests.llm_stub", "--reply", "four"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            base_url = json.loads(process.stdout.readline())["base_url"]
            assert ask(Endpoint("stub", base_url=base_url)).text == "four"
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{base_url}/models", timeout=30) as answer:
                assert json.load(answer)["data"] == [{"id": "stub"}]
        finally:
            process.kill()
