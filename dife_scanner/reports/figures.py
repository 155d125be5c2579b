"""A study as figures, PNG and SVG: the exposure matrix, what carries it, and trigger apart from drift.

What they show is decided in `dife_scanner.figures`, for the window too; here it is painted, without a display. The same
study gives the same bytes with the same matplotlib.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.errors import UsageError
from dife_scanner.figures.bars import Bars, repair_bars, swap_bars
from dife_scanner.figures.colours import LIGHT, heat_of, ink_on
from dife_scanner.figures.drawings import Drawing
from dife_scanner.figures.intervals import CUTS, ENDS, Drawn, Kind, intervals
from dife_scanner.figures.matrix import SCALE, TITLE, Box, Ground, box, group_ends, interfaces
from dife_scanner.plain import plain
from dife_scanner.records import Cell
from dife_scanner.reports.study import Row, Study, entry_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_DPI = 160
_MAIL_DPI = 110
_DRAWING_PIXELS = 96
"""Width and height of a drawing below the matrix."""
_GAP = 12
"""Pixels around each of them."""
_PANELS_ACROSS = 5
_LONG_MARK = 12
"""Characters beyond which a metric is drawn smaller, its value below it, so that both stay within their box."""
_LONG_WORD = 8
"""Characters from which a word is broken at its spaces."""
_SHADES = 400
"""Of the scale of colours."""
_INK = "#1f2430"
_FAINT = "#6b7280"
_GROUND = "#f3f4f6"
_LINE = "#b8bec9"
_FRAME: dict[Ground, dict[str, Any]] = {
    Ground.HEAT: {},
    Ground.DASHED: {"linestyle": "--"},
    Ground.HATCHED: {"hatch": "////"},
}
"""How each ground is drawn, beside its colour."""
_BESIDE = {Kind.TRIGGER: -0.14, Kind.DRIFT: 0.14}
"""Where each difference stands beside the line of its interface."""
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


def matrix_png(study: Study, below: Sequence[Drawing] = ()) -> bytes | None:
    """The exposure matrix as PNG, drawings `below` it; `None` where the study has no numbers for it."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_FONT), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = Figure(layout="constrained", facecolor="white")
        if not exposure_matrix(study, figure):
            return None
        drawn = BytesIO()
        figure.savefig(drawn, format="png", dpi=_MAIL_DPI, metadata=_METADATA["png"])
    return _with_drawings(drawn.getvalue(), below) if below else drawn.getvalue()


def _with_drawings(png: bytes, drawings: Sequence[Drawing]) -> bytes:
    """A picture with a row of drawings below it."""
    from PIL import Image

    above = Image.open(BytesIO(png)).convert("RGB")
    whole = Image.new("RGB", (above.width, above.height + _DRAWING_PIXELS + _GAP), "white")
    whole.paste(above)
    for place, drawing in enumerate(drawings):
        one = Image.open(BytesIO(drawing.content)).convert("RGB")
        left = _GAP + place * (_DRAWING_PIXELS + _GAP)
        whole.paste(one.resize((_DRAWING_PIXELS, _DRAWING_PIXELS)), (left, above.height))
    written = BytesIO()
    whole.save(written, format="png", optimize=True)
    return written.getvalue()


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
    """Heat map of Δ over the reference, a box per entry; one without a number is hatched and says what it is."""
    rows = [row for row in study.rows if row.audit.profile]
    names = interfaces(row.audit.profile for row in rows)
    if not rows or not names:
        return False
    figure.set_size_inches(2.6 + 0.82 * len(names), 2.2 + 0.52 * len(rows))
    axes = figure.subplots()
    for y, row in enumerate(rows):
        for x, interface in enumerate(names):
            entry = entry_of(row.audit, interface)
            if entry is not None:
                _draw_box(axes, (x, y), box(entry))
    _name_axes(axes, rows, names)
    _add_scale(axes, figure)
    axes.set_title(TITLE, loc="left", fontsize=10)
    return True


def _add_scale(axes: Axes, figure: Figure) -> None:
    """What the colours stand for, with the cuts."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    low, high = ENDS
    shades = []
    for step in range(_SHADES):
        delta = low + (high - low) * (step + 0.5) / _SHADES
        shades.append(heat_of(delta, LIGHT))
    colours = ScalarMappable(Normalize(low, high), ListedColormap(shades))
    bar = figure.colorbar(colours, ax=axes, fraction=0.025, pad=0.01, ticks=[low, *CUTS, high])
    bar.set_label(SCALE)
    bar.outline.set_visible(False)


def _name_axes(axes: Axes, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Checkpoints left of the matrix, interfaces below it, and a line between groups of interfaces."""
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    below = [_wrapped(name) for name in names]
    axes.set_xticks(range(len(names)), below, rotation=50, ha="right")
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    for x in group_ends(names):
        axes.axvline(x + 0.5, color=_INK, linewidth=1.2)


