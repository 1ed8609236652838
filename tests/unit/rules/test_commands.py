"""Commands to one process, whatever is written into the control topic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.commands import (
    COMMAND,
    LARGEST,
    LONGEST_TEXT,
    REMEMBERED,
    Answer,
    Command,
    CommandInbox,
    Ignored,
    answer_in,
    encode_answer,
    encode_command,
)

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20)
arguments = st.dictionaries(words, st.none() | st.booleans() | st.integers(-100, 100) | words, max_size=3)


def command(name: str = "c", process: str = "me", expires: float = 100.0) -> Command:
    return Command(id=name, process=process, name="dump", expires=expires)


@given(
    st.builds(
        Command,
        id=words,
        process=st.just("me"),
        name=words,
        expires=st.floats(1, 100),
        arguments=arguments,
        by=words,
    )
)
def test_a_command_is_read_as_it_was_written_and_obeyed_once(wanted: Command) -> None:
    inbox = CommandInbox("me")
    assert inbox.take(*encode_command(wanted), 0.0) == wanted
    assert inbox.take(*encode_command(wanted), 0.0) is Ignored.NOT_MINE  # the topic was read again


def test_only_the_start_that_is_named_obeys() -> None:
    assert CommandInbox("successor").take(*encode_command(command()), 0.0) is Ignored.NOT_MINE


def test_a_command_that_has_expired_is_not_obeyed_later_either() -> None:
    inbox = CommandInbox("me")
    assert inbox.take(*encode_command(command(expires=10.0)), 10.0) is Ignored.EXPIRED
    assert inbox.take(*encode_command(command(expires=10.0)), 9.0) is Ignored.NOT_MINE


@given(st.none() | st.binary(max_size=50), st.binary(max_size=200))
def test_garbage_is_no_command(key: bytes | None, value: bytes) -> None:
    inbox = CommandInbox("me")
    assert inbox.take(key, value, 0.0) is Ignored.UNREADABLE
    assert inbox.take(COMMAND + b"c", b"[" * 5_000, 0.0) is Ignored.UNREADABLE
    assert inbox.take(COMMAND + b"c", None, 0.0) is Ignored.NOT_MINE


def test_a_record_that_is_too_large_or_has_the_key_of_another_is_ignored_and_a_newer_one_is_read() -> None:
    inbox = CommandInbox("me")
    key, value = encode_command(command())
    assert inbox.take(key, b" " * LARGEST + value, 0.0) is Ignored.UNREADABLE
    assert inbox.take(COMMAND + b"other", value, 0.0) is Ignored.UNREADABLE
    newer = value.replace(b'"process"', b'"what_comes_later":[1],"process"')
    assert inbox.take(key, newer, 0.0) == command()


def test_very_many_commands_take_a_bounded_memory() -> None:
    inbox = CommandInbox("me")
    for number in range(REMEMBERED + 1):
        inbox.take(*encode_command(command(str(number))), 0.0)
    assert inbox.take(*encode_command(command(str(REMEMBERED))), 0.0) is Ignored.NOT_MINE
    assert inbox.take(*encode_command(command("0")), 0.0) == command("0")  # forgotten, the oldest


@given(words, st.booleans())
def test_an_answer_is_found_by_its_command(text: str, done: bool) -> None:
    answer = Answer(id="c", process="me", done=done, text=text)
    assert answer_in(*encode_answer(answer), command()) == answer
    assert answer_in(*encode_answer(answer), command("other")) is None
    assert answer_in(*encode_answer(answer), command(process="other")) is None


@given(st.none() | st.binary(max_size=200))
def test_garbage_is_no_answer(value: bytes | None) -> None:
    assert (
        answer_in(encode_answer(Answer(id="c", process="me", done=True, text=""))[0], value, command())
        is None
    )


def test_an_answer_that_is_too_long_is_cut() -> None:
    answer = Answer(id="c", process="me", done=True, text="\U0001f600" * (LONGEST_TEXT + 7))
    found = answer_in(*encode_answer(answer), command())
    assert found is not None
    assert found.text.endswith("\n... 7 characters more")
