"""Names of new packages: what is taken is refused, and all that is not makes names that Python takes."""

from __future__ import annotations

import pytest
from core_messaging_cli.package_names import Names, names_for
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import NameRefused


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("parcel-tracker", Names("parcel-tracker", "parcel_tracker", "ParcelTracker", "parcel-tracker")),
        ("parcel_tracker", Names("parcel_tracker", "parcel_tracker", "ParcelTracker", "parcel-tracker")),
        ("Tracker2", Names("Tracker2", "tracker2", "Tracker2", "tracker2")),
        # The usual way to name an extension of something.
        ("core-messaging-slack", Names("core-messaging-slack", "core_messaging_slack", "CoreMessagingSlack", "core-messaging-slack")),
    ],
)  # fmt: skip
def test_the_parts_are_named_after_the_package(name: str, names: Names) -> None:
    assert names_for(name, {}) == names


@pytest.mark.parametrize(
    "name", ["any", "config", "context", "failing", "worker", "none", "true", "exception", "class"]
)
def test_a_name_that_the_templates_or_python_have_is_refused(name: str) -> None:
    with pytest.raises(NameRefused, match=f"^'{name}' .*; choose another name"):
        names_for(name, {})


@pytest.mark.parametrize("name", ["", "a--b", "-a", "a-", "a.b", "2fast", "Ünicode", "a b", "a/b", "a\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(NameRefused, match="is not a package name"):
        names_for(name, {})


@given(st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True))
def test_a_name_that_is_taken_makes_identifiers_and_a_topic(name: str) -> None:
    try:
        names = names_for(name, {})
    except NameRefused:
        return
    code = compile(f"import {names.module}\nclass {names.cls}: ...", "names", "exec")
    assert names.cls in code.co_names
    assert set(names.topic) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