def _draw_box(axes: Axes, at: tuple[int, int], drawn: Box) -> None:
    """The headline above what was measured, on its ground."""
    from matplotlib.patches import Rectangle

    x, y = at
    fill = drawn.fill(LIGHT)
    style: dict[str, Any] = {
        "facecolor": fill or _GROUND,
        "edgecolor": _LINE,
        **_FRAME[drawn.ground],
    }
    axes.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, linewidth=0.6, **style))
    above = -0.1 if drawn.measured else 0.0
    if fill is None:
        _draw_word(axes, at, above, drawn.headline)
        ink = _FAINT
    else:
        ink = ink_on(fill)
        _draw_text(axes, at, -0.1, drawn.headline, color=ink, fontsize=8)
    if drawn.measured:
        size = 6.0
        lines = drawn.measured
        if len(lines) > _LONG_MARK:
            size = 4.8
            lines = "\n".join(lines.rsplit(" ", 1))
        _draw_text(axes, at, 0.27, lines, color=ink, fontsize=size)


def _draw_word(axes: Axes, at: tuple[int, int], below: float, word: str) -> None:
    """A word readable on hatching; a long one in two lines."""
    style = {"boxstyle": "round,pad=0.12", "facecolor": _GROUND, "edgecolor": "none"}
    lines = word if len(word) < _LONG_WORD else word.replace(" ", "\n")
    _draw_text(axes, at, below, lines, color=_FAINT, fontsize=6.5, bbox=style)


def _draw_text(axes: Axes, at: tuple[int, int], below: float, text: str, **style: Any) -> None:
    """Centred; `below` the middle of a box, in heights of a row."""
    x, y = at
    axes.text(x, y + below, text, ha="center", va="center", **style)


# --- what carries it ------------------------------------------------------------------------------------------


def branch_swap(study: Study, figure: Figure) -> bool:
    """Four bars per checkpoint: a00, a10, a01, a11 under its diagnostic readout, the diagnosis below."""
    return _bars(figure, [(row, swap_bars(row.audit)) for row in study.rows])


def component_repair(study: Study, figure: Figure) -> bool:
    """Four bars per mechanism: both clean, trigger only, prompt only, whole."""
    return _bars(figure, [(row, repair_bars(row.audit)) for row in study.rows])


def _bars(figure: Figure, rows: Sequence[tuple[Row, Bars | None]]) -> bool:
    shown = [(row, bars) for row, bars in rows if bars is not None]
    if not shown:
        return False
    figure.set_size_inches(max(5.5, 1.6 + 1.9 * len(shown)), 3.9)
    axes = figure.subplots()
    first = shown[0][1]
    for place, part in enumerate(first.bars):
        where = [x + (place - 1.5) * 0.2 for x in range(len(shown))]
        heights = [bars.bars[place].share for _, bars in shown]
        drawn = axes.bar(where, heights, 0.18, color=part.fill(LIGHT), label=part.label)
        axes.bar_label(drawn, fmt="%.3f", fontsize=6.5, padding=1)
    for x, (_, bars) in enumerate(shown):
        axes.hlines(bars.threshold, x - 0.4, x + 0.4, colors=_INK, linestyles=":", linewidth=0.9)
    names = [_below_bars(row, bars) for row, bars in shown]
    axes.set_xticks(range(len(shown)), names, fontsize=8)
    axes.set_ylim(0, 1.08)
    axes.set_title(f"{first.title}\n{first.threshold_text}", loc="left", fontsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=7.5)
    return True


def _below_bars(row: Row, bars: Bars) -> str:
    lines = [_name(row, 24), f"{bars.readout} · {bars.carrier}"]
    if bars.ratios:
        lines.append(bars.ratios)
    return "\n".join(lines)


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
    profiles = (row.audit.profile for row in study.rows)
    names = [name for name in interfaces(profiles) if name in named]
    across = min(len(panels), _PANELS_ACROSS)
    down = ceil(len(panels) / across)
    figure.set_size_inches(2.0 + 1.9 * across, 0.7 + down * (0.6 + 0.3 * len(names)))
    every = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for axes, (row, cells) in zip(every, panels, strict=False):
        _panel(axes, _name(row, 24), [cells.get(name) for name in names])
    for axes in every[::across]:
        axes.set_yticks(range(len(names)), names)
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
            for drawn in intervals(cell)[1:]:
                _draw_interval(axes, drawn, y + _BESIDE[drawn.kind])
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


def _draw_interval(axes: Axes, drawn: Drawn, y: float) -> None:
    change = drawn.change
    below = max(0.0, change.value - change.interval.low)
    above = max(0.0, change.interval.high - change.value)
    axes.errorbar(
        change.value,
        y,
        xerr=[[below], [above]],
        markersize=3.5,
        capsize=2.0,
        linewidth=1.1,
        label=drawn.kind.value,
        marker="s" if drawn.square else "o",
        color=drawn.color(LIGHT),
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
