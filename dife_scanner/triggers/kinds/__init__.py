"""One file per trigger kind, each with a `KIND`; kinds of your own come in through `triggers.extend`."""

from dife_scanner.triggers.kinds import additive, blend, characters, filter, overlay, patch, prompt, text, warp
from dife_scanner.triggers.kinds.base import Fields, Kind, PatternFields, Pixels, WrittenFields, find, names, register

for _room in (patch, additive, blend, warp, filter, overlay, text, characters, prompt):
    register(_room.KIND)

__all__ = ["Fields", "Kind", "PatternFields", "Pixels", "WrittenFields", "find", "names", "register"]
