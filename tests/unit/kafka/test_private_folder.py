"""The folder of the lock files belongs to one user alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from core_messaging.kafka.private_folder import open_private_folder, private_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return private_folder()


def test_it_is_made_for_this_user_alone(folder: Path) -> None:
    for _ in range(2):
        os.close(open_private_folder())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_one_that_others_may_enter_is_refused(folder: Path) -> None:
    # Somebody else may have put a note there, and a living member would be declared dead.
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(OSError, match="it is open to other users"):
        open_private_folder()


def test_a_symbolic_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="it is no folder of this user"):
        open_private_folder()


def test_a_file_in_its_place_is_refused(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(OSError, match=r"File exists|it is no folder of this user"):
        open_private_folder()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_the_folder_of_another_user_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 12_345, -1)
    with pytest.raises(OSError, match="it is no folder of this user"):
        open_private_folder()
