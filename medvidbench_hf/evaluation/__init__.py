"""Run a model, score its answers, report them."""

from medvidbench_hf.evaluation.report import write_report
from medvidbench_hf.evaluation.run import run
from medvidbench_hf.evaluation.score import COLUMNS, score_predictions, score_run

__all__ = ["COLUMNS", "run", "score_predictions", "score_run", "write_report"]
