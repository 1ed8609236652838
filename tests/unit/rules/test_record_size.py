"""What records take in memory: the bound of ``max_in_flight_bytes`` is checked against it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.record_size import HEADER, headers_size, sizes_of
from tests.unit.rules.records import PlainRecord

parts = st.none() | st.binary(max_size=50)
headers = st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=50)), max_size=5)


@given(parts, parts, headers)
def test_a_record_takes_its_key_its_value_and_each_header(
    key: bytes | None, value: bytes | None, pairs: list[tuple[str, bytes]]
) -> None:
    record = PlainRecord(0, key, value, headers=tuple(pairs))
    (size,) = sizes_of([record])
    assert size == len(key or b"") + len(value or b"") + headers_size(pairs)


def test_many_empty_headers_are_not_taken_for_nothing() -> None:
    # The objects that hold a header take more than its bytes. A record of a megabyte took thirty.
    assert headers_size([("", None)] * 1_000) == 1_000 * HEADER
