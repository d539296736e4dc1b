"""Every fault that `check` knows: in the file, in how its rows answer the data's, in the form of single answers.

`board` says what it does with the fault; traps.py says the same at length, by column.
"""

from __future__ import annotations

from medvidbench_hf.leaderboard.submission.findings import Fault
from medvidbench_hf.leaderboard.traps import MIN_RECORDS
from medvidbench_hf.sample import TASKS

_SUBMIT = "`medvidbench submit` writes it"
_FAILS = "its code fails on the record and the whole task becomes 0.0"

_TAL_FORM = 'write "22.0-78.0, 89.0-94.0 seconds." with plain hyphens (no en dash) and nothing else'
_STG_FORM = 'write "1.0 seconds: [x1, y1, x2, y2] 5.0 seconds: [...]" and nothing else'
_DVC_FORM = 'write "36.0-49.0 seconds: caption" with a plain hyphen, one event a line and nothing before it'
_CVS_FORM = 'write "Two structures: 2, Cystic plate: 1, Hepatocystic triangle: 0", with commas'
_SKILL_FORM = 'write "Respect for tissue: 2/5, Suture/needle handling: 1/5, ...", all six aspects, with commas'

# --- the file --------------------------------------------------------------------------------------------------

TOO_FEW = Fault(
    "too_few",
    "reject",
    f"the file has fewer than {MIN_RECORDS} records",
    f"it takes {MIN_RECORDS} records at least",
    "answer the whole split",
)
#: The same where the split itself is smaller.
SMALL_SPLIT = TOO_FEW._replace(severity="note", what=f"the split has fewer than {MIN_RECORDS} rows")
ROW_COUNT = Fault(
    "row_count",
    "reject",
    "the file has not as many records as the split has rows",
    "it joins by position and wants equal length",
    "write one record for each row, in row order",
)
MISSING = Fault(
    "missing_rows",
    "reject",
    "rows without an answer",
    "it takes complete files only",
    "answer them; `medvidbench submit --fill-missing` fills what a predictions.jsonl or a results.json lacks",
)
BEYOND = Fault("beyond_split", "reject", "rows that the split does not have", "it wants equal length", "leave them out")
REPEATED_ROW = Fault(
    "repeated_rows", "misread", "rows that are answered more than once", "the last one counts", "keep one answer a row"
)
REPEATED_FIELD = Fault(
    "repeated_field", "misread", "records that have the same field twice", "the last one counts", "keep one"
)
ORDER = Fault(
    "order",
    "misread",
    "the right records in another order: these rows hold another row's answer",
    "it joins by position; ids are not compared",
    "write them in row order",
)
KEY_ORDER = ORDER._replace(what="records that do not stand in the order of their keys", mend=_SUBMIT)
#: predictions.jsonl may have any order.
LINE_ORDER = KEY_ORDER._replace(
    severity="note", board="it never sees this file", what="lines that are not in row order"
)
SHIFTED = Fault(
    "shifted",
    "misread",
    "ids match the data at another place: {gaps}; these rows are answered by their neighbours' answers",
    "it joins by position; ids are not compared",
    "put in what is missing, take out what is too much, or write the file anew with `medvidbench submit`",
)
ID_ELSEWHERE = Fault(
    "id_of_another_row",
    "misread",
    "the id is that of another row",
    "it joins by position; ids are not compared",
    "copy ids from the data, and key answers by row index",
)
ID_UNKNOWN = Fault(
    "id_unknown",
    "note",
    "the id is of no row of the split",
    "ids are not compared",
    "copy ids from the data, never compose them",
)
#: The same where no id at all is right.
OTHER_SPLIT = ID_UNKNOWN._replace(
    kind="other_split",
    severity="misread",
    what="not one id is of this split: answers to other data?",
    board="it joins by position; ids are not compared",
)
OTHER_TASK = Fault(
    "qa_type_of_another_task",
    "misread",
    "the qa_type is that of another task",
    "only the first record's is looked at; the row's own counts",
    "copy qa_type from the data, and key answers by row index",
)
QA_TYPE = Fault(
    "qa_type_differs",
    "note",
    "the qa_type is not the row's",
    "only the first record's is looked at; the row's own counts",
    "copy qa_type from the data",
)
FIRST_RECORD = Fault(
    "first_record",
    "reject",
    "the first record is not what the board expects",
    "it wants id, qa_type (with the name of a task) and prediction, or metadata, question, answer and qa_type",
    _SUBMIT,
)
FIELD_MISSING = Fault("field_missing", "reject", "no prediction in the record", "every record needs one", _SUBMIT)
ANSWER_MISSING = FIELD_MISSING._replace(severity="lost", what="no answer in the record", board=_FAILS)
ID_MISSING = FIELD_MISSING._replace(
    severity="note", what="no id or no qa_type in the record", board="only the first record's are looked at"
)
LEAK = Fault(
    "ground_truth_inside",
    "note",
    "truth of the data stands in the record (gnd, struc_info, ...)",
    "it has its own truth",
    "take it out: answers of the data must not travel",
)
EXTRA_FIELDS = Fault("extra_fields", "note", "fields that no answer file has", "it ignores them", "leave them out")
BYTE_ORDER_MARK = Fault(
    "byte_order_mark", "reject", "{note}", "Python's JSON reader refuses it", "save as UTF-8 without it"
)
FILE_NOTE = Fault("file", "note", "{note}", "its JSON reader takes it", _SUBMIT)
KEYED_BY_ID = Fault(
    "keyed_by_id",
    "misread",
    "the same answer as another task's row with the same id",
    "each row is another question; ids repeat",
    "key answers by row index, not by id",
)
COPIED = Fault(
    "copied",
    "note",
    "one text answers many clips: copied from an example in the prompt?",
    "each row is scored for itself",
    "take the example from another source, or out of the prompt",
)
#: The same where it names times that were not asked for.
COPIED_TIMES = COPIED._replace(
    severity="zero", what="one text answers many clips, and names times that were not asked for"
)

