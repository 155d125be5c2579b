"""One model in full: what the audit says, why, how it was measured, and what people decided."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from dife_gui.feed import Detail, Picture
from dife_gui.views import record, theme
from dife_gui.views.card import Card, Columns, lines, row, stack
from dife_gui.views.checks import checks
from dife_gui.views.columns import columns_view
from dife_gui.views.evidence import examples, probe_drawings, trigger_view
from dife_gui.views.flip import Flip, flip
from dife_gui.views.for_deployments import for_deployments
from dife_gui.views.keys import fixed_action
from dife_gui.views.marks import VerdictMark
from dife_gui.views.profile import exposure_profile
from dife_gui.views.rankings import rankings
from dife_gui.views.swap import branch_swap
from dife_gui.views.text import Label, heading, small
from dife_gui.views.triage import Triage
from dife_scanner.figures import layers, random_texts
from dife_scanner.figures.drawings import Drawings
from dife_scanner.figures.rankings import SideBySide
from dife_scanner.figures.tokens import token_lines
from dife_scanner.records import Audit, Finding, FindingKind, Verdict
from dife_scanner.sentences import plain
from dife_scanner.sentences.audits import headline, power_sentence, same_weights_text
from dife_scanner.sentences.basis import why, would_change
from dife_scanner.sentences.calibration import calibration_lines
from dife_scanner.sentences.checks import lacking
from dife_scanner.sentences.findings import confidence_text, finding_sentence
from dife_scanner.sentences.jobs import job_sentence
from dife_scanner.sentences.numbers import count
from dife_scanner.sentences.ranks import rank_lines
from dife_scanner.sentences.times import time_text
from dife_scanner.sentences.watching import reason_text, scan_text

_TONE = {
    Verdict.FLAGGED: "alarm",
    Verdict.INHERITED: "caution",
    Verdict.INCONCLUSIVE: "caution",
}
REFUSED_MEANS = (
    "That means: the files are not what they say they are, or try what weights have no need of, for instance to run a "
    "program while they are read. Nothing was run. Whether the weights have a backdoor is not known. What would change "
    "it: other files."
)
_SCROLL_STEP = 3
"""Lines of text that one press of j or k scrolls."""
_SCROLLS = {"next": _SCROLL_STEP, "previous": -_SCROLL_STEP}
_NAME_CHARACTERS = 90
"""Of the checkpoint's name in the first line, which does not wrap."""


