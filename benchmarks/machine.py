"""What a figure depends on: versions, and the size of the machine without its name."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from core_messaging.local_broker.artifacts import KAFKA_VERSION

PACKAGES = (
    "core-messaging",
    "aiokafka",
    "msgspec",
    "uvloop",
    "faststream",
    "kstreams",
    "quixstreams",
    "sentry-arroyo",
    "faust-streaming",
    "confluent-kafka",
)


def facts() -> dict[str, str]:
    """Return pairs of a name and a version or size."""
    system = platform.uname()
    return {
        "cores": str(os.cpu_count()),
        "system": f"{system.system} {system.release} {system.machine}",
        "Python": platform.python_version(),
        "Apache Kafka": KAFKA_VERSION,
        **{package: _version(package) for package in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
