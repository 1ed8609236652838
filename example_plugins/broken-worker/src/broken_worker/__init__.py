"""Broken on purpose: it imports a package that it does not declare as a dependency."""

import a_package_that_is_not_installed

from core_messaging import Worker


class BrokenWorker(Worker):
    input_topic = "broken"

    async def process(self, message: dict) -> None:
        await a_package_that_is_not_installed.handle(message)
