"""Numbers, counts and sizes as people read them."""

from __future__ import annotations

from dife_scanner.records import Interval


def number(value: float, digits: int = 3) -> str:
    """`digits` decimals with a true minus sign, and no negative zero: `0.998`, `−0.025`."""
    text = f"{value:.{digits}f}"
    if not float(text):
        text = text.removeprefix("-")
    return text.replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """Like `number`, with a plus where it is above zero: `+0.901`."""
    text = number(value, digits)
    if text.startswith("−") or not float(text):
        return text
    return f"+{text}"


def interval_text(interval: Interval) -> str:
    """`0.981 to 1.000`."""
    return f"{number(interval.low)} to {number(interval.high)}"


def count(amount: int, noun: str, plural: str = "") -> str:
    """`1 model`, `1,204 models`; `plural` where it is not made with an s."""
    if amount == 1:
        return f"1 {noun}"
    return f"{amount:,} {plural or f'{noun}s'}"


def count_text(amount: float) -> str:
    """`132`, `1,204`: a count without decimals; `132.5` for a mean of counts."""
    if amount == round(amount):
        return f"{amount:,.0f}"
    return f"{amount:,.1f}"


def bytes_text(amount: int) -> str:
    """`812 B`, `1.4 MB`: decimal units, as the hub shows them."""
    if amount < 1000:
        return f"{amount} B"
    value = float(amount)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95 or unit == "TB":
            break
    return f"{value:.1f} {unit}"


def p_text(p_value: float) -> str:
    """`0.040`; a small p-value is never shown as zero."""
    if p_value < 0.001:
        return "< 0.001"
    return f"{p_value:.3f}"


def capital(text: str) -> str:
    """`text` with a capital at its beginning; the rest stays, names in it too."""
    return text[:1].upper() + text[1:]
