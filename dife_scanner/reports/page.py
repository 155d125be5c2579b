"""A document as one HTML file that needs nothing else: no script, no link, no picture from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from dife_scanner.figures.drawings import Drawing
from dife_scanner.plain import plain
from dife_scanner.reports.sheet import Mark, Sheet, Tone

_LIMIT = 1500
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --faint: #626a78; --ground: #ffffff; --line: #d9dde4; --red: #b3261e;
  --blue: #2f62b5; --amber: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaf0; --faint: #9aa2b1; --ground: #171a21; --line: #363c49;
  --red: #ff8a80; --blue: #8fb8ff; --amber: #f0c36d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto;
  max-width: 76rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th { text-align: left; color: var(--faint); font-weight: 600; }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.name { font-weight: 600; min-width: 11rem; overflow-wrap: anywhere; } .exposed { color: var(--red); font-weight: 600; }
.negative { color: var(--blue); } .unsure { color: var(--amber); } .absent, .note { color: var(--faint); }
.pictured { display: flex; gap: .5rem; align-items: center; }
.drawing { width: 2.6rem; height: 2.6rem; flex: none; border: 1px solid var(--line); }
.kept { position: absolute; width: 0; height: 0; }
.wide { overflow-x: auto; } img { max-width: 100%; height: auto; background: #fff; }
@media print { body { margin: 0; max-width: none; } table { font-size: .75rem; } tr { break-inside: avoid; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(
    title: str, lines: Iterable[str], sheets: Sequence[Sheet], picture: tuple[bytes, str] | None
) -> str:
    """The whole file; `picture` is a PNG and what it shows. Whatever strangers wrote is shown and does nothing."""
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(plain(title, _LIMIT))}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{text(title)}</h1>",
        *(f"<p>{text(line)}</p>" for line in lines),
    ]
    if picture is not None:
        parts += _picture(*picture)
    parts += _kept(sheets)
    for sheet in sheets:
        parts += _section(sheet)
    return "\n".join([*parts, "</body>", "</html>", ""])


def text(value: str) -> str:
    """A string on one harmless line, kept from turning round what stands beside it."""
    return f"<bdi>{escape(plain(value, _LIMIT))}</bdi>"


def _section(sheet: Sheet) -> list[str]:
    head = "".join(f'<th scope="col">{text(column)}</th>' for column in sheet.columns)
    parts = [f"<h2>{text(sheet.title)}</h2>", '<div class="wide"><table>']
    parts.append(f"<thead><tr>{head}</tr></thead>")
    parts.append("<tbody>")
    for row in sheet.rows:
        parts.append(f"<tr>{''.join(map(_cell, row))}</tr>")
    parts.append("</tbody></table></div>")
    for note in sheet.notes:
        parts.append(f'<p class="note">{text(note)}</p>')
    return parts


def _cell(mark: Mark) -> str:
    kind = "" if mark.tone is Tone.PLAIN else f' class="{mark.tone.value}"'
    shown = text(mark.text)
    if mark.drawings:
        shown = f'<div class="pictured">{"".join(map(_drawing, mark.drawings))}{shown}</div>'
    return f"<td{kind}>{shown}</td>"


def _kept(sheets: Sequence[Sheet]) -> list[str]:
    """Every drawing once, however often it is shown: each has some ten thousand bytes."""
    found: dict[str, Drawing] = {}
    for sheet in sheets:
        for row in sheet.rows:
            for mark in row:
                found |= {drawing.sha256: drawing for drawing in mark.drawings}
    if not found:
        return []
    images = []
    for drawing in found.values():
        encoded = base64.b64encode(drawing.content).decode("ascii")
        data = f"data:{escape(drawing.media_type)};base64,{encoded}"
        images.append(f'<image id="d{drawing.sha256}" width="1" height="1" href="{data}"/>')
    return ['<svg class="kept" aria-hidden="true"><defs>', *images, "</defs></svg>"]


def _drawing(drawing: Drawing) -> str:
    name = escape(plain(drawing.caption, _LIMIT))
    return (
        f'<svg class="drawing" viewBox="0 0 1 1" role="img" aria-label="{name}">'
        f'<title>{name}</title><use href="#d{drawing.sha256}"/></svg>'
    )


def _picture(png: bytes, caption: str) -> list[str]:
    encoded = base64.b64encode(png).decode("ascii")
    shown = escape(plain(caption, _LIMIT))
    return [
        f"<h2>{text(caption)}</h2>",
        f'<img alt="{shown}" src="data:image/png;base64,{encoded}">',
    ]