# --- any task --------------------------------------------------------------------------------------------------

#: task -> what a prediction that is null, a number, a list, ... does
NOT_TEXT = {
    task: Fault("not_text", severity, "the prediction is not text", board, 'write a text; "" where there is no answer')
    for task, severity, board in (
        *((task, "lost", _FAILS) for task in TASKS if task not in ("video_summary", "region_caption")),
        ("video_summary", "skip", "the row is not judged"),
        ("region_caption", "skip", "the row is not judged"),
    )
}
#: task -> what an answer without content does
EMPTY = {
    task: Fault("empty", severity, "the answer is empty", board, "ask again for these rows")
    for task, severity, board in (
        ("tal", "zero", "the row scores 0"),
        ("stg", "zero", "the row scores 0"),
        ("next_action", "misread", "an empty text becomes the nearest label too"),
        ("dense_captioning", "skip", "the row is left out of the mean"),
        ("cvs_assessment", "skip", "the row is left out of the mean"),
        ("skill_assessment", "skip", "the row is left out of the mean"),
        ("video_summary", "skip", "the row is not judged"),
        ("region_caption", "skip", "the row is not judged"),
    )
}
#: The model refused, or the call ended in an error.
REFUSED = {
    task: fault._replace(
        kind="refused",
        what="the model refused or ended in an error",
        board=fault.board.replace("an empty", "such a"),
        mend="ask again for these rows, with another model where the first keeps refusing",
    )
    for task, fault in EMPTY.items()
}
for _task in ("video_summary", "region_caption"):
    REFUSED[_task] = REFUSED[_task]._replace(severity="zero", board="the judge gives it the lowest marks")
