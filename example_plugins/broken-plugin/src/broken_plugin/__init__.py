"""Broken on purpose: a hook with a slip of the pen."""

from core_messaging import hookimpl


class Broken:
    @hookimpl
    def on_succes(self, result):
        print(result)


plugin = Broken()
