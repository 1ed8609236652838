"""What the settings become for the Kafka client, and what is refused before it connects."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from core_messaging.errors import ConfigurationError
from core_messaging.kafka.client_config import client_options, ssl_context
from core_messaging.settings import Settings


def test_a_plain_connection_has_addresses_timeout_and_name_and_nothing_secret() -> None:
    settings = Settings(kafka_bootstrap_servers="one:9092,two:9092", kafka_request_timeout=2.5)
    options = client_options(settings, "orders-1")
    assert options["request_timeout_ms"] == 2_500
    assert options["client_id"] == "orders-1"
    assert "one:9092" in str(options["bootstrap_servers"])
    assert not {name for name in options if name.startswith(("sasl", "ssl"))}


def test_a_login_has_mechanism_user_and_password() -> None:
    settings = Settings(
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_sasl_username="ann",
        kafka_sasl_password=SecretStr("secret"),
    )
    options = client_options(settings, "c")
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("ann", "secret")
    assert isinstance(options["ssl_context"], ssl.SSLContext)


def test_the_tls_context_trusts_the_named_authority_and_shows_the_named_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine = authority.issue_cert("worker@example.org")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    settings = Settings(
        kafka_security_protocol="SSL",
        kafka_ssl_cafile=tmp_path / "ca.pem",
        kafka_ssl_certfile=tmp_path / "cert.pem",
        kafka_ssl_keyfile=tmp_path / "key.pem",
    )
    context = ssl_context(settings)
    assert [found["subject"] for found in context.get_ca_certs()]
    assert context.check_hostname


def test_a_certificate_that_is_not_there_is_one_line_with_the_settings_to_check(tmp_path: Path) -> None:
    settings = Settings(kafka_security_protocol="SSL", kafka_ssl_cafile=tmp_path / "nothing.pem")
    with pytest.raises(ConfigurationError, match="kafka_ssl_cafile") as raised:
        ssl_context(settings)
    assert "\n" not in str(raised.value)


def test_a_certificate_given_as_text_is_used_like_one_in_a_file(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    mine = authority.issue_cert("worker@example.org")
    given = Settings(
        kafka_security_protocol="SSL",
        kafka_ssl_ca=authority.cert_pem.bytes().decode(),
        kafka_ssl_certificate=mine.cert_chain_pems[0].bytes().decode(),
        kafka_ssl_key=SecretStr(mine.private_key_pem.bytes().decode()),
        kafka_ssl_ciphers="ECDHE+AESGCM",
    )
    context = ssl_context(given)
    assert [found["subject"] for found in context.get_ca_certs()]
    assert {cipher["name"] for cipher in context.get_ciphers()} != {
        cipher["name"] for cipher in ssl.create_default_context().get_ciphers()
    }
    wrong = {"kafka_ssl_key": other.issue_cert("x").private_key_pem.bytes().decode()}
    with pytest.raises(ConfigurationError, match="kafka_ssl_key") as raised:
        ssl_context(Settings(**(given.model_dump() | wrong)))
    assert "PRIVATE KEY" not in str(raised.value)


def test_ciphers_that_openssl_does_not_know_are_one_line() -> None:
    with pytest.raises(ConfigurationError, match="kafka_ssl_ciphers"):
        ssl_context(Settings(kafka_security_protocol="SSL", kafka_ssl_ciphers="nonsense"))
