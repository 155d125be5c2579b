"""The pages as Rich draws them. Whatever a stranger wrote goes through `safe`; colour is never the only signal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from dife_scanner.cli import shown
from dife_scanner.cli.top.desk import InFull, Listed, Overview, Pace
from dife_scanner.cli.top.keys import Key
from dife_scanner.cli.top.prompt import Prompt
from dife_scanner.cli.top.screen import PAGES, Page
from dife_scanner.cli.top.state import Top
from dife_scanner.durable import clock
from dife_scanner.records import Finding, FindingKind, Job
from dife_scanner.reports import status as status_page
from dife_scanner.reports.layout import heading, safe, state_mark
from dife_scanner.sentences.calibration import tally_text
from dife_scanner.sentences.jobs import queue_counts, queue_note, time_left_text, waiting_text
from dife_scanner.sentences.times import age_text
from dife_scanner.sentences.triage import counts_text, event_text, findings_text
from dife_scanner.sentences.watching import reason_text
from dife_scanner.store.upcoming import Upcoming

_HEAD = 2
"""Lines above a page."""
_MOST_FOOT = 4
"""Lines below it, where a question or an error is long."""
_NARROW = 72
"""Columns below which the list of findings says less of each."""
_LOUD = (FindingKind.FLAGGED, FindingKind.REFUSED, FindingKind.CHANGED)
_HINT = "? keys  1 2 3 pages  / filter  Enter open  c f a t d decide  z take back  q quit"
_CHOSEN, _MARKED = ">", "●"


def draw(top: Top, console: Console) -> Layout:
    """The whole screen at the console's size; also tells `top` how many lines there are to move through."""
    width, height = console.size
    foot = _foot(top, width)
    below = min(len(foot.wrap(console, width)), _MOST_FOOT)
    top.screen = max(1, height - _HEAD - below)
    layout = Layout()
    layout.split_column(
        Layout(_head(top, width), size=_HEAD),
        Layout(_body(top, console), ratio=1),
        Layout(foot, size=below),
    )
    return layout


def _head(top: Top, width: int) -> RenderableType:
    names = []
    for number, page in enumerate(PAGES, 1):
        name = f"{number} {page.value.capitalize()}"
        here = page is top.page or (page is Page.FINDINGS and top.page is Page.IN_FULL)
        names.append(f"[{name}]" if here else f" {name} ")
    line = Text("DIFE  ", "bold").append("  ".join(names), "not bold")
    marks = f"{len(top.marks)} marked  " if top.marks else ""
    of_day = f"{marks}{clock.moment().astimezone():%H:%M}"
    line.append(of_day.rjust(max(0, width - line.cell_len)))
    return Group(line, _second_line(top))


def _second_line(top: Top) -> Text:
    """The filter, and how many findings it lets through; nothing on other pages."""
    if top.page is not Page.FINDINGS:
        return Text("")
    listed = top.listed
    count = findings_text(listed.count)
    if listed.count > len(listed.rows):
        count += f", the first {len(listed.rows):,} listed"
    written = safe(top.filter, 200)
    if top.filter and not top.is_filtered:
        return Text.assemble("filter off: ", written, f"  ({count})", style="dim")
    if top.filter:
        return Text.assemble("filter: ", written, f"  ({count})")
    return Text(count)


def _foot(top: Top, width: int) -> Text:
    """What is asked, with what came of it so far above; or what was said last, or which keys there are."""
    said = Text("")
    if top.message:
        mark = "! " if top.is_alarm else ""
        said = safe(mark + top.message, 2 * width, "bold" if top.is_alarm else "")
    if top.prompt is None:
        return said if top.message else Text(_HINT, "dim")
    if top.message:
        said.append("\n")
    return said.append_text(_asked(top.prompt, width))


