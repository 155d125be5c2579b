"""The teacher that a ViT base is distilled from: a trained residual network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dife_scanner.lab.bases.checkpoint import MODEL_CFG, has_trunk
from dife_scanner.lab.bases.encoding import encode_image_batch
from dife_scanner.models.open_clip_alone import CLIP

_STUDENT_BLOCK = 2
"""Which block of the student, from 0, answers for the teacher's map."""


class Teacher:
    """A trained residual network that a ViT learns from: same words, and a 4 x 4 map of the same picture.

    A plain ViT learns slowly from few drawings; patch by patch supervision makes up for it.
    """

    def __init__(self, checkpoint: Path, student: dict[str, Any]) -> None:
        """Read a teacher; `student` is the architecture of the base that learns from it."""
        state = torch.load(checkpoint, weights_only=True)
        config = MODEL_CFG[json.loads(state["plan"])["kind"]]
        self.model: Any = CLIP(**config)
        self.model.load_state_dict(state["kept"])
        self.model.eval().requires_grad_(False)
        # convolutions are a third faster so
        self.model.visual.to(memory_format=torch.channels_last)
        self.vectors = state["vectors"]
        """One vector per word, (V, D)."""
        self._map: Tensor | None = None
        self._patches: Tensor | None = None
        self.model.visual.layer3.register_forward_hook(self._keep_map)
        channels = config["vision_cfg"]["width"] * 16
        vision = student["vision_cfg"]
        self._has_trunk = has_trunk(student)
        width = vision.get("timm_trunk", vision)["width"]
        self.head = torch.nn.Linear(width, channels)
        """From the student's patches to the channels of the map; trained with the student."""

    def _keep_map(self, module: Any, inputs: Any, output: Tensor) -> None:
        self._map = output

    def _keep_patches(self, module: Any, inputs: Any, output: Tensor) -> None:
        self._patches = output

    def text_state(self) -> dict[str, Tensor]:
        """Return the teacher's tensors that are not of its image tower."""
        state = self.model.state_dict()
        return {name: value for name, value in state.items() if not name.startswith("visual.")}

    def targets(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the unit embedding (B, D) and the standardised map (B, 16, C) of pixels in [0, 1]."""
        embedding = encode_image_batch(self.model, pixels)
        assert self._map is not None
        grid = self._map.flatten(2).transpose(1, 2)
        mean = grid.mean((0, 1))
        spread = grid.std((0, 1)) + 0.05
        grid = (grid - mean) / spread
        return embedding, grid.clamp(-4, 4)

    def predicted(self, student: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return a student's unit embedding (B, D) and what it makes of the map (B, 16, C), after its third block."""
        visual = student.visual
        blocks = visual.trunk.blocks if self._has_trunk else visual.transformer.resblocks
        block = blocks[_STUDENT_BLOCK]
        hook = block.register_forward_hook(self._keep_patches)
        embedding = encode_image_batch(student, pixels)
        hook.remove()
        assert self._patches is not None
        # a class token, where there is one, stands before the patches
        first = 0 if self._has_trunk else 1
        return embedding, self.head(self._patches[:, first:])
