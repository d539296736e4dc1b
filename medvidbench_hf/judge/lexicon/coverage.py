"""How much of a reference is found again, how much of a candidate is of the reference, and what that costs.

Two captions of one scene share two thirds of their concepts either way, worded by people who did not see each other's;
those of two scenes of one specialty a sixth. Between them stand wordings that no vocabulary holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from medvidbench_hf.judge.lexicon.findings import Finding
from medvidbench_hf.judge.lexicon.match import SWAPS, Match, exact, text
from medvidbench_hf.judge.lexicon.read import Reading

#: A word that is not read is half of a concept; so is a wider concept in place of one.
HALF = 0.5
#: Shared content (harmonic mean of both shares, less the exact concepts of another scene; see below) from which texts
#: may well be of one scene, and up to which surely not.
RELATED, UNRELATED = 0.26, -0.05
#: Words that are not read may say what is not found: each percent of them raises what is shared by so many, up to so
#: much of them. Where nothing is shared they raise nothing.
STRANGE_COUNTS, MOST_STRANGE = 5.0, 0.4
#: Who says the same in other words says it in wider or everyday ones. Exact concepts that are not the reference's tell
#: of another scene; their share counts so much.
EXACT_COUNTS = 0.6
#: Content beyond the reference's that a paraphrase may have, in parts of the reference's: it spells out.
SPELT_OUT = 0.65
#: What is missing counts for more than its part: a caption without two thirds of the content says next to nothing.
MISSING_COUNTS = 1.5


def coverage(
    reference: Reading, candidate: Reading, matched: Match, again: float, alone: list[int], new: list[int]
) -> list[Finding]:
    """again: see support. alone, new: mentions of the reference and of the candidate without a counterpart."""
    of_reference = _of_reference(candidate, matched)
    shared = 2 * again * of_reference / (again + of_reference) if again + of_reference else 0.0
    strange = strange_words(reference, candidate)
    shared *= 1.0 + STRANGE_COUNTS * min(MOST_STRANGE, len(strange) / max(1, len(candidate.content)))
    shared -= EXACT_COUNTS * sum(exact(candidate.mentions[j]) for j in matched.new) / max(1, len(candidate.mentions))
    unlike = min(1.0, max(0.0, (RELATED - shared) / (RELATED - UNRELATED)))
    total = weight(reference)
    excess = (len(new) - len(alone)) / total - SPELT_OUT if total else 0.0
    found = [Finding("unrelated", unlike), Finding("excess", min(1.0, max(0.0, excess)))]
    found += _lost(reference, candidate, alone, new, strange)
    return [finding for finding in found if finding.sure > 0]


def support(reference: Reading, candidate: Reading, matched: Match, settled: Collection[int]) -> float:
    """The share of the reference's content that is found again, 0..1. settled: mentions that a slot has dealt with."""
    content = [k for k, mention in enumerate(reference.mentions) if mention.families & SWAPS.keys()]
    told = set(candidate.stems)
    again = sum(1.0 if k in matched.same or k in settled else HALF if k in matched.wider else 0.0 for k in content)
    again += HALF * sum(reference.stems[at] in told for at in reference.unread)
    total = weight(reference)
    return again / total if total else 1.0


def weight(reading: Reading) -> float:
    """How many concepts a text has."""
    return sum(bool(mention.families & SWAPS.keys()) for mention in reading.mentions) + HALF * len(reading.unread)


def strange_words(reference: Reading, candidate: Reading) -> list[str]:
    """The candidate's words that are not read, and are not the reference's."""
    known = set(reference.stems)
    return list(dict.fromkeys(candidate.words[at] for at in candidate.unread if candidate.stems[at] not in known))


def _of_reference(candidate: Reading, matched: Match) -> float:
    """The share of the candidate's concepts that are of the reference."""
    content = sum(bool(mention.families & SWAPS.keys()) for mention in candidate.mentions)
    return 1.0 - len(matched.new) / content if content else 0.0


def _lost(
    reference: Reading, candidate: Reading, alone: list[int], new: list[int], strange: Sequence[str]
) -> list[Finding]:
    """What the reference says and the candidate does not, or says in words that are not read.

    A few other words are wording; how doubtful they are grows with the cube of their part.
    """
    told = set(candidate.stems)
    total = weight(reference)
    words = [reference.words[at] for at in reference.unread if reference.stems[at] not in told]
    gone = len(alone) + HALF * len(words)
    if not gone:
        return []
    generic = [mention for mention in candidate.mentions if "generic" in mention.families]
    covered = min(gone, float(len(strange) + sum(not exact(candidate.mentions[j]) for j in new)))
    vague = min(gone - covered, HALF * len(generic))
    lost = ", ".join([text(reference, reference.mentions[k]) for k in alone] + words)
    return [
        Finding("missing", min(1.0, MISSING_COUNTS * (gone - covered - vague) / total), lost),
        Finding("vague", vague / total, lost, ", ".join(text(candidate, mention) for mention in generic)),
        Finding("reworded", (covered / total) ** 3, lost, " ".join(strange)),
    ]
