"""Which modules may define a name, told without importing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_messaging.discovery.source_scan import files_with_worker, may_define

NAME = "EmailWorker"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class EmailWorker: ...", True),
        ("from elsewhere import *", True),
        ("class OtherWorker: ...", False),
    ],
)
@pytest.mark.parametrize("file", ["scanned_{n}.py", "scanned_{n}/__init__.py", "package_{n}/scanned_{n}.py"])
def test_a_module_may_define_what_its_source_names_or_imports_by_a_star(
    source: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, expected: bool
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / file.format(n="x")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source + "\nraise RuntimeError('it must not be imported')\n")
    module = file.format(n="x").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert may_define(module, NAME) is expected


def test_a_module_whose_source_cannot_be_had_may_define_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "latin.py").write_bytes(b"# \xff\n")
    assert may_define("latin", NAME)
    assert may_define("no.such.module", NAME)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("class Greeter(Worker): ...", True),
        ("@worker(topic='t')\nasync def Greeter(message): ...", True),
        ("@worker(topic='t', name='Greeter')\ndef greet(message): ...", True),
        ("class Greeters: ...  # not Greeter", False),
        ("x = = Greeter", False),
    ],
)
def test_a_file_of_the_folder_is_offered_that_defines_the_name(
    source: str, tmp_path: Path, *, found: bool
) -> None:
    (tmp_path / "hello.py").write_text(source)
    (tmp_path / "binary.py").write_bytes(b"\xff class Greeter")
    assert files_with_worker(tmp_path, "Greeter") == (["hello.py"] if found else [])
