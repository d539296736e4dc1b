"""What `check` reports: findings with the rows they are about, and how much of each task the board can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from medvidbench_hf.leaderboard.records import kind_of

#: What a fault does on the board, worst first. All but a note make a file bad.
SEVERITIES = {
    "reject": "the board refuses the file",
    "lost": "a whole task is lost",
    "misread": "answers are taken for something else than they say",
    "zero": "rows score 0 for their form",
    "skip": "rows, or parts of them, are left out of the mean",
    "note": "worth knowing",
}


class Fault(NamedTuple):
    """A kind of fault: what is wrong, what the board makes of it, how to mend it."""

    kind: str
    severity: str
    what: str
    board: str
    mend: str


@dataclass(frozen=True)
class Finding:
    """A fault and the rows of the split that have it; () where it is about the whole file."""

    kind: str
    severity: str
    rows: tuple[int, ...]
    what: str
    board: str
    mend: str
    task: str = ""
    example: str = ""  # the first row's answer, shortened

    def line(self) -> str:
        """One line: where, what, what the board does, what to do."""
        subject = f"{self.task}: " if self.task else ""
        rows = f" ({row_list(self.rows)})" if self.rows else ""
        example = f", e.g. {self.example}" if self.example else ""
        return (
            f"{self.severity} {self.kind}: {subject}{self.what}{rows}{example}. Board: {self.board}. Mend: {self.mend}."
        )


@dataclass(frozen=True)
class TaskCount:
    """How many rows of a task the file answers, and in how many the board's parser reads anything."""

    task: str
    rows: int
    answered: int
    parsed: int
    share: float  # parsed / rows


@dataclass(frozen=True)
class Report:
    """What the board would make of a file, worst first."""

    path: str
    kind: str
    rows: int  # of the split
    findings: tuple[Finding, ...]
    tasks: tuple[TaskCount, ...]

    @property
    def ok(self) -> bool:
        """Nothing but notes."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 1


class Faults:
    """Faults by kind and task, with their rows, as they are found."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Fault, str], list[int]] = {}
        self._examples: dict[tuple[Fault, str], str] = {}

    def add(self, fault: Fault, row: int | None = None, task: str = "", value: Any = "") -> None:
        key = (fault, task)
        if key not in self.rows:
            self.rows[key] = []
            self._examples[key] = shortened(value) if value != "" else ""
        if row is not None:
            self.rows[key].append(row)

    def replace(self, fault: Fault, other: Fault, task: str) -> None:
        """The same rows under another fault."""
        self.rows[other, task] = self.rows.pop((fault, task))
        self._examples[other, task] = self._examples.pop((fault, task))

    def forget(self, fault: Fault, task: str) -> None:
        self.rows.pop((fault, task), None)

    def findings(self) -> tuple[Finding, ...]:
        found = [
            Finding(f.kind, f.severity, tuple(rows), f.what, f.board, f.mend, task, self._examples[f, task])
            for (f, task), rows in self.rows.items()
        ]
        order = list(SEVERITIES)
        return tuple(sorted(found, key=lambda f: (order.index(f.severity), f.rows[:1])))


def row_list(rows: tuple[int, ...] | list[int]) -> str:
    """ "row 3", "rows 3, 7", or the first ten and how many more."""
    more = f" and {len(rows) - 10} more" if len(rows) > 10 else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(map(str, rows[:10]))}{more}"


def shortened(value: Any) -> str:
    """The start of a text, quoted; of any other JSON value its kind."""
    return f"{value[:60]!r}{'...' * (len(value) > 60)}" if isinstance(value, str) else kind_of(value)
