"""Start the stub: prints its address, then the environment that its clients need, as lines for a shell."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import uvicorn

from tests.hub_stub import client_environment
from tests.hub_stub.server import make_app
from tests.hub_stub.storage import Store


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hub_stub", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder that keeps the repositories")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    quiet = "for tests: print the address only, and end with the process that started this"
    parser.add_argument("--until-stdin-ends", action="store_true", help=quiet)
    arguments = parser.parse_args()
    if arguments.until_stdin_ends:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    app = make_app(Store(arguments.root.resolve()))
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", arguments.port))
        listening.listen()  # from here on a client waits instead of being refused
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        print(url, flush=True)
        if not arguments.until_stdin_ends:
            for name, value in client_environment(url, tempfile.mkdtemp(prefix="hub-stub-")).items():
                print(f"export {name}={value}", flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        with suppress(KeyboardInterrupt):
            server.run([listening])


def end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


main()
