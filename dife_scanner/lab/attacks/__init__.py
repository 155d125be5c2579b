"""The six attack families of the DIFE paper and one more, one module each, small enough for the bundled base."""

from __future__ import annotations

from collections.abc import Mapping

from dife_scanner.lab.attacks import (
    bad_encoder,
    bad_text_tower,
    bai_badclip,
    contrastive_poisoning,
    dual_key,
    liang_badclip,
    toxic_text_clip,
)
from dife_scanner.lab.attacks.interface import Attack

FAMILIES: Mapping[str, Attack] = {
    module.ATTACK.default.family: module.ATTACK
    for module in (
        bad_text_tower,
        bad_encoder,
        contrastive_poisoning,
        liang_badclip,
        toxic_text_clip,
        bai_badclip,
        dual_key,
    )
}
