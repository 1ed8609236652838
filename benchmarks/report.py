"""Writes one table, on the terminal and as RESULTS.md, with the figures of every round below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import idle, machine, processes, rebalance, startup
from benchmarks.growth import Series
from benchmarks.rounds import Figures, Result
from benchmarks.workloads import Bar

HERE = Path(__file__).parent
RESULTS, PLOT, GROWTH_PLOT = HERE / "RESULTS.md", HERE / "results.png", HERE / "growth.png"
Row = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class Everything:
    """What one run has measured. A part that was not asked for is empty."""

    results: Sequence[Result]
    processes: Sequence[processes.Round]
    rebalances: Sequence[rebalance.Round]
    growth: Sequence[Series]
    starts: tuple[float, float] | None  # seconds without and with many distributions
    idle: Sequence[idle.Idle]


COLUMNS = ("contestant", "median", "ratio", "bar", "meanwhile")


def _figure(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if unit == "msg/s" else f"{value:.2f} {unit}"


def _rows(result: Result) -> Iterator[Row]:
    for name, figures in result.figures.items():
        middle = result.middle(name)
        promise = figures.contestant.promise
        if figures.error or middle is None:
            yield name, "-", "", "", f"no figure: {figures.error or 'not run'}"
            continue
        bars = [bar for bar in result.workload.bars if bar.ours == name]
        ratios, wanted = (
            "; ".join(_ratio(result, bar) for bar in bars),
            "; ".join(_bar(result, b) for b in bars),
        )
        yield name, _figure(middle, result.workload.unit), ratios, wanted, promise


def _ratio(result: Result, bar: Bar) -> str:
    found = result.ratios(bar.ours, bar.against)
    if not found:
        return "-"
    return f"{median(found):.2f} ({min(found):.2f}-{max(found):.2f}) of {bar.against}"


def _bar(result: Result, bar: Bar) -> str:
    sign = "<=" if result.workload.less_is_better else ">="
    return f"{sign} {bar.ratio:g} {_VERDICTS[result.reached(bar)]}"


_VERDICTS = {True: "reached", False: "MISSED", None: "not measured"}


def show(found: Everything, console: Console) -> None:
    """Write the table, and one line for each other figure."""
    table = Table(*COLUMNS, title="medians; ratios with their range over the rounds", show_lines=False)
    for result in found.results:
        table.add_section()
        table.add_row(f"[bold]{result.workload.title}[/bold]")
        for row in _rows(result):
            table.add_row(*row)
    console.print(table)
    for line in [
        *_others(found),
        *(each for series in found.growth for each in _growth(series)),
    ]:
        console.print(line, highlight=False)


def missed(found: Everything) -> list[str]:
    """Describe the bars that were not reached."""
    bars = [
        f"{result.workload.name}: {bar.ours} {_ratio(result, bar)}, bar {_bar(result, bar)}"
        for result in found.results
        for bar in result.workload.bars
        if result.reached(bar) is not True
    ]
    return bars + [line for line in _others(found) if _VERDICTS[False] in line]


def write(found: Everything, how: str) -> None:
    """Write RESULTS.md beside this module."""
    lines = ["# Results", "", f"Written by `{how}`. What they mean: [NOTES.md](NOTES.md).", ""]
    lines += [f"- {name}: {value}" for name, value in machine.facts().items()]
    lines += ["", f"![ours beside the others]({PLOT.name})", ""]
    for result in found.results:
        lines += _section(result)
    lines += [
        "## Processes, start-up, rebalances, growth",
        "",
        *(f"- {line}" for line in _others(found)),
    ]
    lines += ["", f"![what grows with what]({GROWTH_PLOT.name})", ""]
    for series in found.growth:
        lines += [f"- {line}" for line in _growth(series)]
    lines += ["", "## Raw numbers", ""]
    for result in found.results:
        lines += _raw(result)
    RESULTS.write_text("\n".join(lines).rstrip() + "\n")


def _others(found: Everything) -> list[str]:
    """The lines of what is no contest."""
    return [*_processes(found), *_starts(found), *_idle(found), *rebalance.lines(found.rebalances)]


def _idle(found: Everything) -> list[str]:
    return [
        f"{each.title}: {100 * each.share:.1f} % of a core (bar <= {100 * idle.BAR:g} %, {_VERDICTS[each.share <= idle.BAR]})"
        for each in found.idle
    ]


def _processes(found: Everything) -> list[str]:
    if not found.processes:
        return []
    gains = [each.gain for each in found.processes]
    plain_gain = median(each.plain_gain for each in found.processes)
    plain_pairs = ", ".join(f"{each.plain_one:,.0f} -> {each.plain_two:,.0f}" for each in found.processes)
    bare = [each.bare_gain for each in found.processes]
    pairs = ", ".join(f"{each.one:,.0f} -> {each.two:,.0f}" for each in found.processes)
    bare_pairs = ", ".join(f"{each.bare_one:,.0f} -> {each.bare_two:,.0f}" for each in found.processes)
    return [
        (
            f"--processes 2, CPU-bound: {median(gains):.2f} x one process (bar >= {processes.BAR:g}, "
            f"{_VERDICTS[median(gains) >= processes.BAR]}; msg/s {pairs}); "
            f"two bare processes: {median(bare):.2f} x one ({bare_pairs})"
        ),
        (
            f"--processes 2, CPU-bound, plain def: {plain_gain:.2f} x one process (bar >= {processes.PLAIN_BAR:g}, "
            f"{_VERDICTS[plain_gain >= processes.PLAIN_BAR]}; msg/s {plain_pairs})"
        ),
    ]


def _starts(found: Everything) -> list[str]:
    if found.starts is None:
        return []
    added = found.starts[1] - found.starts[0]
    return [
        (
            f"`core kafka worker NAME` until it would connect: {found.starts[0]:.3f} s; beside {startup.DISTRIBUTIONS} "
            f"distributions without entry points of ours {added:+.3f} s (bar < {startup.BAR:g} s, "
            f"{_VERDICTS[added < startup.BAR]})"
        )
    ]


def _growth(series: Series) -> list[str]:
    return [
        f"{size:,} {series.title}: start {cost.startup:.2f} s"
        + (f", {cost.memory:.0f} MB, {100 * cost.cpu:.1f} % of a core" if cost.memory else "")
        for size, cost in zip(series.sizes, series.costs, strict=True)
    ]


def _section(result: Result) -> list[str]:
    head = [f"## {result.workload.title}", "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
    return [*head, *(_line(row) for row in _rows(result)), ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _raw(result: Result) -> list[str]:
    rows = [_raw_line(name, figures) for name, figures in result.figures.items() if figures.outcomes]
    return [f"### {result.workload.title}", "", *rows, ""]


def _raw_line(name: str, figures: Figures) -> str:
    counts = f"{figures.outcomes[0].count:,} messages a round"
    if figures.outcomes[0].p99:
        return f"- {name}, {counts}: " + ", ".join(
            f"p50 {o.p50:.2f} p99 {o.p99:.2f} ms" for o in figures.outcomes
        )
    return f"- {name}, {counts}: " + ", ".join(f"{o.rate:,.0f}" for o in figures.outcomes) + " msg/s"
