"""A CLIP that sentence-transformers saved embeds here as `SentenceTransformer` does there, to 1e-5, in both layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layout_kit import SIDE, TEXTS, drawn, pictures, prepared
from PIL import Image
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import CLIPModel
from transformers import CLIPImageProcessor, CLIPProcessor, CLIPTokenizer

from dife_scanner.hub.manifest import local_manifest
from dife_scanner.models.tokenizers import clips_own
from dife_scanner.records import Layout

pytestmark = pytest.mark.xdist_group("transformers")

OLD_FOLDER = "0_CLIPModel"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    """A small CLIP as a model of the library."""
    whole = tmp_path_factory.mktemp("transformers")
    drawn().save_pretrained(whole)
    own = clips_own().document
    vocabulary = {piece: int(number) for piece, number in own.vocabulary}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=list(own.merges), model_max_length=24)
    pixels = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE)
    CLIPProcessor(pixels, tokenizer).save_pretrained(whole)
    return SentenceTransformer(modules=[CLIPModel(str(whole))], device="cpu")


def saved_as_today(library: SentenceTransformer, folder: Path) -> Path:
    """All in the root: what belongs to transformers beside `modules.json`."""
    library.save(str(folder))
    return folder


def saved_as_before(library: SentenceTransformer, folder: Path) -> Path:
    """The CLIP in a folder of its own, which `modules.json` names; the library reads it still."""
    library.save(str(folder / OLD_FOLDER))
    (folder / OLD_FOLDER / "modules.json").unlink()
    kind = f"sentence_transformers.models.{CLIPModel.__name__}"
    modules = [{"idx": 0, "name": "0", "path": OLD_FOLDER, "type": kind}]
    (folder / "modules.json").write_text(json.dumps(modules))
    SentenceTransformer(str(folder), device="cpu")
    return folder


@pytest.mark.parametrize("save", [saved_as_today, saved_as_before])
def test_embeds_as_sentence_transformers_does(
    save: Callable[[SentenceTransformer, Path], Path], library: SentenceTransformer, tmp_path: Path
) -> None:
    folder = save(library, tmp_path / "saved")
    assert local_manifest(folder).layout is Layout.SENTENCE_TRANSFORMERS
    ours = prepared(folder, tmp_path / "ours")
    pixels = pictures(SIDE)
    shown = [Image.fromarray(picture) for picture in pixels]
    assert_near(ours.encode_images(ours.prepare(pixels)), library.encode(shown))
    assert_near(ours.encode_texts(TEXTS), library.encode(TEXTS))


def assert_near(ours: np.ndarray, theirs: np.ndarray) -> None:
    lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs / lengths, atol=1e-5)
