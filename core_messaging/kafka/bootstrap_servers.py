"""Checks the addresses of a cluster before the client connects, to tell a wrong address from a broker that is down."""

from __future__ import annotations

import ipaddress
import re

from core_messaging.errors import ConfigurationError
from core_messaging.logs.secrecy import HIDDEN

_HOST = re.compile(r"[\w.-]+")
_LAST_PORT = 65_535


def checked_servers(text: str) -> str:
    """Return *text* (``host:port,host:port``) without spaces and empty parts.

    Raises ConfigurationError that names the first invalid address.
    """
    addresses = [address.strip() for address in text.split(",")]
    found = [_checked(address) for address in addresses if address]
    if not found:
        raise ConfigurationError(
            "kafka_bootstrap_servers is empty; set KAFKA_BOOTSTRAP_SERVERS to the address of your broker, for example "
            "localhost:9092"
        )
    return ",".join(found)


def _checked(address: str) -> str:
    if "://" in address:
        raise _invalid(address, f"leave {address.partition('://')[0]}:// out")
    if "@" in address:
        raise _invalid(address, "user and password are settings of their own, leave them and the @ out")
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        port, good = rest[1:], bool(bracket) and _is_ipv6(host) and rest[:1] in (":", "")
    elif address.count(":") > 1:
        host, port, rest, good = address, "", "", _is_ipv6(address)
    else:
        host, rest, port = (part.strip() for part in address.partition(":"))
        good = _HOST.fullmatch(host) is not None
    if not good:
        raise _invalid(address, "this is no valid host name")
    if rest and not (port.isascii() and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
        raise _invalid(address, f"{port!r} is no port from 1 to {_LAST_PORT:,}")
    return f"{host}:{port}" if address.count(":") == 1 and not address.startswith("[") else address


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _invalid(address: str, why: str) -> ConfigurationError:
    user, at, place = address.rpartition("@")
    shown = f"{HIDDEN}{at}{place}" if user else address  # a URL may hold a password before the @
    return ConfigurationError(
        f"kafka_bootstrap_servers names {shown!r}, which is no address of a broker: {why}. Write host:port, with "
        "commas between several addresses: broker-1:9092,broker-2:9092"
    )
