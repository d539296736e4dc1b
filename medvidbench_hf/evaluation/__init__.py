"""Run a model, score its answers, compare and report them."""

from medvidbench_hf.evaluation.compare import compare
from medvidbench_hf.evaluation.report import write_report
from medvidbench_hf.evaluation.run import run
from medvidbench_hf.evaluation.score import COLUMNS, PROTOCOLS, score_predictions, score_run

__all__ = ["COLUMNS", "PROTOCOLS", "compare", "run", "score_predictions", "score_run", "write_report"]
