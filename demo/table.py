"""The result as a table."""

from __future__ import annotations

from rich.table import Table

from demo.books import Books


def table(published: int, books: Books) -> Table:
    made = Table(title="What became of the tasks")
    made.add_column("")
    made.add_column("messages", justify="right")
    for name, value in rows(published, books):
        made.add_row(name, value)
    return made


def rows(published: int, books: Books) -> list[tuple[str, str]]:
    return [
        ("published", f"{published:,}"),
        ("received by SMTP", f"{books.arrived:,}"),
        ("retried", f"{books.retried:,}"),
        ("dead-lettered", f"{len(books.dead_letters):,}"),
        ("of these undecodable", f"{books.undecodable:,}"),
        ("msg/s (first to last mail)", f"{books.rate:,.0f}"),
    ]
