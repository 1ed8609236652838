"""One member a group at the embedded broker: who has the place, and when it is free again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core_messaging.errors import ConfigurationError, SecondMember
from core_messaging.kafka.embedded_group import Cluster, OnlyMember

HERE = Cluster("mockCluster1234", "127.0.0.1:4711")
HOLD = (
    "from core_messaging.kafka.embedded_group import Cluster, OnlyMember\n"
    "member = OnlyMember(Cluster('mockCluster1234', '127.0.0.1:4711'), 'mail')\n"
    "print('held', flush=True)\n"
    "input()\n"
)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_only_a_mock_cluster_is_the_embedded_broker() -> None:
    assert HERE.is_embedded
    assert not Cluster("Y29yZS1tZXNzYWdpbmctMQ", "127.0.0.1:9092").is_embedded
    assert not Cluster("", "127.0.0.1:9092").is_embedded


def test_a_second_member_of_this_process_is_refused_until_the_first_has_left() -> None:
    first = OnlyMember(HERE, "mail")
    with pytest.raises(SecondMember, match="group mail has a member already"):
        OnlyMember(HERE, "mail")
    others = [OnlyMember(HERE, "orders"), OnlyMember(Cluster("mockCluster1234", "127.0.0.1:4712"), "mail")]
    first.release()
    first.release()
    for each in (OnlyMember(HERE, "mail"), *others):
        each.release()


def test_a_member_of_another_process_is_refused_and_its_place_is_free_however_that_process_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SecondMember):
            OnlyMember(HERE, "mail")
        other.kill()
    OnlyMember(HERE, "mail").release()


def test_a_child_that_a_handler_forks_does_not_keep_the_place() -> None:
    # The child lives on, until its input ends.
    code = HOLD.replace("input()", "import os\nif os.fork() == 0:\n    input()\nos._exit(0)")
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        other.wait()
        OnlyMember(HERE, "mail").release()


def test_a_folder_that_somebody_else_has_put_there_is_refused_in_one_line(temporary: Path) -> None:
    (temporary / f"core-messaging-{os.getuid()}").symlink_to(temporary)
    with pytest.raises(ConfigurationError, match=r"it is no folder of this user.*set TMPDIR"):
        OnlyMember(HERE, "mail")


@pytest.mark.parametrize(
    ("former", "found", "another"),
    [
        (Cluster("a", "h:1"), Cluster("a", "h:2"), False),
        (Cluster("a", "h:1"), Cluster("b", "h:1"), True),
        (Cluster("mockCluster1", "h:1"), Cluster("mockCluster1", "h:1"), False),
        # Its id is an address in memory, and it has no way to listen at the same port again.
        (Cluster("mockCluster1", "h:1"), Cluster("mockCluster1", "h:2"), True),
        (Cluster("", "h:1"), Cluster("a", "h:1"), False),
        (Cluster("a", "h:1"), Cluster("", "h:1"), False),
    ],
)
def test_another_cluster_is_known_by_its_id_and_an_embedded_one_also_by_its_port(
    former: Cluster, found: Cluster, another: bool
) -> None:
    assert found.is_another_than(former) is another
