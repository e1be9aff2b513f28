# Part of Ropewalk, MIT licence.
"""Loss curves: read, smoothed, drawn as SVG. Standard library only."""
import json
import statistics

COLOURS = ("#1b6ca8", "#c8553d", "#4a8f3c", "#8a5fb5", "#b58900")


def losses(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def smooth(values, window):
    return [statistics.fmean(values[max(0, i + 1 - window):i + 1]) for i in range(len(values))]


def points(values, box, low, high, last):
    left, top, width, height = box
    return " ".join(f"{left + width * i / max(1, last - 1):.1f},{top + height * (high - v) / (high - low):.1f}"
                    for i, v in enumerate(values))


def axis(box, low, high, last, unit):
    """Frame, five numbers up the side and, below, the steps."""
    left, top, width, height = box
    out = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#999"/>']
    for i in range(5):
        value, y = low + (high - low) * i / 4, top + height * (4 - i) / 4
        out.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="#eee"/>')
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.{unit}f}</text>')
        x = left + width * i / 4
        out.append(f'<text x="{x:.1f}" y="{top + height + 16}" text-anchor="middle">{round(last * i / 4)}</text>')
    return out
