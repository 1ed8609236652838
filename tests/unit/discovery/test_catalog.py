"""Workers are found in installed packages and in the project; what is broken is named, never missing in silence.

Distributions are written into a folder on sys.path (that is what "installed" means to importlib), not by pip.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core_messaging.discovery.catalog import discover, workers_of
from core_messaging.discovery.registry import get_all_workers, get_worker, list_workers
from core_messaging.errors import (
    BrokenPackages,
    BrokenWorker,
    DuplicateWorker,
    UnknownWorker,
)
from core_messaging.worker import config_of
from tests.unit.discovery.worker_sources import GOOD, write

pytestmark = pytest.mark.usefixtures("untouched")


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def add(dist: str, source: str, entry: str, version: str = "1.0") -> None:
        module = dist.replace("-", "_")
        meta = site / f"{module}-{version}.dist-info"
        meta.mkdir()
        (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
        (meta / "entry_points.txt").write_text(f"[core.workers]\n{entry}\n")
        (site / f"{module}.py").write_text(source)

    return add


def test_an_entry_point_may_be_a_class_a_function_or_a_module(install: Install) -> None:
    install("a-class", GOOD.format(name="Alpha"), "Alpha = a_class:Alpha")
    install(
        "a-function",
        "from core_messaging import worker\n@worker(topic='t')\nasync def beta(message: dict): ...\n",
        "beta = a_function:beta",
    )
    install("a-module", GOOD.format(name="Gamma") + GOOD.format(name="Delta"), "greek = a_module")
    assert {"Alpha", "beta", "Gamma", "Delta"} <= set(list_workers())
    assert get_worker("Delta").source == "a-module 1.0"
    assert get_all_workers()["Alpha"].input_topics == ("t-Alpha",)


def test_a_module_offers_what_it_defines_not_what_it_imports(install: Install) -> None:
    install("owner", GOOD.format(name="Owned"), "owner = owner")
    install("borrower", "from owner import Owned\n" + GOOD.format(name="Mine"), "borrower = borrower")
    assert get_worker("Owned").source == "owner 1.0"
    rows = [row for row in discover().listing() if row.name == "Owned"]
    assert [(row.label, row.state) for row in rows] == [("owner 1.0", "ok")]


def test_a_worker_by_name_imports_only_what_may_provide_it(install: Install) -> None:
    install("wanted", GOOD.format(name="Wanted"), "Wanted = wanted:Wanted")
    install("other", GOOD.format(name="Other"), "Other = other:Other")
    assert config_of(discover().find("Wanted")).name == "Wanted"
    assert "other" not in sys.modules


def test_discovering_imports_nothing(install: Install) -> None:
    install("lazy", GOOD.format(name="Lazy"), "Lazy = lazy:Lazy")
    discover()
    assert "lazy" not in sys.modules


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import acme_db", "ModuleNotFoundError: No module named 'acme_db'"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("x = = 1", "SyntaxError"),
        (GOOD.format(name="Half") + "\nraise RuntimeError('later')", "RuntimeError: later"),
        ("class Broken: ...", "is no worker class"),
    ],
)
def test_a_broken_package_is_named_with_its_cause_and_healthy_ones_still_run(
    install: Install, source: str, cause: str
) -> None:
    install("healthy", GOOD.format(name="Healthy"), "Healthy = healthy:Healthy")
    install("acme-shipping", source, "Broken = acme_shipping:Broken", version="2.3.1")
    assert config_of(discover().find("Healthy")).name == "Healthy"
    with pytest.raises(BrokenWorker) as by_name:
        discover().find("Broken")
    assert "acme-shipping 2.3.1" in str(by_name.value)
    assert cause in str(by_name.value)
    with pytest.raises(BrokenPackages) as everything:
        discover().all()
    assert "Broken (acme-shipping 2.3.1)" in str(everything.value)
    assert "--skip-broken" in str(everything.value)
    assert [config_of(w).name for w in discover().healthy()] == ["Healthy"]
    assert "Half" not in list_workers()


def test_one_name_in_two_packages_is_an_error_that_names_both_and_a_qualified_name_works(
    install: Install,
) -> None:
    install("first", GOOD.format(name="Same"), "Same = first:Same")
    install("second", GOOD.format(name="Same"), "Same = second:Same")
    with pytest.raises(DuplicateWorker) as caught:
        discover().find("Same")
    assert "offered by first and by second" in str(caught.value)
    assert "first:Same or second:Same" in str(caught.value)
    assert discover().find("second:Same").__module__ == "second"
    assert {row.state for row in discover().listing()} == {"conflict"}
    with pytest.raises(BrokenPackages, match="also offered by"):
        discover().all()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("email-worker = first:EmailWorker", "mail = second:EmailWorker"),
        ("email-worker = first", "mail = second"),
        ("EmailWorker = first:EmailWorker", "mail = second"),
    ],
)
def test_one_name_in_two_packages_is_an_error_whatever_their_entry_points_are_called(
    install: Install, first: str, second: str
) -> None:
    # The one whose entry point was called like the worker ran, in silence; the other one's owner waited for it.
    install("first", GOOD.format(name="EmailWorker"), first)
    install("second", GOOD.format(name="EmailWorker"), second)
    install("bystander", GOOD.format(name="Other"), "bystander = bystander")
    with pytest.raises(DuplicateWorker, match="first:EmailWorker or second:EmailWorker"):
        discover().find("EmailWorker")
    assert discover().find("second:EmailWorker").__module__ == "second"
    assert "bystander" not in sys.modules


def test_a_worker_of_the_project_does_not_hide_one_that_is_installed(
    install: Install, tmp_path: Path
) -> None:
    install("mail", GOOD.format(name="EmailWorker"), "mail = mail")
    write(tmp_path / "src/workers/outgoing.py", GOOD.format(name="EmailWorker"))
    with pytest.raises(DuplicateWorker, match=r"mail:EmailWorker or src\.workers\.outgoing:EmailWorker"):
        discover().find("EmailWorker")
    assert discover().find("src.workers.outgoing:EmailWorker").__module__ == "src.workers.outgoing"


def test_a_module_that_is_in_a_package_or_computes_its_workers_names_is_found(
    install: Install, tmp_path: Path
) -> None:
    write(tmp_path / "site/parts/__init__.py", "")
    write(tmp_path / "site/parts/jobs.py", GOOD.format(name="Starred"))
    install("parts-dist", "", "parts = parts.jobs")
    computed = GOOD.format(name="Made") + "\nMade = type('Comp' + 'uted', (Made,), {'input_topic': 't'})\n"
    install("computing", computed, "computing = computing")
    assert config_of(discover().find("Starred")).name == "Starred"
    assert config_of(discover().find("Computed")).name == "Computed"


def test_two_entry_points_for_the_very_same_class_are_no_conflict(install: Install) -> None:
    install("once", GOOD.format(name="Once"), "Once = once:Once\nonce = once")
    assert config_of(discover().find("Once")).name == "Once"
    assert [row.state for row in discover().listing()] == ["ok"]


def test_a_worker_in_a_file_of_the_folder_is_named_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `core kafka worker hello.py` ran, and `core kafka lag Greeter` did not find its worker.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.py").write_text(GOOD.format(name="Greeter"))
    with pytest.raises(UnknownWorker, match=r"did you mean hello\.py:Greeter\?"):
        discover().find("Greeter")


def test_an_unknown_name_tells_the_nearest_ones_and_what_was_searched(install: Install) -> None:
    install("mail", GOOD.format(name="EmailWorker"), "mail = mail")
    for wrong in ("EmailWorkr", "emailworker"):
        with pytest.raises(UnknownWorker, match="did you mean EmailWorker") as caught:
            get_worker(wrong)
        assert "searched: mail 1.0" in str(caught.value)


def test_a_worker_without_a_handler_is_listed_as_broken(tmp_path: Path) -> None:
    write(
        tmp_path / "src/workers/idle.py",
        "from core_messaging import Worker\nclass Idle(Worker):\n    input_topic = 't'\n",
    )
    with pytest.raises(BrokenWorker, match="neither process nor process_batch"):
        discover().find("Idle")
    assert [(row.name, row.state) for row in discover().listing()] == [("Idle", "broken")]


def test_workers_of_something_else_says_what_it_may_be() -> None:
    with pytest.raises(TypeError, match="no worker class, no @worker function and no module"):
        workers_of(42)


EMAIL = """
from core_messaging import Worker

