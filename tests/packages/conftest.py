"""The example packages, installed by pip."""

from __future__ import annotations

import pytest

from tests.environments import EXAMPLES, ROOT, Environment, layer


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the healthy example packages."""
    environment = layer(tmp_path_factory.mktemp("examples"))
    environment.install("--editable", str(ROOT))
    environment.install(EXAMPLES / "email-worker", EXAMPLES / "order-totals")
    return environment
