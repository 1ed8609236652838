"""``core kafka worker path/to/file.py[:NAME]``: the workers of one file, without a project around it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core_messaging.discovery.project import Project
from core_messaging.discovery.worker_file import is_file, workers_in_file
from core_messaging.errors import BrokenWorker, UnknownWorker, WorkerFileError
from core_messaging.worker import config_of

TWO = """
from core_messaging import Worker, worker

class First(Worker):
    input_topic = "first"
    async def process(self, message: dict) -> None: ...

@worker(topic="second")
async def second(message: dict) -> None: ...
"""


pytestmark = pytest.mark.usefixtures("untouched")


def written(path: str, source: str = TWO) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return file


def names(wanted: str) -> list[str]:
    return [config_of(worker).name for worker in workers_in_file(wanted, Project(Path.cwd()))]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("hello.py", True),
        ("some/where/hello.py:First", True),
        ("EmailWorker", False),
        ("package:EmailWorker", False),
        ("src.workers.email:EmailWorker", False),
    ],
)
def test_what_ends_in_py_is_a_file(wanted: str, *, expected: bool) -> None:
    assert is_file(wanted) is expected


def test_a_file_gives_all_its_workers_or_the_one_that_is_named(tmp_path: Path) -> None:
    written("some/where/tasks_here.py")
    assert names("some/where/tasks_here.py") == ["First", "second"]
    assert names("some/where/tasks_here.py:second") == ["second"]
    assert names(f"{tmp_path}/some/where/tasks_here.py:First") == ["First"]


def test_a_file_imports_its_neighbours() -> None:
    written("here/helper_beside.py", "TOPIC = 'from-helper'\n")
    written("here/uses_it.py", "from helper_beside import TOPIC\n" + TWO.replace('"first"', "TOPIC"))
    (first, _) = workers_in_file("here/uses_it.py", Project(Path.cwd()))
    assert config_of(first).topics == ("from-helper",)


def test_a_file_in_a_package_is_imported_as_a_part_of_it() -> None:
    written("shop_of_test/__init__.py", "")
    written("shop_of_test/topics.py", "TOPIC = 'orders'\n")
    written("shop_of_test/sending.py", "from .topics import TOPIC\n" + TWO.replace('"first"', "TOPIC"))
    (first, _) = workers_in_file("shop_of_test/sending.py", Project(Path.cwd()))
    assert (first.__module__, config_of(first).topics) == ("shop_of_test.sending", ("orders",))


def test_a_file_that_is_called_like_another_module_hides_it_from_nobody() -> None:
    import email  # noqa: PLC0415 - which module it is, is the test

    written("email.py")
    assert names("email.py") == ["First", "second"]
    assert sys.modules["email"] is email


def test_a_file_of_the_project_is_the_module_that_it_is_anyway() -> None:
    written("src/workers/tasks_of_project.py")
    first, _ = workers_in_file("src/workers/tasks_of_project.py", Project(Path.cwd()))
    assert first.__module__ == "src.workers.tasks_of_project"


def test_what_a_file_imports_from_elsewhere_is_not_run_with_it() -> None:
    written("has_two.py")
    written(
        "has_one.py",
        "from has_two import First\n" + TWO.replace("First", "Third").replace("second", "fourth"),
    )
    assert names("has_one.py") == ["Third", "fourth"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (None, "there is no such file; check the path"),
        (
            "import a_module_that_is_nowhere\n",
            "ModuleNotFoundError: No module named 'a_module_that_is_nowhere'",
        ),
        ("def broken(:\n", "SyntaxError: invalid syntax"),
        ("x = 1\n", "it defines no worker; correct the file"),
        (
            TWO + "\nclass Forgot(Worker):\n    async def process(self, message: dict) -> None: ...\n",
            "Forgot: it has no input_topic",
        ),
    ],
)
def test_a_file_that_cannot_be_run_is_told_with_the_remedy(source: str | None, told: str) -> None:
    if source is not None:
        written("faulty.py", source)
    with pytest.raises(WorkerFileError, match=r"^faulty\.py: ") as caught:
        names("faulty.py")
    assert told in str(caught.value)


def test_a_name_that_is_not_in_the_file_is_told_with_the_nearest() -> None:
    written("has_few.py")
    with pytest.raises(UnknownWorker, match=r"searched: has_few\.py\); did you mean First"):
        names("has_few.py:Frist")


def test_one_worker_that_cannot_run_is_told_by_its_name() -> None:
    written(
        "wants_arguments.py", TWO.replace("    async", "    def __init__(self, wanted): ...\n    async", 1)
    )
    with pytest.raises(BrokenWorker, match="made without arguments"):
        names("wants_arguments.py:First")
    assert names("wants_arguments.py:second") == ["second"]
