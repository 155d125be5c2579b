"""Deciding for deployments in the window: one or many, what was decided before, and two who decide at once."""

from __future__ import annotations

from collections.abc import Callable

import gui_factories as factories
import pytest
from activating import activate, named
from dife_gui.views.deployment_dialog import DeploymentDialog
from dife_gui.views.text import Label
from dife_gui.views.window import Window
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDialogButtonBox,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
)
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.records import (
    Artefact,
    DecisionState,
    DeploymentDecision,
    DeploymentProfile,
    JobState,
)
from dife_scanner.store import artefacts, deciding, decisions, deployments
from dife_scanner.store.db import Store

Open = Callable[[], Window]
SOON = round(1000 * BUSY_SECONDS)
OK = QDialogButtonBox.StandardButton.Ok
BAD = "demo/clip-badtexttower"
COPIES = tuple(f"copy/texttower-{number}" for number in range(3))


@pytest.fixture
def desk(filled: Store) -> Store:
    """Two deployments; a flagged model and three copies of its text tower, the files of each on record."""
    for name, interface in (("shop", "zero-shot classification"), ("search", "targeted retrieval")):
        deployments.add(filled, DeploymentProfile(name, (interface,), classes=("boot",)), "ada")
    first = factories.make_audit(BAD)
    keep_files(filled, BAD)
    for name in COPIES:
        audit = factories.make_audit(name, text_tower=first.text_tower)
        finding = factories.make_finding(audit, name=name)
        factories.finish(filled, name, JobState.DONE, audit.reason, audit, finding)
        keep_files(filled, name)
    return filled


def keep_files(store: Store, name: str) -> None:
    artefacts.keep(store, job_of(store, name), Artefact(f"art1:{factories.sha(name)}", ()))


def job_of(store: Store, name: str) -> int:
    found = artefacts.newest_revision(store, name)
    assert found is not None
    return found.id


def made_for(store: Store, name: str, deployment: str) -> list[DeploymentDecision]:
    return decisions.about(store, f"art1:{factories.sha(name)}", deployment)


def decide(store: Store, name: str, deployment: str, state: DecisionState, actor: str) -> None:
    (subject,) = deciding.subjects_of(store, [job_of(store, name)])
    deciding.decide(store, [subject], deployment, deciding.Asked(state, "looked at", actor))


def select(qtbot: QtBot, window: Window, job: int) -> None:
    assert window.models.choose(job)
    qtbot.waitUntil(
        lambda: window.detail.detail is not None and window.detail.detail.row.job.id == job,
        timeout=SOON,
    )


def press(qtbot: QtBot, window: Window, key: Qt.Key) -> None:
    activate(qtbot, window)
    window.models.setFocus()
    qtbot.keyClick(window.models, key)


def opened(qtbot: QtBot, window: Window) -> DeploymentDialog:
    qtbot.waitUntil(lambda: window.deploying.dialog is not None, timeout=SOON)
    assert window.deploying.dialog is not None
    return window.deploying.dialog


def button(window: Window, name: str) -> QPushButton:
    page = window.detail.widget()
    (found,) = (
        one
        for one in page.findChildren(QPushButton)
        if one.accessibleName() == name and one.isVisibleTo(page)
    )
    return found


def reads(qtbot: QtBot, window: Window, *told: str) -> None:
    """Wait until all of it can be read on the selected model's page."""

    def texts() -> str:
        page = window.detail.widget()
        return " ".join(one.text() for one in page.findChildren(Label) if one.isVisibleTo(page))

    qtbot.waitUntil(lambda: [one for one in told if one not in texts()] == [], timeout=SOON)


def told(dialog: DeploymentDialog) -> str:
    """Everything that can be read on it."""
    return " ".join(one.text() for one in dialog.findChildren(Label) if one.isVisibleTo(dialog))


def choose(dialog: DeploymentDialog, state: DecisionState) -> None:
    dialog.state.setCurrentIndex(dialog.state.findData(state.value))


def describe(qtbot: QtBot, window: Window, name: str, interface: str) -> None:
    """Fill in the dialog that is open, and keep it."""
    describing = window.describing
    qtbot.waitUntil(lambda: describing.dialog is not None, timeout=SOON)
    dialog = describing.dialog
    assert dialog is not None
    named(dialog, QLineEdit, "Name").setText(name)
    named(dialog, QCheckBox, interface).setChecked(True)
    named(dialog, QPlainTextEdit, "Class names").setPlainText("boot\nshoe\n")
    named(dialog, QPushButton, "Keep the deployment").click()
    qtbot.waitUntil(lambda: describing.dialog is None, timeout=SOON)


