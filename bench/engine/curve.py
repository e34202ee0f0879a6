"""The scale-out curve as an SVG: rate with n workers over the rate with one, beside the straight line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

WIDTH: Final = 640
HEIGHT: Final = 400
LEFT: Final = 60
BOTTOM: Final = 50
TOP: Final = 30
RIGHT: Final = 150
COLOURS: Final = {"embed": "#1b6ca8", "generate": "#c8553d"}
NAMES: Final = {"embed": "embed, 50 ms a batch", "generate": "generate, 200 ms a call"}


def drawn(found: Mapping[str, Any]) -> str:
    """The picture of a scale-out result.

    >>> "polyline" in drawn({"embed": [{"workers": 1, "rate": 2.0}, {"workers": 2, "rate": 4.0}]})
    True
    """
    lines = {shape: found[shape] for shape in COLOURS if shape in found}
    most = max(row["workers"] for rows in lines.values() for row in rows)
    parts = [*_frame(most), _polyline([(1, 1.0), (most, float(most))], most, "#999999", dashed=True)]
    for number, (shape, rows) in enumerate(lines.items()):
        points = [(row["workers"], row["rate"] / rows[0]["rate"]) for row in rows]
        parts.append(_polyline(points, most, COLOURS[shape]))
        parts += [_dot(point, most, COLOURS[shape]) for point in points]
        parts.append(_text(WIDTH - RIGHT + 8, TOP + 20 + 20 * number, NAMES[shape], COLOURS[shape]))
    parts.append(_text(WIDTH - RIGHT + 8, TOP + 20 + 20 * len(lines), "straight line", "#777777"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>", ""])


def _x(workers: float, most: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * workers / most


def _y(times: float, most: int) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * times / most


def _frame(most: int) -> list[str]:
    steps = [step for step in (0, 1, 2, 4, 8, 16) if step <= most]
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    grid = [
        f'<line x1="{LEFT}" y1="{_y(step, most):.1f}" x2="{right}" y2="{_y(step, most):.1f}" stroke="#e6e6e6"/>'
        for step in steps
    ]
    marks = [_text(LEFT - 10, _y(step, most) + 4, f"{step}x", "#333333", anchor="end") for step in steps]
    marks += [_text(_x(step, most), floor + 18, str(step), "#333333", anchor="middle") for step in steps if step]
    title = _text((LEFT + right) / 2, floor + 38, "worker processes, 16 partitions", "#333333", anchor="middle")
    return [*grid, *marks, title, _text(LEFT, TOP - 12, "rate, in times of one worker", "#333333")]


def _polyline(points: Sequence[tuple[float, float]], most: int, colour: str, *, dashed: bool = False) -> str:
    places = " ".join(f"{_x(workers, most):.1f},{_y(times, most):.1f}" for workers, times in points)
    dash = ' stroke-dasharray="5 5"' if dashed else ""
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'


def _dot(point: tuple[float, float], most: int, colour: str) -> str:
    return f'<circle cx="{_x(point[0], most):.1f}" cy="{_y(point[1], most):.1f}" r="4" fill="{colour}"/>'


def _text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    font = 'font-family="sans-serif" font-size="12"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {font} fill="{colour}" text-anchor="{anchor}">{words}</text>'
