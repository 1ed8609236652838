"""Tokens for SASL OAUTHBEARER: from a callable of the project, or from an identity provider by client credentials.

A token is used for every connection until shortly before it expires. The client asks for one at each connection; a broker
ends a connection whose token has expired (KIP-368), and the client connects again.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

from core_messaging.errors import ConfigurationError
from core_messaging.settings import Settings
from core_messaging.text.printable import printable

LEEWAY = 0.2  # of a token's life: so long before its end a new one is fetched
TIMEOUT = 10.0  # seconds that an identity provider may take
_REFUSED = range(400, 500)  # HTTP


@dataclass(frozen=True, slots=True)
class Token:
    """A token. ``expires_at``: seconds since the epoch; None if it is not known, and then the token is used once."""

    text: str
    expires_at: float | None
    fetched_at: float

    def is_fresh(self, now: float) -> bool:
        """Whether it may be used for one more connection at *now* (seconds since the epoch)."""
        if self.expires_at is None:
            return False
        return now < self.expires_at - LEEWAY * (self.expires_at - self.fetched_at)


class Tokens(AbstractTokenProvider):  # type: ignore[misc] # the client has no types
    """Keeps a token, and fetches a new one if it is not fresh any more; one fetch at a time."""

    def __init__(self, fetch: Callable[[], Awaitable[Token]]) -> None:
        self._fetch = fetch
        self._token: Token | None = None
        self._fetching = asyncio.Lock()

    async def token(self) -> str:
        """Return a token. Raises KafkaConnectionError if none can be fetched now, SaslAuthenticationFailed if it is refused."""
        async with self._fetching:
            if self._token is None or not self._token.is_fresh(time.time()):
                self._token = await self._fetch()
            return self._token.text


def tokens_of(settings: Settings) -> Tokens:
    """Return the source of tokens that *settings* name. Raises ConfigurationError where they name none, or two."""
    named = settings.kafka_sasl_oauth_token_provider
    endpoint = settings.kafka_sasl_oauth_token_endpoint
    if (named is None) == (endpoint is None):
        raise ConfigurationError(
            "kafka_sasl_mechanism = OAUTHBEARER needs one source of tokens; set KAFKA_SASL_OAUTH_TOKEN_PROVIDER to a "
            "module:callable, or KAFKA_SASL_OAUTH_TOKEN_ENDPOINT with client id and secret"
        )
    if named is not None:
        return Tokens(_of_callable(named))
    return Tokens(_of_client_credentials(settings))


def _of_callable(name: str) -> Callable[[], Awaitable[Token]]:
    function = _imported(name)

    async def fetch() -> Token:
        try:
            if inspect.iscoroutinefunction(function):
                answer = await function()
            else:
                answer = await asyncio.to_thread(function)
        except Exception as error:
            raise KafkaConnectionError(f"no token: {name} raised {type(error).__name__}: {error}") from error
        return _token_of(name, answer)

    return fetch


def _imported(name: str) -> Callable[[], Any]:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ConfigurationError(f"kafka_sasl_oauth_token_provider = {name!r}; write module:callable")
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"kafka_sasl_oauth_token_provider = {name!r} cannot be imported: {error}"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"kafka_sasl_oauth_token_provider = {name!r} is not a function")
    return found  # type: ignore[no-any-return]


def _token_of(name: str, answer: object) -> Token:
    """Return the token of *answer*: a str, or a pair of it and when it expires (seconds since the epoch)."""
    match answer:
        case str(text) if text:
            return Token(text, None, time.time())
        case (str(text), int() | float() as expires_at) if text:
            return Token(text, float(expires_at), time.time())
    raise ConfigurationError(
        f"{name} returned a {type(answer).__name__}; return the token as a text, or the token and its expiry (seconds "
        "since the epoch) as a tuple"
    )


def _of_client_credentials(settings: Settings) -> Callable[[], Awaitable[Token]]:
    """Return a function that fetches a token by the client-credentials grant of OAuth 2.0 (RFC 6749, section 4.4)."""
    client_id, secret = settings.kafka_sasl_oauth_client_id, settings.kafka_sasl_oauth_client_secret
    endpoint = settings.kafka_sasl_oauth_token_endpoint
    if client_id is None or secret is None:
        raise ConfigurationError(
            "kafka_sasl_oauth_token_endpoint needs credentials; set KAFKA_SASL_OAUTH_CLIENT_ID and "
            "KAFKA_SASL_OAUTH_CLIENT_SECRET"
        )
    try:
        from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "kafka_sasl_oauth_token_endpoint needs authlib and httpx2; pip install 'core-messaging[oauth]'"
        ) from error
    import httpx2  # noqa: PLC0415 - authlib needs it, and it is an extra too

    async def fetch() -> Token:
        began = time.time()
        try:
            async with AsyncOAuth2Client(
                client_id, secret.get_secret_value(), scope=settings.kafka_sasl_oauth_scope, timeout=TIMEOUT
            ) as client:
                found = await client.fetch_token(endpoint, grant_type="client_credentials")
        except OAuthError as error:
            raise SaslAuthenticationFailed(f"{endpoint} gives no token: {printable(str(error))}") from error
        except httpx2.HTTPStatusError as error:
            kind = (
                SaslAuthenticationFailed if error.response.status_code in _REFUSED else KafkaConnectionError
            )
            raise kind(f"{endpoint} gives no token: HTTP {error.response.status_code}") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise KafkaConnectionError(
                f"{endpoint} gives no token: {type(error).__name__}: {error}"
            ) from error
        return Token(str(found["access_token"]), found.get("expires_at"), began)

    return fetch
