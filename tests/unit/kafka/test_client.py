"""The broker on Kafka is made from settings alone; it connects to nothing by itself."""

from __future__ import annotations

from core_messaging.broker import Broker, Subscription
from core_messaging.kafka.client import KafkaBroker
from core_messaging.settings import Settings


def test_it_meets_the_seam_and_says_where_it_is() -> None:
    broker: Broker = KafkaBroker(Settings(kafka_bootstrap_servers="nowhere.invalid:1"))
    assert broker.address == "nowhere.invalid:1"
    assert "nowhere.invalid:1" in repr(broker)


def test_making_consumers_and_publishers_connects_to_nothing() -> None:
    broker = KafkaBroker(Settings(kafka_bootstrap_servers="nowhere.invalid:1"))
    subscription = Subscription("g", ("t",), "c")
    assert broker.consumer(subscription) is not broker.consumer(subscription)
    assert broker.publisher() is not broker.publisher()


def test_two_consumers_of_one_broker_know_the_same_taken_identities() -> None:
    # A second worker of this process must not steal an identity back that the first one has lost.
    broker = KafkaBroker(Settings(kafka_group_instance_id="pod-1"))
    first, second = (broker.consumer(Subscription("g", ("t",), "c")) for _ in range(2))
    assert first._instance_id() == second._instance_id() == "pod-1-g"
    first._taken.add("pod-1-g")
    assert second._instance_id() is None
