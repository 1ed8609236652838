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
    *(
        "kafka_ssl_check_hostname",
        "kafka_ssl_ca",
        "kafka_ssl_certificate",
        "kafka_ssl_key",
        "kafka_ssl_ciphers",
    ),
)
_OAUTH = tuple(name for name in Settings.model_fields if name.startswith("kafka_sasl_oauth_"))
_TWICE = (
    ("kafka_ssl_cafile", "kafka_ssl_ca"),
    ("kafka_ssl_certfile", "kafka_ssl_certificate"),
    ("kafka_ssl_keyfile", "kafka_ssl_key"),
    ("kafka_sasl_oauth_token_provider", "kafka_sasl_oauth_token_endpoint"),
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
    sasl, tls = _given(settings, (*_SASL, *_OAUTH)), _given(settings, _TLS)
    if sasl and not protocol.startswith("SASL"):
        yield _ignored(
            sasl, protocol, "SASL_SSL" if "SSL" in protocol or tls else "SASL_SSL (or SASL_PLAINTEXT)"
        )
    if tls and "SSL" not in protocol:
        yield _ignored(tls, protocol, "SASL_SSL" if protocol.startswith("SASL") else "SSL")
    yield from _of_mechanism(settings, sasl)
    yield from _of_certificates(tls)
    for one, other in _TWICE:
        if one in (*sasl, *tls) and other in (*sasl, *tls):
            yield f"{one} and {other} are both set, and only one can be used; remove one of them"


def _of_mechanism(settings: Settings, sasl: list[str]) -> Iterator[str]:
    mechanism = settings.kafka_sasl_mechanism
    unused = set(sasl) & ({*_SASL[:2]} if mechanism == "OAUTHBEARER" else {*_OAUTH})
    if unused:
        names = ", ".join(sorted(unused))
        remedy = (
            "remove it"
            if mechanism == "OAUTHBEARER"
            else "set KAFKA_SASL_MECHANISM=OAUTHBEARER, or remove it"
        )
        yield f"kafka_sasl_mechanism = {mechanism} does not use {names}; {remedy}"


def _of_certificates(tls: list[str]) -> Iterator[str]:
    needs = {
        "kafka_ssl_certfile": {"kafka_ssl_keyfile"},
        "kafka_ssl_certificate": {"kafka_ssl_key"},
    }
    for certificate, keys in needs.items():
        wanted = keys if set(needs) & set(tls) else {*keys, "kafka_ssl_password"}
        unused = ", ".join(sorted(wanted & set(tls)))
        if unused and certificate not in tls:
            yield (
                f"{unused} is set without {certificate}, so this client would have no certificate; "
                f"set {certificate.upper()}, or remove {unused}"
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
