"""``core kafka top`` at work: it watches the fleet, draws the screen and does what the keys say."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from core_messaging.errors import CoreMessagingError
from core_messaging.operations.dead_letters import list_dead_letters
from core_messaging.operations.fleet import Fleet, Obedience, look_at_fleet, pause, resume, watch_fleet
from core_messaging.rules.fleet_selection import keys_in
from core_messaging.rules.fleet_view import FleetHistory, Row
from core_messaging.rules.pauses import Pause, PauseTarget
from core_messaging.settings import Settings
from core_messaging.text.wording import counted
from core_messaging_cli.dlq_target import target_of
from core_messaging_cli.fleet_screen import Letters, Shown, screen_lines
from core_messaging_cli.person import who_asks
from core_messaging_cli.raw_terminal import keys_at_once, read_keys

AGAIN = 2.0  # seconds until a broker that did not answer is asked again
LONGEST_TURN = 1.0  # seconds until the screen is drawn again, because the terminal may have another size


class LiveFleet:
    """The live view on one terminal."""

    def __init__(self, settings: Settings, console: Console, interval: float) -> None:
        self._settings, self._console, self._interval = settings, console, interval
        self._history, self._shown = FleetHistory(), Shown(unicode=console.encoding.startswith("utf"))
        self._changed = asyncio.Event()
        self._over = False
        self._work: asyncio.Task[None] | None = None  # what a key has asked for

    async def run(self) -> None:
        """Until ``q``. Raises CoreMessagingError where the fleet cannot be looked at in the beginning."""
        looks = watch_fleet(self._settings)
        self._take(await anext(looks))
        watching = asyncio.create_task(self._watch_forever(looks))
        try:
            with self._warnings(), self._terminal(), self._screen() as live:
                while not self._over:
                    self._changed.clear()
                    live.update(self._drawn(), refresh=True)
                    await self._until_changed()
        finally:
            tasks = [each for each in (watching, self._work) if each is not None]
            for each in tasks:
                each.cancel()
            await asyncio.wait(tasks)

    def _screen(self) -> Live:
        return Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    async def _until_changed(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_TURN):
                await self._changed.wait()

    async def _watch_forever(self, looks: AsyncGenerator[Fleet]) -> None:
        while True:
            try:
                async with aclosing(looks):
                    async for fleet in looks:
                        self._take(fleet)
                        await asyncio.sleep(self._interval)
            except CoreMessagingError as error:
                self._say(f"not up to date: {error}")
                await asyncio.sleep(AGAIN)
            looks = watch_fleet(self._settings)

    def _take(self, fleet: Fleet) -> None:
        rows = self._history.add(fleet.processes)
        servers, silent = self._settings.kafka_bootstrap_servers, len(fleet.silent)
        many = f"{counted(len(fleet.processes), 'process')}, {counted(len(rows), 'worker')}"
        self._show(rows=rows, title=f"{servers}  {many}" + (f", {silent} not heard of" if silent else ""))

    def _say(self, message: str) -> None:
        self._show(message=message)

    def _show(self, **changes: Any) -> None:
        self._shown = replace(self._shown, **changes)
        self._changed.set()

    def _drawn(self) -> Group:
        head = f"core kafka top  {time.strftime('%H:%M:%S')}  {self._shown.title}"
        lines = screen_lines(replace(self._shown, title=head), *self._console.size)
        return Group(*(Text(line.text, line.style, no_wrap=True, overflow="crop") for line in lines))

    # Keys

    @contextmanager
    def _terminal(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        with keys_at_once() as descriptor:
            loop.add_reader(descriptor, self._read, descriptor)
            loop.add_signal_handler(signal.SIGWINCH, self._changed.set)
            try:
                yield
            finally:
                loop.remove_signal_handler(signal.SIGWINCH)
                loop.remove_reader(descriptor)

    def _read(self, descriptor: int) -> None:
        sent = read_keys(descriptor)
        self._over = self._over or not sent  # the terminal is gone
        for key in keys_in(sent):
            self._press(key)
        self._changed.set()

    def _press(self, key: str) -> None:
        shown, selection = self._shown, self._shown.selection
        row = selection.current(shown.rows)
        if not selection.typing and key == "q":
            self._over = True
        elif shown.letters is not None:
            self._show(letters=None if key in ("d", "escape") else shown.letters)
        elif not selection.typing and key in "prd" and row is not None:
            self._begin({"p": self._pause, "r": self._resume, "d": self._show_letters}[key](row))
        else:
            self._show(message="", selection=selection.pressed(key, shown.rows))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work* beside the screen; one after the other, so that a pause and its end do not overtake each other."""
        if self._work is not None and not self._work.done():
            work.close()
            self._say("wait for the answer to the last key")
            return
        self._work = asyncio.create_task(self._done(work))

    async def _done(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except CoreMessagingError as error:
            self._say(str(error))

    async def _pause(self, row: Row) -> None:
        target = PauseTarget(group=row.group)
        self._say(f"pausing {target} ...")
        found = await pause(self._settings, target, Pause(by=who_asks()))
        self._say(f"paused: {target}; {_obeyed(found)}")

    async def _resume(self, row: Row) -> None:
        """End every pause of the group, also those of its partitions."""
        self._say(f"resuming group {row.group} ...")
        now = await look_at_fleet(self._settings)  # what the screen knows may be older than the last key
        targets = [each for each in now.pauses if each.group == row.group]
        if not targets:
            self._say(f"nothing of group {row.group} is paused")
        for target in targets:
            found = await resume(self._settings, target)
            self._say(f"resumed: {target}; {_obeyed(found)}")

    async def _show_letters(self, row: Row) -> None:
        self._say(f"reading the dead letters of {row.name} ...")
        queues = target_of(row.name).queues
        listing = await list_dead_letters(self._settings, queues)
        count = sum(group.open for group in listing.groups)
        self._show(
            open_letters={**self._shown.open_letters, row.key: count},
            letters=Letters(row.name, listing.groups),
            message="",
        )

    # Log lines

    @contextmanager
    def _warnings(self) -> Iterator[None]:
        """Show the last warning in the screen: on standard error it would write across it."""
        handler = _LastLine(self._say)
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)


class _LastLine(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(record.getMessage())


def _obeyed(found: Obedience) -> str:
    many = len(found.obeyed) + len(found.silent)
    return f"{len(found.obeyed)} of {counted(many, 'process')} obeyed"
