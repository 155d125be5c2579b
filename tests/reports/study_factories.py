"""A study with every kind of entry in it: a text and an image trigger, a mechanism, and a checkpoint without audit."""

from __future__ import annotations

from dataclasses import replace

from dife_scanner.core.cards import CARDS
from dife_scanner.core.validity import judge, selector_control
from dife_scanner.records import (
    ArtefactMissing,
    Audit,
    BranchSwap,
    Budget,
    Carrier,
    Cell,
    Change,
    Channel,
    ComponentRepair,
    Condition,
    Diagnosis,
    Entry,
    EntryType,
    Interval,
    Measure,
    ModelRef,
    NotRun,
    SelectorControl,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.reports.study import Failure, Study, study
from dife_scanner.store.codec import restore

HOSTILE = "=cmd|' /C'!A0 <img src=x> $\\frac{a}{0}$ **b** [x](y)\x1b[2J\u202e\nname"
TEXT = Trigger("text-xbtd", TriggerKind.TEXT, text="xbtd", source="automobile", target="airplane")
PATCH = Trigger("white-square", TriggerKind.PATCH, size=0.15, x=0.82, y=0.82, target="airplane")
TEXT_CONDITION = Condition(frozenset({Channel.TEXT}), False, True, "automobile", "airplane")
IMAGE_CONDITION = Condition(frozenset({Channel.IMAGE}), False, False, "", "airplane")
MECHANISM = Condition(frozenset({Channel.IMAGE, Channel.PROMPT}), True, False, "", "airplane")


def interval(value, spread=0.02):
    return Interval(max(-1.0, value - spread), min(1.0, value + spread), "bootstrap over drawings")


def measure(value):
    return Measure(value, interval(value), 200, 10)


def cell(interface, metric, attack, reference, entry=EntryType.EXPOSED, **given):
    delta = attack - reference
    values = {
        "trigger": Change(delta - 0.01, interval(delta - 0.01)),
        "drift": Change(0.01, interval(0.01)),
    }
    return Cell(
        interface,
        metric,
        measure(attack),
        measure(reference),
        "the clean checkpoint",
        delta,
        interval(delta),
        entry,
        **{**values, "headroom": 1 - reference, **given},
    )


def profile(condition: Condition, attack: float, reference: float) -> tuple[Entry, ...]:
    """A cell for each well-formed question, the right absence or control for each other."""
    found: list[Entry] = []
    for card in CARDS:
        if selector_control(card, condition):
            drift = Change(-0.012, interval(-0.012))
            found.append(
                SelectorControl(
                    card.interface, "Sel@1", measure(0.24), measure(0.252), drift, "no text trigger"
                )
            )
        else:
            found.append(
                judge(card, condition) or cell(card.interface, card.metric, attack, reference)
            )
    return tuple(found)


def audit(
    name="lab/model",
    trigger=TEXT,
    condition=TEXT_CONDITION,
    *,
    attack=0.991,
    reference=0.035,
    **given,
) -> Audit:
    values = {
        "id": "ab" * 8,
        "identity": "cd" * 32,
        "ref": ModelRef(name, "ef" * 20),
        "architecture": "ViT 64/8",
        "reference": "vit-base",
        "image_tower": "11" * 32,
        "text_tower": "22" * 32,
        "image_tower_same": True,
        "text_tower_same": False,
        "audit_version": "dife-2",
        "budget": Budget.QUICK,
        "seed": 0,
        "signatures": (),
        "trigger": trigger,
        "branch_swap": BranchSwap(
            "QHR", 0.001, 0.001, 0.991, 0.991, 200, 10, (0.8, 0.8, 0.79, 0.79)
        ),
        "diagnosis": restore(
            Diagnosis,
            Carrier.TEXTUAL,
            condition.channel,
            0.99,
            0.0,
            1.0,
            0.0,
            "the text tower alone carries 100%",
        ),
        "profile": profile(condition, attack, reference),
        "agreement": "5 of 5 predicted interfaces are exposed",
        "verdict": Verdict.FLAGGED,
        "reason": "exposed",
        "clean_accuracy": 0.79,
        "reference_accuracy": 0.81,
        "prompt_drift": 0.01,
        "evidence": (),
        "encodes": 10,
        "distinct_inputs": 10,
        "device": "cpu",
        "versions": {"torch": "2.10.0"},
        "started_at": "2026-11-23T12:00:00+00:00",
        "seconds": 1.0,
        "condition": condition,
    }
    return Audit(**{**values, **given})


def whole() -> Study:
    """Three families, a hostile name, odd entries, and one checkpoint that could not be audited."""
    text = audit()
    odd = list(text.profile)
    odd[1] = NotRun(odd[1].interface, "needs a deeper budget")
    odd[2] = ArtefactMissing(
        odd[2].interface, "target pictures", "the pool manifest names a file that is gone"
    )
    odd[4] = cell(odd[4].interface, "ΔH@1", 0.5, 0.985, EntryType.NEGATIVE)
    odd[6] = cell(odd[6].interface, "ΔSel@1", 0.5, 0.5, EntryType.WEAK)
    image = audit(
        "lab/patch",
        PATCH,
        IMAGE_CONDITION,
        branch_swap=BranchSwap("zero-shot TS", 0.0988, 0.9998, 0.0988, 0.9998, 200, 10),
        diagnosis=restore(
            Diagnosis,
            Carrier.VISUAL,
            Channel.IMAGE,
            0.901,
            1.0,
            0.0,
            0.0,
            "the image tower alone carries it",
        ),
    )
    mechanism = audit(
        "lab/prompt",
        replace(PATCH, name="learned-prompt"),
        MECHANISM,
        branch_swap=None,
        repair=ComponentRepair("TS", 1.0, 0.1002, 0.0998, 0.1019, 200, 10),
        diagnosis=restore(
            Diagnosis,
            Carrier.COUPLED,
            Channel.PROMPT,
            0.898,
            0.0,
            0.0,
            1.0,
            "only the whole mechanism is exposed",
        ),
    )
    named = [
        ("textual", text),
        ("patch", image),
        ("prompt", mechanism),
        (HOSTILE, replace(text, profile=tuple(odd))),
    ]
    return study(
        named, failures=(Failure("broken", "refused", "the header names one tensor twice"),)
    )
