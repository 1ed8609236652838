"""The data folder is this user's alone, and nothing is written, read or deleted through a symbolic link in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core_messaging.errors import FolderUnusable, ForeignFolder, LocalBrokerError
from core_messaging.local_broker import artifacts
from core_messaging.local_broker.apache import ApacheOptions, _place
from core_messaging.local_broker.data_folder import MARKER, claim, private, wipe, write_private


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    """A folder of the user that no broker may touch."""
    folder = tmp_path / "treasure"
    folder.mkdir()
    (folder / "file").write_text("mine")
    return folder


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_is_made_is_for_this_user_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with claim(data):
        private(data / "node-1")
        write_private(data / "node-1" / "server.properties", "node.id=1")
    assert [mode_of(each) for each in (data, data / "node-1")] == [0o700, 0o700]
    assert [mode_of(each) for each in (data / MARKER, data / "node-1" / "server.properties")] == [
        0o600,
        0o600,
    ]


def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "node-1").mkdir(mode=0o755)
    private(tmp_path / "node-1")
    assert mode_of(tmp_path / "node-1") == 0o700


def test_a_reset_deletes_a_link_and_not_what_it_leads_to(tmp_path: Path, treasure: Path) -> None:
    data = tmp_path / "data"
    with claim(data):
        (data / "node-1").symlink_to(treasure)
        (data / "node-2").mkdir()
        (data / "node-2" / "data").symlink_to(treasure)
        (data / "node-3").symlink_to(tmp_path / "nothing")
        wipe(data)
    assert [each.name for each in data.iterdir()] == [MARKER]
    assert (treasure / "file").read_text() == "mine"


def test_a_data_folder_that_is_a_link_is_refused(tmp_path: Path, treasure: Path) -> None:
    (tmp_path / "data").symlink_to(treasure)
    with (
        pytest.raises(FolderUnusable, match="is a symbolic link; name the folder that it leads to"),
        claim(tmp_path / "data"),
    ):
        raise AssertionError
    assert [each.name for each in treasure.iterdir()] == ["file"]


def test_a_link_on_the_way_in_a_project_is_refused(
    tmp_path: Path, treasure: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".core").symlink_to(treasure)
    with pytest.raises(FolderUnusable, match=r"\.core is a symbolic link"), claim(Path(".core/kafka")):
        raise AssertionError
    assert [each.name for each in treasure.iterdir()] == ["file"]


def test_a_marker_that_is_a_link_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / MARKER).symlink_to(tmp_path / "made")
    with pytest.raises((FolderUnusable, ForeignFolder)), claim(data):
        raise AssertionError
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "name", ["server.properties", "log4j2.properties", "kafka.log", "output.log", "data", "data/log"]
)
def test_a_link_below_a_node_is_refused_before_anything_is_written(
    tmp_path: Path, treasure: Path, name: str
) -> None:
    (node,) = _place(ApacheOptions(folder=tmp_path / "data"))
    link = node.folder / name
    link.parent.mkdir(parents=True)
    link.symlink_to(treasure / "file")
    with pytest.raises(FolderUnusable, match="is a symbolic link; remove it, or start with --reset"):
        node.format("1@127.0.0.1:1")
    assert (treasure / "file").read_text() == "mine"
    assert os.listdir(treasure) == ["file"]  # noqa: PTH208 - names


def test_jars_are_for_this_user_alone_and_those_of_another_user_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(artifacts.FOLDER_VARIABLE, raising=False)
    artifacts.kafka_folder().mkdir(parents=True, mode=0o755)
    assert mode_of(artifacts.kafka_jars()) == 0o700
    monkeypatch.setattr(os, "getuid", lambda: artifacts.kafka_folder().stat().st_uid + 1)
    with pytest.raises(LocalBrokerError, match="belongs to another user"):
        artifacts.kafka_jars()
