"""What a question of the release says in words and a row says nowhere else: its label list, and the times asked for."""

from __future__ import annotations

import re

LONGEST_LIST = 8_000  # characters
MOST_TIMES = 10_000
SHORTEST_STRIDE_S = 0.001
# Questions are anybody's text: every pattern takes time linear in their length, and so must one that is added.
_BRACKETS = re.compile(rf"\[([^\[\]]{{2,{LONGEST_LIST}}})\]")
_QUOTED = re.compile(r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")""")
_QUOTED_LIST = re.compile(rf"(?:\s*+{_QUOTED.pattern}\s*+(?:,|\Z))++")
# Questions without brackets print the labels between one of these openings and the end of the sentence.
_OPENING = re.compile(
    r"(?:\bactions such as|\bactions like|\b(?:phases|actions)(?: in (?:this|the) video)? include:?|"
    r"\bprocedure may involve:|\bpossible (?:phases|actions) are:|"
    r"\bgo through these phases:|\bfind all occurrences of|\bmatching)\s+",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"\.(?=\s+[A-Z]|\s*$)| may appear in | and list them |\n")
# Of a question whose blanks are single spaces.
_NUMBER = r"(\d{1,9}(?:\.\d{1,20})?)"
_RANGE = re.compile(
    rf"\b(?:from|between) {_NUMBER}(?: ?(?:seconds?|s))? (?:to|and) {_NUMBER} ?(?:seconds?|s)\b", re.IGNORECASE
)
_STRIDE = re.compile(rf"\bevery {_NUMBER} ?(?:seconds?|s)\b", re.IGNORECASE)


def label_list(question: str) -> tuple[str, ...]:
    """The labels that a question prints, as a Python list or between commas; () where it prints none.

    Lists that are printed with brackets are exact. Those between commas are read up to the end of the sentence. A list
    of more than LONGEST_LIST characters is none.
    """
    for bracketed in _BRACKETS.finditer(question):
        if _QUOTED_LIST.fullmatch(listed := bracketed[1].strip()):
            return _distinct([re.sub(r"\\(['\"\\])", r"\1", label[1:-1]) for label in _QUOTED.findall(listed)])
    opening = _OPENING.search(question)
    if not opening:
        return ()
    closing = _CLOSING.search(question, opening.end())
    listed = question[opening.end() : closing.start() if closing else len(question)]
    if len(listed) > LONGEST_LIST or listed.startswith("["):
        return ()
    labels = [re.sub(r"^(?:and|or)\s+", "", label.strip()) for label in listed.split(",")]
    if len(labels) == 1:  # "cutting or tying"
        labels = re.split(r"(?<=\s)or(?=\s)", labels[0])
    return _distinct(labels)


def requested_times(question: str) -> tuple[float, ...]:
    """The times at which an stg question asks for boxes: start, start + stride, ... up to end; () if it names none.

    More than MOST_TIMES, or times closer than SHORTEST_STRIDE_S, are none.
    """
    question = " ".join(question.split())
    span, stride = _RANGE.search(question), _STRIDE.search(question)
    if span is None:
        return ()
    start_s, end_s = float(span[1]), float(span[2])
    step_s = float(stride[1]) if stride else 0.0
    if end_s < start_s or step_s < SHORTEST_STRIDE_S:
        return ()
    count = int((end_s - start_s) / step_s + 1e-9) + 1
    if count > MOST_TIMES:
        return ()
    return tuple(round(start_s + k * step_s, 6) for k in range(count))


def _distinct(labels: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stripped for label in labels if (stripped := label.strip())))