class {name}(Worker):
    input_topic = "{topic}"
    group_id = "{group}"
    async def process(self, message: dict) -> None: ...
"""


def module(folder: Path, name: str, source: str) -> None:
    file = folder / "src/workers" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)


@pytest.mark.parametrize(
    "entry", ["email = workers.email:EmailWorker", "all = workers.email", "all = workers"]
)
def test_a_package_in_the_src_layout_that_is_installed_editable_does_not_conflict_with_itself(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    install("shop", "", entry)
    module(tmp_path, "__init__.py", "from workers.email import EmailWorker")
    module(tmp_path, "email.py", EMAIL.format(name="EmailWorker", topic="t", group="g"))
    monkeypatch.syspath_prepend(tmp_path / "src")
    rows = discover().listing()
    assert [(row.name, row.state) for row in rows] in (
        [("EmailWorker", "ok")],
        [("EmailWorker", "ok"), ("all", "broken")],
    )
    assert len([row for row in rows if row.worker]) == 1
    assert discover().find("EmailWorker") is discover().find("src.workers.email:EmailWorker")
    assert "src.workers.email" not in sys.modules


def test_tests_under_src_workers_are_no_workers_and_a_copy_is_told_as_a_conflict(tmp_path: Path) -> None:
    source = EMAIL.format(name="EmailWorker", topic="t", group="g")
    module(tmp_path, "email.py", source)
    for name in ("test_email.py", "email_test.py", "conftest.py", "tests/email.py", "test/fakes.py"):
        module(tmp_path, name, "raise RuntimeError('must not be imported')")
    assert [(row.name, row.state) for row in discover().listing()] == [("EmailWorker", "ok")]
    module(tmp_path, "email copy.py", source)
    assert [(row.label, row.state, row.cause) for row in discover().listing()] == [
        ("src/workers/email copy.py", "conflict", "also offered by src/workers/email.py"),
        ("src/workers/email.py", "conflict", "also offered by src/workers/email copy.py"),
    ]


def test_a_file_called_test_is_a_worker_module_like_any_other(tmp_path: Path) -> None:
    module(tmp_path, "test.py", EMAIL.format(name="First", topic="t", group="g"))
    assert [row.name for row in discover().listing()] == ["First"]


def test_two_workers_of_one_topic_and_group_are_told_and_may_run(tmp_path: Path) -> None:
    module(tmp_path, "mail.py", EMAIL.format(name="Mail", topic="orders", group="shop"))
    module(tmp_path, "bill.py", EMAIL.format(name="Bill", topic="orders", group="shop"))
    module(tmp_path, "count.py", EMAIL.format(name="Count", topic="orders", group="count"))
    rows = {row.name: row for row in discover().listing()}
    assert {name: row.state for name, row in rows.items()} == {
        "Mail": "shared",
        "Bill": "shared",
        "Count": "ok",
    }
    assert rows["Mail"].cause == (
        "Bill also reads orders in group shop: each gets only a part of the messages; give each a group_id of its own"
    )
    assert len(discover().all()) == 3


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("\n\nimport acme_db\n", "ModuleNotFoundError: No module named 'acme_db' (src/lib/y.py:3)"),
        ("import json\njson.loads('{')\n", "(src/lib/y.py:2)"),
        ("x = 1\ny = = 2\n", "SyntaxError: invalid syntax (src/lib/y.py:2)"),
        ("def f():\n    raise SystemExit(3)\nf()\n", "SystemExit: 3 (src/lib/y.py:2)"),
    ],
)
def test_a_broken_module_is_told_with_the_innermost_line_of_the_users_own(
    tmp_path: Path, source: str, cause: str
) -> None:
    module(tmp_path, "email.py", "from src.lib import y\n")
    module(tmp_path, "../lib/y.py", source)
    (row,) = discover().listing()
    assert row.cause.endswith(cause)
