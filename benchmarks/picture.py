"""The picture in the README, drawn from RESULTS.md: ``python -m benchmarks.picture`` writes docs/pictures/throughput.svg.

It needs no library, so a test can draw it again and compare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PICTURE = ROOT / "docs" / "pictures" / "throughput.svg"

# Workloads of RESULTS.md, and what the picture says above their bars.
PANELS = {
    "no-op, 160-byte JSON, 4 partitions, key order": "handlers that do nothing",
    "10 ms of I/O, 200 slots, 1,000 keys, key order": "handlers that wait 10 ms, 200 at once",
}
VARIANTS = re.compile(r", (uvloop|asyncio's loop)$")  # the same contestant on another event loop

WIDTH, PANEL, LABELS, BARS, STEP, TOP, BOTTOM = 880, 440, 194, 160, 22, 64, 34
STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 13px; font-weight: 600 }
  .faint { fill: #59636e }
  .ours { fill: #1f6feb }
  .safe { fill: #6e7781 }
  .unsafe { fill: #c3c9d0 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .faint { fill: #9198a1 }
    .ours { fill: #4493f8 }
    .safe { fill: #9198a1 }
    .unsafe { fill: #4b535d }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """A contestant with its median (messages a second) and what it promises meanwhile."""

    name: str
    median: int
    promises: str

    @property
    def label(self) -> str:
        return "core-messaging" if self.kind == "ours" else self.name.replace("raw ", "aiokafka ")

    @property
    def kind(self) -> str:
        if self.name == "ours":
            return "ours"
        return "safe" if "at least once" in self.promises else "unsafe"


def bars_of(results: str, workload: str) -> list[Bar]:
    """List the contestants of *workload*, the fastest first."""
    table = results.partition(f"\n## {workload}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if "msg/s" in line
    ]
    bars = [Bar(row[0], int(row[1].removesuffix(" msg/s").replace(",", "")), row[4]) for row in rows]
    return sorted((bar for bar in bars if not VARIANTS.search(bar.name)), key=lambda bar: -bar.median)


def drawn(results: str) -> str:
    """Draw the picture as SVG. It follows the reader's light or dark colour scheme."""
    panels = {title: bars_of(results, workload) for workload, title in PANELS.items()}
    height = TOP + STEP * max(map(len, panels.values())) + BOTTOM
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
        '<title id="title">Messages a second of core-messaging beside other libraries</title>',
        f"<style>{STYLE}</style>",
        _text(8, 20, "Messages a second, one process, Apache Kafka on the same two cores (median)", "title"),
    ]
    for place, (title, bars) in enumerate(panels.items()):
        lines += _panel(place * PANEL, title, bars)
    return "\n".join([*lines, *_legend(height - 12), "</svg>", ""])


def _panel(left: int, title: str, bars: list[Bar]) -> list[str]:
    longest = max(bar.median for bar in bars)
    lines = [_text(left + 8, TOP - 16, title, "faint")]
    for place, bar in enumerate(bars):
        y = TOP + place * STEP
        width = max(1, round(BARS * bar.median / longest))
        lines += [
            f'<text x="{left + LABELS - 6}" y="{y + 11}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect x="{left + LABELS}" y="{y}" width="{width}" height="15" rx="2" class="{bar.kind}"/>',
            _text(left + LABELS + width + 6, y + 11, f"{bar.median:,}", "faint"),
        ]
    return lines


def _legend(y: int) -> list[str]:
    entries = {
        "ours": "at least once, in order per key, with retries",
        "safe": "at least once",
        "unsafe": "a crash may lose messages, or it promises nothing",
    }
    lines, left = [], 8
    for kind, text in entries.items():
        lines.append(f'<rect x="{left}" y="{y - 10}" width="11" height="11" rx="2" class="{kind}"/>')
        lines.append(_text(left + 17, y, text, "faint"))
        left += 34 + 6 * len(text)
    return lines


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'


def main() -> None:
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(drawn(RESULTS.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
