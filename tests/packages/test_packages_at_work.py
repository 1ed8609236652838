"""The example packages do their work where pip has put them: real broker, real mail server, real command."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from core_messaging.local_broker.embedded import EmbeddedBroker
from tests.environments import EXAMPLES, ROOT, Environment, run
from tests.integration.commands import core, running_core
from tests.integration.harness import publish, read
from tests.integration.harness import run as run_async
from tests.packages.conftest import Postbox


def as_json(*messages: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    return [(b"key", json.dumps(message).encode()) for message in messages]


def mail(to: str) -> dict[str, Any]:
    return {"id": to, "to": to, "subject": "Hello", "body": "Grüße"}


def test_the_email_package_sends_and_dead_letters_what_cannot_be_sent(
    examples: Environment, own_broker: EmbeddedBroker, postbox: Postbox, tmp_path: Path
) -> None:
    for topic in ("emails", "emails-dlq"):
        own_broker.create_topic(topic)
    mails = (mail("ann@example.com"), mail("bob@gone.example"), {"to": "lacks@example.com"})
    run_async(publish(own_broker.address, "emails", as_json(*mails)))
    env = {"KAFKA_BOOTSTRAP_SERVERS": own_broker.address, **postbox.environment}
    command = str(examples.core)
    with running_core("kafka", "worker", "EmailWorker", folder=tmp_path, env=env, command=command) as running:
        letters = run_async(read(own_broker.address, "emails-dlq", 2))
        running.until(lambda: postbox.mails)
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    (sent,) = postbox.mails
    assert (sent["To"], sent["Subject"], sent.get_content().strip()) == ("ann@example.com", "Hello", "Grüße")
    assert [letter.value for letter in letters] == [value for _, value in as_json(*mails[1:])]
    assert [letter.facts["core-error-type"] for letter in letters] == [b"Reject", b"Undecodable"]


def test_a_package_whose_entry_point_is_a_module_runs_every_worker_in_it(
    examples: Environment, own_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    topics = ("orders", "orders-dlq", "order-totals", "large-orders")
    for topic in topics:
        own_broker.create_topic(topic)
    orders = [
        {"id": "small", "items": [{"article": "pen", "price": "0.10", "quantity": 3}]},
        {
            "id": "large",
            "items": [{"article": "desk", "price": "999.99"}, {"article": "pen", "price": "0.01"}],
        },
        {"id": "bad", "items": [{"article": "pen", "price": "cheap"}]},
    ]
    run_async(publish(own_broker.address, "orders", as_json(*orders)))
    env = {"KAFKA_BOOTSTRAP_SERVERS": own_broker.address}
    names = ("total_order", "notice_large_order")
    with running_core(
        "kafka", "worker", *names, folder=tmp_path, env=env, command=str(examples.core)
    ) as running:
        totals = run_async(read(own_broker.address, "order-totals", 2))
        (notice,) = run_async(read(own_broker.address, "large-orders", 1))
        (letter,) = run_async(read(own_broker.address, "orders-dlq", 1))
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    assert [json.loads(total.value or b"") for total in totals] == [
        {"order": "small", "total": "0.30"},
        {"order": "large", "total": "1000.00"},
    ]
    assert {record.key for record in (*totals, notice, letter)} == {b"key"}
    assert json.loads(notice.value or b"")["order"] == "large"
    assert json.loads(letter.value or b"") == orders[2]


def test_workers_are_listed_with_the_distribution_they_come_from(
    examples: Environment, tmp_path: Path
) -> None:
    listed = core("kafka", "workers", "--json", folder=tmp_path, command=str(examples.core))
    assert listed.returncode == 0, listed.stderr
    assert {"EmailWorker", "total_order", "notice_large_order"} == {
        row["name"] for row in json.loads(listed.stdout)
    }
    assert "email-worker 1.0.0" in listed.stdout
    assert "order-totals 1.0.0" in listed.stdout


def test_a_broken_package_stops_all_and_leaves_its_healthy_neighbour_alone(
    examples_with_a_broken_one: Environment, own_broker: EmbeddedBroker, postbox: Postbox, tmp_path: Path
) -> None:
    for topic in ("emails", "emails-dlq"):
        own_broker.create_topic(topic)
    env = {"KAFKA_BOOTSTRAP_SERVERS": own_broker.address, **postbox.environment}
    command = str(examples_with_a_broken_one.core)
    refused = core("kafka", "worker", "--all", folder=tmp_path, env=env, command=command)
    assert refused.returncode == 1
    (line,) = refused.stderr.strip().splitlines()
    assert "broken-worker 0.3.0" in line
    assert "a_package_that_is_not_installed" in line
    assert "--skip-broken" in line
    run_async(publish(own_broker.address, "emails", as_json(mail("ann@example.com"))))
    with running_core(
        "kafka", "worker", "--all", "--skip-broken", folder=tmp_path, env=env, command=command
    ) as running:
        running.until(lambda: postbox.mails)
        running.signal(signal.SIGTERM)
        assert running.wait() == 0, running.output
    assert "broken-worker 0.3.0" in running.output


def test_the_plain_project_runs_from_its_folder(own_broker: EmbeddedBroker, postbox: Postbox) -> None:
    for topic in ("emails", "emails-dlq"):
        own_broker.create_topic(topic)
    message = {"to": "ann@example.com", "subject": "Hi", "template": "welcome", "context": {"name": "Ann"}}
    run_async(publish(own_broker.address, "emails", as_json(message)))
    env = {"KAFKA_BOOTSTRAP_SERVERS": own_broker.address, **postbox.environment}
    folder = EXAMPLES / "plain-project"
    with running_core("kafka", "worker", "EmailWorker", folder=folder, env=env) as running:
        running.until_said("Email sent: ann@example.com")
        running.signal(signal.SIGINT)
        assert running.wait() == 0, running.output
    (sent,) = postbox.mails
    assert sent.get_content().splitlines()[0] == "Dear Ann,"


A_WRONG_EXPECTATION = """
import dataclasses, sys
from rich.console import Console
from demo.__main__ import demonstrate
from demo.tasks import Fate, load

by_fate = {task.fate: task for task in load()}
# The mail server refuses this one for good; the demo is told to expect that it arrives.
by_fate[Fate.REJECTED] = dataclasses.replace(by_fate[Fate.REJECTED], fate=Fate.SENT)
code = demonstrate(list(by_fate.values()), Console())
print("exit code", code)
"""


def test_the_demo_fails_when_its_counts_are_off(examples: Environment) -> None:
    # A check that cannot fail proves nothing: here the very same run meets an expectation that is wrong.
    printed = run([str(examples.python), "-c", A_WRONG_EXPECTATION], cwd=ROOT)
    assert "is missing at the mail server" in printed
    assert "does not belong at the dead-letter queue" in printed
    assert "exit code 1" in printed
