"""Translates the settings into arguments of aiokafka."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import Any

from core_messaging.errors import ConfigurationError
from core_messaging.kafka.bootstrap_servers import checked_servers
from core_messaging.kafka.client_passthrough import shared_options
from core_messaging.kafka.oauth import tokens_of
from core_messaging.kafka.security import check_security
from core_messaging.settings import Settings


def client_options(settings: Settings, client_id: str) -> dict[str, Any]:
    """Return the keyword arguments that consumer, producer and admin client share.

    Raises ConfigurationError for an invalid address, security settings that contradict each other, missing credentials, or
    TLS files that cannot be used.
    """
    check_security(settings)
    options: dict[str, Any] = {
        "bootstrap_servers": checked_servers(settings.kafka_bootstrap_servers),
        "client_id": client_id,
        "request_timeout_ms": round(settings.kafka_request_timeout * 1000),
        "security_protocol": settings.kafka_security_protocol,
    }
    if "SSL" in settings.kafka_security_protocol:
        options["ssl_context"] = ssl_context(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        options |= _sasl(settings)
    return options | shared_options(settings)


def _sasl(settings: Settings) -> dict[str, Any]:
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": tokens_of(settings)}
    if settings.kafka_sasl_username is None or settings.kafka_sasl_password is None:
        raise ConfigurationError(
            f"kafka_security_protocol = {settings.kafka_security_protocol} needs credentials; "
            "set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        )
    return {
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": _plain(settings.kafka_sasl_password),
    }


def _plain(secret: Any) -> str:
    """Return the text of *secret*: a SecretStr, or a str where a project's settings class has changed the field."""
    return str(secret.get_secret_value() if hasattr(secret, "get_secret_value") else secret)


def _no_password() -> str:
    """Fail where OpenSSL needs a password for an encrypted key. Without it, OpenSSL asks at the terminal and waits."""
    raise ConfigurationError("the key of the TLS certificate is encrypted; set KAFKA_SSL_PASSWORD")


def ssl_context(settings: Settings) -> ssl.SSLContext:
    """Return a TLS context with the CA and the client certificate that *settings* give, as files or as PEM texts.

    Raises ConfigurationError if one of them cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile, cadata=settings.kafka_ssl_ca)
        context.check_hostname = settings.kafka_ssl_check_hostname
        if settings.kafka_ssl_ciphers is not None:
            context.set_ciphers(settings.kafka_ssl_ciphers)
        _load_certificate(context, settings)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the TLS settings cannot be used ({error}); check kafka_ssl_cafile or kafka_ssl_ca, kafka_ssl_certfile or "
            "kafka_ssl_certificate, kafka_ssl_keyfile or kafka_ssl_key, kafka_ssl_password and kafka_ssl_ciphers"
        ) from error
    return context


def _load_certificate(context: ssl.SSLContext, settings: Settings) -> None:
    password = _plain(settings.kafka_ssl_password) if settings.kafka_ssl_password else _no_password
    if settings.kafka_ssl_certfile is not None:
        context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile, password)
    elif settings.kafka_ssl_certificate is not None:
        key = _plain(settings.kafka_ssl_key) if settings.kafka_ssl_key is not None else ""
        # OpenSSL reads a certificate from a file only. The folder is for this user alone, and is gone at once.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "certificate.pem"
            file.touch(mode=0o600)
            file.write_text(f"{settings.kafka_ssl_certificate.strip()}\n{key.strip()}\n")
            context.load_cert_chain(file, None, password)
