"""The private names of aiokafka that the cooperative coordinator and the connections need, and the check that they are there."""

from __future__ import annotations

from typing import Any

import aiokafka
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, Subscription

from core_messaging.errors import ConfigurationError

_CONSUMER = ("_client", "_coordinator", "_fetcher", "_max_poll_interval_ms", "_subscription")
_CLIENT = ("_conns", "_maybe_wait_metadata", "coordinator_lookup", "ready", "send", "set_topics")
_COORDINATOR = (
    "_closing",
    "_cluster",
    "_commit_refresh_task",
    "_do_heartbeat",
    "_do_rejoin_group",
    "_exclude_internal_topics",
    "_get_metadata_snapshot",
    "_group_instance_id",
    "_group_subscription",
    "_handle_metadata_update",
    "_heartbeat_interval_ms",
    "_maybe_leave_group",
    "_metadata_snapshot",
    "_on_join_complete",
    "_on_join_prepare",
    "_perform_assignment",
    "_rebalance_timeout_ms",
    "_retry_backoff_ms",
    "_send_req",
    "_session_timeout_ms",
    "_start_heartbeat_task",
    "_stop_commit_offsets_refresh_task",
    "commit_offsets",
    "coordinator_dead",
    "ensure_coordinator_known",
    "request_rejoin",
    "reset_generation",
    "start_commit_offsets_refresh_task",
)
_FETCHER = ("_notify", "_records", "_wait_consume_future")
_SUBSCRIPTIONS = ("_notify_assignment_waiters", "assign_from_subscribed", "begin_reassignment")
_NETWORK = ("_get_conn", "_md_synchronizer", "_metadata_update", "hosts")


def check_network(kind: type) -> None:
    """Raise ConfigurationError if *kind*, the class of the client's connections, lacks a name that ``rebootstrap`` needs."""
    for owner, names in ((kind, _NETWORK), (ClusterMetadata(), ("_bootstrap_brokers", "update_metadata"))):
        for name in names:
            if not hasattr(owner, name):
                raise _lacks(f"{getattr(owner, '__name__', type(owner).__name__)}.{name}")


def check_insides(consumer: Any) -> None:
    """Raise ConfigurationError if *consumer*, which is started, lacks a name that the coordinator needs."""
    for owner, names in _needed(consumer):
        for name in names:
            if not hasattr(owner, name):
                raise _lacks(f"{type(owner).__name__}.{name}")
    if "_request_timeout" not in AIOKafkaConnection.__init__.__code__.co_names:
        raise _lacks("AIOKafkaConnection._request_timeout")


def _needed(consumer: Any) -> list[tuple[Any, tuple[str, ...]]]:
    return [
        (consumer, _CONSUMER),
        (getattr(consumer, "_client", None), _CLIENT),
        (getattr(consumer, "_coordinator", None), _COORDINATOR),
        (getattr(consumer, "_fetcher", None), _FETCHER),
        (getattr(consumer, "_subscription", None), _SUBSCRIPTIONS),
        (Subscription(()), ("_assign", "_reassignment_in_progress", "_topics")),
        (Assignment(()), ("_topic_partitions", "_tp_state", "active", "state_value")),
        (GroupCoordinator, ("close",)),
    ]


def _lacks(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"aiokafka {aiokafka.__version__} has no {name}, on which core-messaging is built; install "
        "'aiokafka>=0.14,<0.15', as core-messaging asks for"
    )