class DetailPane(QScrollArea):
    """Shows one `Detail`; showing an equal one again changes nothing, another state of the same keeps the place."""

    left = Signal()
    """Escape was pressed: back to the table."""
    deployment_asked = Signal(str)
    """Somebody wants to decide about the shown model for this deployment."""
    take_over_asked = Signal()
    """What was decided before about what is like it shall count for it too."""
    describe_asked = Signal()
    """Somebody wants to say what models are used for."""
    alike_asked = Signal()
    """All models that are like it shall be marked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setAccessibleName("Details of the selected model")
        self._detail: Detail | None = None
        self.triage = Triage()
        self._header = QWidget()
        self._checks = Card("Checks")
        self._profile = Card("Exposure profile")
        self._swap = Card("Footprint: which component carries it")
        self._beside = Card(random_texts.TITLE)
        self._trigger = Card("Trigger")
        self._flip = Card("One input, clean and with the trigger")
        self._flipped: Flip | None = None
        self._examples = Card("Clean against triggered")
        self._triage = Card("Triage")
        self._deployments = Card("For deployments")
        self._ranks = Card("What it does to what is found and selected")
        self._layers = Card(layers.TITLE)
        self._revisions = Card("Revisions over time")
        self._signatures = Card("Hypotheses tried")
        self._budget = Card("Budget and limits")
        self._record = Card("Record")
        self._triage.set_body(self.triage)
        self._columns = Columns(
            left=[
                self._checks,
                self._profile,
                self._swap,
                self._beside,
                self._layers,
                self._revisions,
            ],
            right=[self._trigger, self._flip, self._triage, self._deployments, self._examples],
        )
        self._empty = Label("Select a model to see what was measured.", tone="muted")
        self._page = QWidget()
        self._layout = QVBoxLayout(self._page)
        margin = theme.gap(0.7)
        self._layout.setContentsMargins(margin, theme.gap(0.6), margin, margin)
        self._layout.setSpacing(margin)
        self._layout.addWidget(self._empty)
        self._layout.addWidget(self._header)
        for part in (self._columns, self._ranks, self._signatures, self._budget, self._record):
            self._layout.addWidget(part)
        self._layout.addStretch(1)
        self.setWidget(self._page)
        self.show_detail(None)

    @property
    def detail(self) -> Detail | None:
        """What is shown."""
        return self._detail

    def show_detail(self, detail: Detail | None) -> None:
        """Show another model, another state of the same, or nothing."""
        if detail is not None and detail == self._detail:
            return
        place = 0
        if self._is_shown(detail):
            place = self.verticalScrollBar().value()
        self._detail = detail
        self._empty.setVisible(detail is None)
        self._replace_header(_header(detail) if detail else QWidget())
        if detail is None:
            self._clear()
        else:
            self._fill(detail)
        self._columns.fold()
        # The page gets its new height at the next turn of the event loop; before, the bar would not go that far.
        QTimer.singleShot(0, self, lambda: self.verticalScrollBar().setValue(place))

    @property
    def flipped(self) -> Flip | None:
        """The picture with a trigger that is shown; `None` where there is none."""
        return self._flipped

    def _is_shown(self, detail: Detail | None) -> bool:
        """Whether it is about the revision that is on screen."""
        if detail is None or self._detail is None:
            return False
        return detail.row.job.id == self._detail.row.job.id

    def _clear(self) -> None:
        self._clear_audit()
        self._record.set_body(None)
        self._revisions.set_body(None)
        self._deployments.set_body(None)
        self._triage.hide()

    def _clear_audit(self) -> None:
        self._flipped = None
        for card in (
            self._ranks,
            self._layers,
            self._checks,
            self._profile,
            self._swap,
            self._beside,
            self._trigger,
            self._flip,
            self._examples,
            self._signatures,
            self._budget,
        ):
            card.set_body(None)

    def _fill(self, detail: Detail) -> None:
        if detail.audit is None:
            self._clear_audit()
        else:
            self._fill_audit(detail, detail.audit)
        self._record.set_body(record.hashes(detail))
        self._revisions.set_body(record.revisions(detail))
        self._deployments.set_body(
            for_deployments(
                detail,
                self.deployment_asked.emit,
                self.take_over_asked.emit,
                self.alike_asked.emit,
                self.describe_asked.emit,
            )
        )
        self._triage.setVisible(detail.finding is not None)
        self.triage.show_detail(detail)

    def _fill_audit(self, detail: Detail, audit: Audit) -> None:
        pictures = detail.pictures
        self._checks.set_body(checks(audit))
        self._profile.set_body(exposure_profile(audit.profile) if audit.profile else None)
        self._swap.set_body(branch_swap(audit))
        self._beside.set_body(_beside(audit))
        self._ranks.set_body(_ranks(audit, detail.rankings))
        self._layers.set_body(_layers(audit))
        self._trigger.set_body(_trigger(audit, pictures, detail.drawings))
        self._flipped = flip(audit, pictures)
        self._flip.set_body(self._flipped)
        self._examples.set_body(examples(audit, pictures))
        self._signatures.set_body(record.signatures(audit.signatures))
        self._budget.set_body(record.budget(audit))

    def _replace_header(self, header: QWidget) -> None:
        self._layout.replaceWidget(self._header, header)
        self._header.hide()
        self._header.deleteLater()
        self._header = header

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._columns.arrange(self.viewport().width())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        does = fixed_action(event)
        if does == "back":
            self.left.emit()
        elif does in _SCROLLS:
            bar = self.verticalScrollBar()
            step = round(_SCROLLS[does] * theme.em(self))
            bar.setValue(bar.value() + step)
        else:
            super().keyPressEvent(event)


def _trigger(audit: Audit, pictures: Sequence[Picture], drawings: Drawings | str) -> QWidget | None:
    """The trigger, of one in a text the tokens it is cut into, and drawings of what it leads to."""
    view = trigger_view(audit, pictures)
    if view is None:
        return None
    parts = [view, *_tokens(audit)]
    if isinstance(drawings, Drawings):
        parts.append(probe_drawings(drawings))
    elif drawings:
        parts.append(small(drawings))
    return stack(parts, spacing=0.25)


def _tokens(audit: Audit) -> list[QWidget]:
    said = token_lines(audit)
    if not said:
        return []
    first, *rest = said
    return [Label(first, font=theme.monospace()), *map(small, rest)]


def _beside(audit: Audit) -> QWidget | None:
    """What random texts do in the same suspect, or why that was not measured; `None` without a trigger."""
    found = random_texts.random_texts(audit)
    if isinstance(found, str):
        return Label(found, tone="muted") if found else None
    return columns_view(found)


def _ranks(audit: Audit, found: tuple[SideBySide, ...] | str) -> QWidget | None:
    """How far targets move up, and what stood first for a typical query; `None` where nothing ranks."""
    parts: list[QWidget] = []
    said = rank_lines(audit)
    if said:
        parts.append(lines(said, tone="normal"))
    if isinstance(found, str):
        parts += [Label(found, tone="muted")] if found else []
    else:
        parts.append(rankings(found))
    return stack(parts) if parts else None


def _layers(audit: Audit) -> QWidget | None:
    """How far each layer is from the base's, or that it was not recorded; `None` where there is nothing to tell."""
    found = layers.layer_columns(audit)
    if isinstance(found, str):
        return Label(found, tone="muted") if found else None
    return stack([columns_view(tower) for tower in found])


