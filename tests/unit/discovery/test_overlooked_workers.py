"""A worker that is defined and cannot be found, or cannot run, is told with its cause; ``--all`` does not start without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from core_messaging_cli.main import core

from core_messaging.discovery.catalog import discover
from core_messaging.discovery.entry_points import all_points
from core_messaging.discovery.registry import list_workers, resolve
from core_messaging.errors import BrokenPackages, BrokenWorker, CoreMessagingError, DuplicateWorker
from core_messaging.worker import Worker, config_of

HEAD = "import abc\nfrom core_messaging import Worker, worker\n"
GOOD = (
    HEAD + "class Good(Worker):\n    input_topic = 'good'\n    async def process(self, message: dict): ...\n"
)
MAIL = "class Mail(Worker):\n    input_topic = 'mail'\n    async def process(self, message: dict): ...\n"


pytestmark = pytest.mark.usefixtures("untouched")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def install(folder: Path, dist: str, entry: str, source: str) -> None:
    """A distribution in a folder on sys.path, which is what "installed" means."""
    sys.path.insert(0, str(folder))
    write(
        folder / f"{dist}-1.0.dist-info" / "METADATA", f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n"
    )
    write(folder / f"{dist}-1.0.dist-info" / "entry_points.txt", f"[core.workers]\n{entry}\n")
    write(folder / f"{dist}.py", source)
    all_points.cache_clear()


def told() -> dict[str, str]:
    """Name -> cause, of everything that is not ok; ``--all`` and ``--check`` have to say the same."""
    listing = discover().listing()
    wrong = {row.name: row.cause for row in listing if row.state != "ok"}
    if wrong:
        with pytest.raises(BrokenPackages) as caught:
            discover().all()
        assert all(cause in str(caught.value) for cause in wrong.values())
    checked = CliRunner().invoke(core, ["kafka", "workers", "--check"])
    assert checked.exit_code == (1 if wrong else 0)
    return wrong


TWICE = {
    "two classes": MAIL + MAIL.replace("'mail'", "'other'"),
    "two functions": "".join(
        f"@worker(topic='{topic}')\nasync def Mail(message: dict): ...\n" for topic in "ab"
    ),
    "a class and a function": MAIL + "@worker(topic='b')\nasync def Mail(message: dict): ...\n",
    "a loop": "for topic in 'ab':\n    @worker(topic=topic)\n    async def Mail(message: dict): ...\n",
}


@pytest.mark.parametrize("source", TWICE.values(), ids=TWICE)
def test_a_worker_whose_name_a_later_one_took_is_told(source: str, tmp_path: Path) -> None:
    write(tmp_path / "src/workers/mail.py", HEAD + source)
    assert "a later worker with the same name replaces it" in told()["Mail"]


HIDDEN = {
    "in a class": "class Box:\n" + "".join(f"    {line}\n" for line in MAIL.splitlines()),
    "in a function": "def make():\n" + "".join(f"    {line}\n" for line in MAIL.splitlines()) + "    return Mail\nWORKERS = [make()]\n",
    "in a list": MAIL + "WORKERS = [Mail]\ndel Mail\n",
    "below a decorator": "def bare(function):\n    async def call(*args): ...\n    return call\n"
    "@bare\n@worker(topic='mail')\nasync def Mail(message: dict): ...\n",
}  # fmt: skip


@pytest.mark.parametrize("source", HIDDEN.values(), ids=HIDDEN)
def test_a_worker_to_which_no_name_leads_is_told(source: str, tmp_path: Path) -> None:
    write(tmp_path / "src/workers/mail.py", HEAD + source)
    assert "no name at the top level of that module refers to it" in told()["Mail"]
    with pytest.raises(BrokenWorker, match="no name at the top level"):
        discover().find("Mail")


def test_a_worker_that_is_imported_and_not_defined_there_is_told(tmp_path: Path) -> None:
    write(
        tmp_path / "src/jobs.py", HEAD + MAIL + "@worker(topic='t')\nasync def handle(message: dict): ...\n"
    )
    write(tmp_path / "src/workers/mail.py", "from src.jobs import Mail, handle\n")
    causes = told()
    assert set(causes) == {"Mail", "handle"}
    assert all("src.jobs, which is not searched" in cause for cause in causes.values())


def test_a_worker_that_an_installed_module_imports_from_elsewhere_is_told(tmp_path: Path) -> None:
    write(tmp_path / "site/library.py", HEAD + MAIL)
    install(tmp_path / "site", "borrower", "borrower = borrower", GOOD + "from library import Mail\n")
    assert list_workers() == ["Good"]
    assert "library, which is not searched" in told()["Mail"]


def test_a_worker_beside_the_one_that_an_entry_point_names_is_told(tmp_path: Path) -> None:
    install(tmp_path / "site", "shop", "Good = shop:Good", GOOD + MAIL)
    assert "no entry point names it" in told()["Mail"]


def test_a_base_that_is_imported_to_build_on_is_not_told(tmp_path: Path) -> None:
    write(tmp_path / "src/jobs.py", HEAD + MAIL)
    write(
        tmp_path / "src/workers/mail.py",
        "from src.jobs import Mail\nclass Mine(Mail):\n    input_topic = 'mine'\n",
    )
    assert told() == {}
    assert list_workers() == ["Mine"]


def test_a_function_of_another_module_is_a_worker_where_it_is_made_one(tmp_path: Path) -> None:
    write(tmp_path / "src/jobs.py", "async def handle(message: dict): ...\n")
    source = HEAD + "from src.jobs import handle\nprocess = worker(topic='t')(handle)\n"
    write(tmp_path / "src/workers/mail.py", source)
    assert told() == {}
    assert list_workers() == ["handle"]


def test_two_workers_of_one_module_with_one_name_are_told(tmp_path: Path) -> None:
    named = MAIL.replace("    input", "    name = 'same'\n    input")
    write(tmp_path / "src/workers/mail.py", HEAD + named + named.replace("Mail", "Post"))
    assert "also offered by src/workers/mail.py" in told()["same"]
    with pytest.raises(DuplicateWorker, match="two of its workers have that name"):
        discover().find("same")


def test_a_module_that_is_imported_again_has_no_ghosts(tmp_path: Path) -> None:
    write(tmp_path / "src/workers/mail.py", HEAD + MAIL)
    assert told() == {}
    for name in [name for name in sys.modules if name.startswith("src")]:
        del sys.modules[name]
    write(tmp_path / "src/workers/mail.py", GOOD)
    assert told() == {}


CANNOT_RUN = {
    "it is abstract and lacks process": "class Mail(Worker, abc.ABC):\n    input_topic = 'mail'\n    @abc.abstractmethod\n    async def process(self, message: dict): ...\n",
    "its __init__ needs some (missing a required argument: 'server')": MAIL + "    def __init__(self, server): ...\n",
    "its __init__ needs some (missing a required argument: 'port')": MAIL + "    def __init__(self, *, port): ...\n",
    "it has no input_topic": MAIL.replace("input_topic = 'mail'", "group_id = 'mail'"),
    "it has no input_topic; write": MAIL.replace("'mail'", "None"),
    "it defines neither process nor process_batch": "class Mail(Worker):\n    input_topic = 'mail'\n",
    "it defines process_batch without a batch_size": MAIL.replace("process", "process_batch").replace("dict", "list"),
}  # fmt: skip


@pytest.mark.parametrize(("cause", "source"), CANNOT_RUN.items())
@pytest.mark.parametrize("installed", [False, True])
def test_a_worker_that_cannot_run_is_told_with_its_cause(
    cause: str, source: str, installed: bool, tmp_path: Path
) -> None:
    if installed:
        install(tmp_path / "site", "shop", "Mail = shop:Mail", HEAD + source)
    else:
        write(tmp_path / "src/workers/mail.py", GOOD + source)
    assert cause in told()["Mail"]
    with pytest.raises(BrokenWorker) as caught:
        discover().find("Mail")
    assert cause in str(caught.value)


def test_bases_are_no_workers_that_are_missing(tmp_path: Path) -> None:
    base = MAIL.replace("    input_topic = 'mail'\n", "")
    bases = (
        base.replace("Mail", "BaseMail") + base.replace("Mail", "_Hidden") + base.replace("Mail", "Shared")
    )
    abstract = "class Open(Worker, abc.ABC):\n    input_topic = 'o'\n    @abc.abstractmethod\n    async def process(self, message: dict): ...\n"
    children = "class Child(Shared):\n    input_topic = 'c'\nclass Closed(Open):\n    async def process(self, message: dict): ...\n"
    write(tmp_path / "src/workers/mail.py", HEAD + bases + abstract + children)
    assert told() == {}
    assert list_workers() == ["Child", "Closed"]


def test_src_workers_may_be_one_file(tmp_path: Path) -> None:
    write(tmp_path / "src/workers.py", GOOD)
    assert list_workers() == ["Good"]
    assert told() == {}


def test_a_class_that_cannot_run_is_refused_when_it_is_passed() -> None:
    class NoTopic(Worker):
        async def process(self, message: dict[str, int]) -> None: ...

    class Wants(NoTopic):
        input_topic = "t"

        def __init__(self, server: str) -> None: ...

    with pytest.raises(CoreMessagingError, match="it has no input_topic"):
        resolve(NoTopic)
    with pytest.raises(BrokenWorker, match="its __init__ needs some"):
        resolve(Wants)
    assert config_of(Wants).name == "Wants"