def test_a_model_is_approved_for_one_deployment_and_refused_for_another(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """From a home without any, by the window alone: both are described on the way, and each says what counts."""
    keep_files(filled, BAD)
    window = open_window()
    select(qtbot, window, job_of(filled, BAD))
    reads(qtbot, window, "None is described here yet")
    button(window, "Describe a deployment…").click()
    describe(qtbot, window, "search", "targeted retrieval")
    reads(qtbot, window, "search: pending", "nobody has decided")
    button(window, "Decide for search").click()
    dialog = opened(qtbot, window)
    assert dialog.deployment.currentText() == "search"
    assert not dialog.buttons.button(OK).isEnabled()  # until somebody chose what is decided
    choose(dialog, DecisionState.REFUSED)
    dialog.buttons.button(OK).click()
    assert "needs a reason" in dialog._problem.text() and not made_for(filled, BAD, "search")
    dialog.reason.setText("its queries can be led astray")
    dialog.buttons.button(OK).click()
    reads(qtbot, window, "search: refused", "its queries can be led astray")
    qtbot.waitUntil(lambda: window.deploying.dialog is None, timeout=SOON)
    press(qtbot, window, Qt.Key.Key_D)
    dialog = opened(qtbot, window)
    named(dialog, QPushButton, "Describe a deployment").click()
    describe(qtbot, window, "shop", "zero-shot classification")
    assert dialog.deployment.currentText() == "shop"
    ok = dialog.buttons.button(OK)
    choose(dialog, DecisionState.CONDITIONS)
    qtbot.waitUntil(lambda: "For shop now" in told(dialog), timeout=SOON)
    assert "Audited: flagged." in told(dialog) and "It was flagged here." in told(dialog)
    assert not ok.isEnabled()  # a flagged model passes only once that was seen
    dialog.seen.setChecked(True)
    assert ok.isEnabled()
    dialog.reason.setText("no prompt comes from outside")
    dialog.conditions.setText("behind a filter")
    dialog.owner.setText("bob")
    dialog.expires.setText("90d")
    ok.click()
    reads(qtbot, window, "shop: conditions", "behind a filter", "search: refused")
    (shop,) = made_for(filled, BAD, "shop")
    assert (shop.owner, shop.conditions, shop.verdict) == ("bob", "behind a filter", "flagged")
    assert shop.expires and shop.actor
    assert [one.state for one in made_for(filled, BAD, "search")] == [DecisionState.REFUSED]
    kept = {one.profile.name: one.profile for one in deployments.deployments(filled)}
    assert kept["shop"] == DeploymentProfile(
        "shop", ("zero-shot classification",), classes=("boot", "shoe")
    )


def test_nothing_is_decided_before_a_deployment_is_described(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """The box for a decision says what is missing, offers it, and goes on with what was described."""
    keep_files(filled, BAD)
    window = open_window()
    select(qtbot, window, job_of(filled, BAD))
    press(qtbot, window, Qt.Key.Key_D)
    dialog = opened(qtbot, window)
    assert "None is described here yet" in " ".join(
        one.text() for one in dialog.findChildren(Label)
    )
    assert not dialog.state.isEnabled() and not dialog.buttons.button(OK).isEnabled()
    named(dialog, QPushButton, "Describe a deployment").click()
    describe(qtbot, window, "shop", "zero-shot classification")
    choose(dialog, DecisionState.APPROVED)
    dialog.reason.setText("a closed test")
    ok = dialog.buttons.button(OK)
    qtbot.waitUntil(lambda: "It was flagged here." in told(dialog), timeout=SOON)
    dialog.seen.setChecked(True)
    ok.click()
    qtbot.waitUntil(lambda: bool(made_for(filled, BAD, "shop")), timeout=SOON)
    status = window.around.status
    qtbot.waitUntil(lambda: "is approved for shop" in status.currentMessage(), timeout=SOON)
    window.commands.run("undo")  # is for triage, and this was no triage
    assert "The last decision was for a deployment: u" in status.currentMessage()


def test_an_earlier_decision_is_taken_over_for_all_that_are_like_it(
    qtbot: QtBot, open_window: Open, desk: Store
) -> None:
    """`*` marks the copies, `o` asks once with their number; what somebody decided about is left alone."""
    decide(desk, BAD, "shop", DecisionState.REFUSED, "ada")
    decide(desk, COPIES[2], "shop", DecisionState.PENDING, "eve")
    window = open_window()
    select(qtbot, window, job_of(desk, COPIES[0]))
    reads(qtbot, window, "earlier: same image tower, text tower", "may be taken over", BAD)
    press(qtbot, window, Qt.Key.Key_Asterisk)
    alike = {job_of(desk, name) for name in (BAD, *COPIES)}
    qtbot.waitUntil(lambda: window.table.marks == alike, timeout=SOON)
    press(qtbot, window, Qt.Key.Key_O)
    dialog = opened(qtbot, window)
    dialog.deployment.setCurrentText("shop")
    qtbot.waitUntil(lambda: len(dialog._scope.proposals) == 2, timeout=SOON)
    assert dialog.takes_over and not dialog.reason.isEnabled()
    assert dialog.buttons.button(OK).text() == "Take over 2 decisions"
    assert "not for 2 checkpoints: somebody has decided about it already" in dialog.shown_before
    dialog.buttons.button(OK).click()
    qtbot.waitUntil(lambda: bool(made_for(desk, COPIES[1], "shop")), timeout=SOON)
    reads(qtbot, window, "shop: refused", f"as for {BAD}")
    assert [len(made_for(desk, name, "shop")) for name in (BAD, *COPIES)] == [1, 1, 1, 1]
    assert made_for(desk, COPIES[2], "shop")[0].actor == "eve"
    assert not window.table.marks


def test_one_key_takes_over_for_the_selected_model_alone(
    qtbot: QtBot, open_window: Open, desk: Store
) -> None:
    decide(desk, BAD, "shop", DecisionState.REFUSED, "ada")
    window = open_window()
    select(qtbot, window, job_of(desk, COPIES[0]))
    press(qtbot, window, Qt.Key.Key_O)
    reads(qtbot, window, "shop: refused", f"as for {BAD}", "search: pending")
    assert not made_for(desk, COPIES[1], "shop")
    press(qtbot, window, Qt.Key.Key_O)
    told = window.around.status
    qtbot.waitUntil(lambda: "Nothing can be taken over" in told.currentMessage(), timeout=SOON)


def test_many_are_decided_about_at_once_with_the_rules_of_one(
    qtbot: QtBot, open_window: Open, desk: Store
) -> None:
    """All or none: a refusal among them stands until it is meant; the unrecorded files of others count for nothing."""
    decide(desk, COPIES[0], "search", DecisionState.REFUSED, "ada")
    window = open_window()
    window.filter.set_text("verdict:flagged")
    qtbot.waitUntil(lambda: 0 < window.table.rowCount() < 10, timeout=SOON)
    window.frame.decide_button.shown_for_deployment.trigger()
    dialog = opened(qtbot, window)
    assert "For search now: 1 refused, 3 pending." in [
        one.text() for one in dialog.findChildren(Label)
    ]
    assert dialog.buttons.button(OK).text() == "Decide about 4 checkpoints"
    choose(dialog, DecisionState.APPROVED)
    dialog.reason.setText("a closed test")
    assert "4 of them were flagged here." in told(dialog)
    dialog.seen.setChecked(True)
    dialog.buttons.button(OK).click()
    qtbot.waitUntil(lambda: "refused by ada" in dialog._problem.text(), timeout=SOON)
    assert not made_for(desk, BAD, "search")
    dialog.despite.setChecked(True)
    dialog.seen.setChecked(True)
    dialog.buttons.button(OK).click()
    qtbot.waitUntil(lambda: len(made_for(desk, COPIES[0], "search")) == 2, timeout=SOON)
    states = {made_for(desk, name, "search")[-1].state for name in (BAD, *COPIES)}
    assert states == {DecisionState.APPROVED}


def test_two_who_decide_for_a_deployment_at_once_see_a_conflict(
    qtbot: QtBot, open_window: Open, desk: Store
) -> None:
    window = open_window()
    select(qtbot, window, job_of(desk, BAD))
    reads(qtbot, window, "shop: pending")
    button(window, "Decide for shop").click()
    dialog = opened(qtbot, window)
    decide(desk, BAD, "shop", DecisionState.REFUSED, "bob")
    choose(dialog, DecisionState.APPROVED)
    dialog.seen.setChecked(True)
    dialog.reason.setText("looks fine")
    dialog.buttons.button(OK).click()
    qtbot.waitUntil(lambda: "meanwhile: refused by bob" in dialog._problem.text(), timeout=SOON)
    assert len(made_for(desk, BAD, "shop")) == 1
    dialog.reject()
