"""Captions of medical video, judged against references on five clinical dimensions."""

from typing import Any

from medvidbench_hf.metrics import captions, checked

_DESCRIPTION = """
How close captions of medical video come to reference captions, judged from 1 to 5 on the five dimensions of MedGRPO:
terminology, instruments and anatomy, specificity, procedure context, action and state. By default the judge is an
offline lexicon: a vocabulary and rules, no language model. With the name of a model, an OpenAI-compatible server is
asked. Scores of two judges are never comparable.
"""

_INPUTS = """
Args:
    predictions (list of str): candidate captions; "" where a model gave none.
    references (list of str): a reference caption for each, not empty.
    judge (str): "lexicon" (default), or the name of a model. A model needs `pip install 'medvidbench-hf[judge]'` and,
        unless it is local, the key in OPENAI_API_KEY; it is sent both captions, and its calls cost money.
    The others are for a model. rubric (str): "comparative" (default), the paper's question; "board", the leaderboard's.
    domain (str): "surgical_video" (default), "radiology" or "endoscopy_still".
    task (str): what the captions are, such as "video_summary".
    base_url (str): its server, "http://127.0.0.1:8000/v1"; else OPENAI_BASE_URL, else OpenAI's.
    budget_usd (float), budget_tokens (int): nothing more is asked when that is spent.
    cache (str): a file of verdicts, so that no pair is paid for twice. concurrency (int): calls at a time, 32.

Returns:
    dict: judge: its name; rubric: with its version; mean: over dimensions and pairs; terminology, instrument_anatomy,
    specificity, procedure_context, action_state: means over the judged pairs, 1..5, None where none was judged;
    n: pairs; failed: pairs that got no judgement; per_pair: five scores in this order for each pair, or None;
    failures: where there are any: a line for each with the reason.
"""

_EXAMPLE = """
Example:
    >>> import evaluate
    >>> import medvidbench_hf.metrics
    >>> caption = "The hook dissects the cystic duct while the grasper retracts the gallbladder."
    >>> metric = evaluate.load(medvidbench_hf.metrics.path("medvidbench_judge"))
    >>> result = metric.compute(predictions=[caption, ""], references=[caption, caption])
    >>> result["judge"], result["mean"], result["n"], result["failed"]
    ('lexicon', 3.0, 2, 0)
    >>> result["per_pair"]
    [[5.0, 5.0, 5.0, 5.0, 5.0], [1.0, 1.0, 1.0, 1.0, 1.0]]
"""


class MedvidbenchJudge(checked.CheckedMetric):
    about, inputs, example, form = _DESCRIPTION, _INPUTS, _EXAMPLE, captions.FORM

    def _checked(self, predictions: Any, references: Any) -> tuple[list[str], list[str]]:
        return captions.entries(*checked.lists(predictions, references))

    def _compute(self, predictions: list[str], references: list[str], **options: Any) -> dict[str, Any]:
        return captions.judged(predictions, references, **options)
