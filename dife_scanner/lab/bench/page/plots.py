"""The benchmark's pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dife_scanner.lab.bench import results
from dife_scanner.lab.bench.rows import Row, Rows
from dife_scanner.lab.bench.zoo import Role
from dife_scanner.records import Carrier

_ATTACK = "#c9453c"
_BENIGN = "#3b7dd8"


def scores(shown: Rows, path: Path) -> bool:
    """Scores of every model as dots, one line per family or kind; whether there was anything to draw."""
    groups = _by_kind(shown)
    if not groups:
        return False
    # Attacks above, benign models below.
    attacks = [name for name in groups if groups[name][0].role is Role.ATTACK]
    order = [*sorted(attacks), *sorted(set(groups) - set(attacks))]
    with _axes(path, (7.5, 1.2 + 0.28 * len(order))) as axes:
        for place, name in enumerate(order):
            for row in groups[name]:
                colour = _ATTACK if row.role is Role.ATTACK else _BENIGN
                filled = colour if row.flagged else "none"
                axes.plot(
                    results.score(row),
                    place,
                    "o",
                    color=colour,
                    markerfacecolor=filled,
                    markersize=5,
                    alpha=0.8,
                )
        axes.set_yticks(range(len(order)), order)
        axes.invert_yaxis()
        axes.set_xlim(-0.03, 1.03)
        axes.set_xlabel("score: largest held-out success over the base (filled: flagged)")
        axes.grid(axis="x", alpha=0.3)
    return True


def _by_kind(shown: Rows) -> dict[str, list[Row]]:
    """Searched models by family or kind, clean twins by themselves."""
    groups: dict[str, list[Row]] = {}
    for row in filter(results.searched, shown):
        groups.setdefault(results.benign_kind(row), []).append(row)
    return groups


def curves(shown: Rows, path: Path) -> bool:
    """ROC of the score per carrier and over all; whether there was anything to draw."""
    drawn = []
    for carrier in (*Carrier, None):
        found = results.curve(shown, carrier)
        if found is not None:
            drawn.append(("all" if carrier is None else str(carrier), found))
    if not drawn:
        return False
    with _axes(path, (4.6, 4.2)) as axes:
        # Curves lie on each other near the corner: each is drawn thinner than the one before.
        width = 2 * len(drawn)
        for name, (benign, attacks) in drawn:
            axes.plot(benign, attacks, label=name, linewidth=width, alpha=0.7)
            width -= 2
        axes.plot(
            [0, 1],
            [0, 1],
            ":",
            color="#888888",
            linewidth=1,
        )
        axes.set_xlabel("benign models of the test side at or above a score")
        axes.set_ylabel("attacks of the test side at or above it")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    return True


def strengths(points: Sequence[results.Strength], path: Path) -> bool:
    """Score against native success, one dot per attack, one colour per family; whether there was anything to draw."""
    if not points:
        return False
    families = sorted({one.family for one in points})
    with _axes(path, (7.5, 4.2)) as axes:
        for place, family in enumerate(families):
            colour = f"C{place}"
            for one in points:
                if one.family == family:
                    filled = colour if one.flagged else "none"
                    axes.plot(
                        one.native,
                        one.score,
                        "o",
                        color=colour,
                        markerfacecolor=filled,
                        alpha=0.8,
                    )
            axes.plot([], [], "o", color=colour, label=family)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("native success of the attack")
        axes.set_ylabel("score of the blind audit (filled: flagged)")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
    return True


@contextmanager
def _axes(path: Path, size: tuple[float, float]) -> Iterator[Any]:
    """Axes of a figure that is written to `path` once they are drawn; equal drawings give equal files."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "dife", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        yield figure.subplots()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
