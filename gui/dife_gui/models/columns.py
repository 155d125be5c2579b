"""The columns of the models list without Qt: their texts, what each is sorted by, and which are shown at first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dife_scanner.durable import clock
from dife_scanner.durable.clock import now
from dife_scanner.records import ModelRow
from dife_scanner.sentences.audits import VERDICT_LABEL
from dife_scanner.sentences.times import age_seconds, age_text, time_text
from dife_scanner.sentences.watching import reason_text
from dife_scanner.store.expiry import is_past
from dife_scanner.store.models import URGENCY


@dataclass(frozen=True)
class Column:
    """One column of the list."""

    name: str
    """Under which it is remembered."""
    title: str
    text: Callable[[ModelRow], str]
    width: float
    """In lines of text."""
    explain: str
    """Shown when the pointer rests on the title."""
    sort: str = ""
    """Field that the list is sorted by; the column's name where empty."""
    shown: bool = True
    """Before anybody chose."""
    numeric: bool = False
    cells: Callable[[ModelRow], tuple[str, ...]] | None = None
    """What is drawn as small cells in place of the text."""
    ages: bool = False
    """Whether its text changes with time alone; it is made of our words only."""

    @property
    def field(self) -> str:
        """What the list is sorted by."""
        return self.sort or self.name


def verdict_text(row: ModelRow) -> str:
    """Empty without a verdict: the state column says where the revision stands."""
    if row.verdict is None:
        return ""
    return VERDICT_LABEL[row.verdict]


def _age(row: ModelRow) -> str:
    at = clock.moment()
    if age_seconds(row.job.created_at, at) is None:
        return ""
    return age_text(row.job.created_at, at).removesuffix(" ago")


def deadline_text(row: ModelRow) -> str:
    """The day by which an answer is due, and whether it is over."""
    if not row.deadline:
        return ""
    over = " (overdue)" if is_past(row.deadline, now()) and not row.answer else ""
    return f"{time_text(row.deadline)}{over}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def short_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name in at most four letters, for a small cell: `zero-shot classification` is `ZSC`."""
    return tuple(_short(name) for name in names)


def _short(name: str) -> str:
    words = name.replace("-", " ").split()
    if len(words) == 1:
        return name[:4].upper()
    return "".join(word[0] for word in words[:4]).upper()


COLUMNS: tuple[Column, ...] = (
    Column("repo", "Model", lambda row: row.job.ref.repo_id, 14, "Repository or folder"),
    Column(
        "verdict",
        "Verdict",
        verdict_text,
        8.5,
        "What a completed audit says; never that a model is clean. Sorted by what needs somebody first",
        sort=URGENCY,
    ),
    Column(
        "severity",
        "Severity",
        lambda row: row.severity,
        4.5,
        "What the exposed interfaces say: the worst entry over them",
    ),
    Column(
        "confidence",
        "Confidence",
        lambda row: row.confidence,
        6.5,
        "How much is known of the trigger: demonstrated, or anomalous",
    ),
    Column(
        "footprint",
        "Footprint",
        lambda row: row.carrier,
        5.5,
        "Component that carries the exposure",
    ),
    Column(
        "interface",
        "Exposed",
        lambda row: ", ".join(row.interfaces),
        8,
        "Deployment interfaces through which the effect is reachable, by the letters of their names",
        cells=lambda row: short_names(row.interfaces),
    ),
    Column(
        "exposure",
        "Exposure",
        lambda row: _number(row.exposure, ".2f"),
        4.5,
        "Largest measured difference over the reference, from −1 to 1",
        numeric=True,
    ),
    Column("target", "Target", lambda row: row.target, 5, "What the attacker wants"),
    Column(
        "triage",
        "Triage",
        lambda row: row.triage.replace("-", " "),
        6,
        "What people decided about the finding",
    ),
    Column(
        "state",
        "Job",
        lambda row: row.job.state.value.replace("-", " "),
        6,
        "Where the revision stands in the queue",
    ),
    Column(
        "base",
        "Base",
        lambda row: row.reference,
        5.5,
        "The clean base that the audit compared it with",
    ),
    Column("author", "Author", lambda row: row.author, 5, "Who published it, as its hub says"),
    Column(
        "downloads",
        "Downloads",
        lambda row: _number(row.downloads, ","),
        5.5,
        "As its hub counts them",
        numeric=True,
    ),
    Column("age", "Age", _age, 4.5, "Since it was discovered", ages=True),
    Column("assignee", "Assigned to", lambda row: row.assignee, 6, "Who shall look at its finding"),
    Column(
        "deadline",
        "Answer due",
        deadline_text,
        8.5,
        "Until when a dispute waits for an answer; local time",
        shown=False,
    ),
    Column(
        "answer",
        "Answer",
        lambda row: row.answer,
        9,
        "What the supplier answered to a dispute",
        shown=False,
    ),
    Column(
        "comment",
        "Comment",
        lambda row: row.comment,
        9,
        "The latest note of a decision about its finding",
    ),
    Column(
        "tag",
        "Tags",
        lambda row: ", ".join(row.tags),
        10,
        "The first 20 tags that its hub shows",
        cells=lambda row: row.tags,
    ),
    Column(
        "reason", "Reason", lambda row: reason_text(row.job), 20, "Why the job is in that state"
    ),
    Column(
        "revision",
        "Revision",
        lambda row: row.job.ref.revision[:8],
        5,
        "Commit of the repository",
        shown=False,
    ),
    Column(
        "channel",
        "Channel",
        lambda row: row.channel,
        4.5,
        "Where the trigger enters",
        shown=False,
    ),
    Column(
        "trigger",
        "Trigger",
        lambda row: row.trigger,
        7,
        "What makes the model misbehave",
        shown=False,
    ),
    Column(
        "updated",
        "Updated",
        lambda row: time_text(row.job.updated_at),
        8.5,
        "When the state of its job last changed; local time",
        shown=False,
    ),
)
PLACE = {column.name: at for at, column in enumerate(COLUMNS)}
"""Where each column stands in the model, whatever a view shows."""
