"""The two towers of a checkpoint, whose readings of texts are kept while a search runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dife_scanner.models.gradient import Towers

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.readings import Readings
    from dife_scanner.models.interface import Encoder
    from dife_scanner.models.tokenizers import Tokenizer


class KeptTowers(Towers):
    """The same numbers to the bit, batch by batch, from `readings` where they are there."""

    def __init__(self, encoder: Encoder, tokenizer: Tokenizer | None, readings: Readings) -> None:
        super().__init__(encoder, tokenizer)
        self._tower = encoder.text_tower
        self._readings = readings

    def batch_of_tokens(self, rows: Sequence[Sequence[int]]) -> Tensor:
        def read() -> Tensor:
            return super(KeptTowers, self).batch_of_tokens(rows)

        asked = ("texts", self._tower, *self.precision, [tuple(row) for row in rows])
        return self._readings.tensor(asked, (self,), read)
