"""What holds for every test: the signals that its processes inherit, and the header that tells of Apache Kafka."""

from __future__ import annotations

import os
import signal

from core_messaging.local_broker import artifacts

SERVERS = "KAFKA_BOOTSTRAP_SERVERS"


def pytest_sessionstart() -> None:
    """What a shell starts in the background ignores Ctrl-C, what ``nohup`` starts ignores SIGHUP, and so would all that
    the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_report_header() -> str:
    servers = os.environ.get(SERVERS)
    if servers:
        return f"Apache Kafka: the one at {servers} ({SERVERS})"
    missing = artifacts.absent()
    if missing:
        return f"Apache Kafka: ABSENT, its tests are skipped: {missing}, or set {SERVERS}"
    return f"Apache Kafka: {artifacts.KAFKA_VERSION}, started by the tests themselves"
