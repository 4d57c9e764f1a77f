"""One picture of all lines: a bar for the measured value, a stroke where its bound is. Plain SVG."""

import html

WIDTH, TEXT, BAR, ROW, TOP = 980, 470, 400, 22, 44
COLOURS = {True: "#2e7d32", False: "#c62828", None: "#607d8b"}


def label(x, y, text, anchor="start", size=12):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}">{html.escape(text)}</text>'


def row(y, line):
    """Bars are drawn against twice the bound (or twice the value, where there is none)."""
    bound = line["least"] if line["least"] is not None else line["most"]
    full = 2 * (bound or line["value"])
    width = BAR * min(1.0, line["value"] / full)
    yield label(TEXT - 8, y + 13, line["text"], "end")
    yield f'<rect x="{TEXT}" y="{y}" width="{width:.1f}" height="{ROW - 6}" fill="{COLOURS[line["holds"]]}"/>'
    yield label(TEXT + width + 6, y + 13, line["shown"])
    if bound:
        x = TEXT + BAR / 2
        yield f'<line x1="{x}" y1="{y - 2}" x2="{x}" y2="{y + ROW - 4}" stroke="black" stroke-width="1.5"/>'


def svg(title, lines):
    height = TOP + ROW * len(lines) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        label(12, 24, title, size=14),
    ]
    for i, line in enumerate(lines):
        parts.extend(row(TOP + ROW * i, line))
    return "\n".join([*parts, "</svg>\n"])
