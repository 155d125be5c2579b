"""Hundreds of models like one that was decided about: looked at and taken over in portions, and taken back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dife_gui.views.window import Window
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.records import Artefact, DecisionState, DeploymentProfile, Job, Standing
from dife_scanner.store import artefacts, deciding, decisions, deployments
from dife_scanner.store.db import Store

BAD = "demo/clip-badtexttower"
MANY = 600
LONG = round(6_000 * BUSY_SECONDS)


@pytest.fixture
def many(filled: Store) -> tuple[int, ...]:
    """The jobs of copies of one flagged model, each with files of its own; the model itself is refused for the shop."""
    profile = DeploymentProfile("shop", ("zero-shot classification",), classes=("boot",))
    deployments.add(filled, profile, "ada")
    first = artefacts.newest_revision(filled, BAD)
    assert first is not None
    artefacts.keep(filled, first.id, Artefact("art1:first", ()))
    (subject,) = deciding.subjects_of(filled, [first.id])
    asked = deciding.Asked(DecisionState.REFUSED, "looked at", "ada")
    deciding.decide(filled, [subject], "shop", asked)
    copy(filled, first)
    rows = filled.read("SELECT id FROM jobs WHERE repo_id LIKE 'copy/%' ORDER BY id")
    return tuple(row["id"] for row in rows)


def copy(store: Store, first: Job) -> None:
    """Rows as the store itself would have written them, in four statements for all."""
    columns = [row["name"] for row in store.read("SELECT name FROM pragma_table_info('jobs')")]
    kept = ", ".join(one for one in columns if one not in ("id", "repo_id"))
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
    with store.atomic("test"):
        store.write(
            f"{numbers} INSERT INTO jobs (repo_id, {kept})"
            f" SELECT printf('copy/clip-%05d', i), {kept} FROM n, jobs WHERE id = ?",
            (MANY, first.id),
        )
        store.write(
            "INSERT INTO artefacts (id, record, first_at) SELECT 'art1:copy-' || j.id, a.record, a.first_at"
            " FROM jobs AS j, artefacts AS a WHERE j.repo_id LIKE 'copy/%' AND a.id = 'art1:first'",
        )
        store.write(
            "INSERT INTO artefact_jobs (job_id, artefact) SELECT id, 'art1:copy-' || id FROM jobs"
            " WHERE repo_id LIKE 'copy/%'",
        )


def states(store: Store) -> dict[str, int]:
    """How the copies stand by their last decision."""
    rows = store.read(
        "SELECT state, count(*) AS n FROM decisions WHERE artefact LIKE 'art1:copy-%' AND id IN"
        " (SELECT max(id) FROM decisions GROUP BY artefact) GROUP BY state"
    )
    return {row["state"]: row["n"] for row in rows}


def test_as_many_statements_for_each_however_many_there_are(
    many: tuple[int, ...], filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    read = Store.read

    def counting(store: Store, sql: str, parameters: object = ()) -> object:
        counted.append(sql)
        return read(store, sql, parameters)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "read", counting)

    def reads(number: int) -> int:
        counted.clear()
        found = deciding.scope(filled, many[:number], "shop")
        assert len(found.proposals) == number
        return len(counted)

    few, more = reads(20), reads(80)
    assert more - few == pytest.approx(3 * (few - reads(0)), rel=0.05)


def test_hundreds_are_taken_over_in_portions_while_the_window_reads_and_taken_back(
    qtbot: QtBot,
    open_window: Callable[[], Window],
    many: tuple[int, ...],
    filled: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []
    take_over = deciding.take_over

    def recorded(
        store: Store, wanted: tuple[deciding.Proposal, ...], *given: str
    ) -> list[Standing]:
        sizes.append(len(wanted))
        return take_over(store, wanted, *given)

    monkeypatch.setattr(deciding, "take_over", recorded)
    window = open_window()
    said: list[str] = []
    window.deploying.said.connect(said.append)
    window.deploying.ask(lambda _: many, "shop", take_over=True)
    qtbot.waitUntil(lambda: window.deploying.dialog is not None, timeout=LONG)
    looked = [one for one in said if one.startswith("Looked at")]
    assert len(looked) == MANY // deciding.PORTION - 1
    dialog = window.deploying.dialog
    assert dialog is not None
    ok = dialog.buttons.button(QDialogButtonBox.StandardButton.Ok)
    assert ok.text() == f"Take over {MANY} decisions"
    between: list[int] = []
    window.deploying.said.connect(
        lambda text: (
            window.deploying._background.read(
                lambda store: len(decisions.log(store)), between.append, lambda error: None
            )
            if text.startswith("Taken over for 100 ")
            else None
        )
    )
    ok.click()
    qtbot.waitUntil(lambda: window.deploying.dialog is None, timeout=LONG)
    assert sum(sizes) == MANY and max(sizes) == deciding.PORTION
    assert between and between[0] < MANY  # somebody else's reading came in between
    assert states(filled) == {"refused": MANY}
    window.deploying.take_back()
    qtbot.waitUntil(lambda: said[-1].startswith(f"{MANY} decisions taken back"), timeout=LONG)
    assert states(filled) == {"pending": MANY}
