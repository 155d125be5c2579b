"""A pack of one's own: real benign fine-tunes of a registered reference, kept row by row."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dife_scanner.baselines import calibration
from dife_scanner.baselines.home import bundled_references
from dife_scanner.lab import bases
from dife_scanner.lab.attacks.training_data import Lab
from dife_scanner.lab.bench import own_pack, rows, zoo
from dife_scanner.lab.bench.rows import Outcome
from dife_scanner.lab.bench.zoo import build
from dife_scanner.records import Verdict

KINDS = ("text tower on prompts", "image tower", "concept token")
RN = next(one for one in bundled_references() if one.name == "dife-base-rn")


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Two steps of training on a few scenes, and a search that is no search: what is tested is around them."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)
    nouns = (
        "alien",
        "anchor",
        "crab",
        "elephant",
        "gem stone",
        "goat",
        "hammer",
        "lamp",
        "moon",
        "pizza",
    )
    labels = np.arange(20, dtype=np.int64) % 10
    lab = Lab(pixels, labels, pixels[:8], nouns, SimpleNamespace(), bases.base_folder("rn"))
    monkeypatch.setattr(Lab, "read", lambda base, seed: lab)
    plan = [next(zoo.plan((kind,))) for kind in KINDS]
    short = [replace(one, settings=replace(one.settings, steps=2, batch=4)) for one in plan]
    monkeypatch.setattr(zoo, "benign_models", lambda: iter(short))
    trained = []

    def audited(model, folder, bench):
        trained.append((model.kind, bases.load(folder).state_dict()))
        return Outcome(Verdict.NOTHING_FOUND, 0.1 * len(trained), None, None, (), (), 2.0)

    monkeypatch.setattr(own_pack, "audited", audited)
    return SimpleNamespace(ask=own_pack.PackOptions(RN, tmp_path, n=3), trained=trained)


def said():
    lines = []
    return lines, lines.append


def test_one_model_is_timed_the_rest_follow_and_nothing_is_made_twice(asked):
    lines, say = said()
    assert not own_pack.estimate(asked.ask).timed
    first = own_pack.time_one(asked.ask, say)
    assert first.timed and (first.made, first.left) == (1, 2) and first.seconds > 2.0
    assert own_pack.time_one(asked.ask, say) == first, "it is timed once"
    path = own_pack.run(replace(asked.ask, minutes=0.0), say)
    assert calibration.read(path)[0].n == 1, "no time: a pack of what there is"
    path = own_pack.run(asked.ask, say)
    pack = calibration.read(path)[0]
    assert [kind for kind, _ in asked.trained] == list(KINDS)
    assert sorted(model.score for model in pack.models) == pytest.approx([0.1, 0.2, 0.3])
    assert (
        pack.base == "dife-base-rn"
        and pack.searched.architecture.startswith("RN")
        and not pack.presumed
    )
    assert (pack.alarms, pack.tested, pack.name) == (0, 3, "dife-base-rn-quick")
    assert own_pack.run(asked.ask, say) == path and len(asked.trained) == 3
    assert any("core hours left" in line for line in lines)
    assert not list((asked.ask.home / "cache").rglob("*.safetensors")), "weights are thrown away"
    base = bases.load(bases.base_folder("rn")).state_dict()
    for kind, state in asked.trained:
        moved = {
            name.startswith("visual.")
            for name in base
            if not torch.equal(base[name].half(), state[name].half())
        }
        assert moved == {kind == "image tower"}, f"{kind} is a fine-tune of that reference"


def test_a_model_built_before_a_kill_is_not_built_again(asked, monkeypatch):
    def killed(model, folder, bench):
        raise KeyboardInterrupt

    whole = own_pack.audited
    monkeypatch.setattr(own_pack, "audited", killed)
    with pytest.raises(KeyboardInterrupt):
        own_pack.run(replace(asked.ask, n=1), said()[1])
    assert rows.read(asked.ask.rows) == ()
    monkeypatch.setattr(own_pack, "audited", whole)
    monkeypatch.setattr(build, "make", None)
    assert own_pack.run(replace(asked.ask, n=1), said()[1]) and len(asked.trained) == 1


def test_rows_of_other_detectors_are_made_anew(asked, monkeypatch):
    one = replace(asked.ask, n=1)
    assert own_pack.run(one, said()[1]) and own_pack.estimate(one).left == 0
    code = own_pack.code_of("quick")
    monkeypatch.setattr(own_pack, "code_of", lambda budget: replace(code, detectors=("texts",)))
    assert own_pack.estimate(one).left == 1 and own_pack.write(one) is None
