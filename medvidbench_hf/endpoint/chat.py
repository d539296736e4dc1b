"""Chat calls to an OpenAI-compatible server, many at a time.

What can happen to a call, and what becomes of it:
    answered           Reply, also when cut off at max_tokens (finish_reason "length")
    refused for now    408, 409, 429, 5xx, a connection that fails, a body that is not JSON: asked again, `attempts`
                       times in all, after retry-after where the server names it, else 0.5, 1, 2, ... s with jitter
    refused for good   any other 4xx, a quota used up, a refusal of the model, a reply without text: AskFailed
    hung               AskFailed after timeout_s; not asked again, or one hung call would hold a training step
                       `attempts` times as long
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
from dataclasses import dataclass
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
    used_tokens,
    wait_s,
    without_surrogates,
)
from medvidbench_hf.endpoint.spending import (
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
UNBOUNDED_OUTPUT_TOKENS = 512  # set aside for a reply without max_tokens
POLL_S = 0.02  # while calls in flight hold what is left of the budget

_SCHEMA_REFUSED = (400, 422)
_NEVER_SENT = ("ConnectError", "ConnectTimeout")


class _SchemaRefused(Exception):
    """A request with a response_format was refused."""


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
    budget        over all loops. What a call may take is set aside before it is asked, so the bound holds but for
                  replies longer than estimated (max_tokens, else 512 tokens).

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
            raise InputError(f"the price of {model!r} is not known: give price=Price(...), or a budget in tokens")
        self._account = Account(budget, self.price)
        self._takes_schema = True
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
        temperature: float = 0.0,
        max_tokens: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Reply:
        """One reply. schema: a JSON schema for its text, sent as a strict response_format; a server that refuses it is
        asked without, now and from then on, with a warning. extra: more fields of the request's body, which win.

        Raises AskFailed, BudgetSpent.
        """
        request: dict[str, Any] = {"model": self.model, "messages": _sendable(messages), "temperature": temperature}
        if max_tokens is not None:
            request["max_tokens"] = max_tokens
        request.update(extra or {})
        longest = request.get("max_completion_tokens") or request.get("max_tokens") or UNBOUNDED_OUTPUT_TOKENS
        estimate = Tokens(estimated_tokens(messages, schema), longest)
        async with self._connected() as line, line.slots:
            try:
                if schema is not None and self._takes_schema:
                    reply = await self._ask_with_schema(line.client, request, estimate, schema, schema_name)
                else:
                    reply = await self._ask(line.client, request, estimate)
            except AskFailed:
                self._account.count(failed=1)
                raise
        self._account.count(calls=1)
        return reply

    async def _ask_with_schema(
        self, client: AsyncOpenAI, request: dict[str, Any], estimate: Tokens, schema: dict[str, Any], name: str
    ) -> Reply:
        response_format = {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}
        try:
            return await self._ask(client, {**request, "response_format": response_format}, estimate)
        except _SchemaRefused:
            reply = await self._ask(client, request, estimate)  # fails too where something else was refused
        if self._takes_schema:
            self._takes_schema = False
            warnings.warn(f"{self!r} refuses JSON schemas: asked without one from now on", stacklevel=2)
        return reply

    async def _ask(self, client: AsyncOpenAI, request: dict[str, Any], estimate: Tokens) -> Reply:
        attempt = 1
        while True:
            try:
                return await self._attempt(client, request, estimate)
            except TryAgain as failure:
                if attempt == self.attempts:
                    raise AskFailed(f"{failure}, in {attempt} attempts") from None
                pause_s = wait_s(attempt, failure.after_s)
            self._account.count(retries=1)
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _attempt(self, client: AsyncOpenAI, request: dict[str, Any], estimate: Tokens) -> Reply:
        from openai import APIConnectionError, APIStatusError, HttpxBinaryResponseContent

        while not self._account.hold(estimate):
            await asyncio.sleep(POLL_S)
        used = estimate  # stands where the answer is lost
        try:
            async with asyncio.timeout(self.timeout_s):
                # The client's typed `create` costs a third more CPU a call and trusts what it reads.
                answer = await client.post("/chat/completions", body=request, cast_to=HttpxBinaryResponseContent)
            body = read_body(answer.content)
            used = used_tokens(body, estimate)
            return read_reply(body, used)
        except TimeoutError:
            raise AskFailed(f"no answer within {self.timeout_s:g} s") from None
        except APIStatusError as error:
            used = Tokens(0, 0)
            if error.status_code in _SCHEMA_REFUSED and "response_format" in request:
                raise _SchemaRefused from None
            headers = error.response.headers
            raise refused(error.status_code, headers, error.body, self.model, self.base_url) from None
        except APIConnectionError as error:
            kind = type(error.__cause__).__name__
            if kind in _NEVER_SENT:
                used = Tokens(0, 0)
            raise TryAgain(f"the connection to {self.base_url} failed ({kind})") from None
        finally:
            self._account.settle(estimate, used)

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
        settings: dict[str, Any] = {"limits": unlimited, "timeout": None}
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
