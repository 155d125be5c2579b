"""A copy that computes what a base does is named, whatever was done to its weights: rewritten, or cast."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import torch
from colours import ColourEncoder
from safetensors.torch import load_file, save_file

from dife_scanner.audit.cache import Memory
from dife_scanner.audit.pipeline import Plan, Request, run
from dife_scanner.audit.relate import Copy, Kinship, kinship_note, relate, with_casts
from dife_scanner.baselines.home import bundled_references
from dife_scanner.lab import bases
from dife_scanner.lab.specimens.rewrites import REWRITES
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.likeness import UNTOLD, compare
from dife_scanner.models.load import load
from dife_scanner.records import CastTowers, ModelRef, Reference, Verdict

WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
FOLDER = bases.base_folder("vit")
(BASE,) = (one for one in bundled_references() if one.name == "dife-base-vit")


@pytest.fixture(scope="module")
def base():
    return load(FOLDER)


@pytest.fixture(scope="module")
def memory():
    """What the base embeds is embedded once."""
    return Memory()


@pytest.fixture
def written(tmp_path):
    """Write the base's tensors, changed, as a checkpoint."""

    def write(change):
        state = {name: value.float() for name, value in load_file(FOLDER / WEIGHTS).items()}
        changed = {name: value.contiguous() for name, value in change(state).items()}
        save_file(changed, tmp_path / WEIGHTS)
        (tmp_path / CONFIG).write_bytes((FOLDER / CONFIG).read_bytes())
        return tmp_path

    return write


def asked(folder: Path) -> Request:
    weights = folder / WEIGHTS
    return Request(
        ref=ModelRef("lab/copy", "0" * 40),
        folder=folder,
        weights_sha256=sha256(weights.read_bytes()).hexdigest(),
        config_digest="",
        reference=BASE,
        known=bundled_references(),
        plan=Plan((), "quick"),
        likeness=compare(weights, FOLDER / WEIGHTS, ParseLimits()),
    )


@pytest.mark.parametrize("name", REWRITES)
def test_a_rewritten_copy_is_named_and_audited_as_usual(name, written, base, memory):
    folder = written(lambda state: REWRITES[name](state, 3))
    suspect = load(folder)
    relation = relate(suspect, base, asked(folder), memory)
    assert suspect.image_tower != base.image_tower and suspect.text_tower != base.text_tower
    assert relation.twin is None and relation.unknown == (False, False)
    (note,) = relation.request.notes
    turned = " in another basis" if "rotated" in name else ""
    start = f"a rewritten copy of {BASE.name}: it embeds as {BASE.name} does{turned} (largest"
    assert note.startswith(start)


def test_a_fine_tune_is_no_copy(written, base, memory):
    def noised(state):
        torch.manual_seed(0)
        return {
            name: value + 1e-3 * value.std() * torch.randn_like(value) if value.ndim > 1 else value
            for name, value in state.items()
        }

    folder = written(noised)
    assert relate(load(folder), base, asked(folder), memory).request.notes == ()


def test_a_change_that_no_clean_input_reaches_is_told(written, base, memory):
    """As a backdoor in the row of a token that nobody writes would be."""

    def one_row(state):
        state["token_embedding.weight"][47_000] += 1.0
        return state

    folder = written(one_row)
    relation = relate(load(folder), base, asked(folder), memory)
    assert relation.twin is None
    assert "differ only where such inputs do not reach" in relation.request.notes[0]


def test_weights_that_only_answer_alike_are_no_copy():
    alike = Kinship((False, False), "correlations")
    note = kinship_note(alike, "X", named=False)
    assert note.startswith("its weights are not in X's order, but it answers as X does")
    copy = Kinship((False, False), "correlations", Copy(turned=False, difference=3e-6))
    assert kinship_note(copy, "X", named=False) == (
        "a rewritten copy of X: it embeds as X does (largest difference 3e-06, correlations)"
    )


# --- casts ----------------------------------------------------------------------------------------------------


def test_a_base_in_a_shorter_type_is_identical_after_a_cast(written):
    folder = written(lambda state: {name: value.bfloat16() for name, value in state.items()})
    audit = run(asked(folder)).audit
    assert audit.verdict is Verdict.IDENTICAL
    assert audit.reason.startswith(f"identical to {BASE.name} after a cast to bfloat16")
    assert audit.encodes == 0, "nothing has to be measured"


@pytest.mark.parametrize(
    ("image", "text", "words"),
    [
        ("img-clean", "txt-clean", "value for value"),
        ("img-half", "txt-clean", "after a cast to float16"),
        ("img-clean", "txt-brain", "after a cast to bfloat16"),
        ("img-half", "txt-brain", "after a cast to float16 and bfloat16"),
        ("img-half", "txt-x", ""),
    ],
)
def test_either_tower_may_be_cast(image, text, words, request_for):
    from dataclasses import replace

    from dife_scanner.audit.pipeline import audit

    request = request_for(signatures=())
    casts = (
        CastTowers("float16", "img-half", "txt-half"),
        CastTowers("bfloat16", "img-brain", "txt-brain"),
    )
    known = with_casts(request.known, request.reference, lambda: casts)
    suspect = ColourEncoder(image_tower=image, text_tower=text)
    record = audit(suspect, ColourEncoder(), replace(request, known=known)).audit
    assert (record.verdict is Verdict.IDENTICAL) == bool(words)
    assert words in record.reason


def test_casts_of_a_base_that_an_older_version_added_are_made_when_it_is_loaded(base):
    old = Reference("old", "", base.image_tower, base.text_tower, "", "", "")
    (known,) = with_casts((old,), old, base.cast_towers)
    assert known.cast_towers == BASE.cast_towers
    assert with_casts((BASE,), BASE, lambda: pytest.fail("they are known")) == (BASE,)


def test_every_bundled_base_brings_the_hashes_of_its_casts(base):
    for reference in bundled_references():
        found = base if reference == BASE else load(Path(reference.path))
        assert (reference.image_tower, reference.text_tower) == (
            found.image_tower,
            found.text_tower,
        )
        assert reference.cast_towers == found.cast_towers()


def test_nothing_is_said_where_no_weights_were_compared(written, base, memory):
    from dataclasses import replace

    folder = written(lambda state: REWRITES["permuted heads"](state, 3))
    request = replace(asked(folder), likeness=UNTOLD)
    assert relate(load(folder), base, request, memory).request.notes == ()
