"""Options of the Kafka client that no setting covers."""

from __future__ import annotations

import inspect

import aiokafka
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from core_messaging.errors import ConfigurationError
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.client_passthrough import CONSUMER, FIXED, SETTINGS, SHARED, consumer_options
from core_messaging.settings import Settings

CLIENTS = (aiokafka.AIOKafkaConsumer, aiokafka.AIOKafkaProducer, AIOKafkaAdminClient)


def parameters(client: type) -> set[str]:
    return set(inspect.signature(client.__init__).parameters) - {"self"}  # type: ignore[misc]


def test_every_option_of_the_client_is_passed_on_or_covered_or_fixed() -> None:
    known = [SHARED, CONSUMER, set(SETTINGS), FIXED]
    assert set.union(*map(parameters, CLIENTS)) == set.union(*map(set, known))
    assert sum(map(len, known)) == len(set.union(*map(set, known)))  # each in one place only


def test_what_is_shared_every_client_takes_and_the_rest_the_consumer() -> None:
    assert set.intersection(*map(parameters, CLIENTS)) >= SHARED
    assert parameters(aiokafka.AIOKafkaConsumer) >= CONSUMER


def test_options_reach_the_clients_that_take_them() -> None:
    given = Settings(
        kafka_client_options={"connections_max_idle_ms": 60_000, "fetch_min_bytes": 5}, kafka_client_rack="a"
    )
    assert client_options(given, "x")["connections_max_idle_ms"] == 60_000
    assert "fetch_min_bytes" not in client_options(given, "x")
    assert consumer_options(given) == {"fetch_min_bytes": 5, "client_rack": "a"}
    assert consumer_options(Settings()) == {}


def test_they_are_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_CLIENT_OPTIONS", '{"retry_backoff_ms": 250}')
    assert client_options(Settings(), "x")["retry_backoff_ms"] == 250


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("acks", "remove it: the guarantees of the workers depend on its value"),
        ("session_timeout_ms", "use the setting kafka_session_timeout"),
        ("fetch_min_byte", "did you mean fetch_min_bytes?"),
        ("nonsense", "there are api_version, "),
    ],
)
def test_another_option_is_refused_with_a_remedy(name: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client_options(Settings(kafka_client_options={name: 1}), "x")
    assert str(caught.value).startswith(
        f"kafka_client_options has {name!r}, which cannot be passed on; {remedy}"
    )


def test_the_settings_that_are_named_instead_are_there() -> None:
    names = {
        word.strip(",") for text in SETTINGS.values() for word in text.split() if word.startswith("kafka_")
    }
    assert {name for name in names if not name.endswith("...")} <= set(Settings.model_fields)
