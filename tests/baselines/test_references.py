"""Which reference a checkpoint is compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from queue_kit import drawn_folder, work_for

from dife_scanner.app.references import add_reference
from dife_scanner.baselines.references import Fit, choose
from dife_scanner.errors import NotComparable, NotFound
from dife_scanner.models.likeness import UNTOLD, Likeness
from dife_scanner.progress import SILENT
from dife_scanner.queue import child, targets, worker
from dife_scanner.records import Job, Reference, Verdict
from dife_scanner.store import Store, audits


def reference(name: str, architecture: str = "V", added: str = "1") -> Reference:
    return Reference(name, "/r", "i", "t", "w", architecture, added)


KNOWN = [reference("vit", added="2"), reference("older"), reference("rn", "R", "0")]
STRANGER = Likeness(0.001, -0.002, 1.4)


def of(architecture: str) -> Callable[[Reference], bool]:
    """Which references have the tensors of a checkpoint of this architecture."""
    return lambda one: one.architecture == architecture


def apart(**distances: float | Likeness) -> Callable[[Reference], Likeness]:
    """How alike the checkpoint is to each reference, by its distance."""
    told = {n: Likeness(0.99, 0.99, d) if isinstance(d, float) else d for n, d in distances.items()}
    return lambda one: told.get(one.name, UNTOLD)


def name_of(measure: Callable[[Reference], Likeness], claim: str = "", wanted: str = "") -> str:
    found = choose(KNOWN, of("V"), claim, wanted, measure).reference
    return found.name if found else ""


def test_where_nothing_can_be_told_it_is_the_claimed_one_or_the_first_added() -> None:
    assert name_of(apart()) == "older"
    assert name_of(apart(), "someone/vit (finetune)") == "vit"
    assert choose(KNOWN, of("X"), "someone/vit").reference is None
    assert name_of(apart(), wanted="vit") == "vit"
    with pytest.raises(NotComparable):
        choose(KNOWN, of("V"), "", "rn")
    with pytest.raises(NotFound):
        choose(KNOWN, of("V"), "", "nobody")


def test_of_equally_near_ones_that_with_as_many_positions_is_taken() -> None:
    fit = {"vit": Fit.EXACT, "older": Fit.INTERPOLATED}
    known = [*KNOWN, reference("card", added="9")]

    def taken(claim: str, **distances: float) -> str:
        found = choose(
            known, lambda one: fit.get(one.name, Fit.NONE), claim, "", apart(**distances)
        )
        return found.reference.name if found.reference else ""

    assert taken("") == "vit"
    assert taken("someone/older") == "older"
    assert taken("", vit=0.5, older=0.02) == "older"


def test_the_nearest_one_is_taken_whatever_was_added_first() -> None:
    assert name_of(apart(vit=0.02, older=0.5)) == "vit"
    assert name_of(apart(vit=0.5, older=0.02)) == "older"
    assert name_of(apart(vit=0.0, older=0.02)) == "vit"
    chosen = choose(KNOWN, of("V"), "", "", apart(vit=0.02, older=0.5))
    assert (chosen.likeness.distance, chosen.notes) == (0.02, ())


def test_a_card_decides_between_those_that_are_as_near_and_is_contradicted_otherwise() -> None:
    assert name_of(apart(vit=0.0204, older=0.02), "someone/vit") == "vit"
    chosen = choose(KNOWN, of("V"), "someone/vit", "", apart(vit=0.5, older=0.02))
    assert chosen.reference == KNOWN[1]
    assert chosen.notes == (
        "its card names vit as its base; its weights are nearer to older's (0.02 apart, and 0.5 apart)",
    )
    unrelated = choose(KNOWN, of("V"), "someone/vit", "", apart(vit=STRANGER, older=0.02))
    assert unrelated.reference == KNOWN[1] and "(0.02 apart, and unrelated)" in unrelated.notes[0]


def test_a_stranger_to_all_is_put_beside_the_claimed_one_or_the_first_added() -> None:
    assert name_of(apart(vit=STRANGER, older=STRANGER)) == "older"
    chosen = choose(KNOWN, of("V"), "someone/vit", "", apart(vit=STRANGER, older=STRANGER))
    assert (chosen.reference, chosen.likeness.unrelated, chosen.notes) == (
        KNOWN[0],
        (True, True),
        (),
    )


def test_one_related_tower_is_enough_to_be_the_nearest() -> None:
    assert name_of(apart(vit=Likeness(0.99, 0.0, 1.0), older=STRANGER)) == "vit"


def test_a_named_reference_is_taken_and_a_much_nearer_one_is_told() -> None:
    chosen = choose(KNOWN, of("V"), "", "vit", apart(vit=0.5, older=0.02))
    assert chosen.reference == KNOWN[0]
    assert chosen.notes == (
        "compared with vit, as asked for, though older is nearer (0.02 apart, and 0.5 apart)",
    )
    assert choose(KNOWN, of("V"), "", "vit", apart(vit=0.03, older=0.02)).notes == ()
    stranger = choose(KNOWN, of("V"), "", "vit", apart(vit=STRANGER, older=0.02))
    assert stranger.likeness.unrelated == (True, True) and "unrelated" in stranger.notes[0]


# --- through the worker ---------------------------------------------------------------------------------------------


def scanned(store: Store, target: str, **changes: Any) -> Job:
    reference, plan = changes.pop("reference", ""), changes.pop("plan", {})
    work = work_for(store.home, **changes)
    work = replace(work, reference=reference, plan=replace(work.plan, **plan))
    job = targets.enqueue(
        store, target, work.settings.limits, lambda: pytest.fail("nothing is asked of a hub")
    )
    return worker.run_to_end(store, job, work)


def test_a_fine_tune_is_compared_with_the_base_it_was_made_of(store: Store, tmp_path: Path) -> None:
    settings = work_for(store.home).settings
    for number, name in enumerate(("first", "second")):
        add_reference(store, settings, drawn_folder(tmp_path / name, number), name, SILENT)
    job = scanned(
        store, drawn_folder(tmp_path / "of-second", 1, noise=0.1), audit="queue_kit:comparing"
    )
    assert job.reason.startswith("second, 0.1 apart, related related")
    asked = scanned(
        store,
        drawn_folder(tmp_path / "asked", 1, noise=0.2),
        audit="queue_kit:comparing",
        reference="first",
    )
    assert asked.reason.startswith("first, 1.4 apart, unrelated unrelated")
    assert "compared with first, as asked for, though second is nearer" in asked.reason


def test_a_reference_that_comes_later_is_looked_at(store: Store, tmp_path: Path) -> None:
    """Without one the audit is of another identity than with one that turned out to be another's."""
    before = scanned(store, drawn_folder(tmp_path / "early", 1))
    add_reference(
        store, work_for(store.home).settings, drawn_folder(tmp_path / "base", 0), "base", SILENT
    )
    after = scanned(store, drawn_folder(tmp_path / "late", 1))
    assert "same identity" not in after.reason and after.audit_id != before.audit_id


@pytest.mark.usefixtures("audit_server")
def test_a_model_that_came_from_no_reference_is_of_an_unknown_base_until_one_is_named(
    store: Store, tmp_path: Path
) -> None:
    add_reference(
        store, work_for(store.home).settings, drawn_folder(tmp_path / "base", 0), "base", SILENT
    )
    real: dict[str, Any] = {
        "audit": child.AUDIT,
        "preload": child.PRELOAD,
        "plan": {"probes_folder": None},
    }
    job = scanned(store, drawn_folder(tmp_path / "stranger", 1), **real)
    assert job.audit_id, job.reason
    record = audits.audit(store, job.audit_id)
    assert (record.verdict, record.reference) == (Verdict.INCONCLUSIVE, "")
    assert record.image_tower_unknown and record.text_tower_unknown
    assert "base has the same architecture and is not its base" in job.reason
    again = scanned(store, drawn_folder(tmp_path / "again", 1), **real)
    assert again.reason == f"same identity as audit {record.id}"
    assert record.turned_down == "base"
    named = scanned(store, drawn_folder(tmp_path / "named", 1), reference="base", **real)
    assert audits.audit(store, named.audit_id or "").reference == "base"
    assert "only because that was asked for" in named.reason
