"""The example packages, installed by pip."""

from __future__ import annotations

import email
import email.policy
import os
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from core_messaging.local_broker.embedded import EmbeddedBroker
from core_messaging.local_broker.ports import HOST, free_ports
from tests.environments import EXAMPLES, ROOT, Environment, layer, run
from tests.integration.commands import environment
from tests.packages.readme import README, blocks, section
from tests.packages.shell import Beginner, commands_of, shell


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own wheel, alone in its folder."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)])
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def beginner(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Beginner:
    """Whoever starts in an empty folder, with the environment that the README's own lines have made. pip finds our wheel
    where it would find the published one.
    """
    (port,) = free_ports(1)
    places = " ".join([str(wheel.parent), os.environ.get("PIP_FIND_LINKS", "")])
    env = environment(
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        PIP_FIND_LINKS=places.strip(),
        PYTHONUNBUFFERED="1",
        CORE_KAFKA_PORT=str(port),
        KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}",
    )
    (first,) = blocks(README.partition("\n## ")[0], "console")
    installing, _ = blocks(section("Five minutes"), "console")
    making, activating, with_broker = commands_of(installing)
    (plain,) = commands_of(first)
    folder = tmp_path_factory.mktemp("beginner")
    with shell(folder, env) as given:
        for command in (making, activating, plain, with_broker):
            given.give(command.line)
    return Beginner(folder, env, activating.line)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the healthy example packages."""
    environment = layer(tmp_path_factory.mktemp("examples"))
    environment.install("--editable", str(ROOT))
    environment.install(EXAMPLES / "email-worker", EXAMPLES / "order-totals")
    return environment


@pytest.fixture(scope="session")
def examples_with_a_broken_one(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = layer(tmp_path_factory.mktemp("broken"))
    environment.install("--editable", str(ROOT))
    environment.install(EXAMPLES / "email-worker", EXAMPLES / "broken-worker")
    return environment


class Postbox:
    """A mail server that takes everything, except for recipients at gone.example."""

    def __init__(self, port: int) -> None:
        self.environment = {"SMTP_HOST": HOST, "SMTP_PORT": str(port)}
        self.mails: list[EmailMessage] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.endswith("@gone.example"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        self.mails.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    (port,) = free_ports(1)
    box = Postbox(port)
    controller = Controller(box, hostname=HOST, port=port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def own_broker() -> Iterator[EmbeddedBroker]:
    """A broker for one test: the packages name their topics themselves, so two tests would meet in them."""
    with EmbeddedBroker() as broker:
        yield broker
