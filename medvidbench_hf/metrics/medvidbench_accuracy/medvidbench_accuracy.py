"""CVS_acc, NAP_acc and SA_acc of MedVidBench."""

from medvidbench_hf.metrics import rows

_DESCRIPTION = """
Accuracy in medical video, as MedVidBench scores it: the criteria of the critical view of safety (rows of
`cvs_assessment`), the next action (`next_action`) and the aspects of surgical skill (`skill_assessment`). Answers are
a model's raw text. Two protocols, never mixed: `strict` counts every row, `leaderboard` is the number that the public
board shows.
"""

_EXAMPLE = """
Example:
    >>> import evaluate
    >>> import medvidbench_hf.metrics
    >>> rows = medvidbench_hf.load("next_action", split="test", source="simulated", videos=8, media=False)
    >>> metric = evaluate.load(medvidbench_hf.metrics.path("medvidbench_accuracy"))
    >>> result = metric.compute(predictions=["no idea", *rows["answer"][1:]], references=rows)
    >>> round(result["NAP_acc"], 3), result["n"], result["parsed"]
    (0.667, 3, 3)
    >>> result["CVS_acc"] is None  # no row of cvs_assessment was given
    True
"""


class MedvidbenchAccuracy(rows.RowMetric):
    columns = ("CVS_acc", "NAP_acc", "SA_acc")
    about = _DESCRIPTION
    example = _EXAMPLE
