"""Tokens: which are used again, and what is refused."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import ConfigurationError
from core_messaging.kafka.oauth import Token, Tokens, tokens_of
from core_messaging.settings import Settings

ASKED: list[str] = []


def plain() -> str:
    ASKED.append("plain")
    return f"token-{len(ASKED)}"


async def lasting() -> tuple[str, float]:
    ASKED.append("lasting")
    return f"token-{len(ASKED)}", time.time() + 3_600


def raising() -> str:
    raise LookupError("no such profile")


def wrong() -> int:
    return 5


NOT_CALLABLE = "a text"


def tokens(name: str) -> Tokens:
    return tokens_of(Settings(kafka_sasl_oauth_token_provider=f"{__name__}:{name}"))


@given(st.floats(0, 1e9), st.floats(1, 1e6), st.floats(0, 2))
def test_a_token_is_used_until_a_fifth_of_its_life_is_left(began: float, life: float, share: float) -> None:
    token = Token("t", began + life, began)
    now = began + share * life
    if abs(share - 0.8) > 0.01:
        assert token.is_fresh(now) == (share < 0.8)


def test_a_token_of_unknown_life_is_used_once_and_another_one_again() -> None:
    async def ask(source: Tokens) -> list[str]:
        return [await source.token() for _ in range(3)]

    ASKED.clear()
    assert len(set(asyncio.run(ask(tokens("plain"))))) == 3
    assert len(set(asyncio.run(ask(tokens("lasting"))))) == 1


def test_many_connections_at_once_fetch_one_token() -> None:
    async def ask() -> list[str]:
        source = tokens("lasting")
        return await asyncio.gather(*(source.token() for _ in range(20)))

    ASKED.clear()
    asyncio.run(ask())
    assert ASKED == ["lasting"]


def test_a_provider_that_raises_is_named_with_its_error() -> None:
    with pytest.raises(KafkaConnectionError, match="raising raised LookupError: no such profile"):
        asyncio.run(tokens("raising").token())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs one source of tokens"),
        ({"token_provider": "no_colon"}, "write module:callable"),
        ({"token_provider": "nothing_like_this:f"}, "cannot be imported"),
        ({"token_provider": f"{__name__}:nothing"}, "cannot be imported"),
        ({"token_provider": f"{__name__}:NOT_CALLABLE"}, "is not a function"),
        ({"token_endpoint": "https://idp.example/token"}, "set KAFKA_SASL_OAUTH_CLIENT_ID"),
    ],
)
def test_settings_that_give_no_token_are_one_line(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        tokens_of(Settings(**{f"kafka_sasl_oauth_{name}": value for name, value in given.items()}))
    assert len(str(caught.value).splitlines()) == 1


def test_a_provider_that_returns_no_text_is_told_what_to_return() -> None:
    with pytest.raises(ConfigurationError, match="returned a int; return the token as a text"):
        asyncio.run(tokens("wrong").token())
