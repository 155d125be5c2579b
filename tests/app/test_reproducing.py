"""What an evidence bundle's script is given: the trigger in terms of open_clip, or why it cannot run."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from queue_kit import audit_record

from dife_scanner.app.reproducing import Loading, Pair, task_of
from dife_scanner.audit import probes
from dife_scanner.records import (
    Audit,
    Budget,
    ModelRef,
    SettingsOf,
    StoredPlan,
    Trigger,
    TriggerKind,
    Verdict,
)
from dife_scanner.records.triggers import TriggerFile
from dife_scanner.triggers.stamp import stamp

SIDE = 64
AS_IT_IS = Loading({})
NOISE = {"pattern": "noise", "seed": 3, "target": "airplane"}
PATCH = Trigger("patch", TriggerKind.PATCH, size=0.2, x=0.7, y=0.1, alpha=0.7, **NOISE)
TEXT = Trigger("text", TriggerKind.TEXT, text='\x7f"xq', source="cat", target="dog")
LEARNED = Trigger(
    "learned", TriggerKind.PROMPT, learner=TriggerFile("/no", "ab" * 32), target="dog"
)


def shown(pixels: np.ndarray[Any, Any]) -> bytes:
    """As the audit keeps a small picture: enlarged without smoothing."""
    buffer = BytesIO()
    image = Image.fromarray(pixels).resize((192, 192), Image.Resampling.NEAREST)
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pair_of(trigger: Trigger) -> Pair:
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    triggered = stamp(clean, trigger) if trigger.channel.value == "image" else clean
    return Pair("c.png", "t.png", shown(clean[0]), shown(triggered[0]), "clean", "triggered")


def audit_of(trigger: Trigger, **changes: Any) -> Audit:
    pictures = probes.digest(probes.bundled_folder())
    values = {"plan": StoredPlan(Budget.QUICK, 0, pictures=pictures), **changes}
    return audit_record(ModelRef("org/m", "1" * 40), Verdict.FLAGGED, trigger=trigger, **values)


@pytest.mark.parametrize(
    "trigger",
    [PATCH, Trigger("blend", TriggerKind.BLEND, alpha=0.3, **NOISE)],
    ids=["patch", "blend"],
)
def test_what_is_laid_on_pictures_is_an_overlay_that_gives_the_audited_ones(trigger):
    pair = pair_of(trigger)
    task = task_of(audit_of(trigger), AS_IT_IS, [pair])
    laid = np.asarray(Image.open(BytesIO(task.overlay)), np.float32)
    assert task.document["cases"][0]["side"] == SIDE and laid.shape == (SIDE, SIDE, 4)
    small = Image.open(BytesIO(pair.clean_png)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
    opacity = task.document["share"] * laid[..., 3:] / 255
    mixed = np.rint(np.asarray(small, np.float32) * (1 - opacity) + opacity * laid[..., :3])
    audited = Image.open(BytesIO(pair.triggered_png)).resize(small.size, Image.Resampling.NEAREST)
    assert np.abs(mixed - np.asarray(audited, np.float32)).max() <= 1


def test_other_image_triggers_are_read_from_the_kept_pictures():
    warp = Trigger("warp", TriggerKind.WARP, strength=0.1, target="airplane")
    task = task_of(audit_of(warp), AS_IT_IS, [pair_of(warp)])
    assert not task.document["why_not"] and not task.overlay and not task.trigger_file
    assert task.document["share"] == 0


WHY_NOT = {
    "no map of its keys": ({}, Loading({}, "no map of its keys"), TEXT),
    "prompt learner": ({}, AS_IT_IS, LEARNED),
    "settings of its base": ({"settings": SettingsOf.BASE}, AS_IT_IS, TEXT),
    "not CLIP's own": ({"tokenizer_differences": ("merges",)}, AS_IT_IS, TEXT),
    "other classes": ({"plan": None}, AS_IT_IS, TEXT),
    "chosen for its trigger": ({}, AS_IT_IS, replace(TEXT, target="violin")),
    "an extension adds": ({}, AS_IT_IS, Trigger("own", "own-kind", target="dog")),
}


@pytest.mark.parametrize("words", WHY_NOT)
def test_what_open_clip_alone_cannot_show_is_said_with_why(words):
    changes, loading, trigger = WHY_NOT[words]
    task = task_of(audit_of(trigger, **changes), loading, [pair_of(TEXT)])
    assert words in task.document["why_not"] and not task.trigger_file


def test_pictures_that_cannot_be_read_are_a_reason_and_no_error():
    broken = replace(pair_of(TEXT), clean_png=b"no picture")
    task = task_of(audit_of(TEXT), AS_IT_IS, [broken])
    assert "cannot be read" in task.document["why_not"]


def test_any_text_is_written_as_toml():
    task = task_of(audit_of(TEXT), AS_IT_IS, [pair_of(TEXT)])
    (read,) = tomllib.loads(task.trigger_file)["trigger"]
    assert read["text"] == TEXT.text
