"""Raw rewards, normalised by source and task as in MedGRPO."""

from typing import Any

from medvidbench_hf.metrics import checked, rewards

_DESCRIPTION = """
Rewards that can be mixed: raw rewards of unlike tasks, each put on the scale of its own source and task, as MedGRPO
does before training. The scale comes from statistics of a reference model's raw rewards, by default through a logistic
that gives 0.5 at the median.
"""

_INPUTS = """
Args:
    predictions (list of float or None): raw rewards; None or NaN where none applies.
    references (list of str): the pair that each belongs to, "<source>/<task>" or any name that the statistics know.
    statistics (str, dict or Statistics): the path of a file of `medvidbench rewards stats`, the object in such a file,
        or what `medvidbench_hf.rewards.fit` returns. Has no default.
    component (str): "score" (default), or "similarity" or "judge", of captions.
    method (str): "logistic" (default), "zscore", "percentile" or "none".

Returns:
    dict: rewards: one for each raw reward, None where that was None; mean: of them; n: raw rewards given;
    unrewarded: those of them that were None;
    by_pair: pair -> n, unrewarded, raw and reward (means), saturated (share of rewards below 0.01 or above 0.99, where
    a gain is hardly rewarded; None with a method that has no bounds).
"""

_EXAMPLE = """
Example:
    >>> import evaluate
    >>> import medvidbench_hf.metrics
    >>> from medvidbench_hf.rewards import fit
    >>> hard, easy = [0.0, 0.1, 0.2, 0.3, 0.4], [0.6, 0.7, 0.8, 0.9, 1.0]
    >>> statistics = fit(["CoPESD/stg"] * 5 + ["NurViD/tal"] * 5, hard + easy, min_rows=5)
    >>> metric = evaluate.load(medvidbench_hf.metrics.path("medvidbench_normalized_reward"))
    >>> pairs = ["CoPESD/stg", "NurViD/tal", "NurViD/tal"]
    >>> result = metric.compute(predictions=[0.2, 0.8, None], references=pairs, statistics=statistics)
    >>> result["rewards"], result["n"], result["unrewarded"]
    ([0.5, 0.5, None], 3, 1)
    >>> result["by_pair"]["NurViD/tal"]
    {'n': 2, 'unrewarded': 1, 'raw': 0.8, 'reward': 0.5, 'saturated': 0.0}
"""


class MedvidbenchNormalizedReward(checked.CheckedMetric):
    about, inputs, example, form = _DESCRIPTION, _INPUTS, _EXAMPLE, rewards.FORM

    def _checked(self, predictions: Any, references: Any) -> tuple[list[float | None], list[str]]:
        return rewards.entries(*checked.lists(predictions, references))

    def _compute(self, predictions: list[float | None], references: list[str], **options: Any) -> dict[str, Any]:
        return rewards.rewarded(predictions, references, **options)
