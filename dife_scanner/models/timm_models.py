"""Image towers of timm on torch, built from checked numbers, with the tensor names of open_clip's `TimmModel`."""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.models.convnext import ConvNeXt
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from dife_scanner.models.config import CONVNEXT, VisionConfig
from dife_scanner.models.timm_trunks import EPS, features


class TimmTower(nn.Module):
    """A trunk and what projects its features: pictures [n, 3, s, s] to embeddings [n, d]."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(self, pictures: Tensor) -> Tensor:
        """Embeddings [n, d], not yet of length one."""
        projected: Tensor = self.head(self.trunk(pictures))
        return projected

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As open_clip's towers have it: whether blocks keep their inputs only, and are made again on the way back."""
        trunk: Any = self.trunk
        trunk.set_grad_checkpointing(enable)


def build(vision: VisionConfig, embed_dim: int) -> TimmTower:
    """The tower without values, on the device that is in force."""
    trunk = _convnext(vision) if vision.trunk == CONVNEXT else _attention_pooled(vision)
    return TimmTower(trunk, _head(vision, embed_dim))


def _attention_pooled(vision: VisionConfig) -> nn.Module:
    made: nn.Module = VisionTransformer(
        img_size=vision.image_size,
        patch_size=vision.patch_size,
        embed_dim=vision.width,
        depth=vision.layers,
        num_heads=vision.width // vision.head_width,
        mlp_ratio=vision.mlp_ratio,
        class_token=False,
        global_pool="map",
        num_classes=0,
        norm_layer=partial(nn.LayerNorm, eps=_eps(vision)),
        act_layer=partial(nn.GELU, approximate="tanh" if vision.gelu_tanh else "none"),
    )
    return made


def _convnext(vision: VisionConfig) -> nn.Module:
    made: nn.Module = ConvNeXt(
        depths=vision.stages,
        dims=tuple(vision.width * 2**stage for stage in range(len(vision.stages))),
        num_classes=0,
        norm_eps=_eps(vision),
    )
    return made


def _eps(vision: VisionConfig) -> float:
    return EPS if vision.norm_eps is None else vision.norm_eps


def _head(vision: VisionConfig, embed_dim: int) -> nn.Module:
    head = nn.Sequential()
    width = features(vision)
    if vision.head == "linear":
        head.add_module("proj", nn.Linear(width, embed_dim, bias=vision.head_bias))
    if vision.head == "mlp":
        mlp = nn.Sequential()
        mlp.add_module("fc1", nn.Linear(width, 2 * embed_dim))
        mlp.add_module("act", nn.GELU())
        mlp.add_module("fc2", nn.Linear(2 * embed_dim, embed_dim, bias=vision.head_bias))
        head.add_module("mlp", mlp)
    return head
