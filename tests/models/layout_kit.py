"""Small models of other libraries, and the way of a saved one through the canonical form.

The libraries are slow to import, and every worker of a test run imports this: so functions do it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from dife_scanner.checkpoints import local_files, prepare
from dife_scanner.checkpoints.parts import Parts
from dife_scanner.checkpoints.preparing import understood
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.models import canonical, sandbox
from dife_scanner.models.clip import ClipEncoder
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.load import default_limits, load
from dife_scanner.records import JobState

TEXTS = ["a dog", "a photo of a very big red cat", "ü 🚀"]
SIDE = 64
TEXT = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2}
VISION = {"hidden_size": 96, "intermediate_size": 200, "num_hidden_layers": 2, "image_size": SIDE}
SMALL: dict[str, Any] = {
    "text_config": TEXT | {"num_attention_heads": 2, "max_position_embeddings": 24},
    "vision_config": VISION | {"num_attention_heads": 3, "patch_size": 16},
    "projection_dim": 48,
}
PARTS = {
    "CLIPTextModel": "text_config",
    "CLIPTextModelWithProjection": "text_config",
    "CLIPVisionModel": "vision_config",
    "CLIPVisionModelWithProjection": "vision_config",
    "SiglipTextModel": "text_config",
    "SiglipVisionModel": "vision_config",
}
"""Classes of transformers that are one tower, and which part of a whole's configuration is theirs."""
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt")


def drawn(kind: str = "CLIPModel", dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """A small model of transformers with random weights; `changes` go to both towers' configurations."""
    import transformers

    torch.manual_seed(0)
    settings = {**SMALL}
    for tower in ("text_config", "vision_config"):
        settings[tower] = settings[tower] | changes
    config = transformers.CLIPConfig(**settings)
    if kind in PARTS:
        config = getattr(config, PARTS[kind])
        config.projection_dim = SMALL["projection_dim"]
    return noise(getattr(transformers, kind)(config), 0.02).to(dtype)


def noise(model: Any, scale: float) -> Any:
    """The model with noise on every weight, in evaluation."""
    for values in model.parameters():
        values.data.add_(torch.randn_like(values) * scale)
    return model.eval()


def saved(model: Any, folder: Path, **how: Any) -> Path:
    """The folder in which transformers saved the model and its preprocessing."""
    from transformers import CLIPImageProcessor

    model.save_pretrained(folder, **how)
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE).save_pretrained(folder)
    return folder


def as_canonical(folder: Path, to: Path, *, whole: bool = True) -> ClipEncoder:
    """The checkpoint in `folder`, through its canonical form; one that is in it is rewritten all the same unless
    `whole`.
    """
    weights = tuple(path for kind in _WEIGHTS for path in sorted(folder.glob(kind)))
    small = tuple(folder.glob("*config.json"))
    if whole:
        conversion = understood(Parts(small, weights), default_limits(), []).conversion
    else:
        conversion = sandbox.plan_conversion(small, weights, ParseLimits())
    assert conversion is not None
    to.mkdir()
    canonical.write(conversion, weights, to)
    return loaded(to)


def loaded(folder: Path) -> ClipEncoder:
    """A canonical form, with batches as small as what is asked here: filled ones take ten times as long."""
    encoder = load(folder)
    encoder._images_at_once = len(TEXTS)
    encoder._texts_at_once = len(TEXTS)
    return encoder


def prepared(folder: Path, to: Path) -> ClipEncoder:
    """The checkpoint in `folder` as an audit gets it: told by its names, copied, and brought into the canonical form,
    its tokenizer and preprocessing with it.
    """
    found = local_manifest(folder)
    assert found.state is JobState.QUEUED, found.reason
    return loaded(prepare(local_files(found), to, default_limits()).folder)


def pictures(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)


def levels(pixels: np.ndarray, encoder: ClipEncoder) -> torch.Tensor:
    """Pictures as the image tower of any library takes them, normalised as the encoder does."""
    mean, std = encoder.normalisation
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std


def features(output: Any) -> torch.Tensor:
    """Embeddings, however this version of transformers returns them."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output


@torch.no_grad()
def assert_same(ours: ClipEncoder, theirs: Any) -> None:
    """Pictures and texts embed here as in a model of transformers."""
    theirs = theirs.float()
    pixels = pictures(SIDE)
    images = features(theirs.get_image_features(pixel_values=levels(pixels, ours)))
    ids = torch.zeros(len(TEXTS), ours.context_length, dtype=torch.long)
    for row, text in enumerate(TEXTS):
        tokens = ours._tokens(text)
        ids[row, : len(tokens)] = torch.tensor(tokens)
    texts = features(theirs.get_text_features(input_ids=ids))
    _assert_near(ours.encode_images(pixels), images)
    _assert_near(ours.encode_texts(TEXTS), texts)


def _assert_near(ours: np.ndarray, theirs: torch.Tensor) -> None:
    np.testing.assert_allclose(ours, torch.nn.functional.normalize(theirs, dim=-1), atol=1e-5)
