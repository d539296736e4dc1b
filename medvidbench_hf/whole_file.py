"""A file is written whole or not at all: beside its place first, then renamed onto it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from medvidbench_hf.sample import InputError


def write_text(path: Path, text: str) -> Path:
    """A lone surrogate, which a model may give, becomes a question mark. Raises InputError, leaving nothing behind."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", errors="replace", newline="\n")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    finally:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: object) -> Path:
    return write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")