#: The answer stops before its end: finish_reason length, an open bracket, half an entry.
CUT_OFF = Fault(
    "cut_off", "misread", "the answer is cut off", "what is there counts as the whole answer", "allow more new tokens"
)
#: The last event of a list stops in the middle of a sentence.
CUT_CAPTION = Fault(
    "cut_off", "note", "the last caption seems cut off", "the judge sees half a sentence", "allow more new tokens"
)
#: <think> ... </think> in the answer.
REASONING = Fault(
    "reasoning",
    "misread",
    "reasoning stands in the answer",
    "it is read as part of the answer",
    "keep only what follows </think>",
)
#: Half a surrogate pair, which no encoder takes.
NOT_UNICODE = {
    task: Fault(
        "not_unicode", severity, "the answer holds half of a surrogate pair", board, "`medvidbench submit` mends it"
    )
    for task, severity, board in (
        ("next_action", "lost", "its text encoder fails and the whole task becomes 0.0"),
        ("dense_captioning", "note", "the judge is not reached for this event"),
        ("video_summary", "skip", "the judge is not reached and the row is left out"),
        ("region_caption", "skip", "the judge is not reached and the row is left out"),
    )
}
#: Nothing that the board's parser reads.
UNREAD = {
    task: Fault("unread", severity, "the board reads nothing in the answer", board, form)
    for task, severity, board, form in (
        ("tal", "zero", "the row scores 0", _TAL_FORM),
        ("stg", "zero", "the row scores 0", _STG_FORM),
        ("dense_captioning", "skip", "the row is left out of the mean", _DVC_FORM),
        ("cvs_assessment", "skip", "the row is left out of the mean", _CVS_FORM),
        ("skill_assessment", "skip", "the row is left out of the mean", _SKILL_FORM),
    )
}

#: The answer is written as another task's are.
OTHER_FORM = Fault(
    "form_of_another_task",
    "misread",
    "the answer has the form of another task's: answers at the wrong rows?",
    "it joins by position, and reads what stands there",
    "key answers by row index, and let `medvidbench submit` write the file",
)
#: A statistic over the file: with the answers moved by so many rows, the forms fit.
SHIFTED_ANSWERS = OTHER_FORM._replace(
    kind="shifted_answers",
    what="with every answer moved by {shift} the forms would fit: answers of a neighbouring row?",
)
#: An event or a span that starts when it ends.
NO_LENGTH = Fault(
    "no_length", "note", "a span of zero length", "its IoU is 0 whatever the truth is", "give a start and an end"
)

# --- tal -------------------------------------------------------------------------------------------------------

TAL_CLOCK = Fault("clock", "misread", "clock times", "00:05 - 00:12 is read as 5 to 0", f"write seconds; {_TAL_FORM}")
TAL_REVERSED = Fault("reversed", "zero", "a span ends before it starts", "the span scores 0", "write the start first")
TAL_STRAY = Fault(
    "stray_numbers",
    "misread",
    "number pairs that are no times of the answer",
    'any "number - number" is a span, also 4-0 suture and 2019-2021',
    _TAL_FORM,
)
TAL_UNSEEN = Fault(
    "span_unseen", "misread", "spans that the board does not see", "only a-b with a plain hyphen counts", _TAL_FORM
)
BEYOND_CLIP = Fault(
    "beyond_clip",
    "note",
    "times after the end of the clip",
    "they are kept and match nothing",
    "give seconds from the clip's first frame",
)
#: The same in many rows of a file.
OTHER_CLOCK = Fault(
    "other_clock",
    "misread",
    "many times after the end of the clip: frame numbers, or times of the whole video?",
    "they are taken as seconds from the clip's first frame",
    "give seconds from the clip's first frame",
)

# --- stg -------------------------------------------------------------------------------------------------------

