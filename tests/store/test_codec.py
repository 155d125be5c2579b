"""What is stored stays what it was, byte for byte, whatever fields records get later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from store_records import make_audit

from dife_scanner.records import Audit, Budget, Position, StoredPlan, Trigger, TriggerKind
from dife_scanner.store import Store, audits, codec

OLD_AUDIT = (Path(__file__).parent / "assets" / "audit-without-plan.json").read_text(
    encoding="ascii"
)
"""As it was stored before audits had a plan and a decision, and hypotheses their checks."""


def test_an_old_audit_is_written_as_it_was() -> None:
    audit = codec.from_json(Audit, OLD_AUDIT)
    assert codec.to_json(audit) == OLD_AUDIT
    assert audit.plan is None and audit.decision is None and audit.signatures[0].checks == ()


def test_an_old_audit_that_is_kept_again_keeps_its_record(store: Store) -> None:
    audit = codec.from_json(Audit, OLD_AUDIT)
    with store.atomic("test"):
        audits.insert_audit(store, audit, audits.keep_record(store, audit))
        before = store.read("SELECT * FROM audits")
        audits.insert_audit(store, audit, audits.keep_record(store, audit))
        assert store.read("SELECT * FROM audits") == before


@dataclass(frozen=True)
class Inner:
    size: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    label: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


def test_fields_that_came_later_are_left_out_at_their_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(codec.CAME_LATER, Outer, frozenset(("counts",)))
    monkeypatch.setitem(codec.CAME_LATER, Inner, frozenset(("names",)))
    assert codec.to_json(Outer((Inner(0), Inner(2, ("a",))))) == (
        '{"inner":[{"size":0},{"names":["a"],"size":2}],"label":""}'
    )
    assert codec.to_json(Outer((), counts={"a": 1})) == '{"counts":{"a":1},"inner":[],"label":""}'


def test_of_a_plan_nothing_is_stored_at_its_default() -> None:
    square = Trigger("square", TriggerKind.PATCH, size=0.25)
    plan = StoredPlan(Budget.QUICK, 0, signatures=(square,))
    assert codec.to_json(plan) == (
        '{"budget":"quick","seed":0,"signatures":[{"kind":"patch","name":"square","size":0.25}]}'
    )
    assert codec.from_json(StoredPlan, codec.to_json(plan)) == plan
    assert '"alpha":1.0' in codec.to_json(square)


@pytest.mark.parametrize(
    "changes", [{}, {"plan": StoredPlan(Budget.DEEP, 3)}, {"profile": (), "evidence": ()}]
)
def test_an_audit_read_back_is_the_same(changes: dict[str, Any]) -> None:
    audit = replace(make_audit(), **changes)
    assert codec.from_json(Audit, codec.to_json(audit)) == audit


def test_a_position_is_taken_by_its_value_and_written_as_it() -> None:
    trigger = Trigger("word", TriggerKind.TEXT, text="zq", position="suffix")  # type: ignore[arg-type]
    assert trigger.position is Position.SUFFIX
    assert '"position":"suffix"' in codec.to_json(trigger)
    with pytest.raises(ValueError, match="middle"):
        Trigger("word", TriggerKind.TEXT, text="zq", position="middle")  # type: ignore[arg-type]
