"""TAG_mIoU@0.3, TAG_mIoU@0.5, STG_mIoU and DVC_F1 of MedVidBench."""

from medvidbench_hf.metrics import rows

_DESCRIPTION = """
Grounding in medical video, as MedVidBench scores it: temporal IoU of actions at 0.3 and 0.5 (rows of `tal`), IoU of
boxes at the requested times (`stg`), and temporal F1 of dense captions (`dense_captioning`; the captions are a judge's
affair). Answers are a model's raw text. Two protocols, never mixed: `strict` counts every row, `leaderboard` is the
number that the public board shows.
"""

_EXAMPLE = """
Example:
    >>> import evaluate
    >>> import medvidbench_hf.metrics
    >>> rows = medvidbench_hf.load("tal", split="test", source="simulated", videos=8, media=False)
    >>> metric = evaluate.load(medvidbench_hf.metrics.path("medvidbench_miou"))
    >>> result = metric.compute(predictions=rows["answer"], references=rows)
    >>> result["TAG_mIoU@0.3"], result["TAG_mIoU@0.5"], result["n"], result["parsed"]
    (1.0, 1.0, 15, 15)
    >>> result["STG_mIoU"] is None  # no row of stg was given
    True
"""


class MedvidbenchMiou(rows.RowMetric):
    columns = ("STG_mIoU", "TAG_mIoU@0.3", "TAG_mIoU@0.5", "DVC_F1")
    about = _DESCRIPTION
    example = _EXAMPLE
