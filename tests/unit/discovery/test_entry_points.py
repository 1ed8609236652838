"""One odd distribution is told by name, and costs nobody else's workers, plugins or commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from core_messaging_cli.main import core
from core_messaging_cli.plugin_commands import announced
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.discovery.entry_points import _line_by_line, all_points, warn_of_unreadable
from core_messaging.worker import defined

WORKER = """
from core_messaging import Worker
class {0}(Worker):
    input_topic = 'topic-of-{0}'
    async def process(self, message: dict): ...
"""
HOOK = "from core_messaging import hookimpl\n@hookimpl\ndef on_success(message): ...\n"
META = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n"
GOOD = {
    "good-1.0.dist-info/METADATA": META.format("good"),
    "good-1.0.dist-info/entry_points.txt": "[core.workers]\ngood = good_workers\n[core.plugins]\ngood = good_plugin\n",
    "good_workers.py": WORKER.format("Good"),
    "good_plugin.py": HOOK,
}
BOTH = "[core.workers]\nodd = odd_module\n[core.plugins]\nodd = odd_module\n"

LAZY = """
class Lazy:
    def __getattr__(self, name): raise RuntimeError("outside of a request")
    def __call__(self): ...
    @property
    def __class__(self): raise RuntimeError("outside of a request")
request = Lazy()
"""
MUTE = """
class Mute(Exception):
    def __str__(self): raise RuntimeError("no text")
    __repr__ = __str__
raise Mute
"""


def odd(code: str, points: str | bytes = BOTH, **metadata: str) -> dict[str, str | bytes]:
    folder = "odd-2.0.dist-info"
    files: dict[str, str | bytes] = {f"{folder}/entry_points.txt": points, "odd_module.py": code}
    return files | {f"{folder}/{name}": text for name, text in metadata.items()}


def stranger(points: str | bytes) -> dict[str, str | bytes]:
    folder = "stranger-3.0.dist-info"
    return {f"{folder}/METADATA": META.format("stranger"), f"{folder}/entry_points.txt": points}


Site = Callable[[Mapping[str, str | bytes]], None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    modules, workers = set(sys.modules), dict(defined)
    defined.clear()  # what other tests have defined is none of these distributions
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(folder)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")

    def install(files: Mapping[str, str | bytes]) -> None:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        forget()

    yield install
    forget()
    defined.clear()
    defined.update(workers)
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def forget() -> None:
    for each in (all_points, announced, warn_of_unreadable):
        each.cache_clear()


def run(*command: str) -> Result:
    result = CliRunner(env={"COLUMNS": "300"}).invoke(core, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    "files",
    [
        stranger("[console_scripts]\nno_equals_sign\n"),
        stranger("name = before.any:group\n"),
        stranger(b"[console_scripts]\n\xff\xfe = a\n"),
        odd(WORKER.format("Odd") + HOOK),
        odd(WORKER.format("Odd") + HOOK, METADATA=""),
        odd(MUTE, METADATA=META.format("odd")),
        odd("import sys\nsys.exit(3)\n", METADATA=META.format("odd")),
        odd(LAZY + WORKER.format("Odd") + HOOK, METADATA=META.format("odd")),
        odd(WORKER.format("Odd"), BOTH + "no_equals_sign\n", METADATA=META.format("odd")),
        odd("", "[core.workers]\nodd = ???\n[core.plugins]\nodd = ???\n", METADATA=META.format("odd")),
    ],
)
def test_every_command_goes_on_with_the_healthy_ones(site: Site, files: dict[str, str | bytes]) -> None:
    site(GOOD | files)
    run("--help")
    assert "topic-of-Good" in run("kafka", "workers").output
    assert "good 1.0" in run("plugins").output


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (odd(WORKER.format("Odd") + HOOK), "odd 2.0"),
        (odd(MUTE, METADATA=META.format("odd")), "broken: Mute: (its text cannot be read: RuntimeError)"),
        (odd("raise SystemExit(3)", METADATA=META.format("odd")), "broken: SystemExit: 3"),
        (
            odd(WORKER.format("Odd"), BOTH + "no_equals_sign\n", METADATA=META.format("odd")),
            "its entry_points.txt cannot be read (line 5 is 'no_equals_sign')",
        ),
    ],
)
def test_the_odd_one_is_told_with_its_cause(site: Site, files: dict[str, str | bytes], told: str) -> None:
    site(GOOD | files)
    for command in (("kafka", "workers"), ("plugins",)):
        assert told in run(*command).output
    assert "broken" not in told or CliRunner().invoke(core, ["plugins", "--check"]).exit_code == 1


def test_a_lazy_object_beside_a_worker_and_a_hook_makes_neither_of_them_broken(site: Site) -> None:
    site(odd(LAZY + WORKER.format("Odd") + HOOK, METADATA=META.format("odd")))
    assert "topic-of-Odd" in run("kafka", "workers", "--check").output
    assert "broken" not in run("plugins").output


def test_a_stranger_whose_entry_points_cannot_be_read_is_named_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site(GOOD | stranger("[console_scripts]\nno_equals_sign\n"))
    run("--help")
    assert not caplog.messages  # nobody has asked for anything of theirs
    run("kafka", "workers")
    run("plugins")
    (line,) = [line for line in caplog.messages if "stranger" in line]
    assert line == (
        "the entry points of stranger 3.0 are left out: its entry_points.txt cannot be read "
        "(line 2 is 'no_equals_sign'); install it again, or remove it"
    ).replace("3.0", "1.0")


@given(st.text())
def test_any_text_is_read_line_by_line_without_an_error(text: str) -> None:
    found, groups = _line_by_line(text)
    assert all(group in groups and name and value for group, name, value in found)


def test_a_fresh_process_goes_on_as_well_although_libraries_read_entry_points_too(tmp_path: Path) -> None:
    # pydantic looks into every distribution at its first model.
    for name, text in (GOOD | stranger("[console_scripts]\nno_equals_sign\n")).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(str(text))
    done = subprocess.run(
        [sys.executable, "-m", "core_messaging_cli", "plugins"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "good 1.0" in done.stdout
