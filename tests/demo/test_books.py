"""The demo's own check: it passes for the right books only. Every way of being off is tried."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from demo.books import MENDED, RETRIES, Books, DeadLetter, differences, open_letters
from demo.generate import generate
from demo.tasks import DELIVERED, FILE, Fate, Task, load

ERRORS = {Fate.GIVEN_UP: "SMTPRecipientsRefused", Fate.REJECTED: "Reject", Fate.UNDECODABLE: "Undecodable"}
ATTEMPTS = {Fate.GIVEN_UP: 1 + RETRIES, Fate.SENT_LATER: 2}


def right_books(tasks: Sequence[Task]) -> Books:
    """What a run without a fault leaves behind."""
    received: defaultdict[str, list[str]] = defaultdict(list)
    tries: Counter[str] = Counter()
    letters = []
    for task in tasks:
        if task.fate is not Fate.UNDECODABLE:
            tries[task.to] += ATTEMPTS.get(task.fate, 1)
        if task.fate in DELIVERED:
            received[task.to].append(task.id)
        else:
            letters.append(DeadLetter(task.key, task.line, ERRORS[task.fate], ATTEMPTS.get(task.fate, 1)))
    return Books(received, tries, letters, seconds=10.0)


@pytest.fixture
def tasks() -> list[Task]:
    return load()


@pytest.fixture
def books(tasks: list[Task]) -> Books:
    return right_books(tasks)


def test_the_file_is_what_the_script_makes_of_it() -> None:
    assert FILE.read_bytes() == generate()


def test_the_file_has_tasks_of_every_fate_and_two_thousand_in_all(tasks: list[Task]) -> None:
    fates = Counter(task.fate for task in tasks)
    assert len(tasks) >= 2000
    assert set(fates) == set(Fate)
    assert min(fates.values()) >= 30


def test_nothing_is_off_after_a_run_without_a_fault(tasks: list[Task], books: Books) -> None:
    assert differences(tasks, books) == []
    assert (books.arrived, books.retried, books.undecodable, books.rate) == (2220, 180, 90, 222.0)
    assert len(books.dead_letters) == 180


def a_mail_is_lost(books: Books) -> Books:
    books.received["reader-000@example.com"].remove(first_of(books))  # type: ignore[attr-defined] # a list here
    return books


def a_mail_comes_twice(books: Books) -> Books:
    books.received["reader-000@example.com"].append(first_of(books))  # type: ignore[attr-defined] # a list here
    return books


def two_mails_change_places(books: Books) -> Books:
    books.received["reader-000@example.com"].reverse()  # type: ignore[attr-defined] # a list here
    return books


def first_of(books: Books) -> str:
    return books.received["reader-000@example.com"][0]


def a_dead_letter_is_lost(books: Books) -> Books:
    return replace(books, dead_letters=books.dead_letters[1:])


def a_dead_letter_comes_twice(books: Books) -> Books:
    return replace(books, dead_letters=[*books.dead_letters, books.dead_letters[0]])


def a_byte_of_a_dead_letter_changes(books: Books) -> Books:
    first, *others = books.dead_letters
    return replace(books, dead_letters=[replace(first, value=first.value + b" "), *others])


def a_dead_letter_has_another_key(books: Books) -> Books:
    first, *others = books.dead_letters
    return replace(books, dead_letters=[replace(first, key="somebody-else"), *others])


def an_undecodable_one_is_called_something_else(books: Books) -> Books:
    letters = [replace(letter, error="ValueError") for letter in books.dead_letters]
    return replace(books, dead_letters=letters)


def a_mail_is_not_retried_to_the_end(books: Books) -> Books:
    address = next(address for address in books.tries if address.endswith("@full.example"))
    return replace(books, tries={**books.tries, address: RETRIES})


def a_rejected_mail_is_retried(books: Books) -> Books:
    address = next(address for address in books.tries if address.endswith("@gone.example"))
    return replace(books, tries={**books.tries, address: 2})


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (a_mail_is_lost, "is missing at the mail server"),
        (a_mail_comes_twice, "came again"),
        (two_mails_change_places, "out of order"),
        (a_dead_letter_is_lost, "is missing at the dead-letter queue"),
        (a_dead_letter_comes_twice, "does not belong at the dead-letter queue"),
        (a_byte_of_a_dead_letter_changes, "does not belong at the dead-letter queue"),
        (a_dead_letter_has_another_key, "somebody-else"),
        (an_undecodable_one_is_called_something_else, "marked undecodable"),
        (a_mail_is_not_retried_to_the_end, "instead of 4"),
        (a_rejected_mail_is_retried, "instead of 1"),
    ],
)
def test_it_is_told_when(spoil: Callable[[Books], Books], told: str, tasks: list[Task], books: Books) -> None:
    off = differences(tasks, spoil(books))
    assert off
    assert any(told in sentence for sentence in off)


def mended(tasks: Sequence[Task], books: Books) -> Books:
    """What is there after the mails to full mailboxes were replayed."""
    received = {address: list(mails) for address, mails in books.received.items()}
    tries = Counter(books.tries)
    for task in tasks:
        if task.fate is Fate.GIVEN_UP:
            received.setdefault(task.to, []).append(task.id)
            tries[task.to] += 1
    return replace(books, received=received, tries=tries)


def test_after_the_replay_the_mails_that_were_given_up_are_there_and_nothing_is_off(
    tasks: list[Task], books: Books
) -> None:
    assert differences(tasks, mended(tasks, books), MENDED) == []
    # Without the replay they are missing, and without its being asked for they do not belong there.
    assert differences(tasks, books, MENDED)
    assert differences(tasks, mended(tasks, books))


def test_what_the_list_of_dead_letters_says_is_compared(tasks: list[Task]) -> None:
    fates = Counter(task.fate for task in tasks)
    replayed = {"open": 0, "replayed": fates[Fate.GIVEN_UP], "dropped": 0}
    left = {"open": fates[Fate.REJECTED] + fates[Fate.UNDECODABLE], "replayed": 0, "dropped": 0}
    assert open_letters(tasks, [replayed, left]) == []
    assert open_letters(tasks, [left]) == [f"0 dead letters are replayed; {fates[Fate.GIVEN_UP]} should be"]
