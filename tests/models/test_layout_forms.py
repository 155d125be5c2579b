"""Checkpoints embed here as in the library that defines their layout, to 1e-5, in every form of their files.

`make layouts` measures each layout in each form. Here each form comes once, and every kind of layout.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_equality import largest_differences, made_base
from layout_forms import FORMS, not_well_formed
from layout_models import MODELS

from dife_scanner.records import Reference

pytestmark = [pytest.mark.xdist_group("transformers"), pytest.mark.usefixtures("read_here")]
"""The libraries are slow to import: one worker does it."""

CASES = [
    ("transformers", "end token 2"),
    ("transformers", "end token 49407"),
    ("transformers SigLIP", "without defaults"),
    ("transformers SigLIP 2", "bfloat16"),
    ("text tower", "torch shards"),
    ("SigLIP text tower", "float32"),
    ("SigLIP classifier", "mixed types"),
    ("sentence-transformers", "with buffers"),
    ("sentence-transformers, own folder", "shards"),
    ("PEFT adapter", "torch file"),
    ("open_clip", "behind text."),
    ("open_clip, text apart", "text. taken away"),
    ("open_clip ResNet", "scale as a vector"),
    ("open_clip ConvNeXt", "float16"),
    ("open_clip CLIPA", "views of one storage"),
    ("timm", "wrapped"),
    ("state dict alone", "tied"),
    ("training checkpoint", "torch file before 1.6"),
]


@pytest.fixture(scope="module")
def bases() -> dict[str, Reference]:
    return {}


@pytest.mark.parametrize(("layout", "form"), CASES)
def test_embeds_as_its_own_library_does(
    layout: str,
    form: str,
    bases: dict[str, Reference],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    name = MODELS[layout].base
    if name and name not in bases:
        bases[name] = made_base(name, tmp_path_factory.mktemp("bases") / "base")
    images, texts = largest_differences(layout, form, tmp_path, bases.get(name))
    assert max(images, texts) <= 1e-5


def test_every_form_is_here() -> None:
    assert {form for _, form in CASES} == {*FORMS}
    assert not any(not_well_formed(layout, form) for layout, form in CASES)
