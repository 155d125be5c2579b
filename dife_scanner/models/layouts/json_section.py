"""One JSON object of a stranger's configuration, read key by key; what is not understood is never passed on.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import codecs
from typing import Any, NoReturn

from dife_scanner.errors import LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.models import strict_json
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.strict_json import HostileJsonError, NotStrictError, climbs_out, shown

_LONGEST_SHOWN = 10**18
"""Larger numbers are not spelled out in a message: the file may hold one of thousands of digits."""
_SWITCHED_OFF: tuple[object, ...] = (None, False, "", {})


def read_object(raw: bytes, file: str, limits: ParseLimits) -> dict[str, Any]:
    """The JSON object in the bytes of a configuration called `file`.

    Raises `Unreadable` for what is no JSON object, `LimitExceeded` for more bytes than `limits` allow, `Refused` for
    two values under one key and for a bomb.
    """
    if len(raw) > limits.config_bytes:
        raise LimitExceeded(
            f"{file} has more than {limits.config_bytes} bytes",
            "raise limits.small_file_bytes if you expect such a file",
        )
    try:
        return strict_json.read(raw.removeprefix(codecs.BOM_UTF8))
    except HostileJsonError as error:
        refuse(file, str(error))
    except NotStrictError as error:
        raise Unreadable(
            f"{file} cannot be read: {error}", "correct it, or ask its author to"
        ) from None


def refuse(file: str, why: str) -> NoReturn:
    """Refuse a configuration called `file`: it tries something."""
    raise Refused(f"{file} is refused: {why}", "do not load it; report it to its author")


class Section:
    """One JSON object of the configuration `file`; every key is taken once, and none may be left over.

    A value of the wrong type or below its least is `Unreadable`; one beyond its most, and an option that this program
    does not know, is `Unsupported`. Each message names the file and the key.
    """

    def __init__(self, file: str, path: str, body: object) -> None:
        self.file = file
        self.path = path
        if not isinstance(body, dict):
            self.wrong(f"`{path}` is not an object")
        # open_clip's own files write null for "the default"
        self._body: dict[str, Any] = {
            key: value for key, value in body.items() if value is not None
        }

    # --- what is wrong ----------------------------------------------------------------------------------------

    def wrong(self, why: str) -> NoReturn:
        """Raise `Unreadable`: no model can be made from this configuration."""
        raise Unreadable(
            f"{self.file} describes no model: {why}", "correct it, or ask its author to"
        )

    def unsupported(self, why: str) -> NoReturn:
        """Raise `Unsupported`: an honest option that this program does not know."""
        raise Unsupported(f"{self.file} asks for something this version cannot audit: {why}", "")

    def wrong_key(self, key: str, what: str) -> NoReturn:
        """Raise `Unreadable`: no model can be made from what `key` holds."""
        self.wrong(f"{self.named(key)} {what}")

    def unsupported_key(self, key: str, what: str) -> NoReturn:
        """Raise `Unsupported`: what `key` asks for is honest and unknown."""
        self.unsupported(f"{self.named(key)} {what}")

    def too_large(self, field: str, value: int, most: int) -> NoReturn:
        """Raise `Unsupported`: the option `field` makes `value`, beyond `most`."""
        words = str(value) if value < _LONGEST_SHOWN else "more than 10^18"
        self.unsupported(f"{field} makes {words}; this version goes up to {most}")

    def named(self, key: str) -> str:
        """The key with the path to it, as messages show it."""
        return f"`{self._path_of(key)}`"

    def _path_of(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    # --- one key at a time ------------------------------------------------------------------------------------

    def has(self, key: str) -> bool:
        """Whether the key is there, and not null."""
        return key in self._body

    def peek(self, key: str) -> Any:
        """The value as it stands in the file, not taken; None where there is none."""
        return self._body.get(key)

    def take(self, key: str, default: Any = None) -> Any:
        """The value as it stands in the file, taken and not checked."""
        return self._body.pop(key, default)

    def section(self, key: str, *, optional: bool = False) -> Section:
        """The object under `key`; an empty one where it is optional and missing."""
        if not optional and not self.has(key):
            self.wrong_key(key, "is missing")
        return Section(self.file, self._path_of(key), self.take(key, {}))

    def whole(self, key: str, default: int | None, most: int, least: int = 1) -> int:
        """A whole number in `least`..`most`; without a default the key has to be there."""
        value = self.take(key, default)
        if value is None:
            self.wrong_key(key, "is missing")
        if type(value) is not int or value < least:
            self.wrong_key(key, f"is not a whole number of at least {least}")
        if value > most:
            self.too_large(self.named(key), value, most)
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """A number in `least`..`most`."""
        value = self.take(key, default)
        if not _is_number_in(value, least, most):
            self.wrong_key(key, f"is not a number between {least:g} and {most:g}")
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing."""
        value = self.take(key, False)
        if type(value) is not bool:
            self.wrong_key(key, "is neither true nor false")
        return value

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        """One of the `allowed` strings; another string is `Unsupported`."""
        value = self.take(key, default)
        if not isinstance(value, str):
            self.wrong_key(key, "is not a string")
        if value not in allowed:
            self.unsupported_key(key, f"is {shown(value)}; known: {', '.join(allowed)}")
        return value

    def optional_string(self, key: str) -> str:
        """A string; empty where the key is missing."""
        value = self.take(key, "")
        if not isinstance(value, str):
            self.wrong_key(key, "is not a string")
        return value

    def side(self, key: str, default: int, most: int, least: int = 1) -> int:
        """A square's side, written as one number or as two equal ones."""
        value = self.peek(key)
        if isinstance(value, list):
            self._body[key] = self._one_side(key, value)
        return self.whole(key, default, most, least)

    def _one_side(self, key: str, sides: list[Any]) -> int:
        if not is_whole_numbers(sides, count=2):
            self.wrong_key(key, "is neither a whole number nor two of them")
        height, width = sides
        if height != width:
            self.unsupported_key(key, "is not square")
        return int(height)

    def three(
        self, key: str, default: tuple[float, float, float], least: float, most: float
    ) -> tuple[float, float, float]:
        """Three numbers in `least`..`most`, one for each colour channel, or one number for all of them."""
        values = self.take(key, list(default))
        if not isinstance(values, list):
            values = [values] * 3
        if len(values) != 3 or not _are_numbers_in(values, least, most):
            self.wrong_key(key, "is not three numbers in the possible range")
        red, green, blue = values
        return float(red), float(green), float(blue)

    # --- several keys, and the rest ---------------------------------------------------------------------------

    def only_off(self, *keys: str) -> None:
        """Options known to open_clip, absent or switched off; anything else cannot be audited."""
        for key in keys:
            if self.take(key) not in _SWITCHED_OFF:
                self.unsupported_key(key, "is set")

    def ignore(self, *keys: str) -> None:
        """Options that change nothing in a loaded model that only computes embeddings."""
        for key in keys:
            self.take(key)

    def finish(self) -> None:
        """Every key that this program knows was taken; one left over is `Unsupported`."""
        if self._body:
            left_over = min(self._body)
            self.unsupported(f"unknown key {self.named(shown(left_over))}")


def stays_inside(section: Section, key: str, name: str) -> None:
    """Refuse a name under `key` that leaves its folder, taken for a path."""
    if climbs_out(name):
        refuse(section.file, f"{section.named(key)} is a path out of its folder: {shown(name)}")


def is_whole_numbers(values: list[Any], count: int) -> bool:
    """Whether `values` are exactly so many whole numbers; true and false are none."""
    return len(values) == count and all(type(item) is int for item in values)


def _are_numbers_in(values: list[Any], least: float, most: float) -> bool:
    return all(_is_number_in(item, least, most) for item in values)


def _is_number_in(value: Any, least: float, most: float) -> bool:
    return type(value) in (int, float) and least <= value <= most
