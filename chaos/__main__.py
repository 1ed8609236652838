"""``python -m chaos``: each fault alone, then all mixed. Exit code 1 if the ledger shows a mistake."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos import leaks, shutdowns
from chaos.cluster import Cluster, running
from chaos.faults import FAULTS
from chaos.trial import Books, run

MIXED, SHUTDOWNS, LEAKS = "mixed", "shutdowns", "leaks"
ROUNDS = 100
COLUMNS = (
    "fault",
    "sent",
    "finished",
    "dead-lettered",
    "lost",
    "out of order",
    "repeated",
    "bound",
    "seconds",
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    names = [*FAULTS, MIXED, SHUTDOWNS, LEAKS]
    parser.add_argument("--messages", type=int, default=16_000, help="of each trial; twice as many for mixed")
    parser.add_argument("--only", action="append", choices=names, metavar="FAULT", help=", ".join(names))
    parser.add_argument("--minutes", type=float, default=10.0, help="of leaks, which has to be asked for")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a new folder for ledgers and logs, which is kept")
    return parser.parse_args()


async def chaos(
    folder: Path, names: Sequence[str], messages: int, seed: int, console: Console
) -> list[Books]:
    """Run one cluster, and one trial for each name."""
    found = []
    async with running(folder / "kafka") as cluster:
        for name in names:
            found.append(await _trial(name, cluster, folder, messages, seed))
            console.print(*found[-1:], highlight=False)
            await cluster.all_replicas_back()
    return found


async def _trial(name: str, cluster: Cluster, folder: Path, messages: int, seed: int) -> Books:
    if name == SHUTDOWNS:
        return await shutdowns.run(cluster, folder, ROUNDS, seed)
    if name == MIXED:
        faults = random.Random(seed).sample(list(FAULTS), len(FAULTS))
        return await run(name, faults, cluster, folder, 2 * messages, seed)
    return await run(name, [name], cluster, folder, messages, seed)


async def _leaks(folder: Path, minutes: float, console: Console) -> int:
    async with running(folder / "kafka") as cluster:
        memory = await leaks.run(cluster, folder, minutes)
    console.print(
        f"{minutes:g} minutes, {memory.handled:,} messages, {memory.rebalances} changes of the group: "
        f"{memory.early:.1f} MB after the warm-up, {memory.late:.1f} MB at the end",
        highlight=False,
    )
    return 0 if memory.flat else 1


def cells(books: Books) -> tuple[str, ...]:
    numbers = (books.sent, books.finished, books.dead_lettered, books.lost, books.out_of_order)
    return (
        books.name,
        *(f"{number:,}" for number in numbers),
        f"{books.repeated:,}",
        f"{books.bound:,}",
        f"{books.seconds:.0f}",
    )


def markdown(found: Sequence[Books]) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(cells, found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    arguments, console = _arguments(), Console(width=None if sys.stdout.isatty() else 140)
    names = arguments.only or [*FAULTS, MIXED, SHUTDOWNS]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        if LEAKS in names:
            return asyncio.run(_leaks(folder, arguments.minutes, console))
        found = asyncio.run(chaos(folder, names, arguments.messages, arguments.seed, console))
    table = Table(*COLUMNS)
    for books in found:
        table.add_row(*cells(books), style=None if books.balanced else "red")
    console.print(table)
    print(markdown(found))  # for docs/guarantees.md
    return 0 if all(books.balanced for books in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
