"""A wrong address is told at once; only a broker that may come up is waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.errors import ConfigurationError
from core_messaging.kafka.bootstrap_servers import checked_servers
from core_messaging.kafka.client_config import client_options
from core_messaging.settings import Settings

WRONG = (
    "",
    " ",
    ",,",
    "127.0.0.1:abc",
    "127.0.0.1:",
    "127.0.0.1:0",
    "127.0.0.1:-1",
    "127.0.0.1:99999",
    "127.0.0.1:٣",
    ":9092",
    "a b:9092",
    "a:9092 b:9092",
    "a:9092;b:9092",
    "kafka://a:9092",
    "PLAINTEXT://a:9092",
    "https://a:9092/",
    "user@a:9092",
    "a:9092/path",
    "['a:9092']",
    "[::1:9092",
    "[::1]9092",
    "a:9092:9093",
    "a:9092,b:abc",
    "a:9092,kafka://b:9092",
)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_address_is_refused_before_anybody_is_asked(text: str) -> None:
    with pytest.raises(ConfigurationError, match="kafka_bootstrap_servers"):
        client_options(Settings(kafka_bootstrap_servers=text), "client")


@pytest.mark.parametrize(
    "text", ["kafka://me:s3cret-word@host:9092", "me:s3cret-word@host:9092", "me:s3cret-word@host"]
)
def test_a_password_in_an_address_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"@host.*which is no address of a broker") as caught:
        checked_servers(text)
    assert "s3cret-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("localhost:9092", "localhost:9092"),
        ("localhost", "localhost:"),
        (" a:9092 , b:9092 ,", "a:9092,b:9092"),
        ("a: 9092", "a:9092"),
        ("my_host.example:1", "my_host.example:1"),
        ("[::1]:9092", "[::1]:9092"),
        ("::1", "::1"),
        ("bücher.example:9092", "bücher.example:9092"),
    ],
)
def test_what_is_an_address_is_taken_with_what_surrounds_it(text: str, meant: str) -> None:
    assert checked_servers(text) == meant.removesuffix(":")


hosts = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\Z")
addresses = st.tuples(hosts, st.integers(1, 65_535)).map(lambda pair: f"{pair[0]}:{pair[1]}")


@given(st.lists(addresses, min_size=1))
def test_every_list_of_hosts_and_ports_is_taken_as_it_is(found: list[str]) -> None:
    assert checked_servers(",".join(found)) == ",".join(found)


@given(st.lists(addresses), hosts, st.text(min_size=1).filter(lambda port: not port.strip().isdecimal()))
def test_one_wrong_port_is_enough_and_is_named(found: list[str], host: str, port: str) -> None:
    if "," in port or not port.strip():
        return
    with pytest.raises(ConfigurationError):
        checked_servers(",".join([*found, f"{host}:{port}"]))
