"""One file per trigger kind, each with a `KIND`; kinds of your own come in through `triggers.extend`."""

from dife_scanner.triggers.kinds import (
    additive,
    blend,
    characters,
    filter,
    overlay,
    patch,
    prompt,
    text,
    warp,
)
from dife_scanner.triggers.kinds.base import (
    Fields,
    Kind,
    PatternFields,
    Pixels,
    WrittenFields,
    find,
    names,
    register,
)

# the order in which kinds are listed to people
_BUNDLED = (
    patch,
    additive,
    blend,
    warp,
    filter,
    overlay,
    text,
    characters,
    prompt,
)
for _module in _BUNDLED:
    register(_module.KIND)

__all__ = [
    "Fields",
    "Kind",
    "PatternFields",
    "Pixels",
    "WrittenFields",
    "find",
    "names",
    "register",
]
