"""Continuous inversion of one to three slots of a prompt, projected to tokens early and often.

Free vectors reach any target in any model: off the token manifold everything can be broken. So a slot is never more
than a few steps away from a token, going away costs, and only what the tokens do that it is drawn to counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dife_scanner.discovery.backing_off import backing_off
from dife_scanner.discovery.checkpoint_scores import CheckpointScores
from dife_scanner.discovery.readings import NOT_KEPT, Readings, add_passes, passes_since
from dife_scanner.discovery.wording import Ids, Prompts, Wording
from dife_scanner.models import activations

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

DISTANCE_COST = 0.05
"""Cost, in margins, of a slot that is one token's length away from its token."""
LEARNING_RATE = 0.4
"""How far one step moves each value of a slot, in standard deviations of the token rows."""
PROJECT_EVERY = 4
"""Steps between projections: longer, and slots leave the token manifold."""
_NEAREST = 24
"""NearestConcept tokens looked at for one that is allowed."""
_AT_ONCE = activations.TEXTS
"""Inversions in one batch; bounds memory."""
_PICTURES_OF_BATCH = _AT_ONCE // activations.TEXTS_PER_PICTURE
"""A batch in pictures, as parts are counted."""


@dataclass(frozen=True)
class InversionStart:
    """A wording to start from and the class that it is to bring about."""

    wording: Wording
    target: int


