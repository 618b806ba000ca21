#!/usr/bin/env python3
"""Draw what faster labels are worth.

    benches/delay.py docs/label-delay.svg 7:.88:.76:.31 3:.93:.85:.35 1:.96:.91:.37 0:.98:.95:.38

Each point is DAYS:AUC:AP:CP of one `weir train` and `weir evaluate` under a mapping whose labels take so many days.
"""
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 330, 56, 150, 20, 44
# With how far below its point a value stands, and below its line's end a name: the first two lines run close.
SERIES = (("AUC ROC", "#1f5fa8", -8, -2), ("average precision", "#b3431e", 18, 10), ("card precision at 100", "#3d7a3a", -8, 4))


def main():
    points = sorted((tuple(float(part) for part in point.split(":")) for point in sys.argv[2:]), reverse=True)
    most = points[0][0]
    x = lambda days: LEFT + (most - days) / most * (WIDTH - LEFT - RIGHT)
    y = lambda value: TOP + (1 - value) * (HEIGHT - TOP - BOTTOM)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for tenth in range(0, 11, 2):
        at = y(tenth / 10)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#dddddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#444444">{tenth / 10:.1f}</text>')
    for days, *_ in points:
        out.append(f'<text x="{x(days):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#444444">{days:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(f'<text x="{middle:.1f}" y="{HEIGHT - 8}" text-anchor="middle" fill="#444444">days until a fraud is known</text>')
    for at, (name, colour, value_below, name_below) in enumerate(SERIES, start=1):
        line = " ".join(f"{x(point[0]):.1f},{y(point[at]):.1f}" for point in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in points:
            out.append(f'<circle cx="{x(point[0]):.1f}" cy="{y(point[at]):.1f}" r="3" fill="{colour}"/>')
            value = f"{point[at]:.3f}"[1:] if point[at] < 1 else "1"
            out.append(f'<text x="{x(point[0]):.1f}" y="{y(point[at]) + value_below:.1f}" text-anchor="middle" fill="{colour}">{value}</text>')
        last = points[-1]
        out.append(f'<text x="{x(last[0]) + 18:.1f}" y="{y(last[at]) + name_below:.1f}" fill="{colour}">{name}</text>')
    out.append("</svg>")
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


main()
