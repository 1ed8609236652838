"""A topic that goes or grows is one change, and what stays or comes is none."""

from __future__ import annotations

import pytest

from core_messaging.rules.topic_changes import TopicChanges


@pytest.mark.parametrize(
    ("looks", "says", "replaced"),
    [
        ([0, 4], None, False),  # its partitions are told when they are assigned
        ([4, 4], None, False),
        ([4, 6], "topic t has 2 new partitions, read from the first record", False),
        ([4, 5], "topic t has 1 new partition,", False),
        ([4, 0], "topic t is gone", True),
        ([4, 0, 0], None, False),
        ([4, 0, 2], None, False),
        ([4, 2], "topic t was made anew: it has 2 partitions, and had 4", True),
    ],
)
def test_a_topic_that_goes_or_grows_is_one_change(looks: list[int], says: str | None, replaced: bool) -> None:
    changes = TopicChanges()
    found = [changes.look({"t": count, "other": 1}) for count in looks][-1]
    assert [change.replaced for change in found] == ([] if says is None else [replaced])
    assert all(change.text.startswith(says or "") for change in found)
