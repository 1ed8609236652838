"""``core dashboard``: serve the pages."""

from __future__ import annotations

import logging
import os
import secrets
import socket

import click
import uvicorn
from core_messaging_cli.kafka_settings import kafka_settings
from core_messaging_cli.tables import say

from core_messaging.discovery.catalog import discover
from core_messaging.errors import ConfigurationError
from core_messaging.runtime.logging import set_up_logging
from core_messaging.worker import config_of
from core_messaging_dashboard.access import check_protection
from core_messaging_dashboard.app import make_app
from core_messaging_dashboard.options import DashboardOptions

LAST = 2  # seconds that open pages have at the end


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", default=8421, show_default=True, type=click.IntRange(0, 65535), help="0: any free one."
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A name by which browsers may call it; repeatable.",
)
@click.option("--user-header", metavar="NAME", help="A trusted proxy says in this header who somebody is.")
@click.option("--root-path", default="", metavar="PATH", help="Where a proxy serves it, for example /ops.")
@click.option("--secure", is_flag=True, help="Browsers send the session over HTTPS only.")
@click.option("--read-only", is_flag=True, help="Nothing can be paused, replayed or dropped.")
@click.option(
    "--interval",
    default=2.0,
    show_default=True,
    type=click.FloatRange(min=0.5),
    help="Seconds between two looks.",
)
def dashboard(hosts: tuple[str, ...], **given: object) -> None:
    r"""Show workers, processes and dead letters in a browser.

    The address that it prints has a token; whoever has it may replay, drop and pause. With CORE_DASHBOARD_PASSWORD the dashboard asks
    for that password instead. An address that others can reach needs the password, or a proxy that says who somebody is.

    \b
    core dashboard
    core dashboard --read-only --port 9000
    CORE_DASHBOARD_PASSWORD=... core dashboard --host 0.0.0.0 --allow-host ops.example
    """
    options = _options(hosts, given)
    check_protection(options.host, options.password, options.user_header)
    settings = kafka_settings("core dashboard", "the dashboard")
    set_up_logging("info")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    workers = [config_of(worker) for worker in discover().healthy()]
    listening = _listen(options.host, options.port)
    app = make_app(settings, workers, options)
    _say_where(options, listening.getsockname()[1])
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        root_path=options.root_path,
        timeout_graceful_shutdown=LAST,
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _options(hosts: tuple[str, ...], given: dict[str, object]) -> DashboardOptions:
    password = os.environ.get("CORE_DASHBOARD_PASSWORD") or None
    needs_token = password is None and given["user_header"] is None
    token = secrets.token_urlsafe(24) if needs_token else None
    root = str(given.pop("root_path")).rstrip("/")
    return DashboardOptions(allowed_hosts=hosts, password=password, token=token, root_path=root, **given)  # type: ignore[arg-type]


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"the dashboard cannot listen at {host} port {port} ({error.strerror or error}); choose another one with --host or "
            "--port"
        ) from error


def _say_where(options: DashboardOptions, port: int) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{host}:{port}{options.root_path}"
    if options.token is not None:
        address += f"/login?token={options.token}"
    say(f"dashboard at {address}; Ctrl-C stops it")
