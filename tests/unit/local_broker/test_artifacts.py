"""Fetching Apache Kafka once, with a Maven that only pretends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core_messaging.local_broker import artifacts

_MAVEN = """#!/bin/sh
mkdir jars
echo half > jars/kafka.jar
sleep 0.2
echo whole > jars/kafka.jar
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(_MAVEN)
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(artifacts.FOLDER_VARIABLE, raising=False)
    return tmp_path / "cache" / "core-messaging"


def test_two_that_fetch_at_once_both_get_the_whole_folder(cache: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: artifacts.kafka_jars(), range(2)))
    assert [(folder / "kafka.jar").read_text() for folder in folders] == ["whole\n", "whole\n"]
    # Neither leaves its temporary folder behind.
    assert list(cache.iterdir()) == [folders[0]]


def test_what_is_there_is_not_fetched_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = artifacts.kafka_jars()
    monkeypatch.setenv("PATH", "")
    assert artifacts.kafka_jars() == first


def test_a_chosen_folder_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(artifacts.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert artifacts.kafka_jars() == tmp_path
