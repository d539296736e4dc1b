"""The ten columns of MedVidBench."""

from medvidbench_hf.evaluation import COLUMNS
from medvidbench_hf.metrics import rows

_DESCRIPTION = """
MedVidBench, eight kinds of questions about medical video: the ten columns of its board. Rows of any task may be
given; the three *_llm columns need a judge and stay None here. Answers are a model's raw text. Two protocols, never
mixed: `strict` counts every row, `leaderboard` is the number that the public board shows.
"""

_EXAMPLE = """
Example:
    >>> import evaluate
    >>> import medvidbench_hf.metrics
    >>> rows = medvidbench_hf.load("all", split="test", source="simulated", videos=8, media=False)
    >>> metric = evaluate.load(medvidbench_hf.metrics.path("medvidbench"))
    >>> result = metric.compute(predictions=rows["answer"], references=rows, protocol="both")
    >>> [column for column, value in result["strict"].items() if value is None]
    ['DVC_llm', 'VS_llm', 'RC_llm']
    >>> result["strict"]["STG_mIoU"], result["leaderboard"]["STG_mIoU"]
    (1.0, 1.0)
"""


class Medvidbench(rows.RowMetric):
    columns = tuple(COLUMNS)
    about = _DESCRIPTION
    example = _EXAMPLE
