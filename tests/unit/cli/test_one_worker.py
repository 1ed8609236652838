"""Commands for one worker, given a file that defines two."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from core_messaging_cli.main import core

TWO = """
from core_messaging import worker

@worker(topic="one")
async def first(message: dict) -> None: ...

@worker(topic="two")
async def second(message: dict) -> None: ...
"""


@pytest.mark.parametrize(
    "words",
    [
        ["reset-offsets", "{}", "--to", "earliest"],
        ["pause", "{}"],
        ["resume", "{}"],
        ["dlq", "show", "{}", "0", "0"],
    ],
)
def test_a_file_with_two_workers_is_told_with_their_names(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # reset-offsets, pause and resume ended with a traceback.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAFKA_CONTROL_TOPIC", "control")
    Path("two.py").write_text(TWO)
    found = CliRunner().invoke(core, ["kafka", *(word.format("two.py") for word in words)])
    assert found.exit_code == 2, found.output
    assert "two.py defines several workers; name one of them: two.py:first, two.py:second" in found.output
