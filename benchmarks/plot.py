"""Draws the medians as bars, with one panel for each workload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.growth import Series
from benchmarks.rounds import Result

mpl.use("Agg")

from matplotlib import pyplot as plt

OURS, OTHERS = "#2a6f97", "#b8b8b8"


def draw(results: Sequence[Result], to: Path) -> None:
    """Write the picture. The longest bar is the best, except in panels of milliseconds."""
    rows = (len(results) + 1) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(15, 3.4 * rows), squeeze=False)
    for axis, result in zip(axes.flat, results, strict=False):
        _panel(axis, result)
    for axis in axes.flat[len(results) :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(to, dpi=80)
    plt.close(figure)


def draw_growth(series: Sequence[Series], to: Path) -> None:
    """Draw start-up time, memory and CPU over size, with one row for each curve."""
    if not series:
        return
    figure, axes = plt.subplots(len(series), 3, figsize=(13, 2.6 * len(series)), squeeze=False)
    for row, each in zip(axes, series, strict=True):
        values = {
            "start-up, s": [cost.startup for cost in each.costs],
            "memory, MB": [cost.memory for cost in each.costs],
            "share of a core": [cost.cpu for cost in each.costs],
        }
        for axis, (name, found) in zip(row, values.items(), strict=True):
            axis.plot(each.sizes, found, marker="o", color=OURS)
            axis.set_ylim(bottom=0)
            axis.set_ylabel(name, fontsize=8)
            axis.set_xlabel(each.title, fontsize=8)
            axis.tick_params(labelsize=7)
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
