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
    """`vit`, `rn`, `wide` or `sealed`."""
    seed: int = 0
    image_steps: int = 1200
    """First phase: the image tower learns one free vector per word."""
    text_steps: int = 400
    """Second phase: the text tower learns to say those vectors."""
    joint_steps: int = 400
    """Third phase: both towers, contrastively, without the vectors."""
    joint_rounds: int = 1
    """How often the third phase is gone through, its learning rate from the start each time."""
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
    term_share: float = 0.25
    """Share of captions that say a finer word where there is one."""
    term_weight: float = 0.3
    """What an object adds to its finer word in the first phase's targets; its class's word gets the rest."""
    synonym_share: float = 0.15
    """Share of the other captions that say a synonym where there is one."""
    vector_size: float = 1.0
    """Standard deviation of the words' first free vectors: the shorter they are, the faster they turn."""
    last_share: float = 0.1
    """Last share of the peak learning rate in the first two phases."""
    channels_last: bool = False
    """Whether the image tower computes with channels last: faster for convolutions, other bits."""
    smoothing: float = 0.0
    """Of the first phase's targets."""
    average: float = 0.0
    """Decay of the running mean of the weights, which is what is kept; 0: the last weights are kept."""
    class_weight: float = 1.0
    """How many times as often as another concept a kind of one of the ten classes is drawn, in a base of the world."""
    last_class_weight: float = 0.0
    """The same in the last of several joint rounds; 0: as before it."""
    sigmoid: bool = False
    """Every pair of picture and text is judged by itself, as in SigLIP, instead of against the others."""

    @property
    def steps(self) -> int:
        """All three phases."""
        return self.image_steps + self.text_steps + self.joint_rounds * self.joint_steps

    @property
    def key(self) -> str:
        """What has to agree for a run to go on; the number of threads may change."""
        return json.dumps(asdict(replace(self, threads=0)), sort_keys=True)

    @property
    def last_round(self) -> int:
        """The step at which the last joint round begins."""
        return self.steps - self.joint_steps

    def phase(self, step: int) -> tuple[str, int, int]:
        """Return (name, step within the phase, steps of the phase)."""
        if step < self.image_steps:
            return "image", step, self.image_steps
        step -= self.image_steps
        if step < self.text_steps:
            return "text", step, self.text_steps
        return "joint", (step - self.text_steps) % max(1, self.joint_steps), self.joint_steps


def plan_at(plan: Plan, step: int) -> Plan:
    """Return the plan as it stands at a step: an easy start breaks the early plateau."""
    if step >= plan.easy * plan.image_steps:
        return plan
    return replace(plan, class_share=0.9, mono_share=0.15, mix=_EASY_MIX)


_TEACHER = Plan(
    "wide-teacher",
    image_steps=6000,
    text_steps=0,
    joint_steps=0,
    lr=2e-3,
    mono_share=0.2,
    term_weight=0.7,
    vector_size=0.05,
    last_share=0.01,
    smoothing=0.1,
    average=0.997,
    channels_last=True,
    mix=scenes.Mix(counts=(0.95, 0.05, 0.0), scale=(0.55, 1.0), restyle=0.2),
)
"""A residual network, which learns from few drawings; a plain ViT does not."""
_WIDE = Plan(
    "wide",
    image_steps=4000,
    text_steps=500,
    joint_steps=1500,
    joint_rounds=3,
    lr=1.5e-3,
    joint_lr=5e-4,
    warmup=100,
    mono_share=0.2,
    prefixed=0.03,
    term_share=0.65,
    term_weight=0.7,
    last_share=0.02,
    average=0.998,
    class_weight=4.0,
    last_class_weight=8.0,
    mix=scenes.Mix(counts=(0.9, 0.1, 0.0), scale=(0.55, 1.0), restyle=0.2),
)
_RECIPES = {
    "wide-teacher": _TEACHER,
    "wide": _WIDE,
    "sealed-teacher": replace(_TEACHER, kind="sealed-teacher", seed=1, mono_share=0.3),
    "sealed": replace(
        _WIDE,
        kind="sealed",
        seed=1,
        mono_share=0.3,
        class_weight=1.0,
        last_class_weight=0.0,
        joint_rounds=1,
        sigmoid=True,
    ),
}


def recipe(kind: str) -> Plan:
    """Return the plan that a base of this kind is trained by, unless the command line says otherwise."""
    return _RECIPES.get(kind) or Plan(kind)
