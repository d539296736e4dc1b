"""What a candidate's differences from its reference are called, and what they cost.

swapped     another concept in the place of the reference's; where the lexicon cannot read the words that stand
            there now, weaker: a paraphrase would have rewritten the surroundings too
number      another number in kept wording
negated     the same content, denied in one text only
side        the other pole of an axis
order       events in another order of time
wider       a wider concept in place of the reference's
missing     content without a counterpart
reworded    content that words which are not read, or say little, may stand for
extra       an object or structure that the reference does not have
excess      more content than the reference has, beyond what spells the reference out
unrelated   little of the reference is found again, and most of the text is not of the reference
incoherent  words without sentences: a list, repeats, the reference's words scrambled
lay         wording that a clinician would not use
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Finding(NamedTuple):
    kind: str  # a key of SHARES
    sure: float  # 0..1, or for what comes in parts, how much of the reference it is
    reference: str = ""
    candidate: str = ""


#: What a finding that is quite sure takes of (terminology, instrument_anatomy, specificity, procedure_context,
#: action_state): most of its own dimension, and a part of every other, since a caption with a wrong concept is no good
#: answer to "how specific" either. What may be mere wording (wider, reworded, extra, lay) is cheap.
SHARES: dict[str, tuple[float, float, float, float, float]] = {
    "swapped thing": (0.34, 0.85, 0.34, 0.31, 0.31),
    "swapped anatomy": (0.34, 0.85, 0.34, 0.31, 0.31),
    "swapped action": (0.31, 0.31, 0.34, 0.34, 0.85),
    "swapped procedure": (0.34, 0.31, 0.34, 0.85, 0.31),
    "number": (0.10, 0.10, 0.40, 0.10, 0.10),
    "negated": (0.31, 0.31, 0.31, 0.34, 0.85),
    "side": (0.31, 0.85, 0.34, 0.31, 0.31),
    "order": (0.27, 0.27, 0.27, 0.85, 0.30),
    "wider": (0.04, 0.03, 0.10, 0.01, 0.02),
    "missing": (0.48, 0.48, 0.95, 0.48, 0.48),
    "vague": (0.35, 0.35, 0.70, 0.30, 0.30),
    "reworded": (0.60, 0.55, 0.65, 0.55, 0.55),
    "added": (0.05, 0.35, 0.05, 0.10, 0.05),
    "extra": (0.02, 0.09, 0.02, 0.02, 0.02),
    "excess": (0.60, 0.70, 0.60, 0.65, 0.65),
    "unrelated": (0.80, 0.80, 0.80, 0.80, 0.80),
    "incoherent": (0.80, 0.75, 0.75, 0.85, 0.85),
    "lay": (0.04, 0.00, 0.00, 0.00, 0.00),
}

_LOWEST, _RANGE = 1.0, 4.0


def scores(findings: Sequence[Finding]) -> tuple[float, ...]:
    """Five scores, 1..5. What findings leave multiplies: another one never raises a score, none takes it below 1."""
    left = [1.0] * 5
    for finding in findings:
        for k, share in enumerate(SHARES[finding.kind]):
            left[k] *= 1.0 - share * finding.sure
    return tuple(_LOWEST + _RANGE * part for part in left)
