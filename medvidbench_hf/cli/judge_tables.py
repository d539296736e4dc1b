"""What the commands `judge` and `rewards` print."""

from __future__ import annotations

from typing import Any

from medvidbench_hf.cli.tables import FAULTS_SHOWN, bullet, console, folded, print_judge, say, table

#: dimension -> what a table of 80 characters calls it
SHORT = {
    "terminology": "terms",
    "instrument_anatomy": "tool,\nsite",
    "specificity": "detail",
    "procedure_context": "step",
    "action_state": "action",
}


def print_judged(result: dict[str, Any]) -> None:
    """Means of the five dimensions by source and task, and what the judging took."""

    judge = result["judge"]
    lexicon = judge["name"] == "lexicon"
    kind = "word lists of surgical and nursing video, not a language model" if lexicon else "1 to 5"
    made = table(f"{judge['name']} ({kind})", "", "n", "mean", *SHORT.values())
    for group in result["groups"]:
        name = "\n".join(part for part in (group["source"], group["task"]) if part) or "captions"
        values = (group["mean"], *(group["dimensions"][dimension] for dimension in SHORT))
        made.add_row(name, f"{group['n']:,}", *("–" if value is None else f"{value:.2f}" for value in values))
    console.print(made)
    say(f"the five: {', '.join(SHORT)}")
    print_judge(result)


def print_agreement(result: dict[str, Any]) -> None:
    """A table for each class of raters that has a pair, overall first, and what weakens it."""
    from medvidbench_hf.judge.agreement import STATISTICS
    from medvidbench_hf.judge.ratings import PARTS

    raters = ", ".join(f"{name} ({r['kind']}, {r['items']:,} items)" for name, r in result["raters"].items())
    say(f"{result['items']:,} items; {raters}")
    heads = ("pearson", "spearman", "kappa", "kappa\nlinear", "kappa\nsquared")
    shown = {name: found for name, found in result["classes"].items() if name != "human-judge"}
    shown |= {f"humans and {name}": found for name, found in result["judges"].items()}
    for name, found in shown.items():
        if not found["pairs"]:
            continue
        made = table(f"{name}, {found['pairs']} pair{'s' * (found['pairs'] > 1)} of raters", "", "n", *heads)
        for part in (PARTS[-1], *PARTS[:-1]):
            cells = [_interval(found[part][statistic]) for statistic in STATISTICS]
            made.add_row(folded(part), f"{found[part]['n']:,}", *cells)
        console.print(made)
        reasons = dict.fromkeys(why for part in PARTS for s in STATISTICS if (why := found[part][s]["why"]))
        for why in list(reasons)[:FAULTS_SHOWN]:
            bullet(f"no value or interval: {why}")
    for name, note in result["notes"].items():
        bullet(f"{name}: {note}")
    paper = result["paper"]
    bullet(f"the paper: Pearson {paper['pearson']}, kappa {paper['kappa']}; {paper['note']}")
    for weakness in result["weak"]:
        say(f"warning: {weakness}")


def _interval(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return "–"
    ends = [f"{end:.2f}".replace("1.00", "1").replace("0.", ".") for end in found["interval"] or ()]
    return "\n".join((f"{found['value']:.3f}", "–".join(ends))) if ends else f"{found['value']:.3f}"


def print_reward_statistics(statistics: Any) -> None:
    """Quartiles of each pair, and what was pooled or floored."""
    made = table("raw rewards", "", "n", "p25", "p50", "p75", "mean", "std")
    for pair, components in statistics.pairs.items():
        for component, s in components.items():
            source, _, task = pair.rpartition("/")
            name = "\n".join(part for part in (source, task if component == "score" else f"{task} {component}") if part)
            made.add_row(name, f"{s.n:,}", *(f"{v:.3f}" for v in (s.p25, s.p50, s.p75, s.mean, s.std)))
    console.print(made)
    for note in statistics.notes:
        bullet(note)


def print_reward_comparison(result: dict[str, Any]) -> None:
    """Each normaliser under each scale_rewards, and the recommendation."""
    from medvidbench_hf.rewards.normalise import SCALES

    made = table(
        f"{result['n']:,} samples; mean |advantage| of {result['easy']} : {result['hard']}",
        *("", *SCALES, "saturated", "rank", "max:min\n(none)"),
    )
    for method, found in result["methods"].items():
        ratios = [found[scale]["easy_hard"] for scale in SCALES]
        shown = ["–" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        saturated = "–" if found["saturated"] is None else f"{found['saturated']:.1%}"
        widest = found["none"]["max_min"]
        name = "raw" if method == "none" else method
        made.add_row(name, *shown, saturated, f"{found['rank_mean']:.3f}", "–" if widest is None else f"{widest:.2f}")
    costs = result["recommendation"]["costs"]
    named = [name for name in costs[0] if name not in ("method", "scale")]
    spent = table(
        "what each costs, at its best scale_rewards", "", *(name.replace("satur", "satur-\n") for name in named)
    )
    for method in dict.fromkeys(cost["method"] for cost in costs):
        cost = next(one for one in costs if one["method"] == method)
        name = f"{'raw' if method == 'none' else method}\n{cost['scale']}"
        spent.add_row(name, *(f"{cost[kind]:.2f}" for kind in named))
    console.print(made, spent)
    for pair in result["silent"]:
        say(f"{pair}: no group of it varies, so it teaches nothing whatever the normaliser")
    if result["left_out"]:
        bullet(f"samples without a raw reward, which take no part: {result['left_out']:,}")
    if cold := [pair for pair in result["pairs"] if pair not in result["warm"]]:
        bullet(f"running: of {', '.join(cold)} there are too few samples, and it goes by the fixed statistics")
    best = result["recommendation"]
    bullet(
        f"recommended here: {best['method']}, scale_rewards={best['scale']}: {best['why']}",
        f"by the rule: {best['rule']}",
        "in code: running is Running(statistics) in place of statistics, advantage is rewards.by_pair after the "
        "trainer's group baseline, the others are method=",
    )
