"""Checks the security settings: refuses those that the connection would ignore, warns of an unprotected password."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache

from core_messaging.errors import ConfigurationError
from core_messaging.settings import Settings

logger = logging.getLogger("core_messaging.kafka")

_SASL = ("kafka_sasl_username", "kafka_sasl_password", "kafka_sasl_mechanism")
_TLS = (
    *("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile", "kafka_ssl_password"),
    "kafka_ssl_check_hostname",
)


def check_security(settings: Settings) -> None:
    """Check that the connection uses every security setting that is set.

    Raises ConfigurationError for a setting that the connection would ignore: the connection looks protected, and is not.
    Logs one warning if a password goes over the network without encryption.
    """
    problem = next(_problems(settings), None)
    if problem is not None:
        raise ConfigurationError(problem)
    if settings.kafka_security_protocol == "SASL_PLAINTEXT" and settings.kafka_sasl_mechanism == "PLAIN":
        _warn_of_plain_text(settings.kafka_bootstrap_servers)


def _problems(settings: Settings) -> Iterator[str]:
    protocol = settings.kafka_security_protocol
    sasl, tls = _given(settings, _SASL), _given(settings, _TLS)
    if sasl and not protocol.startswith("SASL"):
        yield _ignored(
            sasl, protocol, "SASL_SSL" if "SSL" in protocol or tls else "SASL_SSL (or SASL_PLAINTEXT)"
        )
    if tls and "SSL" not in protocol:
        yield _ignored(tls, protocol, "SASL_SSL" if protocol.startswith("SASL") else "SSL")
    if "kafka_ssl_certfile" not in tls and (unused := {"kafka_ssl_keyfile", "kafka_ssl_password"} & set(tls)):
        yield (
            f"{', '.join(sorted(unused))} is set without kafka_ssl_certfile, so this client would have no certificate; "
            f"set KAFKA_SSL_CERTFILE, or remove {', '.join(sorted(unused))}"
        )


def _given(settings: Settings, names: tuple[str, ...]) -> list[str]:
    """Return those of *names* whose value is neither empty nor the default."""
    return [
        name
        for name in names
        if (value := getattr(settings, name)) != Settings.model_fields[name].default and _is_filled(value)
    ]


def _is_filled(value: object) -> bool:
    secret = getattr(value, "get_secret_value", None)
    return (secret() if secret else value) not in ("", None)


def _ignored(names: list[str], protocol: str, meant: str) -> str:
    return (
        f"kafka_security_protocol = {protocol} does not use {', '.join(names)}, so the connection would not be protected "
        f"by it; set KAFKA_SECURITY_PROTOCOL={meant}, or remove {', '.join(names)}"
    )


@cache
def _warn_of_plain_text(servers: str) -> None:
    logger.warning(
        "the SASL password goes to %s without encryption, and everybody on the network can read it; set "
        "kafka_security_protocol = SASL_SSL, or kafka_sasl_mechanism = SCRAM-SHA-512",
        servers,
        extra={"action": "password in plain text"},
    )
