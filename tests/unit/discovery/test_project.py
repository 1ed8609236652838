"""Which modules of a project may define workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from core_messaging.discovery.catalog import discover
from core_messaging.discovery.registry import get_worker
from core_messaging.errors import (
    ConfigurationError,
)
from tests.unit.discovery.worker_sources import GOOD, write

pytestmark = pytest.mark.usefixtures("untouched")


def test_the_projects_modules_below_src_workers_are_found_however_deep(tmp_path: Path) -> None:
    write(tmp_path / "src/services/names.py", "TOPIC = 'from-service'")
    write(
        tmp_path / "src/workers/shop/orders.py",
        "from src.services.names import TOPIC\n" + GOOD.format(name="Orders").replace('"t-Orders"', "TOPIC"),
    )
    write(tmp_path / "src/workers/__init__.py", "")
    write(tmp_path / "src/workers/_private.py", "raise RuntimeError('not a worker module')")
    assert get_worker("Orders").input_topics == ("from-service",)
    assert get_worker("Orders").source == "src/workers/shop/orders.py"
    assert [row.state for row in discover().listing()] == ["ok"]


def test_modules_named_in_pyproject_are_found(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.core]\nworkers = ["shop.jobs"]\n')
    write(tmp_path / "shop/jobs.py", GOOD.format(name="Job"))
    assert get_worker("Job").source == "shop.jobs"


def test_a_wrong_table_in_pyproject_says_what_to_write(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.core]\nworkers = "shop.jobs"\n')
    with pytest.raises(ConfigurationError, match="write a list of module names"):
        discover()
