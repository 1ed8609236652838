"""Broken on purpose: the name of a hook is misspelt."""

from core_messaging import hookimpl


class Broken:
    @hookimpl
    def on_succes(self, result):
        print(result)


plugin = Broken()
