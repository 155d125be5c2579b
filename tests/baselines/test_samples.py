"""A few values at places of one's own pick a base: which places, from which layouts, and what the hub may send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from base_kit import drawn, registry_file
from queue_kit import WEIGHTS
from safetensors.numpy import load, save

from dife_scanner.baselines import samples
from dife_scanner.baselines.base_samples import BaseSamples
from dife_scanner.baselines.registry import Base, registry
from dife_scanner.errors import HubUnavailable
from dife_scanner.hub.client import Hub
from dife_scanner.lab.loopback import LoopbackHub, faults
from dife_scanner.models.likeness import UNTOLD

SEED = "a" * 32


@pytest.fixture
def client(hub: LoopbackHub, tmp_path: Path) -> Iterator[Hub]:
    yield Hub(hub.endpoint, cache=tmp_path / "hf", request_seconds=2.0, tries=1)


@pytest.fixture
def bases(tmp_path: Path) -> dict[str, Base]:
    known = registry((registry_file(tmp_path, "one", "two"),))
    return {name: known.base(f"acme/{name}") for name in ("one", "two")}


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(files[WEIGHTS])
    return folder / WEIGHTS


def comparing(client: Hub, home: Path, weights: Path) -> BaseSamples:
    return BaseSamples(client, home, *samples.of_file(weights))


def test_a_fine_tune_is_near_its_base_and_far_from_another_of_the_same_shapes(
    hub: LoopbackHub, client: Hub, bases: dict[str, Base], home: Path, tmp_path: Path
) -> None:
    for number, name in enumerate(bases):
        hub.add_repo(f"acme/{name}", drawn(number))
    own = written(tmp_path / "own", drawn(1, noise=0.1))
    compare = comparing(client, home, own)
    near, far = compare.likeness(bases["two"]), compare.likeness(bases["one"])
    assert near.distance is not None and near.distance < 0.2 and near.unrelated == (False, False)
    assert far.unrelated == (True, True)
    parts = [seen.range for seen in hub.seen("resolve.*safetensors") if seen.range]
    assert len(parts) <= 2 * (1 + 2 * samples.PER_TOWER)
    assert all(_length(part) <= samples.FIRST_BYTES for part in parts)
    before = len(hub.requests)
    assert comparing(client, home, own).likeness(bases["two"]) == near
    assert len(hub.requests) == before, "each base is asked for once"


def _length(part: str) -> int:
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", part)
    assert found
    return int(found[2]) - int(found[1]) + 1


def test_places_differ_between_installations_and_stay_in_one(tmp_path: Path) -> None:
    available, read = samples.of_file(written(tmp_path / "a", drawn(0)))
    seeds = [samples.own_seed(tmp_path / name) for name in ("first", "second", "first")]
    assert seeds[0] == seeds[2] != seeds[1]
    taken = [samples.take(available, read, samples.chosen(available, seed), seed) for seed in seeds]
    assert taken[0].keys() == taken[2].keys()
    assert all(np.array_equal(taken[0][name], taken[2][name]) for name in taken[0])
    shared = taken[0].keys() & taken[1].keys()
    assert any(not np.array_equal(taken[0][name], taken[1][name]) for name in shared)


def test_one_model_in_two_layouts_is_sampled_alike(tmp_path: Path) -> None:
    """transformers calls the same matrices otherwise; those that it stores alike are compared."""
    ours = drawn(3)[WEIGHTS]
    theirs = {}
    for name, value in load(ours).items():
        renamed = re.sub(r"^visual\.transformer\.resblocks", "vision_model.encoder.layers", name)
        renamed = re.sub(r"^transformer\.resblocks", "text_model.encoder.layers", renamed)
        renamed = renamed.replace("attn.out_proj", "self_attn.out_proj")
        theirs[renamed.replace("c_fc", "fc1").replace("c_proj", "fc2")] = value.astype(np.float16)
    one, read_one = samples.of_file(written(tmp_path / "one", {WEIGHTS: ours}))
    two, read_two = samples.of_file(written(tmp_path / "two", {WEIGHTS: save(theirs)}))
    wanted = samples.chosen(one, SEED)
    found = samples.likeness(
        samples.take(one, read_one, wanted, SEED), samples.take(two, read_two, wanted, SEED)
    )
    assert found.image is not None and found.image > 0.999
    assert found.text is not None and found.text > 0.999


def test_a_hub_that_ignores_ranges_is_not_read_to_the_end(
    hub: LoopbackHub, client: Hub, bases: dict[str, Base], home: Path, tmp_path: Path
) -> None:
    hub.add_repo("acme/one", drawn(0))
    hub.inject(faults.ignore_range("safetensors"))
    hub.inject(faults.ignore_range("/repos/lfs/"))
    compare = comparing(client, home, written(tmp_path / "own", drawn(0)))
    assert compare.likeness(bases["one"]) == UNTOLD
    assert not list((home / "cache").glob("**/*.npz"))


def test_what_a_place_says_or_lacks_ends_nothing_but_a_silent_hub_does(
    hub: LoopbackHub, client: Hub, bases: dict[str, Base], home: Path, tmp_path: Path
) -> None:
    hub.add_repo("mirror/one", {WEIGHTS: b"\xff" * 4096})
    hub.add_repo("acme/one", drawn(0))
    compare = comparing(client, home, written(tmp_path / "own", drawn(0)))
    assert compare.likeness(bases["one"]).distance == 0.0
    hub.close()
    with pytest.raises(HubUnavailable):
        compare.likeness(bases["two"])
