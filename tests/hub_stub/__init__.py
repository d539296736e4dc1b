"""A Hub to test against: a local server that answers huggingface_hub and keeps what it is given in a folder.

    with running(tmp_path / "hub") as hub:
        done = hub.client("import sys, huggingface_hub as h; h.create_repo(sys.argv[1])", "org/name")
        hub.log()  # [{"method": "POST", "path": "/api/repos/create", "bytes": 62, "status": 200}, ...]

By hand: `python -m tests.hub_stub --root DIR`. It proves the client's calls, not what the real Hub accepts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
TOKEN = "hf_stub"


@dataclass(frozen=True)
class Hub:
    """A running stub. `home` is the HF_HOME of its clients."""

    url: str
    home: str

    def environment(self) -> dict[str, str]:
        """What a client needs to be told before its first import."""
        return client_environment(self.url, self.home)

    def client(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in a process that talks to this Hub."""
        command = [sys.executable, "-c", code, *arguments]
        environment = {**os.environ, **self.environment()}
        return subprocess.run(command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    def log(self) -> list[dict[str, Any]]:
        """Every request since the start or `clear_log`, and the bytes of body that were sent back."""
        return self._ask("GET", "/_log")

    def clear_log(self) -> None:
        self._ask("DELETE", "/_log")

    def gate(self, repo: str, allow: Sequence[str] = ()) -> None:
        """Close the files of a repository, such as "datasets/org/name", to all but these tokens."""
        self._ask("PUT", f"/_gate/{repo}", {"allow": list(allow)})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def client_environment(url: str, home: str) -> dict[str, str]:
    return {
        "HF_HUB_OFFLINE": "0",
        "HF_ENDPOINT": url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": home,
    }


@contextmanager
def running(root: Path) -> Iterator[Hub]:
    """A Hub that keeps its repositories in `root`, in a process of its own until the block ends."""
    command = [sys.executable, "-m", "tests.hub_stub", "--root", str(root), "--until-stdin-ends"]
    with (
        tempfile.TemporaryDirectory(prefix="hub-stub-") as home,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as process,
    ):
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise OSError(f"the Hub stub did not start: exit code {process.wait()}")
        try:
            yield Hub(url, home)
        finally:
            process.terminate()
