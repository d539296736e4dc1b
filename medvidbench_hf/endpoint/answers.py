"""What a server's answer means: a reply, a failure that may pass, or one that will not.

Of a server's error only its code, type and field are shown, since its message may repeat the prompt. They are the
server's words all the same, so `without_key` goes over every error and every reply before anyone sees it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isfinite
from time import time
from typing import Any
from urllib.parse import urlsplit

from medvidbench_hf.endpoint.spending import BYTES_PER_TOKEN, FAILED, NOTHING, Tokens, Usage

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
LONGEST_RETRY_AFTER_S = 120.0  # a server that asks for more is out for the run

MOST_TOKENS = 10**8  # a count above it is no count
SHORTEST_KEY = 8  # characters; a shorter one ("EMPTY") is a placeholder, and may stand in any text

_MAY_PASS = (408, 409, 429)
_WORD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,48}")
_FINISH_REASON = re.compile(r"[A-Za-z_-]{1,24}")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,100}")
_BEARER = re.compile(r"(\bBearer\s{1,3})[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


class AskFailed(Exception):
    """One request failed after its attempts; says why in one line. usage: what they took."""

    def __init__(self, reason: str, usage: Usage = FAILED) -> None:
        super().__init__(reason)
        self.usage = usage


class TryAgain(Exception):
    """One attempt failed in a way that may pass."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s  # as the server asks; None: it does not say


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said. finish_reason is the server's own word ("stop", "length"), "other" where that is no word.

    lost     what attempts before this one took
    without  fields of the request that the server refuses and was asked without
    """

    text: str
    finish_reason: str
    input_tokens: int
    output_tokens: int
    lost: Usage = NOTHING
    without: frozenset[str] = frozenset()

    @property
    def usage(self) -> Usage:
        """What the call took, all its attempts together."""
        return self.lost + Usage(calls=1, input_tokens=self.input_tokens, output_tokens=self.output_tokens)


def read_body(content: bytes) -> dict[str, Any]:
    """Raises TryAgain: a page of a proxy or a cut transfer, not a model's answer."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise TryAgain("the answer is not JSON") from None
    if not isinstance(body, dict):
        raise TryAgain(f"the answer is a JSON {type(body).__name__}, not an object")
    return body


def used_tokens(body: Mapping[str, Any], estimate: Tokens) -> Tokens:
    """As the server counted; where it did not, the input as estimated and the output by the length of the text."""
    usage = body.get("usage")
    counts: dict[str, int] = {}
    for name, value in usage.items() if isinstance(usage, dict) else ():
        if type(value) is int and 0 <= value <= MOST_TOKENS:
            counts[name] = value
    text = _message(body).get("content")
    n_bytes = len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else 0
    n_input = counts.get("prompt_tokens", estimate.input)
    n_output = counts.get("completion_tokens", -(-n_bytes // BYTES_PER_TOKEN))
    # Some servers count the tokens of thinking in the total alone; they are billed.
    return Tokens(n_input, max(n_output, counts.get("total_tokens", 0) - n_input))


def read_reply(body: Mapping[str, Any], used: Tokens) -> Reply:
    """Raises AskFailed for a refusal and for a reply without text, TryAgain for an error that came with status 200."""
    choice, message = _choice(body), _message(body)
    finish_reason = choice.get("finish_reason")
    finish_reason = finish_reason if isinstance(finish_reason, str) else ""
    if finish_reason and not _FINISH_REASON.fullmatch(finish_reason):
        finish_reason = "other"
    if finish_reason == "content_filter" or message.get("refusal"):
        raise AskFailed(f"the model refused ({'content_filter' if finish_reason == 'content_filter' else 'refusal'})")
    if not choice and body.get("error"):
        raise TryAgain("the reply is an error" + error_words(body["error"]))
    if not choice:
        raise AskFailed("the reply has no choices")
    text = message.get("content")
    if not isinstance(text, str):
        raise AskFailed(f"the reply has no text (finish_reason {finish_reason or 'none'})")
    return Reply(without_surrogates(text), finish_reason, used.input, used.output)


def refused(status: int, headers: Mapping[str, str], error: Any, model: str, base_url: str) -> AskFailed | TryAgain:
    """What an HTTP status of 300 or more means; `error` is the body, as far as it could be read."""
    words = error_words(error)
    if status < 400:
        return AskFailed(f"{status}: {base_url} sends on to {_host(headers)}; not followed, name it as base_url")
    if status == 401:
        return AskFailed(f"401: {base_url} refuses the key (api_key, or OPENAI_API_KEY)")
    if status == 404:
        return AskFailed(f"404: no model {model!r} at {base_url}, or no such address (most end in /v1)")
    if "insufficient_quota" in words or not (status in _MAY_PASS or status >= 500):
        return AskFailed(f"{status}{words}")
    after_s = retry_after_s(headers)
    if after_s is not None and after_s > LONGEST_RETRY_AFTER_S:
        return AskFailed(f"{status}{words}: the server asks to wait {after_s:,.0f} s")
    return TryAgain(f"{status}{words}", after_s)


def refused_field(status: int, error: Any, request: Mapping[str, Any]) -> str:
    """The field that a request may have been refused for and can do without: temperature, response_format, or ""."""
    if status not in (400, 422):
        return ""
    error = error if isinstance(error, Mapping) else {}
    param, message = error.get("param"), str(error.get("message"))
    named = param == "temperature" or (not param and "temperature" in message and "response_format" not in message)
    if named and "temperature" in request:
        return "temperature"
    return "response_format" if "response_format" in request else ""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """retry-after-ms, or retry-after in seconds or as a date; None where neither says anything of use."""
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit_s
        except ValueError:
            continue
        if isfinite(seconds) and seconds > 0:
            return seconds
    try:
        seconds = parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def wait_s(attempt: int, after_s: float | None) -> float:
    """Seconds before the next attempt: what the server asks and a little, so that not all come back at once; else
    twice as long each time, with jitter."""
    jittered = min(FIRST_WAIT_S * 2 ** min(attempt - 1, 16), LONGEST_WAIT_S) * random.uniform(0.5, 1.0)
    return jittered if after_s is None else after_s + jittered / 10


def error_words(error: Any) -> str:
    """ " (rate_limit_exceeded, tokens)": the identifiers in a server's error, or ""."""
    fields = (error.get(name) for name in ("code", "type", "param")) if isinstance(error, Mapping) else ()
    words = dict.fromkeys(word for field in fields if field is not None and _WORD.fullmatch(word := str(field)))
    return f" ({', '.join(words)})" if words else ""


def without_key(text: str, key: str) -> str:
    """The text with "[key]" for the key, in whatever case, and for what stands after "Bearer"."""
    if len(key) >= SHORTEST_KEY:
        text = re.sub(re.escape(key), "[key]", text, flags=re.IGNORECASE)
    return _BEARER.sub(r"\1[key]", text)


def without_surrogates(text: str) -> str:
    """Pairs joined, lone halves replaced: text that UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _host(headers: Mapping[str, str]) -> str:
    """The host that a redirect names."""
    try:
        host = urlsplit(headers.get("location", "")).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return host if _HOST.fullmatch(host) else "another address"


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _message(body: Mapping[str, Any]) -> Mapping[str, Any]:
    message = _choice(body).get("message")
    return message if isinstance(message, dict) else {}
