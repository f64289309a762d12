"""The chart: bars of each peer for the main figures, and the machine's facts, as SVG written by hand."""

from __future__ import annotations

from html import escape

from benchmarks.catalogue import unit
from benchmarks.race import Race
from benchmarks.registry import OURS

PANELS = {
    "enqueue": "Enqueue alone",
    "drain": "Drain alone",
    "end_to_end_published": "End to end, every event published",
    "latency_start_p50": "Start latency at 20 jobs/s, p50",
    "latency_visible_p50": "Result visible at 20 jobs/s, p50",
    "cpu_worker": "Worker CPU",
}
COLUMNS, WIDTH, ROW, LABEL, MARGIN = 2, 560, 22, 130, 24
STYLE = "font-family:sans-serif;font-size:13px;fill:#222"


def chart(race: Race, peers: list[str], facts: dict[str, str]) -> str:
    """The whole picture; lower is better where a panel is about time."""
    shown = [figure for figure in PANELS if figure in race.results]
    height = (len(peers) + 2) * ROW
    rows = -(-len(shown) // COLUMNS)
    width, base = COLUMNS * WIDTH + MARGIN, MARGIN + rows * height
    parts = [
        _panel(race, figure, peers, MARGIN + place % COLUMNS * WIDTH, MARGIN + place // COLUMNS * height)
        for place, figure in enumerate(shown)
    ]
    lines = [
        _text(MARGIN, base + ROW + place * 18, f"{name}: {value}", size=11)
        for place, (name, value) in enumerate(facts.items())
    ]
    total = base + ROW * 2 + len(facts) * 18
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" style="{STYLE}">'
    return "\n".join([head, f'<rect width="{width}" height="{total}" fill="#fff"/>', *parts, *lines, "</svg>", ""])


def _panel(race: Race, figure: str, peers: list[str], left: int, top: int) -> str:
    values = {peer: value for peer in peers if (value := race.median(figure, peer)) is not None}
    longest = max(values.values(), default=1.0) or 1.0
    parts = [_text(left, top + 12, f"{PANELS[figure]} ({unit(figure)})", weight="bold")]
    for place, (peer, value) in enumerate(values.items()):
        y = top + (place + 1) * ROW
        length = max(1.0, value / longest * (WIDTH - LABEL - 120))
        colour = "#c2410c" if peer.startswith(OURS) else "#94a3b8"
        number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        parts += [
            _text(left, y + 12, peer),
            f'<rect x="{left + LABEL}" y="{y}" width="{length:.1f}" height="{ROW - 6}" fill="{colour}"/>',
            _text(left + LABEL + length + 6, y + 12, number),
        ]
    return "\n".join(parts)


def _text(x: float, y: float, text: str, *, weight: str = "normal", size: int = 13) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}" font-size="{size}">{escape(text)}</text>'
