"""The Space of the metric beside this file: paste two captions, see what the offline lexicon judge makes of them."""

from html import escape
from pathlib import Path

import evaluate
import gradio as gr

from medvidbench_hf import InputError
from medvidbench_hf.metrics import pasted

MODULE = str(next(Path(__file__).parent.glob("medvidbench*.py")))
METRIC = evaluate.load(MODULE, keep_in_memory=True)
HELP = """\
This page asks the lexicon alone: a vocabulary and rules, no language model. It calls no server, takes no key and keeps
nothing. What it cannot tell is in the card, under Limits.
"""


def judge(reference: str, candidate: str) -> tuple[list[list[str]], str]:
    try:
        return pasted.judged(pasted.captions(reference, candidate))
    except InputError as error:
        raise gr.Error(escape(str(error), quote=False), print_exception=False) from None


with gr.Blocks(title=METRIC.name, analytics_enabled=False) as demo:
    gr.Markdown(f"# {METRIC.name}\n{METRIC.description}\n\n{HELP}")
    with gr.Row():
        reference = gr.Textbox(label="reference", lines=4, max_length=pasted.MAX_CHARS)
        candidate = gr.Textbox(label="candidate", lines=4, max_length=pasted.MAX_CHARS)
    button = gr.Button("Judge", variant="primary")
    gr.Examples([list(texts) for texts in pasted.CAPTIONS], [reference, candidate])
    scores = gr.Dataframe(headers=["dimension", "score"], label="1 to 5", interactive=False)
    evidence = gr.Textbox(label="what the scores rest on", interactive=False, max_lines=30)
    button.click(judge, [reference, candidate], [scores, evidence], api_name="judge")

if __name__ == "__main__":
    demo.launch()
