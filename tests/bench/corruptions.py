"""Does a judge rank a faithful paraphrase above a wording that is clinically wrong? The lexicon judge, and embeddings.

    python -m tests.bench.corruptions tests/cases/captions/held_out

prints the tables of medvidbench_hf/judge/README.md. The items are described in tests/cases/captions/README.md. Beside
the lexicon stands the cosine of all-MiniLM-L6-v2 (the `offline` extra) on the same pairs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import numpy as np

from medvidbench_hf.judge.lexicon import LexiconJudge
from medvidbench_hf.judge.lexicon.match import says
from medvidbench_hf.judge.lexicon.read import read
from medvidbench_hf.judge.pairs import DIMENSIONS, Pair
from medvidbench_hf.leaderboard import minilm

#: Kind of corruption -> the dimension that it is about.
KINDS = {
    "instrument": "instrument_anatomy",
    "action": "action_state",
    "anatomy": "instrument_anatomy",
    "side": "instrument_anatomy",
    "negated": "action_state",
    "vague": "specificity",
    "shortened": "specificity",
    "events_reordered": "procedure_context",
}
#: What is the same in other words, and must stand above every corruption.
FAITHFUL = ("paraphrase", "clauses_reordered")

#: Mean score of (reference, candidate).
Scorer = Callable[[str, str], float]


def items(folder: str | Path) -> list[dict[str, Any]]:
    return [
        item for path in sorted(Path(folder).glob("*.json")) for item in json.loads(path.read_text(encoding="utf-8"))
    ]


def figures(folder: str | Path, *, embeddings: bool = True) -> dict[str, Any]:
    """Per kind of corruption: n, shares ranked right, and mean drop per dimension; a tie is wrong."""
    every = items(folder)
    scores = {pair: judged.scores for pair, judged in _lexicon(_pairs(every)).items()}
    judges: dict[str, Scorer] = {"lexicon": lambda *pair: fmean(scores[pair])}
    if embeddings:
        cosines = _cosines(_pairs(every))
        judges["minilm"] = lambda *pair: cosines[pair]
    found: dict[str, Any] = {"n_items": len(every), "kinds": {}}
    for kind, own in KINDS.items():
        have = [item for item in every if kind in item["corruptions"]]
        drops = [[5.0 - s for s in scores[item["reference"], item["corruptions"][kind]]] for item in have]
        mine = DIMENSIONS.index(own)
        found["kinds"][kind] = {
            "n": len(have),
            "right": {
                name: {faithful: _right(have, kind, faithful, judge) for faithful in FAITHFUL}
                for name, judge in judges.items()
            },
            "drop": dict(zip(DIMENSIONS, (float(d) for d in np.mean(drops, axis=0)), strict=True)) if have else {},
            "own": own,
            "own_drops_most": fmean(drop[mine] == max(drop) for drop in drops) if have else None,
        }
    found["paraphrase"] = {
        name: {
            part: fmean(judge(item["reference"], item["paraphrase"]) for item in chosen) if chosen else None
            for part, chosen in _parts(every).items()
        }
        for name, judge in judges.items()
    }
    found["by_part"] = {
        name: {
            part: _share(_ranked(item, kind, "paraphrase", judge) for kind in KINDS for item in chosen)
            for part, chosen in _parts(every).items()
        }
        for name, judge in judges.items()
    }
    return found


def foreign(folder: str | Path) -> dict[str, int]:
    """How many items list foreign phrases, and how many of them one that the lexicon cannot read."""
    every = items(folder)
    strange = sum(any(not known(phrase, item["reference"]) for phrase in item["foreign"]) for item in every)
    return {"n": len(every), "listed": sum(bool(item["foreign"]) for item in every), "strange": strange}


def known(phrase: str, reference: str) -> bool:
    """Whether the lexicon reads an object, structure or procedure of the reference in the phrase."""
    named = [mention for mention in read(phrase).mentions if mention.families & {"thing", "anatomy", "procedure"}]
    return any(says(meant, mention) for meant in read(reference).mentions for mention in named)


def lexicon_pairs_per_s(folder: str | Path = Path(__file__).parents[1] / "cases" / "captions" / "tune") -> float:
    """Pairs judged in a second on one core, best of 5: references met before, candidates not."""
    met = list(_pairs(items(folder)))
    judge = LexiconJudge()
    judge.judge([Pair(reference, reference) for reference, _ in met])
    seconds = []
    for run in range(5):
        pairs = [Pair(reference, f"{candidate} {run}{k}") for k, (reference, candidate) in enumerate(met)]
        begin = perf_counter()
        judge.judge(pairs)
        seconds.append(perf_counter() - begin)
    return len(met) / min(seconds)


def tables(found: dict[str, Any]) -> str:
    """Markdown: how often the paraphrase ranks above, and what each corruption costs."""
    judges = list(found["paraphrase"])
    titles = {"lexicon": "lexicon", "minilm": "MiniLM cosine"}
    head = [
        "corruption",
        "n",
        *(f"{titles[name]}" for name in judges),
        *(f"{titles[name]}, clauses" for name in judges),
    ]
    rows = []
    for kind, part in found["kinds"].items():
        right = part["right"]
        rows.append(
            [
                kind.replace("_", " "),
                str(part["n"]),
                *(_percent(right[name][faithful]) for faithful in FAITHFUL for name in judges),
            ]
        )
    ranked = _table(head, rows)
    drops = _table(
        ["corruption", *(name.replace("_", " ") for name in DIMENSIONS), "own drops most"],
        [
            [
                kind.replace("_", " "),
                *(f"**{part['drop'][d]:.2f}**" if d == part["own"] else f"{part['drop'][d]:.2f}" for d in DIMENSIONS),
                _percent(part["own_drops_most"]),
            ]
            for kind, part in found["kinds"].items()
            if part["n"]
        ],
    )
    parts = _table(
        ["paraphrases", *(f"{titles[name]}: mean" for name in judges), *(f"{titles[name]}: right" for name in judges)],
        [
            [
                part.replace("_", " "),
                *(_number(found["paraphrase"][name][part]) for name in judges),
                *(_percent(found["by_part"][name][part]) for name in judges),
            ]
            for part in ("established", "foreign")
        ],
    )
    return "\n\n".join(
        [
            f'{found["n_items"]} reference captions. How often the faithful paraphrase ("clauses": the same facts with '
            "clauses moved) scores higher than the corrupted reference; ties are wrong:",
            ranked,
            "Mean loss of the corrupted reference in each dimension of the lexicon judge, its own in bold:",
            drops,
            "Paraphrases in established words, and those with phrases that no vocabulary holds:",
            parts,
        ]
    )


def _pairs(every: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return list(
        dict.fromkeys(
            (item["reference"], text)
            for item in every
            for text in (item["paraphrase"], item.get("clauses_reordered"), *item["corruptions"].values())
            if text
        )
    )


def _lexicon(pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    return dict(zip(pairs, LexiconJudge().judge([Pair(*pair) for pair in pairs]).judgements, strict=True))


def _cosines(pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    vectors = minilm.embed(texts)  # (n, 384)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    at = {text: k for k, text in enumerate(texts)}
    return {pair: float(vectors[at[pair[0]]] @ vectors[at[pair[1]]]) for pair in pairs}


def _ranked(item: dict[str, Any], kind: str, faithful: str, judge: Scorer) -> bool | None:
    """Whether the faithful text scores higher than the corrupted one; None where the item lacks either."""
    good, bad = item.get(faithful), item["corruptions"].get(kind)
    if not good or not bad:
        return None
    return judge(item["reference"], good) > judge(item["reference"], bad)


def _right(every: Iterable[dict[str, Any]], kind: str, faithful: str, judge: Scorer) -> float | None:
    return _share(_ranked(item, kind, faithful, judge) for item in every)


def _share(values: Iterable[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _parts(every: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {
        "established": [item for item in every if not item["foreign"]],
        "foreign": [item for item in every if item["foreign"]],
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    print(tables(figures(sys.argv[1], embeddings=minilm.installed())))
    print(f"\n{lexicon_pairs_per_s(sys.argv[1]):,.0f} pairs/s, foreign phrases: {foreign(sys.argv[1])}")
