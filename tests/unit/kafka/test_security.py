"""A connection that looks protected and is not, is refused before it is made."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import ConfigurationError
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.security import _warn_of_plain_text, check_security
from core_messaging.settings import Settings

SASL = {"kafka_sasl_username": "ann", "kafka_sasl_password": "hunter2"}
TLS: dict[str, Any] = {
    "kafka_ssl_cafile": "ca.pem",
    "kafka_ssl_certfile": "cert.pem",
    "kafka_ssl_keyfile": "key.pem",
}


def settings(**given: Any) -> Settings:
    return Settings(**given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (SASL, "PLAINTEXT does not use kafka_sasl_username, kafka_sasl_password"),
        ({"kafka_sasl_mechanism": "SCRAM-SHA-512"}, "does not use kafka_sasl_mechanism"),
        (
            {"kafka_ssl_cafile": "ca.pem"},
            "PLAINTEXT does not use kafka_ssl_cafile.*KAFKA_SECURITY_PROTOCOL=SSL",
        ),
        ({"kafka_ssl_check_hostname": False}, "does not use kafka_ssl_check_hostname"),
        ({**SASL, **TLS}, "KAFKA_SECURITY_PROTOCOL=SASL_SSL"),
        ({**SASL, "kafka_security_protocol": "SSL"}, "SSL does not use kafka_sasl_username"),
        (
            {**SASL, **TLS, "kafka_security_protocol": "SASL_PLAINTEXT"},
            "SASL_PLAINTEXT does not use kafka_ssl_cafile",
        ),
        (
            {"kafka_ssl_keyfile": "key.pem", "kafka_security_protocol": "SSL"},
            "kafka_ssl_keyfile is set without kafka_ssl_certfile",
        ),
        (
            {"kafka_ssl_password": "hunter2", "kafka_security_protocol": "SSL"},
            "kafka_ssl_password is set without",
        ),
        (
            {"kafka_ssl_key": "hunter2", "kafka_security_protocol": "SSL"},
            "kafka_ssl_key is set without kafka_ssl_certificate",
        ),
        (
            {"kafka_ssl_ca": "PEM", "kafka_ssl_cafile": "ca.pem", "kafka_security_protocol": "SSL"},
            "kafka_ssl_cafile and kafka_ssl_ca are both set",
        ),
        ({"kafka_ssl_ciphers": "HIGH"}, "PLAINTEXT does not use kafka_ssl_ciphers"),
        (
            {**SASL, "kafka_sasl_mechanism": "OAUTHBEARER", "kafka_security_protocol": "SASL_SSL"},
            "OAUTHBEARER does not use kafka_sasl_password, kafka_sasl_username; remove it",
        ),
        (
            {**SASL, "kafka_sasl_oauth_client_secret": "hunter2", "kafka_security_protocol": "SASL_SSL"},
            "PLAIN does not use kafka_sasl_oauth_client_secret; set KAFKA_SASL_MECHANISM=OAUTHBEARER",
        ),
    ],
)
def test_what_would_be_ignored_is_refused_in_one_line_without_the_secret(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        client_options(settings(**given), "x")
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@given(st.sampled_from(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), st.booleans(), st.booleans())
def test_a_protocol_is_taken_with_what_it_uses_and_with_nothing_else(
    protocol: Any, sasl: bool, tls: bool
) -> None:
    chosen = settings(kafka_security_protocol=protocol, **(SASL if sasl else {}), **(TLS if tls else {}))
    fits = (not sasl or protocol.startswith("SASL")) and (not tls or "SSL" in protocol)
    try:
        check_security(chosen)
    except ConfigurationError:
        assert not fits
    else:
        assert fits


def test_variables_that_are_set_to_nothing_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SASL, *TLS, "kafka_ssl_password"):
        monkeypatch.setenv(name.upper(), "")
    check_security(settings())


@pytest.mark.parametrize(
    ("protocol", "mechanism", "warned"),
    [
        ("SASL_PLAINTEXT", "PLAIN", True),
        ("SASL_PLAINTEXT", "SCRAM-SHA-256", False),
        ("SASL_SSL", "PLAIN", False),
    ],
)
def test_a_password_in_plain_text_is_told_once(
    caplog: pytest.LogCaptureFixture, protocol: Any, mechanism: Any, warned: bool
) -> None:
    _warn_of_plain_text.cache_clear()
    chosen = settings(kafka_security_protocol=protocol, kafka_sasl_mechanism=mechanism, **SASL)
    with caplog.at_level(logging.WARNING):
        check_security(chosen)
        check_security(chosen)
    assert len(["as it is" in line for line in caplog.messages]) == warned


@pytest.mark.parametrize("password", [None, "open sesame"])
def test_an_encrypted_key_needs_its_password_and_nobody_is_asked(
    tmp_path: Path, password: str | None
) -> None:
    issued = trustme.CA().issue_cert("localhost")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open sesame"),
    )
    (tmp_path / "key.pem").write_bytes(encrypted)
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    chosen = settings(
        kafka_security_protocol="SSL",
        kafka_ssl_certfile=tmp_path / "cert.pem",
        kafka_ssl_keyfile=tmp_path / "key.pem",
        kafka_ssl_password=password,
    )
    if password:
        assert client_options(chosen, "x")["ssl_context"]
    else:
        with pytest.raises(ConfigurationError, match="is encrypted; set KAFKA_SSL_PASSWORD"):
            client_options(chosen, "x")
