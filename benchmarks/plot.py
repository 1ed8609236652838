"""The medians as bars, a panel a workload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.rounds import Result

mpl.use("Agg")

from matplotlib import pyplot as plt

OURS, OTHERS = "#2a6f97", "#b8b8b8"


def draw(results: Sequence[Result], to: Path) -> None:
    """Write the picture. The longest bar is the best but in panels of milliseconds."""
    rows = (len(results) + 1) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(15, 3.4 * rows), squeeze=False)
    for axis, result in zip(axes.flat, results, strict=False):
        _panel(axis, result)
    for axis in axes.flat[len(results) :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(to, dpi=80)
    plt.close(figure)


def _panel(axis: plt.Axes, result: Result) -> None:
    middles = {name: middle for name in result.figures if (middle := result.middle(name)) is not None}
    names = list(reversed(middles))
    colours = [OURS if name.startswith("ours") else OTHERS for name in names]
    bars = axis.barh(names, [middles[name] for name in names], color=colours)
    unit = result.workload.unit
    axis.bar_label(bars, fmt="{:,.0f}" if unit == "msg/s" else "{:.2f}", padding=2, fontsize=7)
    axis.set_title(result.workload.title, fontsize=9)
    axis.set_xlabel(unit, fontsize=8)
    axis.tick_params(labelsize=7)
    axis.margins(x=0.12)
