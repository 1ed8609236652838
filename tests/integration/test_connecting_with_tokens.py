"""SASL OAUTHBEARER against Apache Kafka, which checks each token's signature, audience and expiry itself."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from core_messaging.errors import BrokerError, BrokerRefused
from core_messaging.local_broker.apache import ApacheCluster, ApacheOptions
from core_messaging.producer import get_producer
from core_messaging.runtime.runner import RunOptions, run_workers
from core_messaging.settings import Settings
from tests.integration.brokers import require_apache
from tests.integration.harness import run, until
from tests.integration.journal import journal

SECRET = "of-a-test-client"  # noqa: S105 - of a server that lives for this test
LIFE = 6.0  # seconds of a token; the broker ends a connection whose token has expired


@dataclass
class IdentityProvider:
    """A token endpoint for client credentials. ``issued`` counts; ``life``: seconds of the next token."""

    key: RSAKey
    issued: int = 0
    life: float = 3_600.0
    audience: str = "kafka"
    scopes: list[str | None] = field(default_factory=list)
    address: str = ""

    def token(self) -> str:
        self.issued += 1
        now = time.time()
        claims = {
            "sub": "worker",
            "aud": self.audience,
            "iat": int(now),
            "exp": int(now + self.life),
            "iss": "test",
        }
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def answer(self, headers: Any, body: str) -> tuple[int, dict[str, Any]]:
        wanted = base64.b64encode(f"client:{SECRET}".encode()).decode()
        if headers.get("Authorization") != f"Basic {wanted}":
            return 401, {"error": "invalid_client"}
        form = parse_qs(body)
        assert form["grant_type"] == ["client_credentials"]
        self.scopes.append(form.get("scope", [None])[0])
        return 200, {"access_token": self.token(), "token_type": "Bearer", "expires_in": int(self.life)}


@dataclass(frozen=True)
class Secured:
    address: str
    plain: str
    provider: IdentityProvider


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    require_apache()
    folder = tmp_path_factory.mktemp("tokens")
    key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    with _serving(IdentityProvider(key)) as provider, _cluster(folder, jwks) as cluster:
        (node,) = cluster.nodes
        yield Secured(node.address_of("TOKENS"), cluster.address, provider)
        cluster.kill()


def _cluster(folder: Path, jwks: Path) -> ApacheCluster:
    prefix = "listener.name.tokens."
    login = "org.apache.kafka.common.security.oauthbearer"
    properties = {
        f"{prefix}sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{prefix}oauthbearer.sasl.server.callback.handler.class": f"{login}.OAuthBearerValidatorCallbackHandler",
        f"{prefix}oauthbearer.sasl.jaas.config": f"{login}.OAuthBearerLoginModule required;",
        f"{prefix}oauthbearer.connections.max.reauth.ms": "3600000",
        "sasl.oauthbearer.jwks.endpoint.url": jwks.as_uri(),
        "sasl.oauthbearer.expected.audience": "kafka",
    }
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks.as_uri()}"
    listeners = {"TOKENS": "SASL_PLAINTEXT"}
    return ApacheCluster(
        ApacheOptions(
            folder=folder / "kafka", listeners=listeners, properties=properties, java_options=(allowed,)
        )
    )


class _serving:  # noqa: N801 - used like a function
    """*provider* over HTTP while the block lasts."""

    def __init__(self, provider: IdentityProvider) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                code, facts = provider.answer(self.headers, body)
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(facts).encode())

            def log_message(self, *args: object) -> None: ...

        self._provider = provider
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> IdentityProvider:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._provider.address = f"http://127.0.0.1:{self._server.server_port}/token"
        return self._provider

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def settings(secured: Secured, **others: Any) -> Settings:
    given: dict[str, Any] = {
        "kafka_bootstrap_servers": secured.address,
        "kafka_security_protocol": "SASL_PLAINTEXT",
        "kafka_sasl_mechanism": "OAUTHBEARER",
        "kafka_sasl_oauth_token_endpoint": secured.provider.address,
        "kafka_sasl_oauth_client_id": "client",
        "kafka_sasl_oauth_client_secret": SECRET,
        "kafka_start_timeout": 30.0,
    }
    return Settings(**(given | others))


CURRENT: list[IdentityProvider] = []


async def given_token() -> tuple[str, float]:
    """A token provider of the project."""
    return CURRENT[0].token(), time.time() + CURRENT[0].life


def given_text() -> str:
    return CURRENT[0].token()


def by_callable(name: str) -> dict[str, Any]:
    return {
        "kafka_sasl_oauth_token_provider": f"{__name__}:{name}",
        **dict.fromkeys(("kafka_sasl_oauth_token_endpoint", "kafka_sasl_oauth_client_id")),
        "kafka_sasl_oauth_client_secret": None,
    }


@pytest.mark.parametrize("way", ["endpoint", "given_token", "given_text"])
def test_a_worker_and_a_producer_log_in_with_tokens(secured: Secured, way: str) -> None:
    CURRENT[:] = [secured.provider]
    topic = f"tokens-{way.replace('_', '-')}"
    chosen = settings(secured, kafka_sasl_oauth_scope="kafka.all")
    if way != "endpoint":
        chosen = settings(secured, **by_callable(way))
    before = secured.provider.issued

    async def process(self: Any, message: dict[str, Any]) -> None:
        self.seen.append(message)

    made = journal(input_topic=topic, process=process)

    async def test() -> None:
        options = RunOptions(settings=chosen, handle_signals=False, create_topics=True)
        task = asyncio.create_task(run_workers([made], options))
        async with get_producer("kafka", settings=chosen) as producer:
            await producer.send(topic=topic, message={"n": 1})
        await until(lambda: made.seen == [{"n": 1}], task)
        task.cancel()
        await asyncio.wait([task])

    run(test())
    assert secured.provider.issued > before
    if way == "endpoint":
        assert secured.provider.scopes[-1] == "kafka.all"


def test_a_worker_goes_on_beyond_the_end_of_its_tokens(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secured.provider, "life", LIFE)
    topic = "tokens-that-expire"

    async def process(self: Any, message: dict[str, Any]) -> None:
        self.seen.append(message["n"])

    made = journal(input_topic=topic, process=process)

    async def test() -> None:
        chosen = settings(secured)
        options = RunOptions(settings=chosen, handle_signals=False, create_topics=True)
        task = asyncio.create_task(run_workers([made], options))
        sent = 0
        async with get_producer("kafka", settings=chosen) as producer:
            await producer.send(topic=topic, message={"n": sent})
            await until(lambda: made.seen, task)
            first, over = secured.provider.issued, time.monotonic() + LIFE
            # Until every token of the beginning has ended, and worker and producer have new ones.
            while time.monotonic() < over or secured.provider.issued < first + 2:
                sent += 1
                await producer.send(topic=topic, message={"n": sent})
                await asyncio.sleep(0.2)
            sent += 1
            await producer.send(topic=topic, message={"n": sent})
        await until(lambda: set(made.seen) == set(range(sent + 1)), task)
        task.cancel()
        await asyncio.wait([task])

    run(test())


def test_a_token_that_the_broker_refuses_is_one_line(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secured.provider, "audience", "somebody-else")

    async def test() -> None:
        async with get_producer("kafka", settings=settings(secured)) as producer:
            await producer.send(topic="t", message={})

    with pytest.raises(BrokerError) as caught:
        run(test())
    assert len(str(caught.value).splitlines()) == 1


def test_credentials_that_the_provider_refuses_are_told_at_once_without_the_secret(secured: Secured) -> None:
    wrong = settings(secured, kafka_sasl_oauth_client_secret="wrong-secret-of-mine")  # noqa: S106 - a wrong one

    async def test() -> None:
        async with get_producer("kafka", settings=wrong) as producer:
            await producer.send(topic="t", message={})

    with pytest.raises(BrokerRefused) as caught:
        run(test())
    assert "invalid_client" in str(caught.value)
    assert "wrong-secret-of-mine" not in str(caught.value)


def test_a_provider_that_is_down_is_waited_for_and_named(secured: Secured) -> None:
    nowhere = "http://127.0.0.1:1/token"
    gone = settings(secured, kafka_sasl_oauth_token_endpoint=nowhere, kafka_start_timeout=1.0)

    async def test() -> None:
        async with get_producer("kafka", settings=gone) as producer:
            await producer.send(topic="t", message={})

    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1/token"):
        run(test())
