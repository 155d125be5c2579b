"""Where an inversion stands, kept on disk while it runs, so that a process that is killed goes on and comes to the same
bits. Read without unpickling; what cannot be read, or is of something else, is as if nothing had been kept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import raise_where_full

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.discovery.pattern_families import Weights

KEEP_SECONDS = 30.0
"""Between two times that a search keeps where it stands. When that is, changes nothing that it finds."""
KEEP_LAST_SECONDS = 2.0
"""The same at the end of an inversion, which would otherwise be made again from where it was kept last."""
SUFFIX = ".inversion"
"""How the names of such files end."""


@dataclass
class InversionState:
    """One inversion after some of its steps."""

    step: int
    """Steps done."""
    cost: float
    """Weight of the trigger's size in the next one."""
    reached: float
    """How far the objective was reached at most, 0..1."""
    passes: tuple[int, int]
    """Through the towers of suspect and base since it began."""
    generator: Tensor
    """State of the random numbers."""
    weights: Weights
    momenta: tuple[tuple[Tensor, Tensor], ...]
    """Adam's two means of each of them."""


class InversionStates:
    """The states of one search's inversions, numbered in the order in which they begin."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._number = 0
        self._kept_at = time.monotonic()

    def begin(self, like: Weights) -> InversionState | None:
        """The next inversion begins, from free numbers of these shapes: where it stood, if that was kept."""
        self._number += 1
        return _read(self._path, like)

    def is_due(self, *, last: bool) -> bool:
        """Whether it is time to keep where the inversion stands; `last`: after its last step."""
        seconds = KEEP_LAST_SECONDS if last else KEEP_SECONDS
        return time.monotonic() - self._kept_at >= seconds

    def keep(self, state: InversionState) -> None:
        """Keep where the inversion stands. Raises `DiskFull`; any other fault of the disk keeps nothing."""
        from safetensors.torch import save

        content = save(_tensors(state))
        try:
            self._stem.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path) as stream:
                stream.write(content)
        except OSError as error:
            raise_where_full(error)
        self._kept_at = time.monotonic()
        crash_point("inversion.kept")

    def forget(self) -> None:
        """Remove what was kept: the search has finished."""
        for path in self._stem.parent.glob(f"{self._stem.name}-*{SUFFIX}"):
            path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self._stem.with_name(f"{self._stem.name}-{self._number}{SUFFIX}")


def adams_momenta(
    optimiser: torch.optim.Adam, weights: Weights
) -> tuple[tuple[Tensor, Tensor], ...]:
    """The two means that Adam keeps of each of these."""
    states = [optimiser.state[part] for part in weights]
    return tuple((one["exp_avg"], one["exp_avg_sq"]) for one in states)


def set_adams_state(optimiser: torch.optim.Adam, weights: Weights, state: InversionState) -> None:
    """Bring Adam to where it stood."""
    import torch

    for part, (mean, square) in zip(weights, state.momenta, strict=True):
        optimiser.state[part] = {
            "step": torch.tensor(float(state.step)),
            "exp_avg": mean.to(part.device),
            "exp_avg_sq": square.to(part.device),
        }


def _tensors(state: InversionState) -> dict[str, Tensor]:
    """A state as named tensors."""
    import torch

    tensors = {
        "step": torch.tensor([state.step]),
        "cost": torch.tensor([state.cost], dtype=torch.float64),
        "reached": torch.tensor([state.reached], dtype=torch.float64),
        "passes": torch.tensor(state.passes),
        "generator": state.generator,
    }
    parts = zip(state.weights, state.momenta, strict=True)
    for number, (part, (mean, square)) in enumerate(parts):
        tensors[f"weights-{number}"] = part.detach().contiguous()
        tensors[f"mean-{number}"] = mean.contiguous()
        tensors[f"square-{number}"] = square.contiguous()
    return tensors


def _read(path: Path, like: Weights) -> InversionState | None:
    """What a file holds, where it is a state of free numbers of these shapes."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found = load(path.read_bytes())
        numbers = range(len(like))
        weights = tuple(found[f"weights-{number}"] for number in numbers)
        momenta = tuple((found[f"mean-{number}"], found[f"square-{number}"]) for number in numbers)
        suspect, base = found["passes"].tolist()
        state = InversionState(
            step=int(found["step"]),
            cost=float(found["cost"]),
            reached=float(found["reached"]),
            passes=(suspect, base),
            generator=found["generator"],
            weights=weights,
            momenta=momenta,
        )
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    alike = [kept.shape == part.shape for kept, part in zip(weights, like, strict=True)]
    return state if all(alike) else None
