"""Chat calls to an OpenAI-compatible server, many at a time.

What can happen to a call, and what becomes of it:
    answered           Reply, also when cut off at max_tokens (finish_reason "length")
    refused for now    408, 409, 429, 5xx, a connection that fails, a body that is not JSON: asked again, `attempts`
                       times in all, after retry-after where the server names it, else 0.5, 1, 2, ... s with jitter
    refused for good   any other 4xx, a quota used up, a refusal of the model, a reply without text: AskFailed
    hung               AskFailed after timeout_s; not asked again, or one hung call would hold a training step
                       `attempts` times as long
    field refused      400 or 422 to a JSON schema or to the temperature: asked without, from then on, with a warning
    sent on elsewhere  AskFailed: a redirect would take the captions to another host
    too long           AskFailed, after MAX_ANSWER_BYTES
    budget spent       BudgetSpent, for this call and every later one
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from medvidbench_hf.endpoint.answers import (
    AskFailed,
    Reply,
    TryAgain,
    read_body,
    read_reply,
    refused,
    refused_field,
    used_tokens,
    wait_s,
    without_key,
    without_surrogates,
)
from medvidbench_hf.endpoint.spending import (
    FAILED,
    NOTHING,
    UNBOUNDED,
    Account,
    Budget,
    Price,
    Tokens,
    Usage,
    estimated_tokens,
    price_of,
)
from medvidbench_hf.sample import InputError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

OPENAI_URL = "https://api.openai.com/v1"
MAX_ANSWER_BYTES = 16 * 2**20
POLL_S = 0.02  # while calls in flight hold what is left of the budget

_NEVER_SENT = ("ConnectError", "ConnectTimeout")
_WITHOUT = {
    "response_format": "refuses JSON schemas: asked without one from now on",
    "temperature": "refuses the temperature: asked at its default from now on, so replies (a judge's judgements, too) "
    "may vary from call to call",
}


class _FieldRefused(Exception):
    """A request may have been refused for a field that it can do without; str() is its name."""


@dataclass(slots=True)
class _Call:
    """A call of `ask`. lost: what its attempts took that brought no reply."""

    request: dict[str, Any]
    input_tokens: int  # estimate
    lost: Usage = NOTHING


@dataclass(slots=True)
class _Line:
    """The connections of one event loop."""

    client: AsyncOpenAI
    slots: asyncio.Semaphore
    calls: int = 0  # in flight, or waiting for a slot


class Endpoint:
    """A model behind an OpenAI-compatible server. Works from any event loop, several at once or one after the other.

    base_url      None: $OPENAI_BASE_URL, else OpenAI. A server on this machine is asked past any proxy.
    api_key       None: $OPENAI_API_KEY. Only OpenAI's own server must have one.
    concurrency   calls in flight at a time, per event loop
    timeout_s     for the whole answer to one attempt
    attempts      at one call, the first included
    price         None: the list price, where it is known
    budget        over all loops. What a call may take is set aside before it is asked: its messages at four bytes a
                  token, and max_tokens, or without them as much as the longest reply so far (512 tokens at first; the
                  first call goes alone, to show it). So only calls that are in flight when a reply comes that is longer
                  than all before can overrun it.

    Raises InputError for settings that cannot work, and where the openai package is missing.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        concurrency: int = 32,
        timeout_s: float = 30.0,
        attempts: int = 5,
        price: Price | None = None,
        budget: Budget = UNBOUNDED,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise InputError(f"model: {model!r}, expected the name of a model")
        for name, value in (("concurrency", concurrency), ("attempts", attempts)):
            if type(value) is not int or value < 1:
                raise InputError(f"{name}: {value!r}, expected 1 or more")
        if type(timeout_s) not in (int, float) or not isfinite(timeout_s) or timeout_s <= 0:
            raise InputError(f"timeout_s: {timeout_s!r}, expected seconds, more than 0")
        try:
            import openai  # noqa: F401
        except ImportError:
            raise InputError("the openai package is missing: pip install 'medvidbench-hf[judge]'") from None
        self.model, self.concurrency, self.timeout_s, self.attempts = model, concurrency, timeout_s, attempts
        self.base_url = _checked_url(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        self._key = _checked_key(api_key or os.environ.get("OPENAI_API_KEY") or "", self.base_url)
        self.price, self.budget = price or price_of(model), budget
        if budget.usd is not None and self.price is None:
            raise InputError(
                f"the price of {model!r} is not known: set a budget in tokens, or give it (price=Price(...) in Python, "
                "--price IN,OUT at the command line)"
            )
        self._account = Account(budget, self.price)
        self._refused: frozenset[str] = frozenset()  # fields that the server does not take
        self._lines: dict[asyncio.AbstractEventLoop, _Line] = {}

    def __repr__(self) -> str:
        return f"Endpoint({self.model!r}, base_url={self.base_url!r})"

    @property
    def usage(self) -> Usage:
        """So far, over all loops."""
        return self._account.usage

    async def ask(
        self,
        messages: list[dict[str, Any]],
        *,
        schema: dict[str, Any] | None = None,
        schema_name: str = "reply",
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Reply:
        """One reply. schema: a JSON schema for its text, sent as a strict response_format. temperature: None is the
        server's default. A server that refuses one of the two is asked without, now and from then on, with a warning.
        extra: more fields of the request's body, which win.

        Raises AskFailed, BudgetSpent.
        """
        request: dict[str, Any] = {"model": self.model, "messages": _sendable(messages)}
        if temperature is not None:
            request["temperature"] = temperature
        if schema is not None:
            json_schema = {"name": schema_name, "schema": schema, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": json_schema}
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        request.update(extra or {})
        call = _Call(request, estimated_tokens(messages, schema))
        async with self._connected() as line, line.slots:
            try:
                reply = await self._ask_without_refused(line.client, call)
            except AskFailed as error:
                self._account.count(failed=1)
                error.args = (without_key(str(error), self._key),)
                error.usage = call.lost + FAILED
                raise
        self._account.count(calls=1)
        text, finish_reason = (without_key(said, self._key) for said in (reply.text, reply.finish_reason))
        return replace(reply, text=text, finish_reason=finish_reason, lost=call.lost)

    async def _ask_without_refused(self, client: AsyncOpenAI, call: _Call) -> Reply:
        """Without the fields that the server does not take, as known or as found out now."""
        found: frozenset[str] = frozenset()
        while True:
            without = (self._refused | found) & call.request.keys()
            request = {name: value for name, value in call.request.items() if name not in without}
            try:
                reply = await self._ask(client, request, call)
            except _FieldRefused as refusal:
                found |= {str(refusal)}
                continue
            # Remembered only now: where something else was refused, the request without the field fails too.
            for name in sorted(found - self._refused):
                warnings.warn(f"{self!r} {_WITHOUT[name]}", stacklevel=3)
            self._refused |= found
            return replace(reply, without=frozenset(without))

    async def _ask(self, client: AsyncOpenAI, request: dict[str, Any], call: _Call) -> Reply:
        attempt = 1
        while True:
            try:
                return await self._attempt(client, request, call)
            except TryAgain as failure:
                if attempt == self.attempts:
                    raise AskFailed(f"{failure}, in {attempt} attempts") from None
                pause_s = wait_s(attempt, failure.after_s)
            self._account.count(retries=1)
            call.lost += Usage(retries=1)
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _attempt(self, client: AsyncOpenAI, request: dict[str, Any], call: _Call) -> Reply:
        from openai import APIConnectionError, APIStatusError, HttpxBinaryResponseContent

        longest = request.get("max_completion_tokens") or request.get("max_tokens")
        while (held := self._account.hold(call.input_tokens, longest)) is None:
            await asyncio.sleep(POLL_S)
        used, reply = held, None  # `held` stands where the answer is lost
        try:
            async with asyncio.timeout(self.timeout_s):
                # The client's typed `create` costs a third more CPU a call and trusts what it reads.
                answer = await client.post("/chat/completions", body=request, cast_to=HttpxBinaryResponseContent)
            body = read_body(answer.content)
            used = used_tokens(body, held)
            reply = read_reply(body, used)
            return reply
        except TimeoutError:
            raise AskFailed(f"no answer within {self.timeout_s:g} s") from None
        except APIStatusError as error:
            used = Tokens(0, 0)
            if field := refused_field(error.status_code, error.body, request):
                raise _FieldRefused(field) from None
            headers = error.response.headers
            raise refused(error.status_code, headers, error.body, self.model, self.base_url) from None
        except APIConnectionError as error:
            kind = type(error.__cause__).__name__
            if kind in _NEVER_SENT:
                used = Tokens(0, 0)
            raise TryAgain(f"the connection to {self.base_url} failed ({kind})") from None
        finally:
            self._account.settle(held, used)
            if reply is None:
                call.lost += Usage(input_tokens=used.input, output_tokens=used.output)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Line]:
        """The connections of the running loop, made for its first call and closed after its last.

        So none outlives a loop, and none grows stale between two batches; a handshake is little beside a reply.
        """
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self._client(), asyncio.Semaphore(self.concurrency))
        line.calls += 1
        try:
            yield line
        finally:
            line.calls -= 1
            if not line.calls:
                del self._lines[loop]
                await line.client.close()

    def _client(self) -> AsyncOpenAI:
        import openai

        # Calls are bounded by slots and by timeout_s, so nothing of the HTTP client's own may hold or drop them.
        unlimited = type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=None, max_keepalive_connections=None)
        settings: dict[str, Any] = {"limits": unlimited, "timeout": None, "follow_redirects": False}
        settings["event_hooks"] = {"response": [_read_bounded]}
        address = urlsplit(self.base_url)
        host = address.hostname or ""
        if host in ("localhost", "::1") or host.startswith("127."):
            settings["trust_env"] = False  # no proxy
            if address.scheme == "http":
                settings["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading certificates takes 20 ms
        http = openai.DefaultAsyncHttpxClient(**settings)
        return openai.AsyncOpenAI(
            api_key=self._key, base_url=self.base_url, max_retries=0, timeout=None, http_client=http
        )


async def _read_bounded(response: Any) -> None:
    """Read an answer as the HTTP client would after this hook, but no more than MAX_ANSWER_BYTES."""
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise AskFailed(f"the answer is longer than {MAX_ANSWER_BYTES // 2**20} MiB")
    response._content = bytes(content)


def _sendable(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages without lone surrogates, which no request can carry."""
    text = json.dumps(messages, ensure_ascii=False)
    clean = without_surrogates(text)
    return messages if clean is text else json.loads(clean)


def _checked_url(url: str) -> str:
    """Never shown when refused: it may hold a password."""
    try:
        parts = urlsplit(url.strip())
        fits = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        fits = False
    if not fits or "@" in parts.netloc or parts.query or parts.fragment:
        raise InputError("base_url (or OPENAI_BASE_URL): expected http(s)://host:port/path without password or query")
    return parts.geturl().rstrip("/")


def _checked_key(key: str, base_url: str) -> str:
    """Never shown. A server that needs no key is sent a word, since the header cannot be empty."""
    key = key.strip()
    if not key and base_url == OPENAI_URL:
        raise InputError("no API key: set OPENAI_API_KEY, or name a local server in OPENAI_BASE_URL")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError("api_key (or OPENAI_API_KEY): holds characters that no key has, such as a line end")
    return key or "none"
