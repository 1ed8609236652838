"""What the start of ``core kafka worker`` does not do: counted, not timed."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import click
import pytest
from core_messaging_cli.lazy import LazyGroup

# Few processes need these: with a control topic, for a command of another name, in a test, as an extra.
NOT_AT_THE_START = {
    "core_messaging.kafka.topic_follower",
    "core_messaging.local_broker",
    "core_messaging.operations",
    "core_messaging.runtime.command_desk",
    "core_messaging.runtime.fleet_member",
    "core_messaging.runtime.process_commands",
    "core_messaging.testing",
    "confluent_kafka",
    "jinja2",
    "opentelemetry.sdk",
    "pytest",
    "rich",
    "watchfiles",
}
MOST = 215  # modules of this project; 189 when this was written


def test_the_start_of_a_worker_imports_nothing_that_few_processes_need() -> None:
    program = "import sys, core_messaging_cli.commands.worker; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert loaded & NOT_AT_THE_START == set()
    ours = [name for name in loaded if name.startswith("core_messaging")]
    assert 50 < len(ours) <= MOST


def test_no_garbage_is_collected_while_a_command_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "command_of_the_test.py").write_text(
        "import click, gc\nenabled = gc.isenabled()\n@click.command()\ndef go(): print(enabled)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    group = LazyGroup("group", table={"go": ("command_of_the_test:go", "Go.")})
    command = group.get_command(click.Context(group), "go")
    assert command is not None
    assert sys.modules.pop("command_of_the_test").enabled is False
    assert gc.isenabled()
