"""MedVidBench for the Hugging Face stack: load, build, run and score eight medical-video tasks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medvidbench_hf.sample import InputError, PublicSample, Sample

if TYPE_CHECKING:
    from medvidbench_hf.builder import MedVidBench, build, load, read_samples

__version__ = "0.1.0"
__all__ = ["InputError", "MedVidBench", "PublicSample", "Sample", "build", "load", "read_samples"]


def __getattr__(name: str) -> Any:
    # These need `datasets`, which takes most of a second to import.
    if name in ("MedVidBench", "build", "load", "read_samples"):
        return getattr(import_module("medvidbench_hf.builder"), name)
    if name == "metrics":
        return import_module("medvidbench_hf.metrics")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
