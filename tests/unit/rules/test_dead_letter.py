"""What a dead letter carries, and what it may leave out where it is too large for its queue."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import Outgoing
from core_messaging.rules.dead_letter import (
    OURS,
    dead_letter,
    has_facts,
    queue_of,
    smaller,
    trace_headers,
    without_core_headers,
)
from tests.unit.rules.records import PlainRecord

texts = st.text(max_size=50)


@given(
    headers=st.lists(st.tuples(st.sampled_from(["a", "core-tenant", "core-worker"]), st.binary())), text=texts
)
def test_a_letter_gets_smaller_until_it_is_the_record_as_it_came(
    headers: list[tuple[str, bytes]], text: str
) -> None:
    record = PlainRecord(3, b"k", b"v", headers=tuple(headers))
    letter = dead_letter(
        record, topic="d", worker="W", group_id="g", attempts=1, error=ValueError(text), failed_at=0
    )
    forms: list[Outgoing] = [letter]
    while (less := smaller(forms[-1])) is not None:
        forms.append(less)
    assert [len(form.headers) for form in forms] == sorted({len(f.headers) for f in forms}, reverse=True)
    assert [has_facts(form) for form in forms] == [True, True, False]
    assert forms[-1].headers == tuple(pair for pair in headers if pair[0] not in OURS)
    assert {(form.key, form.value, form.topic, form.forwarded) for form in forms} == {(b"k", b"v", "d", True)}


def make_letter(record: PlainRecord, error: Exception) -> dict[str, bytes]:
    letter = dead_letter(
        record, topic="t-dlq", worker="W", group_id="g", attempts=4, error=error, failed_at=12.5
    )
    assert (letter.key, letter.value, letter.topic) == (record.key, record.value, "t-dlq")
    return dict(letter.headers)


def test_a_dead_letter_tells_where_it_comes_from_and_why() -> None:
    record = PlainRecord(17, b"k", b"\xff\x00", partition=2, timestamp=99, headers=(("trace", b"1"),))
    assert make_letter(record, ValueError("no address")) == {
        "trace": b"1",
        "core-original-topic": b"t",
        "core-original-partition": b"2",
        "core-original-offset": b"17",
        "core-original-timestamp": b"99",
        "core-worker": b"W",
        "core-group": b"g",
        "core-attempts": b"4",
        "core-error-type": b"ValueError",
        "core-error-message": b"no address",
        "core-failed-at": b"12.500",
    }


def test_headers_do_not_grow_with_every_round_trip_through_the_dlq() -> None:
    # They accumulated elsewhere until no broker took the record any more.
    record = PlainRecord(0, headers=(("a", b"1"),))
    once = dead_letter(
        record, topic="d", worker="W", group_id="g", attempts=1, error=OSError("x" * 9999), failed_at=0
    )
    again = dead_letter(
        dataclasses.replace(record, headers=once.headers),
        topic="d",
        worker="W",
        group_id="g",
        attempts=1,
        error=OSError("x" * 9999),
        failed_at=0,
    )
    assert again.headers == once.headers
    assert sum(len(value) for _, value in once.headers) < 1300
    assert without_core_headers(again.headers) == (("a", b"1"),)


def test_a_producers_own_headers_stay_whatever_they_begin_with() -> None:
    # Everything that began with "core-" was taken for ours, and was missing in the dead letter.
    record = PlainRecord(
        0, headers=(("core-tenant", b"7"), ("core-worker", b"stale"), ("core-unblock", b"replay"))
    )
    letter = make_letter(record, ValueError("x"))
    assert (letter["core-tenant"], letter["core-worker"]) == (b"7", b"W")
    assert "core-unblock" not in letter  # it was obeyed; whoever replays this letter says so anew
    assert without_core_headers(tuple(letter.items())) == (("core-tenant", b"7"),)


def test_an_error_message_that_is_no_unicode_does_not_stop_the_dead_letter() -> None:
    assert (
        make_letter(PlainRecord(0), ValueError("lone \udc80 surrogate"))["core-error-message"]
        == b"lone ? surrogate"
    )


def test_a_result_carries_the_trace_and_nothing_else() -> None:
    headers = (("traceparent", b"00-1"), ("secret", b"x"), ("baggage", b"b"))
    assert trace_headers(headers) == (("traceparent", b"00-1"), ("baggage", b"b"))


KINDS = (BaseException, Exception, ValueError, UnicodeError, LookupError, KeyError, OSError, TimeoutError)


@given(st.dictionaries(st.sampled_from(KINDS), texts.filter(bool)), st.sampled_from(KINDS))
def test_a_letter_goes_to_the_queue_of_the_most_specific_class(
    queues: dict[type[BaseException], str], kind: type[BaseException]
) -> None:
    found = queue_of(kind, tuple(queues.items()))
    bases = [each for each in queues if issubclass(kind, each)]
    assert (found is None) == (not bases)
    nearest = [
        each for each in bases if not any(other is not each and issubclass(other, each) for other in bases)
    ]
    assert found in [queues[each] for each in nearest] or not bases
