"""A study as figures, PNG and SVG: the exposure matrix, what carries it, and trigger apart from drift.

Drawn without a display. The same study gives the same bytes with the same matplotlib.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.core.cards import CARDS
from dife_scanner.errors import UsageError
from dife_scanner.plain import plain
from dife_scanner.records import Cell, Change, Entry, SelectorControl
from dife_scanner.reports.sheet import ENTRY_MARK
from dife_scanner.reports.study import Row, Study, entry_of, short_word
from dife_scanner.sentences.numbers import number, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_DPI = 160
_MAIL_DPI = 110
_PANELS_ACROSS = 5
_LONG_MARK = 12
"""Characters from which a mark is drawn smaller, so that it stays within its box."""
_DARK = 0.55
"""Luminance, 0..1, of a ground on which ink is white."""
_INK = "#1f2430"
_FAINT = "#6b7280"
_GROUND = "#f3f4f6"
_REFERENCE = "#b8bec9"
_IMAGE = "#3b7dd8"
_TEXT = "#2e9d6a"
_BOTH = "#c9453c"
Bars = tuple[Row, tuple[float, ...], str]
"""A checkpoint, the shares of its four variants, and under which readout they were measured."""
_FONT: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "dife",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.parse_math": False,
}


def check_folder(folder: Path) -> None:
    """Make `folder` if it is not there and try to write in it, before anything long begins. Raises `UsageError`."""
    probe = folder / ".dife-figures"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"figures cannot be written to {folder}: {error.strerror or error}",
            "give --figures a folder you can write",
        ) from error


def write(study: Study, folder: Path) -> tuple[Path, ...]:
    """Draw every figure that the study has numbers for, as PNG and SVG; what was written. Raises `UsageError`."""
    import matplotlib
    from matplotlib.figure import Figure

    check_folder(folder)
    written: list[Path] = []
    with matplotlib.rc_context(_FONT), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Glyph .* missing"
        )  # a stranger's name may hold any character
        for name, draw in FIGURES.items():
            figure = Figure(layout="constrained", facecolor="white")
            if draw(study, figure):
                written += _save(figure, folder, name)
    return tuple(written)


def matrix_png(study: Study) -> bytes | None:
    """The exposure matrix as PNG; `None` where the study has no numbers for it."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_FONT), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(layout="constrained", facecolor="white")
        if not exposure_matrix(study, figure):
            return None
        drawn = BytesIO()
        figure.savefig(drawn, format="png", dpi=_MAIL_DPI, metadata=_METADATA["png"])
    return drawn.getvalue()


_METADATA: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}}
"""What is left out, so that the same study gives the same bytes."""


def _save(figure: Figure, folder: Path, name: str) -> list[Path]:
    paths = []
    for kind in FORMATS:
        path = folder / f"{name}.{kind}"
        paths.append(path)
        kept = _METADATA[kind]
        try:
            figure.savefig(path, dpi=_DPI, metadata=kept)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be written: {error.strerror or error}", "free some space"
            ) from error
    return paths


# --- the exposure matrix --------------------------------------------------------------------------------------


