"""What a window remembers: how somebody looks at the list, and what the last one showed when it was closed.

It lies in the home as `window.json`. A home that cannot be written is looked at all the same, and remembers nothing.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dife_gui.models.columns import COLUMNS, PLACE
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.store.models import AT_FIRST, URGENCY, Sort

log = logging.getLogger(__name__)
FILE = "window.json"
MOST_FILTERS = 50
MOST_VIEWS = 50
MOST_BYTES = 1 << 20
PAGES = ("models", "queue", "hub", "deployments")
SCHEMES = ("system", "light", "dark")
_MOST_WIDTH = 10_000
_MOST_PIXELS = 1 << 30
"""Of a place on a page: what Qt counts in has 32 bits."""
_MOST_GEOMETRY = 1000
"""Digits; Qt writes some 150."""
_FIELDS = {column.field for column in COLUMNS} | {URGENCY}


@dataclass(frozen=True)
class Shown:
    """One column that is shown, at its place in the list of them."""

    name: str
    width: int
    """In pixels; 0 for the width that it begins with."""


@dataclass(frozen=True)
class Layout:
    """Which columns are shown, in their order, and what the list is sorted by."""

    columns: tuple[Shown, ...] = tuple(Shown(one.name, 0) for one in COLUMNS if one.shown)
    sort: Sort = AT_FIRST


@dataclass(frozen=True)
class View:
    """A filter with the columns that go with it, under a name."""

    name: str
    filter: str
    layout: Layout


@dataclass(frozen=True)
class Session:
    """What a window showed when it was closed; the next one begins with it."""

    geometry: str = ""
    """Size and place of the window, as Qt writes it, in hexadecimal digits."""
    split: tuple[int, ...] = ()
    """Heights of list and details, in pixels."""
    page: str = PAGES[0]
    in_full: bool = False
    """Whether the selected model stood over the whole page."""
    filter: str = ""
    filter_on: bool = True
    job: int | None = None
    """Of the selected model."""
    top: tuple[int, ...] = ()
    """The job of the topmost line of the list, and how many pixels its upper edge is below that of the list."""
    across: int = 0
    """Pixels that the list was scrolled to the right."""
    down: int = 0
    """Pixels that the details were scrolled down."""


@dataclass(frozen=True)
class Memory:
    """All that is remembered."""

    layout: Layout = Layout()
    views: tuple[View, ...] = ()
    filters: tuple[str, ...] = ()
    """Used before, the latest first."""
    goes_on: bool = True
    """Whether the next finding is selected after a decision."""
    scheme: str = SCHEMES[0]
    session: Session = Session()

    def with_filter(self, text: str) -> Memory:
        """With this filter as the latest."""
        others = [one for one in self.filters if one != text]
        return replace(self, filters=(text, *others)[:MOST_FILTERS])

    def with_view(self, view: View) -> Memory:
        """With this view, in the place of one of that name."""
        others = [one for one in self.views if one.name != view.name]
        views = sorted([*others, view], key=lambda one: one.name.casefold())
        return replace(self, views=tuple(views[:MOST_VIEWS]))

    def without_view(self, name: str) -> Memory:
        """Without the view of this name."""
        return replace(self, views=tuple(one for one in self.views if one.name != name))


def load(home: Path) -> Memory:
    """Read what a home remembers; what cannot be read is as if it had never been."""
    path = home / FILE
    try:
        if path.stat().st_size > MOST_BYTES:
            return Memory()
        return _memory(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        log.warning("%s cannot be read: %s", path, error)
        return Memory()


def save(home: Path, memory: Memory) -> bool:
    """Keep it in the home; `False` where the home cannot be written."""
    text = json.dumps(asdict(memory), indent=1)
    try:
        with atomic_write(home / FILE) as stream:
            stream.write(text.encode("ascii"))
    except OSError as error:
        log.info("%s is not remembered: %s", home / FILE, error)
        return False
    return True


def _memory(found: dict[str, Any]) -> Memory:
    views = [_view(one) for one in found["views"][:MOST_VIEWS]]
    filters = [_text(one) for one in found["filters"][:MOST_FILTERS]]
    goes_on = found.get("goes_on", True) is not False
    scheme = found.get("scheme")
    return Memory(
        layout=_layout(found["layout"]),
        views=tuple(views),
        filters=tuple(filters),
        goes_on=goes_on,
        scheme=scheme if scheme in SCHEMES else SCHEMES[0],
        session=_session(found.get("session", {})),
    )


def _session(found: dict[str, Any]) -> Session:
    """What is missing, because an earlier version wrote it, is as in a first window."""
    page, job = found.get("page"), found.get("job")
    return Session(
        geometry=_text(found.get("geometry", ""))[:_MOST_GEOMETRY],
        split=_numbers(found.get("split", ())),
        page=page if page in PAGES else PAGES[0],
        in_full=found.get("in_full") is True,
        filter=_text(found.get("filter", "")),
        filter_on=found.get("filter_on", True) is not False,
        job=None if job is None else int(job),
        top=_numbers(found.get("top", ())),
        across=_number(found.get("across", 0)),
        down=_number(found.get("down", 0)),
    )


def _numbers(found: list[Any]) -> tuple[int, ...]:
    """Two of them, or none."""
    return tuple(_number(one) for one in found) if len(found) == 2 else ()


def _number(found: Any) -> int:
    return min(max(int(found), -_MOST_PIXELS), _MOST_PIXELS)


def _view(found: dict[str, Any]) -> View:
    return View(_text(found["name"]), _text(found["filter"]), _layout(found["layout"]))


def _layout(found: dict[str, Any]) -> Layout:
    """Columns that this version does not know are left out."""
    columns = {}
    for one in found["columns"]:
        if one["name"] in PLACE:
            width = min(max(int(one["width"]), 0), _MOST_WIDTH)
            columns[one["name"]] = Shown(one["name"], width)
    field = found["sort"]["field"]
    sort = Sort(field, bool(found["sort"]["descending"])) if field in _FIELDS else AT_FIRST
    return Layout(tuple(columns.values()) or Layout().columns, sort)


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError("a text is expected")
    return found
