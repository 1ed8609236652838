"""What has to change so that topics are as declared."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.config import make_config
from core_messaging.errors import ConfigurationError, OptionError
from core_messaging.options import Topic, same_topic
from core_messaging.rules.topic_plan import ActualTopic, Kind, merged_declarations, plan_topics


def actual(partitions: int = 4, replication: int = 1, **config: str) -> dict[str, ActualTopic]:
    return {"orders": ActualTopic("orders", partitions, replication, config)}


def test_a_topic_is_a_text_that_keeps_what_it_declares() -> None:
    topic = Topic("orders", partitions=12, replication=3, config={"retention.ms": 5, "preallocate": True})
    assert topic == "orders"
    assert f"{topic}" == "orders"
    assert topic.config == {"retention.ms": "5", "preallocate": "true"}
    again = pickle.loads(pickle.dumps(topic))  # noqa: S301 - our own
    assert same_topic(again, topic)
    assert not same_topic(Topic("orders"), topic)


@pytest.mark.parametrize("wrong", [0, -1, True, "4", 1.5])
def test_a_number_that_no_topic_can_have_is_refused(wrong: int) -> None:
    with pytest.raises(ConfigurationError, match="whole number from 1 up"):
        Topic("orders", partitions=wrong)
    with pytest.raises(ConfigurationError, match="whole number from 1 up"):
        Topic("orders", replication=wrong)


def test_a_worker_declares_topics_wherever_it_names_one() -> None:
    options = {
        "input_topic": [Topic("in", partitions=3), "other"],
        "output_topic": Topic("out"),
        "dlq_topic": Topic("dead"),
    }
    config = make_config("W", options, "")
    assert config.declared_topics == ("in", "out", "dead")
    assert config.topics == ("in", "other", "out", "dead")
    assert [type(topic) for topic in config.topics] == [str] * 4


def test_one_topic_declared_in_two_ways_is_refused_in_a_worker_and_told_between_two() -> None:
    two = [Topic("in", partitions=3), Topic("in", partitions=4)]
    with pytest.raises(OptionError, match="declared in two ways"):
        make_config("W", {"input_topic": two}, "")
    _, (conflict,) = merged_declarations([("A", two[0]), ("B", two[1])])
    assert (conflict.topic, conflict.workers) == ("in", ("A", "B"))
    topics, none = merged_declarations([("A", two[0]), ("B", Topic("in", partitions=3))])
    assert (topics, none) == ({"in": "in"}, [])


def test_a_missing_topic_is_made_with_what_it_declares_and_the_settings_for_the_rest() -> None:
    (declared, bare) = plan_topics([Topic("a", partitions=12, config={"x": 1}), "b"], {}, 4, 2)
    assert (declared.kind, declared.partitions, declared.replication, declared.config) == (
        Kind.CREATE,
        12,
        2,
        {"x": "1"},
    )
    assert (bare.kind, bare.partitions, bare.replication) == (Kind.CREATE, 4, 2)


def test_what_differs_is_changed_and_what_kafka_cannot_do_is_told() -> None:
    topic = Topic(
        "orders", partitions=8, replication=3, config={"retention.ms": 5, "cleanup.policy": "delete"}
    )
    found = actual(4, 1, **{"retention.ms": "7", "cleanup.policy": "delete"})
    grow, replication, config = plan_topics([topic], found, 1, 1)
    assert (grow.kind, grow.partitions) == (Kind.ADD_PARTITIONS, 8)
    assert (replication.kind, replication.text[:16]) == (Kind.IMPOSSIBLE, "replication is 1")
    assert (config.kind, config.config) == (Kind.ALTER_CONFIG, {"retention.ms": "5"})
    (fewer,) = plan_topics([Topic("orders", partitions=2)], found, 1, 1)
    assert fewer.kind is Kind.IMPOSSIBLE


@given(
    st.none() | st.integers(1, 9),
    st.none() | st.integers(1, 3),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"])),
    st.integers(1, 9),
    st.integers(1, 3),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"])),
)
def test_a_plan_that_was_done_leaves_nothing_but_what_is_not_possible(
    partitions: int | None,
    replication: int | None,
    config: dict[str, str],
    has_partitions: int,
    has_replication: int,
    has_config: dict[str, str],
) -> None:
    topic = Topic("orders", partitions=partitions, replication=replication, config=config)
    before = ActualTopic("orders", has_partitions, has_replication, has_config)
    after = before
    for change in plan_topics([topic], {"orders": before}, 1, 1):
        if change.kind is not Kind.IMPOSSIBLE:
            after = ActualTopic(
                "orders",
                change.partitions or after.partitions,
                after.replication,
                {**after.config, **change.config},
            )
    assert after.partitions >= before.partitions
    left = plan_topics([topic], {"orders": after}, 1, 1)
    assert {change.kind for change in left} <= {Kind.IMPOSSIBLE}
