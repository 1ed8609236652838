"""Which dead letters a form means."""

from __future__ import annotations

import contextlib

import pytest
from core_messaging_dashboard.selection import WrongField, queues_of, selection_of
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.operations.dead_letters import Queue
from core_messaging.rules.letter_selection import FieldMatch, Selection
from core_messaging.worker import Worker, config_of

QUEUE = Queue("orders-dlq")


class Pay(Worker):
    input_topic = "pay"
    dlq_topic = {ValueError: "bad-pay", Exception: "pay-dlq"}  # noqa: RUF012 - as users write it

    async def process(self, message: dict[str, int]) -> None: ...


def test_every_queue_of_a_worker_can_be_looked_at() -> None:
    assert set(queues_of([config_of(Pay)])) == {"bad-pay", "pay-dlq"}


def test_an_empty_form_means_all_letters() -> None:
    assert selection_of(QUEUE, {"error_type": "", "key": "", "offsets": ""}) == Selection()


def test_every_field_counts() -> None:
    form = {
        "error_type": "ValueError",
        "topic": "orders",
        "key": "ada",
        "partition": "3",
        "offsets": "17-42",
        "since": "1970-01-01T00:01",
        "until": "1970-01-01T01:00",
        "match": "customer.id=7",
    }
    assert selection_of(QUEUE, form) == Selection(
        error_type="ValueError",
        original_topic="orders",
        key=b"ada",
        partition=3,
        offsets=range(17, 43),
        since=60.0,
        until=3600.0,
        fields=(FieldMatch("customer.id", "7"),),
    )


@pytest.mark.parametrize(
    "form",
    [
        {"partition": "x"},
        {"partition": "-1"},
        {"offsets": "9-3"},
        {"offsets": "a-b"},
        {"since": "soon"},
        {"match": "id"},
        {"match": "=7"},
    ],
)
def test_what_cannot_be_read_is_refused_and_selects_nothing(form: dict[str, str]) -> None:
    with pytest.raises(WrongField):
        selection_of(QUEUE, form)


@given(
    st.dictionaries(
        st.sampled_from(["partition", "offsets", "since", "until", "match", "key"]), st.text(max_size=30)
    )
)
def test_any_form_is_a_selection_or_refused(form: dict[str, str]) -> None:
    with contextlib.suppress(WrongField):
        assert isinstance(selection_of(QUEUE, form), Selection)
