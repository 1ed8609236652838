"""Tables: everything in one line a row in a pipe; on a terminal no word is broken and no line is too long."""

from __future__ import annotations

from pathlib import Path

import pytest
from core_messaging_cli.tables import laid_out
from hypothesis import given
from hypothesis import strategies as st

from tests.terminals import on_a_terminal

WORDS = st.text("abcdefghij-_/.", min_size=1, max_size=12)
CELLS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
TABLES = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.text("xyz", min_size=1, max_size=6), min_size=n, max_size=n, unique=True),
        st.lists(st.lists(CELLS, min_size=n, max_size=n), max_size=4),
    )
)


@given(TABLES, st.integers(40, 120))
def test_every_word_is_whole_and_no_line_is_wider_than_the_terminal(
    table: tuple[list[str], list[list[str]]], width: int
) -> None:
    columns, rows = table
    lines = list(laid_out(columns, rows, width))
    first = max(len(row[0]) for row in (columns, *rows))
    assert all(len(line) <= max(width, first) for line in lines)
    shown = [word for line in lines for word in line.split()]
    for row in rows:
        assert not [word for cell in row if cell != "-" for word in cell.split() if word not in shown]


@given(TABLES)
def test_a_pipe_gets_one_line_a_row(table: tuple[list[str], list[list[str]]]) -> None:
    columns, rows = table
    lines = list(laid_out(columns, rows, None))
    assert len(lines) == 1 + len(rows)
    assert all(cell in line for row, line in zip(rows, lines[1:], strict=True) for cell in row)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "src/workers").mkdir(parents=True)
    (tmp_path / "src/workers/invoices.py").write_text(
        "from core_messaging import Worker\n"
        "class InvoiceMailerOfTheShop(Worker):\n"
        "    input_topic = ['shop.orders.v1', 'shop.returns.v1']\n"
        "    output_topic = 'shop.invoices.v1'\n"
        "    dlq_topic = 'shop.orders.dead-letters'\n"
        "    group_id = 'invoice-mailer-of-the-shop'\n"
        "    async def process(self, message: dict) -> None: ...\n"
    )
    (tmp_path / "src/workers/broken.py").write_text("import a_module_that_is_not_installed_here\n")
    return tmp_path


@pytest.mark.parametrize(
    "words", [["kafka", "workers"], ["plugins"], ["--help"], ["kafka", "worker", "--help"]]
)
def test_a_terminal_of_80_columns_shows_whole_words_in_few_lines(words: list[str], shop: Path) -> None:
    lines = on_a_terminal(words, shop, 80)
    assert max(map(len, lines)) <= 80
    wide = " ".join(on_a_terminal(words, shop, 400)).split()
    shown = " ".join(lines).replace(": ", " ").split()
    if words[0] == "kafka" and len(words) == 2:
        assert [word for word in wide if word.removesuffix(":") not in shown] == []
        assert "a_module_that_is_not_installed_here" in " ".join(shown)
    if words == ["plugins"]:
        assert len(lines) <= 20
