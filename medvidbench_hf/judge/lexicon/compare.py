"""Two readings -> findings -> five scores.

A finding is one thing in which the candidate differs from the reference, with how sure we are of it (0..1):

    swapped     a concept of the reference's kind stands in its place, or among what has no counterpart
    unread      in kept wording, only a concept's words are exchanged, for words that the lexicon cannot read: weak
                evidence of a swap, since a paraphrase rewrites the surroundings too
    vaguer      a wider concept in place of the reference's
    missing     content without a counterpart; cheap where the candidate has unread or generic words that may be it
    extra       a concept that the reference does not have
    negated     the same content, denied in one text only
    side        the other pole of an axis
    order       events in another order of time
    unrelated   next to nothing of the reference is found again
    incoherent  words without sentences: lists, repeats, the reference's words scrambled

Each kind takes a share of each dimension (SHARES), its own dimension most. Shares multiply, so that a further finding
never raises a score and none takes it below 1.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from medvidbench_hf.judge.lexicon.align import Alignment, Slot, align
from medvidbench_hf.judge.lexicon.read import Mention, Reading
from medvidbench_hf.judge.lexicon.vocabulary import lexicon
from medvidbench_hf.judge.lexicon.words import grammar

#: Kind of finding -> what it takes of (terminology, instrument_anatomy, specificity, procedure_context, action_state).
SHARES: dict[str, tuple[float, float, float, float, float]] = {
    "swapped thing": (0.25, 0.70, 0.25, 0.22, 0.22),
    "swapped anatomy": (0.25, 0.70, 0.25, 0.22, 0.22),
    "swapped action": (0.22, 0.22, 0.25, 0.25, 0.70),
    "swapped procedure": (0.25, 0.22, 0.25, 0.70, 0.22),
    "vaguer": (0.04, 0.03, 0.10, 0.01, 0.02),
    "missing": (0.60, 0.70, 0.95, 0.65, 0.65),
    "reworded": (0.12, 0.06, 0.12, 0.06, 0.06),
    "extra": (0.01, 0.05, 0.01, 0.01, 0.01),
    "negated": (0.22, 0.22, 0.22, 0.25, 0.70),
    "side": (0.22, 0.70, 0.25, 0.22, 0.22),
    "order": (0.20, 0.20, 0.22, 0.70, 0.25),
    "number": (0.05, 0.05, 0.30, 0.05, 0.05),
    "lay": (0.04, 0.00, 0.00, 0.00, 0.00),
    "unrelated": (0.80, 0.80, 0.80, 0.80, 0.80),
    "incoherent": (0.60, 0.50, 0.50, 0.80, 0.80),
}

# How sure a finding is.
IN_PLACE = 1.0  # in kept wording
UNREAD = 0.75
NEAR = 0.85  # in kept wording, but of one group: "holds" for "grasps"
ELSEWHERE = 0.35 
ELSEPOW = 2
SIDEELSE = .3 # both without a counterpart, but not in each other's place

#: What negation and order are worth in a rewritten text, where scope and clauses are guessed in two wordings.
REWRITTEN = 0.4

#: From this share of kept wording on, the candidate is an edited reference, and its slots are exchanges.
EDITED = 0.5

class Finding(NamedTuple):
    kind: str  # a key of SHARES
    sure: float
    reference: str
    candidate: str


def compare(reference: Reading, candidate: Reading) -> tuple[tuple[float, ...], dict[str, Any]]:
    """Scores 1..5 in the order of DIMENSIONS, and what they rest on."""
    findings, matched = _findings(reference, candidate)
    left = [1.0] * 5
    for finding in findings:
        for k, share in enumerate(SHARES[finding.kind]):
            left[k] *= 1.0 - share * finding.sure
    scores = tuple(1.0 + 4.0 * part for part in left)
    return scores, _evidence(findings, matched, candidate)


def _findings(reference: Reading, candidate: Reading) -> tuple[list[Finding], list[str]]:
    if reference.stems == candidate.stems:
        return [], [text(reference, mention) for mention in reference.mentions]
    alignment = align(reference.stems, candidate.stems)
    matches = _Matches(reference, candidate)
    findings: list[Finding] = []
    settled: set[int] = set()  # mentions of the reference that a slot has dealt with
    claimed: set[int] = set()  # mentions of the candidate likewise
    if alignment.kept >= EDITED:
        covered = {at for _, start, words in alignment.runs for at in range(start, start + words)}
        kept = frozenset(k for k, m in enumerate(candidate.mentions) if covered.issuperset(range(m.start, m.end)))
        for slot in alignment.slots:
            findings += _exchanged(reference, candidate, slot, matches, kept, settled, claimed)
    findings += _elsewhere(reference, candidate, matches, settled, claimed)
    findings += _sides(reference, candidate, alignment)
    edited = alignment.kept >= EDITED
    doubt = IN_PLACE if edited else REWRITTEN
    for finding in (*_negated(reference, candidate, edited), *_order(reference, candidate)):
        findings.append(finding._replace(sure=finding.sure * doubt))
    findings += _incoherent(reference, candidate, alignment)
    return findings, [text(reference, reference.mentions[k]) for k in sorted(matches.pairs)]


class _Matches:
    """Which mention of the candidate says what a mention of the reference says."""

    def __init__(self, reference: Reading, candidate: Reading) -> None:
        self.pairs: dict[int, int] = {}
        self.vaguer: dict[int, int] = {}
        wider = lexicon().wider
        named: dict[str, int] = {}
        narrower: dict[str, int] = {}
        for k, mention in enumerate(candidate.mentions):
            for concept in mention.concepts:
                named.setdefault(concept, k)
                for above in wider[concept]:
                    narrower.setdefault(above, k)
        for k, mention in enumerate(reference.mentions):
            for concept in mention.concepts:
                if (found := named.get(concept, narrower.get(concept))) is not None:
                    self.pairs[k] = found
                    break
            else:
                for concept in mention.concepts:
                    above = next((named[up] for up in wider[concept] if up in named), None)
                    if above is None and concept.startswith("action/"):  # "holds" beside "grasps": of one group
                        above = next((narrower[up] for up in wider[concept] if up in narrower), None)
                    if above is not None:
                        self.vaguer[k] = above
                        break
        self._surplus = Counter(c for m in candidate.mentions for c in m.concepts)
        self._surplus.subtract(c for m in reference.mentions for c in m.concepts)
        said = {concept for mention in reference.mentions for concept in mention.concepts}
        within = {up for concept in said for up in wider[concept]}
        self.new = frozenset(
            k
            for k, mention in enumerate(candidate.mentions)
            if not any(concept in within or wider[concept] & said for concept in mention.concepts)
        )


    def moved(self, mention: Mention) -> bool:
        """Whether the candidate says as often what the mention says, if elsewhere."""
        return all(self._surplus[concept] >= 0 for concept in mention.concepts)


def same(one: Mention, other: Mention) -> bool:
    wider = lexicon().wider
    return any(a in wider[b] for a in one.concepts for b in other.concepts)


def near(one: Mention, other: Mention) -> bool:
    """Of one group of actions, or one wider than the other."""
    wider = lexicon().wider
    return any(
        wider[a] & wider[b] for a in one.concepts for b in other.concepts if a.startswith("action/") or b in wider[a]
    )


def text(reading: Reading, mention: Mention) -> str:
    return " ".join(reading.words[mention.start : mention.end])


def _kind(one: frozenset[str], other: frozenset[str] | None = None) -> str | None:
    """The kind of a swap between two mentions by their families; None where they are of different families."""
    shared = one if other is None else one & other
    for family, kind in _SWAPS.items():
        if family in shared:
            return kind
    if other is not None and one & _STATES and other & _STATES:
        return "swapped action"
    return None


_STATES = frozenset({"action", "finding"})
_SWAPS = {
    "thing": "swapped thing",
    "anatomy": "swapped anatomy",
    "action": "swapped action",
    "finding": "swapped action",
    "procedure": "swapped procedure",
}


def _exchanged(
    reference: Reading, candidate: Reading, slot: Slot, matches: _Matches, kept: frozenset[int], settled: set[int], claimed: set[int]
) -> list[Finding]:
    """What a slot puts in place of what."""
    ours = [
        k
        for k, m in enumerate(reference.mentions)
        if m.start < slot.end and m.end > slot.start and not matches.moved(m)
    ]
    theirs = [
        k
        for k, m in enumerate(candidate.mentions)
        if m.start < slot.candidate_end and m.end > slot.candidate_start and k not in kept
    ]
    for k in list(ours):
        for j in list(theirs):
            if same(reference.mentions[k], candidate.mentions[j]):
                ours.remove(k)
                theirs.remove(j)
                settled.add(k)
                claimed.add(j)
                break
    findings = []
    for k in ours:
        mention = reference.mentions[k]
        for j in theirs:
            other = candidate.mentions[j]
            kind = _kind(mention.families, other.families)
            if kind:
                if candidate.mentions[j].families == {"generic"} or same(other, mention):
                    findings.append(Finding("vaguer", IN_PLACE, text(reference, mention), text(candidate, other)))
                else:
                    sure = NEAR if near(mention, other) else IN_PLACE
                    findings.append(Finding(kind, sure, text(reference, mention), text(candidate, other)))
                theirs.remove(j)
                settled.add(k)
                claimed.add(j)
                break
    ours = [k for k in ours if k not in settled]
    other_words = set(candidate.stems[slot.candidate_start : slot.candidate_end]) - set(
        reference.stems[slot.start : slot.end]
    )
    said = " ".join(candidate.words[slot.candidate_start : slot.candidate_end])
    known, said_stems = set(reference.stems), set(candidate.stems)
    strange = [
        k
        for k in candidate.unread
        if slot.candidate_start <= k < slot.candidate_end and candidate.stems[k] not in known
    ]
    lost = [k for k in reference.unread if slot.start <= k < slot.end and reference.stems[k] not in said_stems]
    for k in ours:
        kind = _kind(reference.mentions[k].families)
        if kind and (strange or theirs or other_words) and not matches.moved(reference.mentions[k]):
            findings.append(Finding(kind, UNREAD, text(reference, reference.mentions[k]), said))
            settled.add(k)
            claimed.update(theirs)
            strange, theirs = strange[1:], theirs[1:]
    if lost and (strange or theirs or other_words):
        kind = _kind(candidate.mentions[theirs[0]].families) if theirs else "swapped action"
        gone = " ".join(reference.words[k] for k in lost)
        findings.append(Finding(kind or "swapped action", UNREAD, gone, said))
        claimed.update(theirs)
    numbers = [
        [w for w in words if w[0].isdigit() or w in _NUMBERS]
        for words in (reference.words[slot.start : slot.end], candidate.words[slot.candidate_start : slot.candidate_end])
    ]
    if numbers[0] and numbers[1] and numbers[0] != numbers[1]:
        findings.append(Finding("number", IN_PLACE, " ".join(numbers[0]), " ".join(numbers[1])))
    return findings


_NUMBERS = frozenset("one two three four five six seven eight nine ten once twice thrice first second third both".split())


def _elsewhere(
    reference: Reading, candidate: Reading, matches: _Matches, settled: set[int], claimed: set[int]
) -> list[Finding]:
    """Swaps, extras and losses by what has no counterpart anywhere."""
    findings: list[Finding] = []
    content = [k for k, m in enumerate(reference.mentions) if m.families & _SWAPS.keys()]
    again = sum(k in matches.pairs or k in settled for k in content) + HALF_AGAIN * sum(k in matches.vaguer for k in content)
    words = [reference.stems[k] in candidate.stems for k in reference.unread]
    support = (again + UNREAD_WORD * sum(words)) / max(1, len(content) + UNREAD_WORD * len(words))
    elsewhere = ELSEWHERE * (1 - support) ** ELSEPOW
    alone = [
        k
        for k, mention in enumerate(reference.mentions)
        if k not in settled and k not in matches.pairs and mention.families & _SWAPS.keys()
    ]
    new = [k for k in matches.new if k not in claimed and candidate.mentions[k].families & _SWAPS.keys()]
    new.sort()
    undone = lexicon().opposite
    for k in list(alone):
        mention = reference.mentions[k]
        if k in matches.vaguer:
            other = candidate.mentions[matches.vaguer[k]]
            if not mention.families & _STATES:
                findings.append(Finding("vaguer", IN_PLACE, text(reference, mention), text(candidate, other)))
            alone.remove(k)
            continue
        for j in new:
            other = candidate.mentions[j]
            kind = _kind(mention.families, other.families)
            if not kind or len(mention.families) > 1 or len(other.families) > 1:
                continue
            if set(reference.stems[mention.start : mention.end]) & set(candidate.stems[other.start : other.end]):
                continue  # "flap" beside "skin flap"
            if kind == "swapped action" and not any(b in undone.get(a, ()) for a in mention.concepts for b in other.concepts):
                continue
            findings.append(Finding(kind, elsewhere, text(reference, mention), text(candidate, other)))
            alone.remove(k)
            new.remove(j)
            break
    for j in new:
        mention = candidate.mentions[j]
        if mention.families & {"thing", "anatomy"}:
            findings.append(Finding("extra", 1.0, "", text(candidate, mention)))
    findings += _lost(reference, candidate, alone, new, support)
    findings += [Finding("lay", 1.0, "", text(candidate, m)) for m in candidate.mentions if m.lay]
    return findings


#: An unread word says less for sure than a concept.
UNREAD_WORD = 0.5


#: A wider concept, or an action of the same group, is half of what was said.
HALF_AGAIN = 0.5

#: A faithful text shares at least this much of the reference's content, in whatever words; below, doubt grows fast.
RELATED = 0.25


def _lost(reference: Reading, candidate: Reading, alone: list[int], new: list[int], support: float) -> list[Finding]:
    """What the reference says and the candidate does not, or says in words that are not read."""
    said = set(candidate.stems)
    known = set(reference.stems)
    total = len([m for m in reference.mentions if m.families & _SWAPS.keys()]) + UNREAD_WORD * len(reference.unread)
    gone = [text(reference, reference.mentions[k]) for k in alone]
    words = [reference.words[k] for k in reference.unread if reference.stems[k] not in said]
    weight = len(gone) + UNREAD_WORD * len(words)
    if not weight or not total:
        return []
    spare = len({candidate.stems[k] for k in candidate.unread} - known) + len(new)
    covered = min(weight, spare)
    findings = []
    if support < RELATED:
        findings.append(Finding("unrelated", (1.0 - support / RELATED) ** 2, "", ""))
    open_share, covered_share = (weight - covered) / total, covered / total
    lost = ", ".join(gone + words)
    if open_share > 0:
        findings.append(Finding("missing", open_share, lost, ""))
    if covered_share > 0:
        findings.append(Finding("reworded", covered_share, lost, " ".join(candidate.words[k] for k in candidate.unread)))
    return findings


def _negated(reference: Reading, candidate: Reading, edited: bool) -> list[Finding]:
    """Content that one text denies and the other does not."""
    ours, theirs = _polarity(reference), _polarity(candidate)
    flipped = [key for key, polarity in ours.items() if key in theirs and theirs[key] != polarity]
    if flipped:
        return [Finding("negated", IN_PLACE, " ".join(k.split("/")[-1] for k in flipped), "")]
    if len(reference.negators) != len(candidate.negators):
        return [Finding("negated", NEAR if edited else .15, "", "")]
    return []


def _polarity(reading: Reading) -> dict[str, bool]:
    """Stem or concept -> whether it is denied; only what the text says one way."""
    found: dict[str, set[bool]] = {}
    for k in reading.content:
        found.setdefault(reading.stems[k], set()).add(reading.denied[k])
    for mention in reading.mentions:
        denied = reading.denied[mention.start] != mention.absent
        for concept in mention.concepts:
            found.setdefault(concept, set()).add(denied)
    for mention in reading.mentions:
        if mention.absent:
            for k in range(mention.start, mention.end):
                found.pop(reading.stems[k], None)
    return {key: polarity.pop() for key, polarity in found.items() if len(polarity) == 1}


def _sides(reference: Reading, candidate: Reading, alignment: Alignment) -> list[Finding]:
    """Poles exchanged in place, or for the other pole throughout."""
    findings = []
    theirs = {side.at: side for side in candidate.sides}
    place = {}
    for slot in alignment.slots:
        for at in range(slot.start, slot.end):
            place[at] = slot
    poles = Counter((side.axis, side.pole) for side in candidate.sides)
    ours = Counter((side.axis, side.pole) for side in reference.sides)
    for side in reference.sides:
        slot = place.get(side.at)
        if slot and slot.framed and alignment.kept >= EDITED:
            inside = [theirs[at] for at in range(slot.candidate_start, slot.candidate_end) if at in theirs]
            if any(o.axis == side.axis and o.pole != side.pole for o in inside):
                findings.append(Finding("side", IN_PLACE, side.pole, ""))
            continue
        if side.axis not in grammar()["loose_directions"] and not poles[side.axis, side.pole]:
            turned = [o.pole for o in candidate.sides if o.axis == side.axis and not ours[o.axis, o.pole]]
            if turned:
                findings.append(Finding("side", SIDEELSE, side.pole, turned[0]))
    return findings


#: How sure one pair of events in reversed order is, and each further one.
ONE_TURNED, MORE_TURNED = 0.6, 0.2


def _order(reference: Reading, candidate: Reading) -> list[Finding]:
    """Pairs of events that the candidate tells the other way round in time.

    One of the texts must set the two apart by a connective: "cuts and ties" may be told as "ties and cuts". What is no
    event counts only where both texts do: "wipes the palate first, then the tongue".
    """
    ours, theirs = _times(reference), _times(candidate)
    common = [(*ours[key], *theirs[key], key) for key in ours if key in theirs]
    turned = []
    for k, (first, acts, at, _, key) in enumerate(common):
        for second, also, other, _, key_2 in common[k + 1 :]:
            if (first - second) * (at - other) >= 0:
                continue
            said = _told(reference, first, second) + _told(candidate, at, other)
            if said >= (1 if acts and also else 2):
                turned.append((key, key_2) if first < second else (key_2, key))
    if not turned:
        return []
    earlier, later = (key.split("/")[-1] for key in turned[0])
    sure = min(1.0, ONE_TURNED + MORE_TURNED * (len(turned) - 1))
    return [Finding("order", sure, f"{earlier}, then {later}", f"{later}, then {earlier}")]


def _told(reading: Reading, first: int, second: int) -> bool:
    """Whether a connective stands between two ranks."""
    return any(rank in reading.told for rank in range(min(first, second) + 1, max(first, second) + 1))


def _times(reading: Reading) -> dict[str, tuple[int, bool]]:
    """Concept or stem -> (rank in time, whether it is an event); only what has one time and is not denied."""
    found: dict[str, tuple[int, bool]] = {}
    twice = set()
    keys = {m.start: m.concepts[0] for m in reading.mentions if m.families & _SWAPS.keys()}
    for at in sorted(reading.events | keys.keys()):
        key = keys.get(at, reading.stems[at])
        said = (reading.time[at], at in reading.events)
        if reading.denied[at] or found.get(key, said)[0] != said[0]:
            twice.add(key)
        found[key] = said
    return {key: said for key, said in found.items() if key not in twice}


FEWEST_WORDS = 6
SCRAMBLED_SHARED, SCRAMBLED_KEPT = 0.8, 0.4
REPEATED = 0.45
LISTED = 0.12


def _linking(reading: Reading) -> float:
    """The share of function words, articles included."""
    n = len(reading.stems) + reading.articles
    return 1.0 - len(reading.content) / max(1, n)


def _incoherent(reference: Reading, candidate: Reading, alignment: Alignment) -> list[Finding]:
    n = len(candidate.stems)
    if n < FEWEST_WORDS:
        return []
    findings = []
    if len(set(candidate.stems)) < REPEATED * n:
        findings.append(Finding("incoherent", 1.0, "", "repeats"))
    if _linking(candidate) < LISTED <= _linking(reference):
        findings.append(Finding("incoherent", 0.6, "", "a list of words"))
    known = Counter(reference.stems)
    shared = sum((known & Counter(candidate.stems)).values())
    if shared >= SCRAMBLED_SHARED * n and alignment.kept < SCRAMBLED_KEPT:
        findings.append(Finding("incoherent", 1.0, "", "the reference's words scrambled"))
    return findings


def _evidence(findings: list[Finding], matched: list[str], candidate: Reading) -> dict[str, Any]:
    return {
        "matched": matched,
        "findings": [
            {"kind": f.kind, "sure": round(f.sure, 2), "reference": f.reference, "candidate": f.candidate} for f in findings
        ],
        "unread": [candidate.words[k] for k in candidate.unread],
    }
