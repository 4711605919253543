"""`python -m tests.bench.plots`: how figures grow, drawn from the committed results into `docs/images`."""

import sys
from collections.abc import Iterable, Sequence
from html import escape
from math import floor, log10

from tests.bench.results import COMMITTED, ROOT, Figure, read

IMAGES = ROOT / "docs" / "images"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 70, 40, 60, 50
COLOURS = ("#1b6ac9", "#c2410c", "#15803d", "#7e22ce")
STEPS = 4
Series = dict[str, list[Figure]]


def draw(title: str, grows: str, figures: Iterable[Figure]) -> str:
    """Return an SVG with one line for each name: medians, with a bar from the least to the largest run."""
    series: Series = {}
    for each in sorted(figures, key=lambda figure: figure.size or 0):
        series.setdefault(each.name, []).append(each)
    all_of_them = [each for line in series.values() for each in line]
    sizes = sorted({each.size or 1 for each in all_of_them})
    top = round_above(max(max(each.runs) for each in all_of_them))

    def place(size: int, value: float) -> tuple[float, float]:
        span = log10(sizes[-1]) - log10(sizes[0]) or 1
        across = (log10(size) - log10(sizes[0])) / span
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [_text(LEFT, 20, title, weight="bold"), _text(WIDTH / 2, HEIGHT - 10, grows, anchor="middle")]
    parts += [_text(place(each, 0)[0], HEIGHT - BOTTOM + 18, f"{each:,}", anchor="middle") for each in sizes]
    for step in range(STEPS + 1):
        value = top * step / STEPS
        height = place(sizes[0], value)[1]
        parts.append(f'<path d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 8, height + 4, f"{value:.3g} {all_of_them[0].unit}", anchor="end"))
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(_line([place(each.size or 1, each.median) for each in line], colour))
        for each in line:
            (across, low), (_, high) = place(each.size or 1, min(each.runs)), place(each.size or 1, max(each.runs))
            parts.append(f'<path d="M{across:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(LEFT + number * 160, 42, f"● {name}", colour=colour))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
    return "\n".join([f'{head} font-size="12">', '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"])


def round_above(value: float) -> float:
    """Return the next number whose quarters are short to write."""
    magnitude: float = 10 ** floor(log10(value))
    return next(each * magnitude for each in (1, 1.2, 2, 4, 6, 8, 10) if each * magnitude >= value)


def draw_all() -> dict[str, str]:
    """Return every plot of the documentation, by its name."""
    figures = list(read(COMMITTED / "growth.jsonl").values())
    return {
        name: draw(title, grows, [_renamed(each, prefix) for each in figures if each.name.startswith(prefix)])
        for name, title, grows, prefix in (
            ("growth-journal", "Credits on PostgreSQL: time of a request", "rows of the journal", "credits: "),
            ("growth-flags", "Flags: time of a request", "flags of an environment", "flags: "),
        )
    }


def main() -> int:
    """Write every plot of the documentation."""
    for name, drawn in draw_all().items():
        (IMAGES / f"{name}.svg").write_text(drawn, encoding="utf-8")
    return 0


def _renamed(figure: Figure, prefix: str) -> Figure:
    return Figure(figure.name.removeprefix(prefix), figure.unit, figure.runs, figure.size)


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#333"
) -> str:
    look = f'text-anchor="{anchor}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(words)}</text>'


def _line(places: Sequence[tuple[float, float]], colour: str) -> str:
    steps = " ".join(f"{across:.1f},{height:.1f}" for across, height in places)
    return f'<polyline points="{steps}" fill="none" stroke="{colour}" stroke-width="2"/>'


if __name__ == "__main__":
    sys.exit(main())
