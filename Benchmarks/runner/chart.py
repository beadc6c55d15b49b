"""The chart: CPU of each proxy relative to the bare relay, as an SVG of its own."""

from statistics import median
from xml.sax.saxutils import escape

WIDTH, LABELS, RIGHT = 880, 300, 60
BAR, GAP, GROUP_GAP = 11, 2, 16
TOP, BOTTOM = 76, 34
#: Bars beyond it are cut and say how long they would be.
LIMIT = 4.0
#: A colour for light and one for dark ground, of each proxy.
COLOURS = {
    "bare relay": ("#8c959f", "#6e7681"), "splicing relay": ("#afb8c1", "#484f58"),
    "Sluice": ("#0969da", "#4493f8"),
    "nginx": ("#2da44e", "#3fb950"), "HAProxy": ("#8250df", "#ab7df8"),
    "Caddy": ("#bf8700", "#d29922"), "h2o": ("#cf222e", "#f85149"),
}


def draw(figures):
    """The chart of all works that cost CPU, as text."""
    works = [work for work in figures.works if not work.is_idle]
    names = [name for name in figures.names if name != figures.base]
    groups = [(work, _ratios(figures, work, names)) for work in works]
    groups = [(work, ratios) for work, ratios in groups if ratios]
    longest = max((max(ratios.values()) for _, ratios in groups), default=1)
    scale = (WIDTH - LABELS - RIGHT) / min(max(longest, 1.2), LIMIT)
    body, bottom = _groups(groups, scale)
    height = bottom + BOTTOM
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
            f' viewBox="0 0 {WIDTH} {height}" role="img"'
            f' aria-label="CPU relative to {escape(figures.base)}">')
    parts = [head, _style(), *_legend(figures.base, names), *_grid(scale, bottom), *body, "</svg>"]
    return "\n".join(parts) + "\n"


def _ratios(figures, work, names):
    ratios = {name: figures.ratios(work, name, figures.base) for name in names}
    return {name: median(values) for name, values in ratios.items() if values}


def _class(name):
    return name.lower().replace(" ", "-")


def _style():
    light = "".join(f".{_class(name)}{{fill:{pair[0]}}}" for name, pair in COLOURS.items())
    dark = "".join(f".{_class(name)}{{fill:{pair[1]}}}" for name, pair in COLOURS.items())
    return (
        "<style>text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;"
        "fill:#1f2328}.title{font-size:15px;font-weight:600}.small{font-size:10px;fill:#59636e}"
        ".strong{font-weight:600;fill:#1f2328}.ground{fill:#ffffff}.grid{stroke:#d1d9e0}"
        f".one{{stroke:#59636e}}{light}"
        "@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}"
        ".strong{fill:#f0f6fc}"
        f".ground{{fill:#0d1117}}.grid{{stroke:#3d444d}}.one{{stroke:#9198a1}}{dark}}}</style>"
        '<rect class="ground" width="100%" height="100%" rx="6"/>')


def _legend(base, names):
    parts = [_text(16, 26, f"CPU for the same work, relative to {_named(base)} (= 1): less is better",
                   "title")]
    x = 16
    for name in names:
        parts.append(f'<rect class="{_class(name)}" x="{x}" y="42" width="12" height="12" rx="2"/>')
        parts.append(_text(x + 17, 52, name))
        x += 17 + 8 * len(name) + 22
    return parts


def _named(base):
    return "a bare relay" if base == "bare relay" else base


def _grid(scale, bottom):
    parts = []
    step = 0.5 if scale > 120 else 1.0
    for index in range(int((WIDTH - LABELS - RIGHT) / scale / step + 1e-6) + 1):
        x = LABELS + index * step * scale
        kind = "one" if index * step == 1 else "grid"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}"'
                     f' y2="{bottom}"/>')
        parts.append(_text(x, bottom + 16, f"{index * step:g}", "small", "middle"))
    return parts


def _groups(groups, scale):
    parts, y = [], TOP
    for work, ratios in groups:
        height = len(ratios) * (BAR + GAP) - GAP
        parts.append(_text(LABELS - 12, y + height / 2 + 4, work.label, anchor="end"))
        for name, ratio in ratios.items():
            parts += _bar(name, ratio, y, scale)
            y += BAR + GAP
        y += GROUP_GAP - GAP
    return parts, y - GROUP_GAP + 8


def _bar(name, ratio, y, scale):
    width = max(1.0, min(ratio, LIMIT) * scale)
    mark = "▸ " if ratio > LIMIT else ""
    kind = "small strong" if name == "Sluice" else "small"
    return [
        f'<rect class="{_class(name)}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}"'
        f' rx="2"><title>{escape(name)}: {ratio:.2f}</title></rect>',
        _text(LABELS + width + 5, y + BAR - 2, f"{mark}{ratio:.2f}", kind),
    ]


def _text(x, y, text, kind="", anchor="start"):
    attributes = (f' class="{kind}"' if kind else "") + (
        f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(text)}</text>'
