"""Which cluster a client is connected to, and when it is another one than before."""

from __future__ import annotations

import pytest

from core_messaging.kafka.cluster_identity import Cluster

HERE = Cluster("mockCluster1234", "127.0.0.1:4711")


def test_only_a_mock_cluster_is_the_embedded_broker() -> None:
    assert HERE.is_embedded
    assert not Cluster("Y29yZS1tZXNzYWdpbmctMQ", "127.0.0.1:9092").is_embedded
    assert not Cluster("", "127.0.0.1:9092").is_embedded


@pytest.mark.parametrize(
    ("former", "found", "another"),
    [
        (Cluster("a", "h:1"), Cluster("a", "h:2"), False),
        (Cluster("a", "h:1"), Cluster("b", "h:1"), True),
        (Cluster("mockCluster1", "h:1"), Cluster("mockCluster1", "h:1"), False),
        # Its id is an address in memory, and it has no way to listen at the same port again.
        (Cluster("mockCluster1", "h:1"), Cluster("mockCluster1", "h:2"), True),
        (Cluster("", "h:1"), Cluster("a", "h:1"), False),
        (Cluster("a", "h:1"), Cluster("", "h:1"), False),
    ],
)
def test_another_cluster_is_known_by_its_id_and_an_embedded_one_also_by_its_port(
    former: Cluster, found: Cluster, another: bool
) -> None:
    assert found.is_another_than(former) is another
