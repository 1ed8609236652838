"""Writes tasks.jsonl. Run ``python -m demo.generate`` after a change; a test compares the file with this script."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from demo.tasks import FILE

SENT, LATER, FULL, GONE, NOT_JSON, LACKING = 2100, 120, 60, 30, 45, 45
RECIPIENTS = 300


def generate() -> bytes:
    """Return the whole file. It has the same bytes every time."""
    lines = [*plain(), *refused(), *spoilt()]
    random.Random(2100).shuffle(lines)  # noqa: S311 - an order, not a secret
    return b"".join(line + b"\n" for line in lines)


def plain() -> Iterator[bytes]:
    for number in range(SENT):
        yield email(number, f"reader-{number % RECIPIENTS:03}@example.com")


def refused() -> Iterator[bytes]:
    domains = ["later"] * LATER + ["full"] * FULL + ["gone"] * GONE
    for number, domain in enumerate(domains, SENT):
        # Each has an address of its own, so the mail server can count the tries of each mail.
        yield email(number, f"reader-{number}@{domain}.example")


def spoilt() -> Iterator[bytes]:
    for number in range(NOT_JSON):
        # Cut off, or never JSON at all.
        yield email(number, "reader@example.com")[: 40 + number] if number % 2 else b"Dear reader %d" % number
    for number in range(LACKING):
        fields = json.loads(email(number, f"reader-{number:03}@example.com"))
        del fields[("id", "to", "subject", "body")[number % 4]]
        yield json.dumps(fields).encode()


def email(number: int, to: str) -> bytes:
    fields = {
        "id": f"mail-{number:05}",
        "to": to,
        "subject": f"News {number}",
        "body": "Grüße aus dem Norden.",
    }
    return json.dumps(fields, ensure_ascii=False).encode()


if __name__ == "__main__":
    FILE.write_bytes(generate())
