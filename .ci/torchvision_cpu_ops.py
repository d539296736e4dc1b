"""Development machines only: let torchvision import where its compiled operators cannot load.

A CPU build of torch meets PyPI's torchvision wheel, whose library is linked against CUDA: its operators are never
registered, and `import torchvision` fails with "operator torchvision::nms does not exist". transformers, evaluate and
peft import it. This declares the operators' names, so that the import works; calling one still fails. It patches the
installed package, because subprocesses need it too; it does nothing where the operators load, and nothing twice.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

MODULE = '''"""Names of the operators that this machine's torchvision library could not register."""

import torch

_lib = torch.library.Library("torchvision", "DEF")  # kept, or the definitions vanish
for _schema in (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor a, Tensor b, float c, SymInt d, SymInt e, int f, bool g) -> Tensor",
    "_roi_align_backward(Tensor a, Tensor b, float c, SymInt d, SymInt e, SymInt f, SymInt g, SymInt h, SymInt i, int j, bool k) -> Tensor",
    "ps_roi_align(Tensor a, Tensor b, float c, SymInt d, SymInt e, int f) -> (Tensor, Tensor)",
    "_ps_roi_align_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, int g, SymInt h, SymInt i, SymInt j, SymInt k) -> Tensor",
    "roi_pool(Tensor a, Tensor b, float c, SymInt d, SymInt e) -> (Tensor, Tensor)",
    "_roi_pool_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, SymInt g, SymInt h, SymInt i, SymInt j) -> Tensor",
    "ps_roi_pool(Tensor a, Tensor b, float c, SymInt d, SymInt e) -> (Tensor, Tensor)",
    "_ps_roi_pool_backward(Tensor a, Tensor b, Tensor c, float d, SymInt e, SymInt f, SymInt g, SymInt h, SymInt i, SymInt j) -> Tensor",
    "deform_conv2d(Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, SymInt f, SymInt g, SymInt h, SymInt i, SymInt j, SymInt k, SymInt l, SymInt m, bool n) -> Tensor",
    "_deform_conv2d_backward(Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, SymInt g, SymInt h, SymInt i, SymInt j, SymInt k, SymInt l, SymInt m, SymInt n, bool o) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
):
    _lib.define(_schema)
'''
HOOK = "\nif not _has_ops():\n    from . import _cpu_ops  # noqa: F401\n"


def main() -> None:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or imports():
        return
    package = Path(spec.origin).parent
    extension = package / "extension.py"
    (package / "_cpu_ops.py").write_text(MODULE, encoding="utf-8")
    text = extension.read_text(encoding="utf-8")
    if HOOK not in text:
        extension.write_text(text + HOOK, encoding="utf-8")
    if not imports():
        sys.exit("torchvision still does not import: see `python -c 'import torchvision'`")
    print("torchvision: operators declared for this CPU build of torch")


def imports() -> bool:
    """Whether a fresh process can import torchvision."""
    return (
        subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False).returncode == 0
    )


if __name__ == "__main__":
    main()
