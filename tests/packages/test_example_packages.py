"""Each example is a package of its own: pip installs it and its own tests pass there."""

from __future__ import annotations

import pytest

from tests.environments import EXAMPLES, Environment, run


@pytest.mark.parametrize("package", ["email-worker", "order-totals"])
def test_the_tests_of_an_example_package_pass_where_it_is_installed(
    package: str, examples: Environment
) -> None:
    printed = run(
        [str(examples.python), "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=EXAMPLES / package
    )
    assert "passed" in printed
