"""The Space of the metric beside this file: paste one answer, or upload rows. The three metrics share this text."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import evaluate
import gradio as gr

from medvidbench_hf import InputError
from medvidbench_hf.leaderboard.records import SOURCES
from medvidbench_hf.metrics import visitor

MODULE = str(next(Path(__file__).parent.glob("medvidbench*.py")))
METRIC = evaluate.load(MODULE, keep_in_memory=True)
TASKS = [task for task in visitor.EXAMPLES if task in METRIC.tasks]


def score(bring: Callable[..., Any], *given: Any) -> tuple[list[list[str]], str]:
    metric = evaluate.load(MODULE, keep_in_memory=True)  # one for each call: a metric collects what it is given
    try:
        predictions, references = bring(*given)
        return visitor.shown(metric.compute(predictions=predictions, references=references, protocol="both"))
    except InputError as error:
        raise gr.Error(escape(str(error), quote=False), print_exception=False) from None


def score_one(task: str, source: str, answer: str, truth: str, fps: float) -> tuple[list[list[str]], str]:
    return score(visitor.pasted, task, source, answer, truth, fps)


def score_file(content: bytes | None) -> tuple[list[list[str]], str]:
    return score(visitor.uploaded, content)


with gr.Blocks(title=METRIC.name, analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
    gr.Markdown(f"# {METRIC.name}\n{METRIC.description}")
    with gr.Tab("One answer"):
        with gr.Row():
            task = gr.Dropdown(TASKS, value=TASKS[0], label="task")
            source = gr.Dropdown(list(SOURCES), value=visitor.EXAMPLES[TASKS[0]][0], label="source")
            fps = gr.Number(1.0, label="frames a second of the clip")
        answer = gr.Textbox(label="answer, as the model wrote it", lines=3, max_length=visitor.MAX_CHARS)
        truth = gr.Textbox(label="truth, as the release writes it", lines=3, max_length=visitor.MAX_CHARS)
        one = gr.Button("Score", variant="primary")
        gr.Examples([[task, *visitor.EXAMPLES[task]] for task in TASKS], [task, source, answer, truth])
    with gr.Tab("A file of rows"):
        gr.Markdown(visitor.FILE_FORM)
        file = gr.File(label="rows", file_types=[".json", ".jsonl"], type="binary")
        many = gr.Button("Score", variant="primary")
    table = gr.Dataframe(headers=["column", "leaderboard", "strict"], label="score", interactive=False)
    findings = gr.Textbox(label="what moved the leaderboard's number", interactive=False)
    one.click(score_one, [task, source, answer, truth, fps], [table, findings], api_name="score_one")
    many.click(score_file, [file], [table, findings], api_name="score_file")

if __name__ == "__main__":
    demo.launch(max_file_size=visitor.MAX_BYTES)