STG_NO_TIME = Fault(
    "no_time_asked",
    "zero",
    "none of the times asked for is answered",
    "the row scores 0",
    "copy the times of the question",
)
STG_FIRST_TIME = Fault(
    "first_time_missing",
    "zero",
    "the first time asked for has no box",
    "it takes the box [0, 0, 0, 0]",
    "answer every time of the question",
)
STG_TIMES = Fault(
    "times_missing",
    "misread",
    "times asked for have no box",
    "they take the box of the time before",
    "answer every time of the question",
)
STG_DECIMALS = Fault(
    "time_decimals",
    "misread",
    "times that are not the ones asked for by less than a tenth of a second",
    "a time is looked up with one decimal, exactly",
    "copy the times of the question, with one decimal",
)
STG_BAD_BOX = Fault(
    "bad_box",
    "misread",
    "a box is not four numbers",
    "it becomes the box before it, or nothing",
    _STG_FORM,
)
STG_NAN = Fault(
    "not_finite",
    "lost",
    "a box with nan, or with infinities that cancel out",
    "STG_mIoU becomes NaN for the whole file",
    "write four finite numbers",
)
STG_INFINITE = STG_NAN._replace(severity="zero", what="a box with an infinite coordinate", board="it scores 0")
STG_REVERSED = Fault(
    "reversed_box",
    "zero",
    "a box whose right edge is left of its left edge, or its lower above its upper",
    "corners are not put in order",
    "write x1, y1, x2, y2; x, y, width, height is another form",
)
STG_FLAT = Fault(
    "flat_box",
    "zero",
    "a box without area",
    "it scores 0, and [0, 0, 0, 0] takes the box of the time before",
    "write x1 < x2 and y1 < y2",
)
STG_UNIT = Fault(
    "unit_boxes",
    "zero",
    "all coordinates are in 0..1",
    "boxes are pixels of the canvas",
    "multiply by width and height",
)
#: A statistic over the file: nothing exceeds 1000, and enough boxes leave a canvas smaller than that.
STG_THOUSAND = Fault(
    "thousand_boxes",
    "zero",
    "coordinates seem to be in 0..1000",
    "boxes are pixels of the canvas",
    "multiply by width / 1000 and height / 1000",
)
#: The same without a canvas that is smaller than 1000 pixels.
STG_MAYBE_THOUSAND = Fault(
    "maybe_thousand_boxes",
    "note",
    "no coordinate is over 1000 on a canvas that is wider",
    "boxes are pixels of the canvas",
    "make sure that boxes are not in 0..1000",
)
STG_OUTSIDE = Fault(
    "box_outside", "zero", "a box lies outside the canvas", "it can match nothing", "write pixels of the canvas"
)
STG_PARTLY = Fault(
    "box_partly_outside", "note", "a box reaches over the canvas", "it is not clipped", "clip boxes to the canvas"
)

# --- dense_captioning ------------------------------------------------------------------------------------------

DVC_COLLAPSED = Fault(
    "collapsed",
    "misread",
    "several events are read as fewer",
    "the next event starts only at the start of a line, so lists with numbers or bullets run together",
    _DVC_FORM,
)
DVC_OVERLAP = Fault(
    "overlap",
    "note",
    "events overlap",
    "all events are cut at all boundaries, which mostly lowers precision",
    "give events that do not overlap",
)
DVC_TOO_LARGE = Fault(
    "too_large",
    "lost",
    "a time is too large to be a frame number",
    _FAILS,
    _DVC_FORM,
)

# --- forms -----------------------------------------------------------------------------------------------------

#: task -> parts of the form that the board does not find
PARTIAL = {
    task: Fault("partial", "skip", f"fewer than the {n} {parts}", f"the missing {parts} are left out of the mean", form)
    for task, n, parts, form in (
        ("cvs_assessment", 3, "criteria", _CVS_FORM),
        ("skill_assessment", 6, "aspects", _SKILL_FORM),
    )
}
#: the same where they stand in the text, on lines of their own or in another form
UNSEEN_PARTS = {
    task: fault._replace(
        kind="unseen_parts",
        what="scores stand in the answer where the board does not see them (lines, semicolons, markdown)",
    )
    for task, fault in PARTIAL.items()
}
OUT_OF_RANGE = Fault(
    "out_of_range", "zero", "a score that the scale does not have", "it is never right", "keep to the scale"
)
OTHER_SCORE = Fault(
    "other_score", "misread", "a score is read as another number", "2.5 is read as 2", "write whole numbers"
)
HUGE_NUMBER = Fault(
    "huge_number",
    "lost",
    "a number of more than 4,300 digits",
    _FAILS,
    "write a score",
)

# --- next_action -----------------------------------------------------------------------------------------------

NAP_SPELLING = Fault(
    "label_spelling",
    "misread",
    "a label in another spelling, or with words around it",
    "it is not that label: the nearest one by text embedding is taken",
    "copy the label from the question",
)
NAP_NO_LABEL = Fault(
    "no_label",
    "note",
    "the answer is none of the labels",
    "the nearest label by text embedding is taken",
    "answer with one label of the question and nothing else",
)
