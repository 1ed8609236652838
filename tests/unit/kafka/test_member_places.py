"""Who has which place of a group on this machine, and what a process that is killed leaves behind."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_messaging.kafka import member_places
from core_messaging.kafka.member_places import Group, MemberPlaces, Place
from core_messaging.kafka.private_folder import private_folder

pytestmark = pytest.mark.usefixtures("temporary")

numbers = itertools.count()
MAIL = Group("cluster-1", "mail")
HOLD = (
    "import sys\n"
    "from core_messaging.kafka.member_places import PLACES, Group\n"
    "place = PLACES.take(Group('cluster-1', 'mail'))\n"
    "place.note(sys.argv[1])\n"
    "print(place.number, flush=True)\n"
    "input()\n"
)


@pytest.fixture
def places() -> MemberPlaces:
    return MemberPlaces()


def take(places: MemberPlaces, group: Group = MAIL) -> Place:
    place = places.take(group)
    assert place is not None
    return place


@contextmanager
def another_process(member_id: str, code: str = HOLD) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has taken a place, and the number of the place."""
    with subprocess.Popen(
        [sys.executable, "-c", code, member_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_the_one_that_gets_the_place_of_a_killed_process_reads_who_it_was(places: MemberPlaces) -> None:
    with another_process("member-a") as (process, number):
        process.kill()
        process.wait()
    successor = take(places)
    assert (successor.number, successor.dead_member()) == (number, "member-a")
    successor.release()


def test_a_process_that_lives_keeps_its_place_also_when_it_is_frozen(places: MemberPlaces) -> None:
    with another_process("member-a") as (process, _):
        process.send_signal(signal.SIGSTOP)
        second = take(places)
        assert (second.number, second.dead_member()) == (2, None)
        assert places.abandoned(MAIL) == []
        second.release()


def test_two_members_of_one_process_take_two_places_and_neither_loses_its_lock(places: MemberPlaces) -> None:
    # lockf does not conflict inside a process, and closing any descriptor of the file would drop the lock.
    first, second = take(places), take(places)
    first.note("member-1")
    second.note("member-2")
    assert (first.number, second.number) == (1, 2)
    assert places.abandoned(MAIL) == []
    third = take(places)
    third.release()
    with another_process("member-3") as (_, number):
        assert number == 3
    second.clear()
    second.release()
    with another_process("member-4") as (_, number):
        assert number == 2
    first.release()


def test_a_member_that_has_left_leaves_neither_note_nor_file(places: MemberPlaces) -> None:
    place = take(places)
    place.note("member-1")
    place.clear()
    place.release()
    place.release()
    assert list(private_folder().iterdir()) == []


def test_the_note_is_rewritten_at_each_change_of_the_member_id(places: MemberPlaces) -> None:
    place = take(places)
    for member_id in ("a much longer id of a member than the next", "member-2"):
        place.note(member_id)
        assert place.dead_member() == member_id
    place.release()


def test_the_file_of_a_member_that_lives_for_long_does_not_look_old(
    places: MemberPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cleaner of the temporary folder removes what nobody has touched for some days.
    place = take(places)
    place.note("member-1")
    (file,) = private_folder().iterdir()
    os.utime(file, (0, 0))
    place.refresh()
    assert file.stat().st_mtime == 0  # not with each heartbeat
    monkeypatch.setattr(member_places, "_REFRESH", 0.0)
    place.refresh()
    assert file.stat().st_mtime > 0
    place.release()
    place.refresh()


def test_notes_of_members_that_died_long_ago_are_removed_and_no_others(places: MemberPlaces) -> None:
    for name in ("gone", "lately"):
        place = take(places, Group("cluster-1", name))
        place.note("member-1")
        place.release()
    mine = take(places)
    mine.note("member-2")
    gone = private_folder() / f"{Group('cluster-1', 'gone').prefix}1"
    with another_process("member-3") as (_, number):
        held = [private_folder() / f"{MAIL.prefix}{each}" for each in (mine.number, number)]
        for file in (gone, *held):
            os.utime(file, (0, 0))
        assert places.abandoned(MAIL) == []
        assert not gone.exists()
        assert all(file.exists() for file in held)
        assert (private_folder() / f"{Group('cluster-1', 'lately').prefix}1").exists()
    mine.release()


def test_all_places_of_dead_members_are_found_and_not_only_the_lowest(places: MemberPlaces) -> None:
    with another_process("member-a") as (first, _), another_process("member-b") as (second, _):
        for process in (first, second):
            process.kill()
            process.wait()
    found = places.abandoned(MAIL)
    assert [place.dead_member() for place in found] == ["member-a", "member-b"]
    for place in found:
        place.release()


class Machine:
    """The members of one group on one machine, and who of them is alive."""

    def __init__(self) -> None:
        self.places, self.group = MemberPlaces(), Group("cluster-1", f"group-{next(numbers)}")
        self.alive: list[Place] = []
        self.dead: set[str] = set()

    def join(self, _: int = 0) -> None:
        place = take(self.places, self.group)
        assert place.number not in {each.number for each in self.alive}
        self._report(place)
        self.look()
        place.note(f"member-{next(numbers)}")
        self.alive.append(place)

    def leave(self, which: int) -> None:
        if self.alive:
            place = self.alive.pop(which % len(self.alive))
            place.clear()
            place.release()

    def die(self, which: int) -> None:
        if self.alive:
            place = self.alive.pop(which % len(self.alive))
            self.dead.add(str(place.dead_member()))
            place.release()  # as the system does for a process that ends

    def look(self, _: int = 0) -> None:
        for place in self.places.abandoned(self.group):
            self._report(place)
            place.release()
        assert self.dead == set()

    def _report(self, place: Place) -> None:
        if (found := place.dead_member()) is not None:
            self.dead.remove(found)  # fails for one that lives, or that was reported before
        place.clear()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["join", "leave", "die", "look"]), st.integers(0, 5)), max_size=30))
