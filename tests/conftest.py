"""Every test runs offline, with caches of its own."""

from __future__ import annotations

import os
import tempfile

import hypothesis

# datasets and huggingface_hub read these when they are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="medvidbench-tests-")
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

# Shared machines stall now and then; what a law says does not depend on time.
hypothesis.settings.register_profile("offline", deadline=None)
hypothesis.settings.load_profile("offline")