def _header(detail: Detail) -> QWidget:
    """Name, verdict and the facts that are needed first."""
    verdict = _verdict(detail)
    sentence = Label(
        _sentence(detail),
        tone=_tone(detail),
        font=theme.sized(1.15, bold=True),
    )
    parts = [_name(detail), _marked(verdict, sentence)]
    for text in _reasons(detail, detail.audit, detail.finding):
        parts.append(Label(text))
    for text in lacking(detail.audit) if detail.audit else ():
        parts.append(Label(text, tone="caution", font=theme.sized(1.0, bold=True)))
    parts.append(Label(" · ".join(_facts(detail)), tone="muted"))
    if not detail.row.job.ref.local:
        parts.append(Label(scan_text(detail.hub_scan), tone="muted"))
    if detail.problem:
        parts.append(Label(detail.problem, tone="alarm"))
    if detail.audit is None:
        parts.append(lines(_waiting(detail)))
    return stack(parts, spacing=0.25)


def _verdict(detail: Detail) -> Verdict | None:
    """The audit's; the row's where the audit cannot be shown."""
    if detail.audit is not None:
        return detail.audit.verdict
    return detail.row.verdict


def _tone(detail: Detail) -> str:
    """The verdict's; a finding without one is a checkpoint that was refused."""
    verdict = _verdict(detail)
    if verdict is not None:
        return _TONE.get(verdict, "normal")
    return "alarm" if detail.finding else "normal"


def _name(detail: Detail) -> QWidget:
    """The checkpoint's name, with a button that copies it in full."""
    name = heading(plain(str(detail.row.job.ref), limit=_NAME_CHARACTERS))
    parts: list[QWidget] = [name]
    for what, value in record.identifiers(detail)[:1]:
        parts.append(record.CopyButton(what, value))
    return row(parts)


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
    """The sentence about the checkpoint that comes first."""
    if detail.audit is not None:
        return headline(detail.audit)
    if detail.finding is not None:
        return finding_sentence(detail.finding)
    return job_sentence(detail.row.job)


def _reasons(detail: Detail, audit: Audit | None, found: Finding | None) -> list[str]:
    """Why it is so: of the audit, or of the state where there is none and the sentence does not say it already."""
    if audit is not None:
        shared = same_weights_text(audit, detail.row.job.ref)
        lines = [
            shared,
            power_sentence(audit),
            why(audit),
            f"What would change it: {would_change(audit)}.",
        ]
        if audit.decision is not None:  # else the stored reason ends with them already
            lines += audit.notes
        return [text for text in (*lines, *calibration_lines(audit)) if text]
    if found is not None and found.kind is FindingKind.REFUSED:
        return [REFUSED_MEANS]
    if found is None and detail.row.job.reason:
        return [reason_text(detail.row.job)]
    return []


def _facts(detail: Detail) -> list[str]:
    audit = detail.audit
    found = detail.finding
    facts: list[str] = []
    if found is not None:
        facts.append(f"severity {found.severity}")
        facts.append(confidence_text(found.confidence))
    if audit is not None and audit.diagnosis is not None:
        facts.append(f"footprint {audit.diagnosis.carrier.value}")
        facts.append(f"channel {audit.diagnosis.channel.value}")
    if audit is not None and audit.reference:
        facts.append(f"compared with {audit.reference}")
    elif audit is not None:
        facts.append("no reference fitted")
    facts.append(f"{detail.row.job.state.value} {time_text(detail.row.job.updated_at)}")
    return [fact for fact in facts if fact]


def _waiting(detail: Detail) -> list[str]:
    """What is known about a revision that has no audit."""
    job = detail.row.job
    facts: list[str] = []
    if job.next_check_at:
        facts.append(f"Looked at again {time_text(job.next_check_at)}")
    if job.attempts:
        facts.append(f"{count(job.attempts, 'try', 'tries')} ended in an error that may pass")
    if job.deaths:
        facts.append(f"{count(job.deaths, 'audit process', 'audit processes')} died on it")
    if job.endpoint:
        facts.append(f"Found on {job.endpoint}, {time_text(job.created_at)}")
    return facts
