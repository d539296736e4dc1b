"""LexiconJudge: a judge without a model. Offline, free, deterministic; a column of its own, never an LLM's.

LexiconJudge().judge([Pair("The hook frees the cystic duct.", "The grasper frees the cystic duct.")])

vocabulary/    concepts and their forms, one a line; grammar.json: negations, connectives, directions
words.py       text -> stems
vocabulary.py  the concepts, loaded
order.py       clauses in order of time
prose.py       whether words are sentences
read.py        text -> Reading: concepts, negations, sides, time
align.py       what wording the candidate keeps, and what it puts in the gaps
match.py       which concepts of two readings say the same
swaps.py       concepts in the place of others, or added
coverage.py    how much of each text is in the other
compare.py     two readings -> findings -> five scores
"""

from __future__ import annotations

from collections.abc import Sequence

from medvidbench_hf.judge.guard import minimum
from medvidbench_hf.judge.lexicon.compare import compare
from medvidbench_hf.judge.lexicon.read import read
from medvidbench_hf.judge.lexicon.vocabulary import version
from medvidbench_hf.judge.llm import NO_REFERENCE
from medvidbench_hf.judge.pairs import DIMENSIONS, LOWEST, Judgement, Pair, Verdicts, checked

__all__ = ["LexiconJudge"]


class LexiconJudge:
    """Reads surgical and nursing video captions. Takes any text; of other fields it knows few words."""

    name = "lexicon"

    def __init__(self, domain: str = "surgical_video") -> None:
        self.domain = domain

    def judge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        found = {pair: _judged(pair) for pair in dict.fromkeys(checked(pairs))}
        judgements = tuple(found[pair] for pair in pairs)
        return Verdicts(
            self.name,
            self.rubric,
            judgements,
            tuple((k, NO_REFERENCE) for k, judgement in enumerate(judgements) if judgement is None),
            guarded=sum(judgement is not None and judgement.by == "guard" for judgement in found.values()),
            distinct=len(found),
        )

    @property
    def rubric(self) -> str:
        return f"lexicon v1 ({version()})"

    async def ajudge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts:
        return self.judge(pairs, progress)


def _judged(pair: Pair) -> Judgement | None:
    """None where the reference has no word: there is nothing to compare with."""
    reference = read(pair.reference)
    if not reference.stems:
        return None
    if why := minimum(pair):
        return Judgement((float(LOWEST),) * len(DIMENSIONS), "guard", evidence={"why": why})
    scores, evidence = compare(reference, read(pair.candidate))
    return Judgement(scores, "lexicon", evidence=evidence)
