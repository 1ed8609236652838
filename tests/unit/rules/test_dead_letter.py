"""What a dead letter may leave out where it is too large for its queue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.records import Outgoing
from core_messaging.rules.dead_letter import OURS, dead_letter, has_facts, smaller
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
