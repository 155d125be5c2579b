"""An adapter is merged onto the base that it names, however well the shape of another one fits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from base_kit import drawn, registry_file, towers, work
from queue_kit import drawn_folder
from safetensors.numpy import save

from dife_scanner.baselines import adapters, keeping
from dife_scanner.baselines.adding import register
from dife_scanner.baselines.registry import registry
from dife_scanner.errors import NeedsBase
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.models.likeness import Likeness
from dife_scanner.progress import SILENT
from dife_scanner.queue import targets, worker
from dife_scanner.queue.work import Work, hub_for
from dife_scanner.records import BaseClaim, Job, JobState, Layout, Manifest, ModelRef, Reference
from dife_scanner.store import Store, references

CONFIG = "adapter_config.json"


def adapter_of(base: str) -> dict[str, bytes]:
    """The files of a LoRA on the text tower of a tiny base."""
    rng = np.random.default_rng(0)
    module = "base_model.model.text_model.encoder.layers.0.self_attn.q_proj"
    factors = {
        f"{module}.lora_A.weight": rng.normal(size=(4, 8)).astype(np.float32),
        f"{module}.lora_B.weight": rng.normal(size=(8, 4)).astype(np.float32),
    }
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 4,
        "base_model_name_or_path": base,
        "auto_mapping": {"base_model_class": "CLIPModel"},
    }
    return {CONFIG: json.dumps(config).encode(), "adapter_model.safetensors": save(factors)}


@pytest.fixture
def bases(store: Store, hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two published bases of one architecture and the registry that names them; the first one is here."""
    monkeypatch.setattr(keeping, "towers_apart", lambda context: towers)
    monkeypatch.setattr(keeping, "towers_here", towers)
    for number, name in enumerate(("one", "two")):
        hub.add_repo(f"acme/{name}", drawn(number))
    return registry_file(tmp_path, "one", "two")


def with_the_first(store: Store, work_: Work, folder: Path) -> None:
    """Put the first base among the references."""
    settings = work_.settings
    register(
        store,
        settings,
        drawn_folder(folder, 0),
        "one",
        lambda: hub_for(settings, settings.endpoint),
        SILENT,
        (),
    )


def scanned(store: Store, work_: Work, repository: str) -> Job:
    settings = work_.settings
    job = targets.enqueue(
        store, repository, settings.limits, lambda: hub_for(settings, settings.endpoint)
    )
    return worker.process(store, job, work_)


def test_it_is_not_merged_onto_another_base_of_its_shape(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    hub.add_repo("org/clip-lora", adapter_of("acme/two"))
    never = work(store.home, hub, bases, "never", start="fork")
    with_the_first(store, never, tmp_path / "one")
    job = scanned(store, never, "org/clip-lora")
    assert job.state is JobState.UNSUPPORTED
    assert "its base acme/two, going by its adapter_config.json, is not here" in job.reason


def test_the_base_that_it_names_is_fetched_although_one_of_its_shape_is_here(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    """Its own configuration goes before the card, and a name of the same weights elsewhere is that base's."""
    card = ["base_model:acme/one", "base_model:adapter:acme/one"]
    hub.add_repo("org/clip-lora", adapter_of("mirror/two"), tags=card)
    auto = work(store.home, hub, bases, start="fork")
    with_the_first(store, auto, tmp_path / "one")
    job = scanned(store, auto, "org/clip-lora")
    assert job.state is JobState.DONE and job.reason.startswith("two, "), job.reason
    assert "it is an adapter: audited as merged onto two" in job.reason
    assert [one.base for one in references.references(store) if one.base] == ["acme/two"]


def test_a_person_may_have_it_merged_onto_another_and_is_told(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path
) -> None:
    hub.add_repo("org/clip-lora", adapter_of("acme/two"))
    asked = replace(work(store.home, hub, bases, "never", start="fork"), reference="one")
    with_the_first(store, asked, tmp_path / "one")
    job = scanned(store, asked, "org/clip-lora")
    assert job.reason.startswith("one, "), job.reason
    assert "put onto one, as asked for, though it is an adapter of acme/two" in job.reason


# --- which references it names --------------------------------------------------------------------------------


def usable(bases: Path, named: str, **reference: str) -> bool:
    """Whether an adapter that names a base may be merged onto a reference."""
    claims = (BaseClaim(named, "adapter", CONFIG),)
    manifest = Manifest(
        ModelRef("org/clip-lora", "a" * 40),
        Layout.PEFT,
        "",
        (),
        0,
        "",
        JobState.QUEUED,
        base_claims=claims,
    )
    known = Reference("two", "/somewhere", "i", "t", "w", "", "", **reference)
    return bool(adapters.usable(manifest, [known], registry((bases,))))


@pytest.mark.parametrize("name", ["acme/two", "ACME/Two", "mirror/two"])
def test_every_name_of_a_base_means_it(bases: Path, name: str) -> None:
    assert usable(bases, name, base="acme/two", repository="acme/two")


def test_the_same_short_name_of_another_owner_means_another_base(bases: Path) -> None:
    assert not usable(bases, "mallory/two", base="acme/two", repository="acme/two")
    assert not usable(bases, "mallory/two", repository="acme/two")
    assert usable(bases, "alice/two"), "a folder that somebody added has only the name they gave it"


def test_a_tower_alone_is_strange_by_itself() -> None:
    """The other tower, which is not there, makes no base of a stranger."""
    assert Likeness(image=0.01, distance=1.4).is_strange
    assert not Likeness(image=0.9, distance=0.2).is_strange
    assert not Likeness().is_strange and not Likeness(image=0.01, text=0.9).is_strange


@pytest.mark.parametrize("from_hub", [False, True], ids=["a folder", "a repository"])
def test_a_part_becomes_a_reference_together_with_the_base_that_is_here(
    store: Store, hub: LoopbackHub, bases: Path, tmp_path: Path, from_hub: bool
) -> None:
    """An adapter with the base that it names, and with no other."""
    work_ = work(store.home, hub, bases)
    settings = work_.settings
    target = "org/clip-lora"
    hub.add_repo(target, adapter_of("acme/one"))
    if not from_hub:
        target = str(tmp_path / "lora")
        Path(target).mkdir()
        for name, content in adapter_of("acme/one").items():
            Path(target, name).write_bytes(content)

    def added() -> Reference:
        return register(
            store, settings, target, "mine", lambda: hub_for(settings, hub.endpoint), SILENT, ()
        )

    with pytest.raises(NeedsBase):
        added()
    with_the_first(store, work_, tmp_path / "base")
    merged = added()
    (base,) = [one for one in references.references(store) if one.name == "one"]
    assert (Path(merged.path) / "open_clip_model.safetensors").stat().st_size > 1000
    assert merged.weights_sha256 != base.weights_sha256
