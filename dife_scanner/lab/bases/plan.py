"""Everything a base's training depends on, apart from the drawings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace

from dife_scanner.lab.pictures import scenes

_EASY_MIX = scenes.Mix(
    counts=(0.94, 0.05, 0.01),
    scale=(0.7, 1.0),
    restyle=0.2,
    turn=6.0,
)


@dataclass(frozen=True)
class Plan:
    """Everything a training run depends on, apart from the drawings."""

    kind: str
    """`vit` or `rn`."""
    seed: int = 0
    image_steps: int = 1200
    """First phase: the image tower learns one free vector per word."""
    text_steps: int = 400
    """Second phase: the text tower learns to say those vectors."""
    joint_steps: int = 400
    """Third phase: both towers, contrastively, without the vectors."""
    batch: int = 128
    lr: float = 1e-3
    joint_lr: float = 4e-4
    weight_decay: float = 0.05
    warmup: int = 40
    """Steps in which the learning rate rises."""
    class_share: float = 0.85
    """Share of objects that belong to the ten classes."""
    mono_share: float = 0.25
    """Share of class objects from monochrome sets."""
    prefixed: float = 0.12
    """Share of captions with nonsense in front: decides how far such a prefix moves a prompt."""
    distractors: int = 64
    """Nonsense texts per batch that fit no image."""
    threads: int = 1
    easy: float = 0.25
    """Share of the first phase spent on large single objects."""
    mix: scenes.Mix = field(default_factory=scenes.Mix)
    pool: int = 49_152
    """Scenes that distillation goes over; without a teacher every scene is new."""
    joint_pool: int = 0
    """Scenes that the joint phase goes over again and again; 0: every scene is new."""

    @property
    def steps(self) -> int:
        """All three phases."""
        return self.image_steps + self.text_steps + self.joint_steps

    @property
    def key(self) -> str:
        """What has to agree for a run to go on; the number of threads may change."""
        return json.dumps(asdict(replace(self, threads=0)), sort_keys=True)

    def phase(self, step: int) -> tuple[str, int, int]:
        """Return (name, step within the phase, steps of the phase)."""
        if step < self.image_steps:
            return "image", step, self.image_steps
        step -= self.image_steps
        if step < self.text_steps:
            return "text", step, self.text_steps
        return "joint", step - self.text_steps, self.joint_steps


def plan_at(plan: Plan, step: int) -> Plan:
    """Return the plan as it stands at a step: an easy start breaks the early plateau."""
    if step >= plan.easy * plan.image_steps:
        return plan
    return replace(plan, class_share=0.9, mono_share=0.15, mix=_EASY_MIX)
