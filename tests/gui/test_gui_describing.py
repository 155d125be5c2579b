"""Describing what models are used for in the window: rules, editing, two who edit at once, own pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gui_factories as factories
import pytest
from activating import activate, named
from dife_gui.views.describing_dialog import DescribingDialog
from dife_gui.views.text import Label
from dife_gui.views.window import Window
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QLineEdit, QPlainTextEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.records import Artefact, DecisionState, DeploymentProfile
from dife_scanner.store import artefacts, deciding, decisions, deployments
from dife_scanner.store.db import Store

Open = Callable[[], Window]
SOON = round(1000 * BUSY_SECONDS)
SHOP = DeploymentProfile(
    "shop",
    ("targeted retrieval", "zero-shot classification"),  # not in the order of the cards
    classes=("boot", "shoe"),
    k=5,
)
MODELS = ("demo/clip-badtexttower", "demo/clip-badencoder", "demo/clip-badencoder-twin")


@pytest.fixture
def shop(filled: Store) -> Store:
    """A deployment for which one model is approved, one refused, and nobody decided about a third."""
    deployments.add(filled, SHOP, "ada")
    states = (DecisionState.APPROVED, DecisionState.REFUSED)
    for name, state in zip(MODELS, (*states, None), strict=True):
        job = artefacts.newest_revision(filled, name)
        assert job is not None
        artefacts.keep(filled, job.id, Artefact(f"art1:{factories.sha(name)}", ()))
        if state is not None:
            subjects = deciding.subjects_of(filled, [job.id])
            deciding.decide(filled, subjects, "shop", deciding.Asked(state, "looked at", "ada"))
    return filled


def opened(qtbot: QtBot, window: Window) -> DescribingDialog:
    qtbot.waitUntil(lambda: window.describing.dialog is not None, timeout=SOON)
    assert window.describing.dialog is not None
    return window.describing.dialog


def edit_shop(qtbot: QtBot, window: Window) -> DescribingDialog:
    window.commands.run("show_deployments")
    page = window.describing.page
    qtbot.waitUntil(lambda: "Edit shop" in names(page, QPushButton), timeout=SOON)
    named(page, QPushButton, "Edit shop").click()
    return opened(qtbot, window)


def names(top: QWidget, kind: type[QWidget]) -> list[str]:
    return [one.accessibleName() for one in top.findChildren(kind)]


def told(top: QWidget) -> str:
    """Everything that can be read on it."""
    return " ".join(one.text() for one in top.findChildren(Label) if one.isVisibleTo(top))


def keep(dialog: DescribingDialog) -> None:
    named(dialog, QPushButton, "Keep the deployment").click()


def test_the_rules_are_told_beside_the_fields_once_it_is_to_be_kept(
    qtbot: QtBot, open_window: Open, store: Store
) -> None:
    """The key opens the dialog; it keeps nothing until every field is right, and loses nothing of what was typed."""
    window = open_window()
    activate(qtbot, window)
    qtbot.keyClick(window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    dialog = opened(qtbot, window)
    assert len(names(dialog, QCheckBox)) == 15 and "" not in names(dialog, QCheckBox)
    assert "does a triggered source query return a target picture" in told(dialog)
    named(dialog, QLineEdit, "Name").setText("The Shop")
    named(dialog, QPlainTextEdit, "Templates").setPlainText("a photo\n\n")
    named(dialog, QLineEdit, "K").setText("5000")
    assert "is no name" not in told(dialog)  # while somebody types
    keep(dialog)
    for problem in (
        "`The Shop` is no name for a deployment",
        "A deployment needs an interface: choose at least one",
        "A deployment needs class names or queries",
        "`a photo` is no template",
        "K is 5000: it is a number from 1 to 1000",
    ):
        assert problem in told(dialog)
    assert deployments.deployments(store) == []
    named(dialog, QLineEdit, "Name").setText("shop")
    assert "is no name" not in told(dialog)
    named(dialog, QPlainTextEdit, "Templates").setPlainText("  a photo of a {}.  ")
    named(dialog, QLineEdit, "K").setText("5")
    named(dialog, QCheckBox, "targeted retrieval").setChecked(True)
    named(dialog, QPlainTextEdit, "Queries").setPlainText("a red shoe")
    keep(dialog)
    qtbot.waitUntil(lambda: window.describing.dialog is None, timeout=SOON)
    (kept,) = deployments.deployments(store)
    assert kept.profile == DeploymentProfile(
        "shop",
        ("targeted retrieval",),
        templates=("a photo of a {}.",),
        queries=("a red shoe",),
        k=5,
    )
    assert "shop is kept as version 1" in window.around.status.currentMessage()


def test_the_page_says_what_each_holds_and_how_models_stand_for_it(
    qtbot: QtBot, open_window: Open, shop: Store
) -> None:
    window = open_window()
    activate(qtbot, window)
    qtbot.keyClick(window.models, Qt.Key.Key_5)
    page = window.describing.page
    qtbot.waitUntil(lambda: "1 approved · 1 refused" in told(page), timeout=SOON)
    for text in (
        "interfaces: targeted retrieval, zero-shot",
        "boot, shoe",
        "looked at: 5",
        "by ada",
    ):
        assert text in told(page)
    pending = decisions.undecided(shop, "shop")
    assert pending > 0 and f"{pending} pending" in told(page)
    window.describing.page.back.click()
    assert window.pages.shown == "models"


def test_editing_says_before_how_many_decisions_become_pending(
    qtbot: QtBot, open_window: Open, shop: Store
) -> None:
    window = open_window()
    dialog = edit_shop(qtbot, window)
    qtbot.waitUntil(lambda: bool(dialog._effect), timeout=SOON)
    assert "pending" not in told(dialog)  # as long as nothing is changed
    named(dialog, QPlainTextEdit, "Class names").setPlainText("boot\nshoe\nsandal")
    assert "makes 2 decisions pending (1 approved, 1 refused)" in told(dialog)
    keep(dialog)
    page = window.describing.page
    qtbot.waitUntil(lambda: "0 approved · 0 refused" in told(page), timeout=SOON)
    now = deployments.deployment(shop, "shop")
    assert now.version == 2
    assert now.profile == replace(SHOP, classes=("boot", "shoe", "sandal"))
    dialog = edit_shop(qtbot, window)
    keep(dialog)  # says the same
    qtbot.waitUntil(lambda: window.describing.dialog is None, timeout=SOON)
    assert "no new version" in window.around.status.currentMessage()
    assert deployments.deployment(shop, "shop").version == 2


def test_two_who_edit_one_profile_at_once_are_told_and_lose_nothing(
    qtbot: QtBot, open_window: Open, shop: Store
) -> None:
    window = open_window()
    dialog = edit_shop(qtbot, window)
    deployments.edit(shop, replace(SHOP, k=7), "bob")
    named(dialog, QPlainTextEdit, "Class names").setPlainText("clog")
    keep(dialog)
    qtbot.waitUntil(lambda: "bob kept version 2 meanwhile" in told(dialog), timeout=SOON)
    assert "which changes: K." in told(dialog)
    assert deployments.deployment(shop, "shop").version == 2
    assert named(dialog, QPlainTextEdit, "Class names").toPlainText() == "clog"
    keep(dialog)
    qtbot.waitUntil(lambda: window.describing.dialog is None, timeout=SOON)
    versions = deployments.history(shop, "shop")
    assert [(one.actor == "bob", one.profile.k) for one in versions[1:]] == [(True, 7), (False, 5)]


def test_a_deployment_that_is_removed_while_it_is_edited_can_be_kept_all_the_same(
    qtbot: QtBot, open_window: Open, shop: Store
) -> None:
    window = open_window()
    dialog = edit_shop(qtbot, window)
    deployments.remove(shop, "shop", "bob")
    named(dialog, QLineEdit, "K").setText("3")
    keep(dialog)
    qtbot.waitUntil(lambda: "Somebody removed it meanwhile" in told(dialog), timeout=SOON)
    keep(dialog)
    qtbot.waitUntil(lambda: window.describing.dialog is None, timeout=SOON)
    assert deployments.deployment(shop, "shop").profile == replace(SHOP, k=3)


def test_a_box_is_filled_from_a_file_or_says_why_not(
    qtbot: QtBot, open_window: Open, store: Store, tmp_path: Path
) -> None:
    window = open_window()
    window.commands.run("describe_deployment")
    dialog = opened(qtbot, window)
    names_file, other = tmp_path / "names.txt", tmp_path / "other"
    names_file.write_text("boot\n\n  shoe \n", encoding="utf-8")
    other.write_bytes(b"\xff\xfe\x00")
    dialog.file_chosen.emit("classes", names_file)
    box = named(dialog, QPlainTextEdit, "Class names")
    qtbot.waitUntil(lambda: box.toPlainText() == "boot\nshoe", timeout=SOON)
    for path, why in ((other, "is no text in UTF-8"), (tmp_path / "gone", "cannot be read")):
        dialog.file_chosen.emit("classes", path)
        qtbot.waitUntil(lambda why=why: why in told(dialog), timeout=SOON)
    assert box.toPlainText() == "boot\nshoe"
    dialog.reject()


def test_pictures_of_ones_own_are_read_by_the_scanner_before_anything_is_kept(
    qtbot: QtBot, open_window: Open, shop: Store, tmp_path: Path
) -> None:
    """What they hold counts: a folder without pictures is refused in the scanner's words, and nothing is kept."""
    own = tmp_path / "shoes"
    for name in ("boot", "shoe"):
        (own / name).mkdir(parents=True)
        (own / name / "1.png").write_bytes(name.encode())
    window = open_window()
    dialog = edit_shop(qtbot, window)
    pictures = named(dialog, QLineEdit, "Own pictures")
    pictures.setText(str(tmp_path / "nothing"))
    keep(dialog)
    assert "Reading the pictures" in told(dialog)
    assert not named(dialog, QPushButton, "Keep the deployment").isEnabled()
    qtbot.waitUntil(lambda: "there is nothing at" in told(dialog), timeout=SOON)
    assert deployments.deployment(shop, "shop").version == 1
    pictures.setText(str(own))
    keep(dialog)
    qtbot.waitUntil(lambda: window.describing.dialog is None, timeout=SOON)
    kept = deployments.deployment(shop, "shop").profile.pictures
    assert kept is not None and kept.path == str(own) and len(kept.digest) == 64