def test_whoever_comes_and_goes_only_the_dead_are_reported_and_each_of_them(
    events: list[tuple[str, int]],
) -> None:
    machine = Machine()
    for event, which in events:
        getattr(machine, event)(which)
    while machine.alive:
        machine.leave(0)
    machine.look()


def test_the_places_of_other_groups_and_clusters_are_others(places: MemberPlaces) -> None:
    with another_process("member-a") as (process, _):
        process.kill()
        process.wait()
    for group in (Group("cluster-1", "orders"), Group("cluster-2", "mail")):
        place = take(places, group)
        assert (place.number, place.dead_member()) == (1, None)
        assert places.abandoned(group) == []
        place.release()


def test_a_note_of_an_earlier_run_of_the_machine_declares_nobody_dead(
    places: MemberPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    with another_process("member-a") as (process, _):
        process.kill()
        process.wait()
    monkeypatch.setattr(member_places, "boot_id", lambda: "the next run")
    place = take(places)
    assert (place.number, place.dead_member()) == (1, None)
    place.release()


def test_a_copy_of_the_folder_declares_nobody_dead(
    places: MemberPlaces, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An image of a container, made while the member lives: nobody has locked the copy.
    with another_process("member-a") as (_, number):
        (temporary / "copy").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(temporary / "copy"))
        shutil.copytree(temporary / private_folder().name, private_folder())
        place = take(places)
        assert (place.number, place.dead_member()) == (number, None)
        place.release()


def test_a_forked_child_has_none_of_the_places_and_takes_none_away(places: MemberPlaces) -> None:
    place = take(places)
    place.note("member-1")
    child = os.fork()
    if child == 0:
        place.clear()
        place.release()
        own = places.take(MAIL)
        os._exit(own.number if own is not None else 99)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2
    assert place.dead_member() == "member-1"
    with another_process("member-2") as (_, number):
        assert number == 2
    place.release()


def test_a_child_that_a_handler_forks_does_not_keep_the_place(places: MemberPlaces) -> None:
    code = HOLD.replace("input()", "import os\nif os.fork() == 0:\n    input()\nos._exit(0)")
    with another_process("member-a", code) as (process, _):
        process.wait()
        place = take(places)
        assert (place.number, place.dead_member()) == (1, "member-a")
        place.release()


def test_a_full_disk_means_no_note_and_is_said_at_debug(
    places: MemberPlaces, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "core_messaging.kafka")
    place = take(places)
    place.note("member-1")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        place.note("member-2")
    # The old id is not left behind: it would be declared dead in the place of the new one.
    assert place.dead_member() is None
    assert "place 1 has no note ([Errno 28] No space left on device)" in caplog.text
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    place.release()


@pytest.mark.parametrize("function", ["open", "mkdir"])
def test_a_read_only_disk_means_no_place_and_is_said_at_debug(
    places: MemberPlaces, function: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "core_messaging.kafka")

    def read_only(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, function, read_only)
        assert places.take(MAIL) is None
        assert places.abandoned(MAIL) == []
    assert caplog.text.count("Read-only file system") == 2
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_a_symbolic_link_in_the_place_of_a_file_is_not_followed(
    places: MemberPlaces, temporary: Path
) -> None:
    target = temporary / "precious"
    target.write_text("kept")
    take(places).release()
    (private_folder() / f"{MAIL.prefix}1").symlink_to(target)
    assert places.take(MAIL) is None
    assert places.abandoned(MAIL) == []
    assert target.read_text() == "kept"


def test_a_system_that_does_not_tell_when_it_started_has_no_places(
    places: MemberPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_places, "boot_id", lambda: "")
    assert places.take(MAIL) is None