class SlotInversion:
    """Slot inversion in a suspect, anchored to its base.

    Shapes: n starts of one batch, k slots of each, w values of a token row, d of an embedding.
    """

    def __init__(
        self,
        suspect: CheckpointScores,
        base: CheckpointScores | None,
        base_slack: float,
        allowed: Callable[[int], bool],
        *,
        same_text_tower: bool,
        readings: Readings = NOT_KEPT,
    ) -> None:
        """`base` is `None` where there is none; a margin above `-base_slack` in it costs.

        `allowed` says which tokens a slot may be drawn to; `same_text_tower`, that both read texts alike. In `readings`
        is kept where an inversion stands.
        """
        self._readings = readings
        self._suspect = suspect
        self._base = base
        self._base_slack = base_slack
        self._allowed = allowed
        self._same_text_tower = same_text_tower
        self._prompts: Prompts = suspect.prompts
        rows = suspect.towers.token_rows
        self._row_spread = float(rows.std())
        self._row_length = float(rows.norm(dim=1).mean())
        self._squared_lengths = (rows * rows).sum(1)

    def inverted(self, starts: Sequence[InversionStart], steps: int) -> list[list[Ids]]:
        """For each start, the sequences its slots were drawn to, as long as its wording; all are of one length.

        Each step reads every start in suspect and base, forward and back: four passes, two where they read alike.
        """
        reached: list[list[Ids]] = []
        for first in range(0, len(starts), _AT_ONCE):
            reached.extend(self._kept_batch(starts[first : first + _AT_ONCE], steps))
        return reached

    def _kept_batch(self, starts: Sequence[InversionStart], steps: int) -> list[list[Ids]]:
        """One batch, from the readings where it is there."""
        kept = self._readings.listed(
            ("slots", steps, _asked(starts)),
            self._towers,
            lambda: self._inverted_batch(starts, steps),
        )
        return [[tuple(ids) for ids in sequences] for sequences in kept]

    @property
    def _towers(self) -> list[Towers]:
        """Those that are read."""
        sides = [self._suspect] if self._base is None else [self._suspect, self._base]
        return [side.towers for side in sides]

    def _inverted_batch(self, starts: Sequence[InversionStart], steps: int) -> list[list[Ids]]:
        import torch

        tokens, offsets = self._begin(starts)
        rate = LEARNING_RATE * self._row_spread
        optimiser = torch.optim.Adam([offsets], lr=rate)
        reached: list[list[Ids]] = [[] for _ in starts]
        before = [towers.passes for towers in self._towers]
        asked = ("slots so far", steps, _asked(starts))
        begun = self._readings.state(asked)
        done = 0
        if begun is not None:
            done = int(begun["step"])
            tokens = begun["tokens"].to(tokens.device)
            offsets.data.copy_(begun["offsets"])
            optimiser.state[offsets] = _adams_state(begun, offsets)
            reached = _from_tensor(begun["reached"], len(starts))
            add_passes(self._towers, begun["passes"])
        for step in range(done, steps):
            template = step % len(self._prompts.templates)
            slope = partial(self._slope, starts, tokens, offsets, template)
            offsets.grad = backing_off(self._towers, _PICTURES_OF_BATCH, slope)
            optimiser.step()
            if (step + 1) % PROJECT_EVERY == 0:
                # Only projected tokens count: unprojected vectors reach any target in any model.
                tokens = self._projected(tokens, offsets.detach())
                _add_new(reached, tokens)
                offsets.data.zero_()
            if self._readings.is_due():
                adams = optimiser.state[offsets]
                state = {
                    "step": torch.tensor(step + 1),
                    "tokens": tokens,
                    "offsets": offsets,
                    "mean": adams["exp_avg"],
                    "square": adams["exp_avg_sq"],
                    "reached": _as_tensor(reached),
                    "passes": passes_since(before, self._towers),
                }
                self._readings.keep(asked, state)
        return reached

    def _slope(
        self, starts: Sequence[InversionStart], tokens: Tensor, offsets: Tensor, template: int
    ) -> Tensor:
        """The gradient of one step, by the offsets [n, k, w]."""
        import torch

        with torch.enable_grad():
            loss = self._loss(starts, tokens, offsets, template)
            (gradient,) = torch.autograd.grad(loss, offsets)
        return gradient

    def _begin(self, starts: Sequence[InversionStart]) -> tuple[Tensor, Tensor]:
        """The tokens of the slots [n, k], and where each is moved from its token [n, k, w]: nowhere yet."""
        import torch

        rows = self._suspect.towers.token_rows
        ids = [start.wording.ids for start in starts]
        tokens = torch.tensor(ids, device=rows.device)
        offsets = torch.zeros(*tokens.shape, rows.shape[1], device=rows.device)
        return tokens, offsets.requires_grad_()

    def _loss(
        self,
        starts: Sequence[InversionStart],
        tokens: Tensor,
        offsets: Tensor,
        template: int,
    ) -> Tensor:
        """The sum over all starts of distance cost and nearness of the target in the base, less the suspect's margin.

        `tokens` [n, k], `offsets` [n, k, w]; a number.
        """
        embedded = self._embedded(self._suspect, starts, tokens, offsets, template)
        gained = _target_margins(self._suspect, embedded, starts)
        if self._base is not None:
            in_base = embedded
            if not self._same_text_tower:
                in_base = self._embedded(self._base, starts, tokens, offsets, template)
            base_margins = _target_margins(self._base, in_base, starts)
            gained = gained - (base_margins + self._base_slack).clamp_min(0.0)
        in_lengths = offsets.square().sum(-1) / self._row_length**2
        distance = in_lengths.mean(-1)
        return (DISTANCE_COST * distance - gained).sum()

    def _embedded(
        self,
        side: CheckpointScores,
        starts: Sequence[InversionStart],
        tokens: Tensor,
        offsets: Tensor,
        template: int,
    ) -> Tensor:
        """Prompts with the slots in them [n, d]; a slot is its token in this very checkpoint, moved by its offset."""
        import torch

        prompts = [self._prompts.written(start.wording, template) for start in starts]
        ids, ends = side.towers.packed(prompts)
        slots = side.towers.token_rows[tokens] + offsets
        vectors = side.towers.token_rows[ids]
        rows = torch.arange(len(starts), device=tokens.device)[:, None]
        # The first and the last place: the same one unless the wording stands around.
        for occurrence in (0, -1):
            columns = self._columns(starts, template, occurrence, tokens)
            vectors = vectors.index_put((rows, columns), slots)
        side.towers.passes += len(starts)  # the backward pass
        return side.towers.texts(vectors, ends)

    def _columns(
        self,
        starts: Sequence[InversionStart],
        template: int,
        occurrence: int,
        tokens: Tensor,
    ) -> Tensor:
        """At which tokens of the packed prompts the slots `tokens` [n, k] stand."""
        import torch

        first = []
        for start in starts:
            places = self._prompts.starts(start.wording, template)
            first.append(self._prompts.tokenizer.first + places[occurrence])
        begin = torch.tensor(first, device=tokens.device)
        in_slot = torch.arange(tokens.shape[1], device=tokens.device)
        return begin[:, None] + in_slot

    def _projected(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        """The nearest allowed token to where each slot is, other than the one it left [n, k].

        The one it left would nearly always be nearest, and the slot would never move on.
        """
        rows = self._suspect.towers.token_rows
        slots = (rows[tokens] + offsets).flatten(0, 1)
        # Squared distance to each row, negated, less what is the same for all rows.
        nearness = 2 * slots @ rows.T - self._squared_lengths
        nearest = nearness.topk(_NEAREST, dim=1).indices.tolist()
        left = tokens.flatten().tolist()
        chosen = []
        for near, own in zip(nearest, left, strict=True):
            chosen.append(self._first_allowed(near, own))
        return tokens.new_tensor(chosen).view(tokens.shape)

    def _first_allowed(self, candidates: Sequence[int], own: int) -> int:
        """The first allowed token other than `own`; `own` where there is none."""
        for token in candidates:
            if token != own and self._allowed(token):
                return token
        return own


def _target_margins(
    side: CheckpointScores,
    embedded: Tensor,
    starts: Sequence[InversionStart],
) -> Tensor:
    """The margin of each start's target [n], of written prompts as unit embeddings [n, d]."""
    import torch

    sources = torch.tensor(
        [start.wording.source for start in starts],
        device=embedded.device,
    )
    targets = torch.tensor([start.target for start in starts], device=embedded.device)
    margins = side.margins(embedded, sources)
    return margins.gather(1, targets[:, None])[:, 0]


def _asked(starts: Sequence[InversionStart]) -> list[tuple[Ids, str, int, int]]:
    """Starts as readings name them."""
    asked = []
    for start in starts:
        one = start.wording
        asked.append((one.ids, one.position.value, one.source, start.target))
    return asked


def _adams_state(begun: Mapping[str, Tensor], offsets: Tensor) -> dict[str, Tensor]:
    """Adam's state where an inversion stood."""
    return {
        "step": begun["step"].float(),
        "exp_avg": begun["mean"].to(offsets.device),
        "exp_avg_sq": begun["square"].to(offsets.device),
    }


def _as_tensor(reached: Sequence[Sequence[Ids]]) -> Tensor:
    """The sequences that starts reached, as start and tokens [m, 1 + k]."""
    import torch

    rows = []
    for number, sequences in enumerate(reached):
        rows += [(number, *ids) for ids in sequences]
    return torch.tensor(rows, dtype=torch.int64)


def _from_tensor(rows: Tensor, starts: int) -> list[list[Ids]]:
    """The same again, of so many starts."""
    reached: list[list[Ids]] = [[] for _ in range(starts)]
    for number, *ids in rows.tolist():
        reached[number].append(tuple(ids))
    return reached


def _add_new(reached: Sequence[list[Ids]], tokens: Tensor) -> None:
    """Add each start's present tokens [n, k] to the sequences it reached, once each."""
    for sequences, row in zip(reached, tokens.tolist(), strict=True):
        ids = tuple(row)
        if ids not in sequences:
            sequences.append(ids)
