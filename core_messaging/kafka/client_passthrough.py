"""Checks options of aiokafka that have no setting: which of them a project may pass, and to which client."""

from __future__ import annotations

import difflib
from typing import Any

from core_messaging.errors import ConfigurationError
from core_messaging.settings import Settings

# Options that every client of aiokafka takes.
SHARED = frozenset({"api_version", "connections_max_idle_ms", "retry_backoff_ms"})
# Options of the consumer of a worker only.
CONSUMER = frozenset({"check_crcs", "fetch_max_bytes", "fetch_min_bytes", "max_partition_fetch_bytes"})
# Options that have a setting.
SETTINGS = {
    "auto_offset_reset": "kafka_auto_offset_reset",
    "bootstrap_servers": "kafka_bootstrap_servers",
    "client_id": "kafka_client_id",
    "client_rack": "kafka_client_rack",
    "compression_type": "kafka_compression",
    "group_instance_id": "kafka_group_instance_id",
    "heartbeat_interval_ms": "kafka_heartbeat_interval",
    "isolation_level": "kafka_isolation_level",
    "linger_ms": "kafka_linger",
    "max_batch_size": "kafka_batch_size",
    "max_request_size": "kafka_max_request_size",
    "metadata_max_age_ms": "kafka_metadata_max_age",
    "rebalance_timeout_ms": "kafka_rebalance_timeout",
    "request_timeout_ms": "kafka_request_timeout",
    "sasl_mechanism": "kafka_sasl_mechanism",
    "sasl_oauth_token_provider": "kafka_sasl_oauth_token_provider",
    "sasl_plain_password": "kafka_sasl_password",
    "sasl_plain_username": "kafka_sasl_username",
    "security_protocol": "kafka_security_protocol",
    "session_timeout_ms": "kafka_session_timeout",
    "ssl_context": "kafka_ssl_cafile, kafka_ssl_certfile and the other kafka_ssl_... settings",
}
# Options that the guarantees depend on: the engine decides them.
FIXED = frozenset(
    {
        *(
            "acks",
            "auto_commit_interval_ms",
            "consumer_timeout_ms",
            "enable_auto_commit",
            "enable_idempotence",
        ),
        *(
            "exclude_internal_topics",
            "fetch_max_wait_ms",
            "group_id",
            "key_deserializer",
            "key_serializer",
            "loop",
        ),
        *(
            "max_poll_interval_ms",
            "max_poll_records",
            "partition_assignment_strategy",
            "partitioner",
            "topics",
        ),
        *("transaction_timeout_ms", "transactional_id", "value_deserializer", "value_serializer"),
        *("sasl_kerberos_domain_name", "sasl_kerberos_service_name"),  # no setting chooses Kerberos
    }
)


def shared_options(settings: Settings) -> dict[str, Any]:
    """Return those of ``kafka_client_options`` that every client takes. Raises ConfigurationError for one that none takes."""
    for name in settings.kafka_client_options:
        _check(name)
    return {name: value for name, value in settings.kafka_client_options.items() if name in SHARED}


def consumer_options(settings: Settings) -> dict[str, Any]:
    """Return the options that only the consumer of a worker takes, including the rack."""
    options = {name: value for name, value in settings.kafka_client_options.items() if name in CONSUMER}
    if settings.kafka_client_rack is not None:
        options["client_rack"] = settings.kafka_client_rack
    return options


def _check(name: str) -> None:
    if name in SHARED or name in CONSUMER:
        return
    if name in SETTINGS:
        remedy = f"use the setting {SETTINGS[name]}"
    elif name in FIXED:
        remedy = "remove it: the guarantees of the workers depend on its value"
    else:
        known = sorted(SHARED | CONSUMER)
        nearest = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(known)}"
    raise ConfigurationError(f"kafka_client_options has {name!r}, which cannot be passed on; {remedy}")
