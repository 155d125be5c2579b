"""An image tower of timm in open_clip's configuration: by a name on the list, or by its numbers in the canonical form.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from dife_scanner.models import timm_trunks
from dife_scanner.models.config import ATTENTION_POOLED, CONVNEXT, VisionConfig
from dife_scanner.models.layouts import bounds
from dife_scanner.models.layouts.json_section import Section, is_whole_numbers, stays_inside
from dife_scanner.models.strict_json import shown

_BY_NUMBERS = "timm_trunk"
_POOLS = {ATTENTION_POOLED: ("map",), CONVNEXT: ("", "avg")}
_LEFT_TO_TIMM = ("layers", "width", "patch_size", "head_width", "mlp_ratio")
"""Options of open_clip's own towers, which it does not read for one of timm."""


def read(section: Section) -> VisionConfig | None:
    """The timm tower in open_clip's `vision_cfg`, or `None` where it is one of open_clip's own.

    Raises `Unsupported` for one that is not on the list, `Refused` for a name that is a path out of its folder.
    """
    if section.has(_BY_NUMBERS):
        found = _by_numbers(section.section(_BY_NUMBERS))
        section.finish()
        return found
    name = section.optional_string("timm_model_name")
    stays_inside(section, "timm_model_name", name)
    return _by_name(section, name) if name else None


def _by_name(section: Section, name: str) -> VisionConfig:
    side = section.side("image_size", 224, bounds.MOST_IMAGE_SIDE, least=bounds.LEAST_IMAGE_SIDE)
    head = section.optional_string("timm_proj").replace("none", "")
    with_bias = section.flag("timm_proj_bias")
    pool = section.optional_string("timm_pool")
    found = timm_trunks.named(name, side, head, with_bias)
    if found is None:
        section.unsupported(
            f"the image tower is {shown(name)} of timm, which is not on the list of known towers"
        )
    if head not in timm_trunks.HEADS or pool not in _POOLS[found.trunk]:
        section.unsupported(f"{shown(name)} of timm is pooled or projected in a way not known here")
    section.ignore("timm_pretrained", "timm_model_pretrained", "timm_drop", "timm_drop_path")
    section.ignore("patch_dropout", "output_tokens", *_LEFT_TO_TIMM)
    section.finish()
    return found


def _by_numbers(section: Section) -> VisionConfig:
    family = section.choice("family", "", timm_trunks.FAMILIES)
    side = section.side("image_size", 224, bounds.MOST_IMAGE_SIDE, least=bounds.LEAST_IMAGE_SIDE)
    width = section.whole("width", None, bounds.MOST_WIDTH)
    head = section.choice("head", "", timm_trunks.HEADS)
    with_bias = section.flag("head_bias")
    eps = None
    if section.has("norm_eps"):
        eps = section.number("norm_eps", 0.0, bounds.LEAST_NORM_EPS, bounds.MOST_NORM_EPS)
    if family == CONVNEXT:
        stages = section.take("stages")
        if not isinstance(stages, list) or not is_whole_numbers(stages, count=4):
            section.wrong_key("stages", "is not four whole numbers")
        if min(stages) < 1 or sum(stages) > bounds.MOST_RESNET_BLOCKS:
            section.wrong_key("stages", "is beyond what is known")
        found = VisionConfig(
            image_size=side,
            width=width,
            head_width=1,
            stages=tuple(stages),
            trunk=family,
            head=head,
            head_bias=with_bias,
            norm_eps=eps,
        )
    else:
        found = VisionConfig(
            image_size=side,
            width=width,
            head_width=section.whole("head_width", None, bounds.MOST_HEAD_WIDTH),
            layers=section.whole("layers", None, bounds.MOST_LAYERS),
            patch_size=section.side("patch_size", 16, bounds.MOST_PATCH_SIDE),
            mlp_ratio=section.number(
                "mlp_ratio", 4.0, bounds.LEAST_MLP_RATIO, bounds.MOST_MLP_RATIO
            ),
            gelu_tanh=section.flag("gelu_tanh"),
            trunk=family,
            head=head,
            head_bias=with_bias,
            norm_eps=eps,
        )
        bounds.check_transformer(found, section)
    section.finish()
    return found