def exposure_matrix(study: Study, figure: Figure) -> bool:
    """Heat map of Δ over the reference. Zero is white; an entry without a number is hatched and says what it is."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    rows = [row for row in study.rows if row.audit.profile]
    interfaces = _interfaces(rows)
    if not rows or not interfaces:
        return False
    figure.set_size_inches(2.6 + 0.82 * len(interfaces), 2.2 + 0.52 * len(rows))
    axes = figure.subplots()
    colours = ScalarMappable(Normalize(-1, 1), colormaps["RdBu_r"])
    for y, row in enumerate(rows):
        for x, interface in enumerate(interfaces):
            entry = entry_of(row.audit, interface)
            if entry is not None:
                _draw_entry(axes, (x, y), entry, colours)
    _name_axes(axes, rows, interfaces)
    bar = figure.colorbar(colours, ax=axes, fraction=0.025, pad=0.01)
    bar.set_label("Δ over the reference")
    bar.outline.set_visible(False)
    axes.set_title(_MATRIX_TITLE, loc="left", fontsize=10)
    return True


_MATRIX_TITLE = "Exposure matrix (▲ exposed, ▼ negative, ? n too small; hatched: no number)"


def _name_axes(axes: Axes, rows: Sequence[Row], interfaces: Sequence[str]) -> None:
    """Checkpoints left of the matrix, interfaces below it, and a line between groups of interfaces."""
    axes.set_xlim(-0.5, len(interfaces) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    below = [_wrapped(name) for name in interfaces]
    axes.set_xticks(range(len(interfaces)), below, rotation=50, ha="right")
    names = [_name(row) for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for x in _group_ends(interfaces):
        axes.axvline(x + 0.5, color=_INK, linewidth=1.2)


def _draw_entry(axes: Axes, at: tuple[int, int], entry: Entry, colours: Any) -> None:
    if isinstance(entry, Cell):
        _draw_cell(axes, at, entry, colours)
    elif isinstance(entry, SelectorControl):
        _draw_box(axes, at, facecolor=_GROUND, edgecolor=_REFERENCE, linestyle="--")
        _draw_word(axes, at, short_word(entry))
        _draw_text(axes, at, 0.3, signed(entry.drift.value), color=_FAINT, fontsize=6)
    else:
        _draw_box(axes, at, facecolor=_GROUND, edgecolor=_REFERENCE, hatch="////", linestyle="-")
        _draw_word(axes, at, short_word(entry))


def _draw_cell(axes: Axes, at: tuple[int, int], cell: Cell, colours: Any) -> None:
    """The number above its metric, on the colour of its difference."""
    ground = colours.to_rgba(cell.delta)
    red, green, blue = ground[:3]
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    ink = "white" if luminance < _DARK else _INK
    _draw_box(axes, at, facecolor=ground, edgecolor=_REFERENCE)
    value = signed(cell.delta) if cell.metric.startswith("Δ") else number(cell.attack.value)
    _draw_text(axes, at, -0.1, value, color=ink, fontsize=8)
    mark = f"{ENTRY_MARK[cell.entry]} {cell.metric}".strip()
    size = 6 if len(mark) < _LONG_MARK else 4.8
    _draw_text(axes, at, 0.24, mark, color=ink, fontsize=size)


def _draw_box(axes: Axes, at: tuple[int, int], **style: Any) -> None:
    from matplotlib.patches import Rectangle

    x, y = at
    corner = (x - 0.48, y - 0.46)
    axes.add_patch(Rectangle(corner, 0.96, 0.92, linewidth=0.6, **style))


def _draw_word(axes: Axes, at: tuple[int, int], word: str) -> None:
    """A word in the middle of a box, readable on its hatching."""
    style = {"boxstyle": "round,pad=0.12", "facecolor": _GROUND, "edgecolor": "none"}
    _draw_text(axes, at, 0.0, word, color=_FAINT, fontsize=7, bbox=style)


def _draw_text(axes: Axes, at: tuple[int, int], below: float, text: str, **style: Any) -> None:
    """Centred; `below` the middle of a box, in heights of a row."""
    x, y = at
    axes.text(x, y + below, text, ha="center", va="center", **style)


def _interfaces(rows: Sequence[Row]) -> list[str]:
    """Those any profile speaks of, cards first in their own order."""
    found: dict[str, None] = {}
    for row in rows:
        for entry in row.audit.profile:
            found[entry.interface] = None
    order = {card.interface: place for place, card in enumerate(CARDS)}
    return sorted(found, key=lambda name: order.get(name, len(order)))


def _group_ends(interfaces: Sequence[str]) -> list[int]:
    """Places after which another group of cards begins."""
    groups = {card.interface: card.group for card in CARDS}
    ends = []
    for place, (name, following) in enumerate(pairwise(interfaces)):
        if groups.get(name) is not groups.get(following):
            ends.append(place)
    return ends


# --- what carries it ------------------------------------------------------------------------------------------


def branch_swap(study: Study, figure: Figure) -> bool:
    """Four bars per checkpoint: a00, a10, a01, a11 under its diagnostic readout, the diagnosis below."""
    bars: list[Bars] = []
    for row in study.rows:
        swap = row.audit.branch_swap
        if swap is not None:
            bars.append((row, (swap.a00, swap.a10, swap.a01, swap.a11), swap.readout))
    parts = (
        "a00 both reference",
        "a10 suspect's image branch",
        "a01 suspect's text branch",
        "a11 both suspect",
    )
    return _bars(figure, "Branch swap", bars, parts)


def component_repair(study: Study, figure: Figure) -> bool:
    """Four bars per mechanism: whole, prompt only, trigger only, both clean."""
    bars: list[Bars] = []
    for row in study.rows:
        repair = row.audit.repair
        if repair is not None:
            shares = (repair.both_clean, repair.trigger_only, repair.prompt_only, repair.full)
            bars.append((row, shares, repair.readout))
    return _bars(
        figure,
        "Component repair",
        bars,
        ("both clean", "trigger only", "prompt only", "full mechanism"),
    )


def _bars(figure: Figure, title: str, rows: Sequence[Bars], parts: tuple[str, ...]) -> bool:
    if not rows:
        return False
    figure.set_size_inches(max(5.5, 1.6 + 1.9 * len(rows)), 3.6)
    axes = figure.subplots()
    for place, (part, colour) in enumerate(
        zip(parts, (_REFERENCE, _IMAGE, _TEXT, _BOTH), strict=True)
    ):
        where = [x + (place - 1.5) * 0.2 for x in range(len(rows))]
        heights = [shares[place] for _, shares, _ in rows]
        drawn = axes.bar(where, heights, 0.18, color=colour, label=part)
        axes.bar_label(drawn, fmt="%.3f", fontsize=6.5, padding=1)
    names = [f"{_name(row, 24)}\n{readout} · {_carrier(row)}" for row, _, readout in rows]
    axes.set_xticks(range(len(rows)), names)
    axes.set_ylim(0, 1.08)
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=7.5)
    return True


def _carrier(row: Row) -> str:
    if row.audit.diagnosis is None:
        return "not diagnosed"
    return row.audit.diagnosis.carrier.value


# --- trigger apart from drift ---------------------------------------------------------------------------------


def trigger_and_drift(study: Study, figure: Figure) -> bool:
    """Δ_trigger and Δ_drift of each cell that has them, with their 95 % intervals, one panel per checkpoint."""
    panels = []
    named: set[str] = set()
    for row in study.rows:
        cells = _with_parts(row)
        if cells:
            panels.append((row, cells))
            named |= set(cells)
    if not panels:
        return False
    interfaces = [name for name in _interfaces(study.rows) if name in named]
    across = min(len(panels), _PANELS_ACROSS)
    down = ceil(len(panels) / across)
    figure.set_size_inches(2.0 + 1.9 * across, 0.7 + down * (0.6 + 0.3 * len(interfaces)))
    every = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for axes, (row, cells) in zip(every, panels, strict=False):
        _panel(axes, _name(row, 24), [cells.get(name) for name in interfaces])
    for axes in every[::across]:
        axes.set_yticks(range(len(interfaces)), interfaces)
    _legend(figure, every)
    return True


def _legend(figure: Figure, every: Iterable[Axes]) -> None:
    """One legend for all panels: what each kind of mark stands for."""
    marks: dict[str, Any] = {}
    for axes in every:
        drawn, labels = axes.get_legend_handles_labels()
        marks |= dict(zip(labels, drawn, strict=True))
    figure.legend(
        list(marks.values()), list(marks), loc="outside lower center", ncols=2, frameon=False
    )


def _panel(axes: Axes, title: str, cells: Sequence[Cell | None]) -> None:
    axes.axvline(0, color=_FAINT, linewidth=0.8)
    for y, cell in enumerate(cells):
        axes.axhline(y, color=_GROUND, linewidth=0.8, zorder=0)
        if cell is not None:
            _point(axes, cell.trigger, y - 0.14, "Δ trigger", marker="o", color=_BOTH)
            _point(axes, cell.drift, y + 0.14, "Δ drift", marker="s", color=_IMAGE)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_xlim(-1.08, 1.08)
    axes.set_title(title, loc="left", fontsize=9)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _with_parts(row: Row) -> dict[str, Cell]:
    """The cells with their two parts by interface; the first, where a profile has several of one."""
    found: dict[str, Cell] = {}
    for entry in row.audit.profile:
        if isinstance(entry, Cell) and (entry.trigger or entry.drift):
            found.setdefault(entry.interface, entry)
    return found


def _point(axes: Axes, change: Change | None, y: float, label: str, **style: Any) -> None:
    if change is None:
        return
    below = max(0.0, change.value - change.interval.low)
    above = max(0.0, change.interval.high - change.value)
    reach = [[below], [above]]
    axes.errorbar(
        change.value,
        y,
        xerr=reach,
        markersize=3.5,
        capsize=2.0,
        linewidth=1.1,
        label=label,
        **style,
    )


def _name(row: Row, limit: int = 32) -> str:
    return plain(row.name, limit)


def _wrapped(interface: str) -> str:
    return plain(interface, 40).replace(" ", "\n", 1)


FIGURES: dict[str, Callable[[Study, Figure], bool]] = {
    "exposure-matrix": exposure_matrix,
    "branch-swap": branch_swap,
    "component-repair": component_repair,
    "trigger-and-drift": trigger_and_drift,
}
"""File name to what draws it; `False` where the study has no such numbers."""
