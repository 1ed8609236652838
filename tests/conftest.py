"""What holds for every test: what its processes inherit, which files begin first, and the header that tells of Apache Kafka."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from core_messaging.local_broker import artifacts

SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
# The files that take longest. They begin first: while a long file runs last, the other processes have nothing to do.
LONGEST = (
    "demo/test_demo.py",
    "integration/test_running_chaos.py",
    "packages/test_tutorial.py",
    "integration/test_rebalancing.py",
    "integration/test_core_kafka_dlq.py",
    "unit/testing/test_simulation.py",
    "integration/test_killing_workers.py",
    "integration/test_core_kafka_up.py",
    "integration/test_connecting_securely.py",
    "integration/test_starting_an_apache_cluster.py",
    "integration/test_core_kafka_worker.py",
    "integration/test_replaying_under_faults.py",
    "integration/test_stopping_workers.py",
    "integration/test_running_several_processes.py",
    "integration/test_processing_messages.py",
    "packages/test_packages_at_work.py",
    "packages/test_readme.py",
    "packages/test_release.py",
    "unit/engine/test_arbitrary_bytes.py",
    "unit/concurrency/test_fork_safety.py",
)


def pytest_sessionstart() -> None:
    """What a shell starts in the background ignores Ctrl-C, what ``nohup`` starts ignores SIGHUP, and so would all that
    the tests start. A broker in Java lives for some seconds, so it starts sooner with the quick compiler alone."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, put the longest files first."""
    if not hasattr(config, "workerinput"):
        return
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(LONGEST)}
    assert all(path.exists() for path in places), "a file of LONGEST is not there"
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_report_header() -> str:
    servers = os.environ.get(SERVERS)
    if servers:
        return f"Apache Kafka: the one at {servers} ({SERVERS})"
    missing = artifacts.absent()
    if missing:
        return f"Apache Kafka: ABSENT, its tests are skipped: {missing}, or set {SERVERS}"
    return f"Apache Kafka: {artifacts.KAFKA_VERSION}, started by the tests themselves"
