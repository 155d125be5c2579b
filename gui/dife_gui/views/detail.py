"""One model in full: what the audit says, why, how it was measured, and what people decided."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from dife_gui.feed import Detail
from dife_gui.views import record, theme
from dife_gui.views.card import Card, Columns, lines, row, stack
from dife_gui.views.evidence import examples, trigger_view
from dife_gui.views.marks import VerdictMark
from dife_gui.views.profile import exposure_profile
from dife_gui.views.swap import branch_swap
from dife_gui.views.text import Label
from dife_gui.views.triage import Triage
from dife_scanner.records import Audit, Finding, Verdict
from dife_scanner.reports import plain, words

_TONE = {Verdict.FLAGGED: "alarm", Verdict.INHERITED: "caution", Verdict.INCONCLUSIVE: "caution"}


class DetailPane(QScrollArea):
    """Shows one `Detail`; showing an equal one again changes nothing, another state of the same keeps the place."""

    left = Signal()
    """Escape was pressed: back to the table."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setAccessibleName("Details of the selected model")
        self._detail: Detail | None = None
        self.triage = Triage()
        self._header = QWidget()
        self._profile, self._swap = Card("Exposure profile"), Card("Footprint: which component carries it")
        self._trigger, self._examples = Card("Trigger"), Card("Clean against triggered")
        self._triage, self._signatures = Card("Triage"), Card("Hypotheses tried")
        self._budget, self._record = Card("Budget and limits"), Card("Record")
        self._triage.set_body(self.triage)
        self._columns = Columns([self._profile, self._swap], [self._trigger, self._triage, self._examples])
        self._empty = Label("Select a model to see what was measured.", tone="muted")
        self._page = QWidget()
        self._layout = QVBoxLayout(self._page)
        self._layout.setContentsMargins(theme.gap(0.7), theme.gap(0.6), theme.gap(0.7), theme.gap(0.7))
        self._layout.setSpacing(theme.gap(0.7))
        cards = (self._columns, self._signatures, self._budget, self._record)
        for part in (self._empty, self._header, *cards):
            self._layout.addWidget(part)
        self._layout.addStretch(1)
        self.setWidget(self._page)
        self.show_detail(None)

    @property
    def detail(self) -> Detail | None:
        return self._detail

    def show_detail(self, detail: Detail | None) -> None:
        if detail is not None and detail == self._detail:
            return
        same = detail is not None and self._detail is not None and detail.row.job.id == self._detail.row.job.id
        place = self.verticalScrollBar().value() if same else 0
        self._detail = detail
        self._empty.setVisible(detail is None)
        self._replace_header(_header(detail) if detail else QWidget())
        self._fill(detail)
        QTimer.singleShot(0, self, lambda: self.verticalScrollBar().setValue(place))

    def _fill(self, detail: Detail | None) -> None:
        audit = detail.audit if detail else None
        self._profile.set_body(exposure_profile(audit.profile) if audit and audit.profile else None)
        self._swap.set_body(branch_swap(audit) if audit else None)
        self._trigger.set_body(trigger_view(audit, detail.pictures) if audit and detail else None)
        self._examples.set_body(examples(audit, detail.pictures) if audit and detail else None)
        self._signatures.set_body(record.signatures(audit.signatures) if audit else None)
        self._budget.set_body(record.budget(audit) if audit else None)
        self._record.set_body(record.hashes(detail) if detail else None)
        self._triage.setVisible(bool(detail and detail.finding))
        self._columns.fold()
        if detail is not None:
            self.triage.show_detail(detail)

    def _replace_header(self, header: QWidget) -> None:
        self._layout.replaceWidget(self._header, header)
        self._header.hide()
        self._header.deleteLater()
        self._header = header

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._columns.arrange(self.viewport().width())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
            return
        step = {Qt.Key.Key_J: 1, Qt.Key.Key_K: -1}.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        bar = self.verticalScrollBar()
        bar.setValue(bar.value() + step * round(3 * theme.em(self)))


def _header(detail: Detail) -> QWidget:
    job, audit, found = detail.row.job, detail.audit, detail.finding
    verdict = audit.verdict if audit else detail.row.verdict
    tone = _TONE.get(verdict, "normal") if verdict else "alarm" if found else "normal"
    sentence = Label(_sentence(detail), tone=tone, font=theme.sized(1.15, bold=True))
    title = _marked(verdict, sentence)
    name = Label(plain(str(job.ref), limit=90), font=theme.sized(1.0, bold=True), wrap=False)
    facts = Label(" · ".join(_facts(detail)), tone="muted")
    copies = [record.CopyButton(what, value) for what, value in record.identifiers(detail)[:1]]
    parts: list[QWidget] = [row([name, *copies]), title]
    parts += [Label(text) for text in _reasons(detail, audit, found)]
    parts.append(facts)
    if detail.problem:
        parts.append(Label(detail.problem, tone="alarm"))
    if not audit:
        parts.append(lines(_waiting(detail)))
    return stack(parts, spacing=0.25)


def _marked(verdict: Verdict | None, sentence: Label) -> QWidget:
    """The sentence with the verdict's shape at its first line."""
    mark = VerdictMark(verdict)
    mark.setFont(sentence.font())
    holder = QWidget()
    layout = QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(theme.gap(0.4))
    mark.setVisible(verdict is not None)
    layout.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
    layout.addWidget(sentence, 1)
    return holder


def _sentence(detail: Detail) -> str:
    if detail.audit is not None:
        return words.verdict_sentence(detail.audit)
    if detail.finding is not None:
        return words.finding_sentence(detail.finding)
    return words.job_sentence(detail.row.job)


def _reasons(detail: Detail, audit: Audit | None, found: Finding | None) -> list[str]:
    if audit is not None:
        return [*([audit.reason] if audit.reason else []), *words.calibration_lines(audit)]
    return [detail.row.job.reason] if detail.row.job.reason and found is None else []


def _facts(detail: Detail) -> list[str]:
    audit, found = detail.audit, detail.finding
    facts = []
    if found is not None:
        facts += [f"severity {found.severity}", words.confidence_text(found.confidence)]
    if audit is not None and audit.diagnosis is not None:
        facts += [f"footprint {audit.diagnosis.carrier.value}", f"channel {audit.diagnosis.channel.value}"]
    if audit is not None:
        facts.append(f"compared with {audit.reference}" if audit.reference else "no reference fitted")
    facts.append(f"{detail.row.job.state.value} {words.time_text(detail.row.job.updated_at)}")
    return [fact for fact in facts if fact]


def _waiting(detail: Detail) -> list[str]:
    """What is known about a revision that has no audit."""
    job = detail.row.job
    facts = []
    if job.next_check_at:
        facts.append(f"Looked at again {words.time_text(job.next_check_at)}")
    if job.attempts:
        facts.append(f"{words.count(job.attempts, 'try', 'tries')} ended in an error that may pass")
    if job.deaths:
        facts.append(f"{words.count(job.deaths, 'audit process', 'audit processes')} died on it")
    if job.endpoint:
        facts.append(f"Found on {job.endpoint}, {words.time_text(job.created_at)}")
    return facts
