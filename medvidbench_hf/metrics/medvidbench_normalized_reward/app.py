"""The Space of the metric beside this file: paste statistics and raw rewards, see what training would get."""

from html import escape
from pathlib import Path

import evaluate
import gradio as gr

from medvidbench_hf import InputError
from medvidbench_hf.metrics import pasted
from medvidbench_hf.rewards import NORMALISERS

MODULE = str(next(Path(__file__).parent.glob("medvidbench*.py")))
METRIC = evaluate.load(MODULE, keep_in_memory=True)
COUNTS = ["n", "unrewarded", "raw", "reward", "saturated"]
HELP = """\
Statistics are a file of `medvidbench rewards stats`. Raw rewards are lines of a pair, a comma and a number; nothing
after the comma where no reward applies. Nothing is kept.
"""


def normalise(statistics: str, lines: str, component: str, method: str) -> tuple[list[list[str]], list[list[str]]]:
    metric = evaluate.load(MODULE, keep_in_memory=True)  # one for each call: a metric collects what it is given
    try:
        raw, pairs = pasted.rewards(lines)
        options = {"statistics": pasted.statistics(statistics), "component": component, "method": method}
        result = metric.compute(predictions=raw, references=pairs, **options)
    except InputError as error:
        raise gr.Error(escape(str(error), quote=False), print_exception=False) from None
    rewards = [[pair, cell(x), cell(r)] for pair, x, r in zip(pairs, raw, result["rewards"], strict=True)]
    by_pair = [[pair, *(cell(of_pair[name]) for name in COUNTS)] for pair, of_pair in result["by_pair"].items()]
    return rewards, by_pair


def cell(value: float | int | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


with gr.Blocks(title=METRIC.name, analytics_enabled=False) as demo:
    gr.Markdown(f"# {METRIC.name}\n{METRIC.description}\n\n{HELP}")
    with gr.Row():
        size = {"lines": 8, "max_lines": 8}
        statistics = gr.Textbox(label="statistics, JSON", max_length=pasted.MAX_STATISTICS_CHARS, **size)
        lines = gr.Textbox(label="raw rewards", max_length=pasted.MAX_LINES_CHARS, **size)
    with gr.Row():
        component = gr.Dropdown(["score", "similarity", "judge"], label="component")
        method = gr.Dropdown(list(NORMALISERS), label="method")
    button = gr.Button("Normalise", variant="primary")
    gr.Examples([[pasted.example_statistics(), pasted.REWARDS]], [statistics, lines])
    rewards = gr.Dataframe(headers=["pair", "raw", "reward"], label="rewards", interactive=False)
    by_pair = gr.Dataframe(headers=["pair", *COUNTS], label="by pair", interactive=False)
    button.click(normalise, [statistics, lines, component, method], [rewards, by_pair], api_name="normalise")

if __name__ == "__main__":
    demo.launch()
