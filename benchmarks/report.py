"""One table, on the terminal and as RESULTS.md, with every round's figure below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import machine, startup
from benchmarks.rounds import Figures, Result
from benchmarks.workloads import Bar

HERE = Path(__file__).parent
RESULTS, PLOT = HERE / "RESULTS.md", HERE / "results.png"
Row = tuple[str, str, str, str, str]
COLUMNS = ("contestant", "median", "ratio", "bar", "meanwhile")


def _figure(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if unit == "msg/s" else f"{value:.2f} {unit}"


def _rows(result: Result) -> Iterator[Row]:
    for name, figures in result.figures.items():
        middle = result.middle(name)
        promise = figures.contestant.promise
        if figures.error or middle is None:
            yield name, "-", "", "", f"does not work: {figures.error or 'not run'}"
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


def show(results: Sequence[Result], console: Console) -> None:
    table = Table(*COLUMNS, title="medians; ratios with their range over the rounds", show_lines=False)
    for result in results:
        table.add_section()
        table.add_row(f"[bold]{result.workload.title}[/bold]")
        for row in _rows(result):
            table.add_row(*row)
    console.print(table)


def missed(results: Sequence[Result]) -> list[str]:
    """The bars that were not reached, in words."""
    return [
        f"{result.workload.name}: {bar.ours} {_ratio(result, bar)}, bar {_bar(result, bar)}"
        for result in results
        for bar in result.workload.bars
        if result.reached(bar) is not True
    ]


def write(results: Sequence[Result], starts: tuple[float, float] | None, how: str) -> None:
    """RESULTS.md beside this module."""
    lines = ["# Results", "", f"Written by `{how}`. What they mean: [NOTES.md](NOTES.md).", ""]
    lines += [f"- {name}: {value}" for name, value in machine.facts().items()]
    lines += ["", f"![ours beside the others]({PLOT.name})", ""]
    for result in results:
        lines += _section(result)
    if starts:
        lines += _starts(*starts)
    lines += ["## Raw numbers", ""]
    for result in results:
        lines += _raw(result)
    RESULTS.write_text("\n".join(lines).rstrip() + "\n")


def _section(result: Result) -> list[str]:
    head = [f"## {result.workload.title}", "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
    return [*head, *(_line(row) for row in _rows(result)), ""]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _starts(without: float, many: float) -> list[str]:
    verdict = _VERDICTS[many - without < startup.BAR]
    return [
        "## Start-up beside many distributions",
        "",
        f"`core kafka worker NAME` until it would connect: {without:.3f} s; with {startup.DISTRIBUTIONS} more "
        f"distributions that have no entry points of ours {many:.3f} s: {many - without:+.3f} s "
        f"(bar: < {startup.BAR:g} s, {verdict}).",
        "",
    ]


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
