"""What users import: the names exist, are the right things, and cost nothing until they are used."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import core.messaging
import core.settings
import core_messaging
from core_messaging import errors


def run_python(code: str) -> str:
    """What *code* prints in an interpreter of its own; imports of this test run must not count."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", core_messaging.__all__)
def test_every_exported_name_exists_under_both_import_paths(name: str) -> None:
    assert getattr(core.messaging, name) is getattr(core_messaging, name)


def test_all_is_sorted_and_dir_shows_it() -> None:
    assert core_messaging.__all__ == sorted(core_messaging.__all__)
    assert set(core_messaging.__all__) <= set(dir(core_messaging))


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Wroker"):
        getattr(core_messaging, "Wroker")  # noqa: B009 - mypy refuses the plain spelling, as it should


def test_the_tree_in_the_errors_module_is_what_is_exported_of_it() -> None:
    exported = {name for name in core_messaging.__all__ if hasattr(errors, name)}
    assert exported <= {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    assert {"CoreMessagingError", "Reject", "RetryAfter", "PartialBatchError"} <= exported


@pytest.mark.parametrize(
    "first",
    [
        "import core_messaging.worker",
        "import core_messaging.runtime.runner",
        "from core.messaging import Worker",
    ],
)
def test_worker_is_the_decorator_however_the_package_was_first_imported(first: str) -> None:
    # core_messaging.worker is a submodule too: loading it late would put the module in the function's place.
    printed = run_python(f"{first}\nfrom core_messaging import worker\nprint(type(worker).__name__)")
    assert printed == "function"


def test_defining_workers_imports_neither_aiokafka_nor_pydantic() -> None:
    printed = run_python(
        "import sys\n"
        "from core.messaging import Context, Reject, RetryPolicy, Worker, worker\n"
        "print(sorted({'aiokafka', 'pydantic', 'confluent_kafka', 'rich'} & set(sys.modules)))"
    )
    assert printed == "[]"


def test_settings_come_from_core_settings() -> None:
    assert core.settings.Settings is core_messaging.Settings


def test_core_leaves_room_for_another_package_of_that_name(tmp_path: object) -> None:
    # A project may have a package core of its own; nothing of ours may depend on being the only one.
    assert importlib.import_module("core").__path__
    assert not [name for name in sys.modules if name.startswith("core_messaging") and uses_core(name)]


def uses_core(name: str) -> bool:
    module = sys.modules[name]
    return any(getattr(value, "__name__", "").split(".")[0] == "core" for value in vars(module).values())
