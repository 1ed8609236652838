"""Which workers take each other's messages: those of one group with a topic in common, and no others."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from core_messaging.config import WorkerConfig
from core_messaging.discovery.shared_groups import shared_groups

TOPICS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(tuple)


@given(st.lists(st.tuples(TOPICS, st.sampled_from("xy")), max_size=5))
def test_every_pair_with_a_group_and_a_topic_in_common_is_told_once(
    workers: list[tuple[tuple[str, ...], str]],
) -> None:
    configs = [
        WorkerConfig(name=f"W{n}", input_topics=topics, group_id=group)
        for n, (topics, group) in enumerate(workers)
    ]
    wanted = {
        (a.name, b.name)
        for a, b in combinations(configs, 2)
        if a.group_id == b.group_id and set(a.input_topics) & set(b.input_topics)
    }
    found = list(shared_groups(configs))
    assert {(pair.first.name, pair.second.name) for pair in found} == wanted
    assert len(found) == len(wanted)
    for pair in found:
        assert set(pair.topics) == set(pair.first.input_topics) & set(pair.second.input_topics)
        assert pair.second.name in pair.seen_from(pair.first)
        assert pair.first.name in pair.seen_from(pair.second)
