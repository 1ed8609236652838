"""One member a group at the embedded broker: who has the place, and when it is free again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core_messaging.errors import ConfigurationError, SecondMember
from core_messaging.kafka.cluster_identity import Cluster
from core_messaging.kafka.embedded_group import OnlyMember

pytestmark = pytest.mark.usefixtures("temporary")

HERE = Cluster("mockCluster1234", "127.0.0.1:4711")
HOLD = (
    "from core_messaging.kafka.cluster_identity import Cluster\n"
    "from core_messaging.kafka.embedded_group import OnlyMember\n"
    "member = OnlyMember(Cluster('mockCluster1234', '127.0.0.1:4711'), 'mail')\n"
    "print('held', flush=True)\n"
    "input()\n"
)


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
