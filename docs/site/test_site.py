"""The built site: ``make test-docs`` builds it with warnings as errors, and reads it here."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import core_messaging_cli.main as command_line
import pytest

import core_messaging
from core_messaging.config import WorkerConfig
from core_messaging.plugins import hookspecs
from core_messaging.settings import Settings

SITE = Path(__file__).resolve().parents[2] / "build" / "site"
PAGES = sorted(SITE.rglob("*.html"))


class _Page(HTMLParser):
    """What a page names, links to and shows."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.sources: list[str] = []
        self.ids: set[str] = set()
        self.images_without_words: list[str] = []
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag == "a":
            self.links.append(given.get("href", ""))
        if tag in ("img", "script", "link"):
            self.sources.append(given.get("src") or given.get("href") or "")
        if tag == "img" and not given.get("alt"):
            self.images_without_words.append(given.get("src", ""))


READ = {page: _Page(page) for page in PAGES}


def _is_local(target: str) -> bool:
    return not urlsplit(target).scheme and not target.startswith("//")


def _missing(page: Path, target: str) -> bool:
    parts = urlsplit(target)
    file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not file.exists():
        return True
    anchor = unquote(parts.fragment)
    return bool(anchor) and file in READ and anchor not in READ[file].ids


def test_there_is_a_site() -> None:
    assert len(PAGES) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_each_local_link_and_picture_is_there(page: Path) -> None:
    read = READ[page]
    local = [target for target in [*read.links, *read.sources] if target and _is_local(target)]
    assert local
    assert [target for target in local if _missing(page, target)] == []
    assert read.images_without_words == []


def test_it_works_offline() -> None:
    loaded = {source for page in READ.values() for source in page.sources if not _is_local(source)}
    assert loaded == set()


def test_every_page_can_be_reached() -> None:
    seen, waiting = set(), [SITE / "index.html"]
    while waiting:
        page = waiting.pop()
        if page in seen or page not in READ:
            continue
        seen.add(page)
        local = (urlsplit(link).path for link in READ[page].links if _is_local(link))
        waiting += [(page.parent / unquote(path)).resolve() for path in local if path]
    # Sphinx makes these itself; the first is a form, the second a fragment of furo.
    assert set(PAGES) - seen <= {SITE / "search.html", SITE / "py-modindex.html", SITE / "genindex.html"}


def text_of(page: str) -> str:
    return re.sub(r"<[^>]+>", "", (SITE / page).read_text("utf-8"))


def test_every_public_name_is_in_the_api() -> None:
    ids = READ[SITE / "reference/api.html"].ids
    missing = {name for name in core_messaging.__all__ if not any(each.endswith(f".{name}") for each in ids)}
    assert missing == set()


def test_every_hook_is_in_the_api() -> None:
    ids = READ[SITE / "reference/api.html"].ids
    hooks = {name for name in vars(hookspecs) if hasattr(vars(hookspecs)[name], "core_spec")}
    assert hooks
    assert {name for name in hooks if not any(each.endswith(f".{name}") for each in ids)} == set()


def test_every_setting_and_option_is_on_its_page() -> None:
    settings, options = text_of("generated/settings.html"), text_of("generated/options.html")
    assert [name for name in Settings.model_fields if name not in settings] == []
    given = set(WorkerConfig.__dataclass_fields__) - {"source", "declared_topics"}
    assert {name for name in given if name not in options} == set()


def test_every_command_is_on_its_page() -> None:
    def paths(group: click.Group, path: str) -> list[str]:
        context, found = click.Context(group), []
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            nested = isinstance(command, click.Group)
            found += paths(command, f"{path} {name}") if nested else [f"{path} {name}"]
        return found

    ids = READ[SITE / "generated/command-line.html"].ids
    commands = paths(command_line.core, "core")
    assert len(commands) > 8
    assert [path for path in commands if path.replace(" ", "-") not in ids] == []