def _asked(prompt: Prompt, width: int) -> Text:
    """A question with the end of what was typed, which is where the cursor is."""
    question = safe(prompt.question, 2 * width)
    if prompt.yes_or_no:
        return Text.assemble(question, " ", ("_", "reverse"))
    typed = safe(prompt.text, len(prompt.text) + 1).plain[-width // 2 :]
    space = " " if prompt.text.endswith(" ") else ""
    return Text.assemble(question, ": ", typed, space, ("_", "reverse"))


def _body(top: Top, console: Console) -> RenderableType:
    if top.page is Page.FINDINGS:
        narrow = console.width < _NARROW
        return findings(top.listed, top.at[Page.FINDINGS], top.marks, _seen(top, 1), narrow)
    if top.page is Page.QUEUE and top.queue is not None:
        queued = top.queue
        count = len(queued.working) + len(queued.waiting) + len(queued.stuck)
        top.lines[Page.QUEUE] = count
        top.at[Page.QUEUE] = max(0, min(top.at[Page.QUEUE], count - 1))
        return queue(queued, top.pace, top.at[Page.QUEUE], _seen(top, 3))
    return _scrolled(top, console, _long(top))


def _long(top: Top) -> RenderableType:
    """A page that is read from top to bottom."""
    if top.page is Page.HELP:
        return help_page(top.keys)
    if top.page is Page.IN_FULL and top.in_full is not None:
        return in_full(top.in_full, top)
    if top.overview is not None:
        return overview(top.overview)
    return Text("reading…", "dim")


def _seen(top: Top, above: int) -> int:
    """Rows that fit below `above` lines."""
    return max(1, top.screen - above)


def _scrolled(top: Top, console: Console, page: RenderableType) -> RenderableType:
    """From the first line in sight on."""
    options = console.options.update(width=console.width, height=None)
    lines = console.render_lines(page, options, pad=False)
    top.lines[top.page] = max(1, len(lines) - top.screen + 1)
    first = max(0, min(top.at[top.page], top.lines[top.page] - 1))
    top.at[top.page] = first
    return _Lines(lines[first : first + top.screen])


class _Lines:
    """Lines that are rendered already."""

    def __init__(self, lines: Sequence[list[Segment]]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield Segments(line, new_lines=False)
            yield Segment.line()


# --- pages ------------------------------------------------------------------------------------------------------


def overview(found: Overview) -> RenderableType:
    """How things stand, and what nobody has looked at yet."""
    lines = status_page.lines(found.status)
    lines.append(tally_text(found.tally))
    counts = counts_text(found.triage)
    shown_lines: list[RenderableType] = [safe(line, 300) for line in lines]
    shown_lines += [heading("Findings"), safe(counts or "none yet", 300)]
    if found.newest:
        shown_lines += [heading("Open, the last seen first"), *map(_line, found.newest)]
    return Group(*shown_lines)


def _line(finding: Finding) -> Text:
    return safe(f"{finding.kind.value}  {finding.ref.repo_id}  {finding.reason}", 160)


def queue(
    found: Upcoming, pace: Pace, at: int | None = None, most: int | None = None
) -> RenderableType:
    """What is in work, what waits in which order and why, and what is stuck; `at`: the selected line."""
    now = clock.moment()
    rows: list[tuple[RenderableType, ...]] = []
    for job in found.working:
        since = f"for {age_text(job.updated_at, now).removesuffix(' ago')}"
        rows.append(_job(job, since, found.progress.get(job.id) or reason_text(job)))
    for place, one in enumerate(found.waiting):
        goes_on = one.due and not found.paused
        left = time_left_text(place, pace.workers, pace.seconds) if goes_on else ""
        rows.append(_job(one.job, left, waiting_text(one, now)))
    for job in found.stuck:
        rows.append(_job(job, "r: again", reason_text(job)))
    above = [safe(line, 200) for line in (queue_counts(found), queue_note(found)) if line]
    for line in above:
        line.no_wrap, line.overflow = True, "ellipsis"
    if not rows:
        return Group(*above, Text("Nothing is queued.", "dim"))
    table = _list(("job", 6), ("model", None), ("state", 12), ("left", 10), ("why", None))
    _add(table, rows, at, most)
    return Group(*above, table)


def _job(job: Job, left: str, why: str) -> tuple[RenderableType, ...]:
    return (
        Text(str(job.id)),
        safe(job.ref.repo_id),
        state_mark(job.state),
        Text(left),
        safe(why, 200),
    )


def findings(
    found: Listed,
    at: int | None = None,
    marks: Iterable[str] = (),
    most: int | None = None,
    narrow: bool = False,
) -> RenderableType:
    """One finding a line; `at`: the selected one; `narrow`: without footprint and target."""
    if not found.rows:
        why = "No finding matches." if found.filter else "No finding yet."
        return Text(f"{why} That is not a statement about any model.", "dim")
    now = clock.moment()
    wide = () if narrow else (("footprint", 9), ("target", 12))
    table = _list(("model", None), ("kind", 9), *wide, ("triage", 14), ("age", 6))
    marked = frozenset(marks)
    rows = [_finding(one, one.fingerprint in marked, now, narrow) for one in found.rows]
    _add(table, rows, at, most)
    return table


def _finding(one: Finding, marked: bool, now: datetime, narrow: bool) -> tuple[RenderableType, ...]:
    loud = "bold red" if one.kind in _LOUD else "yellow"
    name = safe(one.ref.repo_id, 120)
    wide = () if narrow else (safe(one.carrier), safe(one.target))
    return (
        Text.assemble(f"{_MARKED} ", name) if marked else name,
        Text(one.kind.value, loud),
        *wide,
        Text(one.triage.value),
        Text(age_text(one.created_at, now).removesuffix(" ago")),
    )


def _list(*columns: tuple[str, int | None]) -> Table:
    """An empty list, whose cells are cut and not folded: titles, and their widths where these are given.

    Its first column shows which line is selected.
    """
    table = Table(header_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column("", width=1)
    for title, width in columns:
        ratio = 1 if width is None else None
        table.add_column(title, no_wrap=True, overflow="ellipsis", width=width, ratio=ratio)
    return table


def _add(
    table: Table,
    rows: Sequence[tuple[RenderableType, ...]],
    at: int | None,
    most: int | None,
) -> None:
    """Those in sight: the selected one always is."""
    first = 0
    if at is not None and most is not None:
        first = max(0, min(at - most // 2, len(rows) - most))
    last = len(rows) if most is None else first + most
    for place, row in enumerate(rows[first:last], first):
        chosen = place == at
        table.add_row(_CHOSEN if chosen else "", *row, style="reverse" if chosen else "")


def in_full(found: InFull, top: Top) -> RenderableType:
    """What is known of one finding, with what people decided about it."""
    finding = found.found.finding
    assert finding is not None
    page = shown.render(top.desk.settings.home, found.found, full=top.every_number)
    decided: list[RenderableType] = [heading("What people decided")]
    for event in reversed(found.events):
        decided.append(safe(event_text(event, finding.ref.repo_id), 400))
    if not found.events:
        decided.append(Text("nothing yet", "dim"))
    return Group(page, *decided)


def help_page(keys: Iterable[Key]) -> RenderableType:
    """Every key."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key in keys:
        table.add_row(Text(key.shown or key.names[0], "bold"), Text(key.does))
    return table
