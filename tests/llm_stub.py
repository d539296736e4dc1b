"""An OpenAI-compatible server to test against: local, and good for hundreds of calls at a time.

    with running(lambda request: "4") as stub:
        endpoint = Endpoint("stub", base_url=stub.base_url)
        ...
        stub.log[0]["messages"], stub.log[0]["headers"], stub.log[0]["at_s"], stub.most_at_once

By hand, or as a process of its own beside a benchmark: `python -m tests.llm_stub --latency 1.0` prints
{"base_url": "http://127.0.0.1:PORT/v1"} and serves until it is killed. It proves what the client sends and how it
takes what comes back, not what a model would say: of a request nothing but the reply function's choice counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Fault:
    """An answer that is not a plain reply: after hang_s the status, headers and body; cut: only half of the body."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "a fault of the stub", "code": "stub_fault"}}'
    hang_s: float = 0.0
    cut: bool = False


#: the request's body, headers and time -> the reply's text, or a fault
ReplyFunction = Callable[[dict[str, Any]], str | Fault]


@dataclass
class Stub:
    """A running stub. A request's log entry is its JSON body with "headers" (lower case, the key left out) and "at_s"
    (when it came, monotonic). most_at_once is the most calls that were being answered at a time."""

    base_url: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0


def completion(text: str | None, request: dict[str, Any], finish_reason: str = "stop", **message: Any) -> str:
    """The body of a chat completion; usage is by the length of the texts."""
    prompt = sum(len(_text(m.get("content"))) for m in request["messages"]) // CHARACTERS_PER_TOKEN
    reply = len(text or "") // CHARACTERS_PER_TOKEN
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, **message},
        "finish_reason": finish_reason,
    }
    body = {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model", ""),
        "choices": [choice],
        "usage": {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply},
    }
    return json.dumps(body)


@contextmanager
def running(reply: ReplyFunction = lambda request: "ok", latency_s: float = 0.0) -> Iterator[Stub]:
    """Serve in a thread of this process; `reply` is called there, one call at a time."""
    stub = Stub()
    ready = threading.Event()
    stops: list[Callable[[], object]] = []

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        server = await _listen(stub, reply, latency_s)
        ready.set()
        await stop.wait()
        server.close()  # connections end with the loop

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="llm-stub", daemon=True)
    thread.start()
    assert ready.wait(30), "the stub did not start"
    try:
        yield stub
    finally:
        stops[0]()
        thread.join(30)


async def _listen(stub: Stub, reply: ReplyFunction, latency_s: float, port: int = 0) -> asyncio.Server:
    answering = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answering
        try:
            while request := await _read(reader):
                path, headers, body = request
                if path == "/v1/models":
                    await _write(writer, Fault(200, body='{"object": "list", "data": [{"id": "stub"}]}'))
                elif path != "/v1/chat/completions":
                    await _write(writer, Fault(404))
                else:
                    asked = {**json.loads(body), "headers": headers, "at_s": time.monotonic()}
                    stub.log.append(asked)
                    answering += 1
                    stub.most_at_once = max(stub.most_at_once, answering)
                    try:
                        said = reply(asked)
                        fault = said if isinstance(said, Fault) else Fault(200, body=completion(said, asked))
                        await asyncio.sleep(latency_s + fault.hang_s)
                    finally:
                        answering -= 1
                    await _write(writer, fault)
                    if fault.cut:
                        break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the stub ends
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=1024)
    stub.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    return server


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes] | None:
    """The path, the headers and the body of the next request; None where the client has ended."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    headers.pop("authorization", None)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return head[0].split(" ")[1], headers, body


async def _write(writer: asyncio.StreamWriter, fault: Fault) -> None:
    body = fault.body.encode()
    headers = {"content-type": "application/json", **fault.headers, "content-length": str(len(body))}
    lines = [f"HTTP/1.1 {fault.status} stub", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1") + body[: len(body) // 2 if fault.cut else None])
    await writer.drain()


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content}]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


async def _serve_forever(reply: str, latency_s: float, port: int) -> None:
    stub = Stub()
    server = await _listen(stub, lambda request: reply, latency_s, port)
    print(json.dumps({"base_url": stub.base_url}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each reply")
    parser.add_argument("--reply", default="ok", help="the text of every reply")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve_forever(arguments.reply, arguments.latency, arguments.port))
