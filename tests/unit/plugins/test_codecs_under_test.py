"""A worker whose codec comes from an installed plugin can be worked with by the testing kit."""

from __future__ import annotations

from core_messaging.testing import run
from tests.unit.plugins.conftest import Install
from tests.unit.test_testing_kit import HexWorker

HEX = """
from core_messaging import Codec, hookimpl

@hookimpl
def register_codecs():
    return {"hex": Codec(lambda data, kind: kind(data.hex()), bytes.fromhex)}

@hookimpl
def on_success():
    raise RuntimeError("the hooks of what is only installed are not called")
"""


def test_a_codec_of_an_installed_plugin_is_found_and_its_hooks_are_not_called(install: Install) -> None:
    install("hex-codec", HEX)

    outcome = run(HexWorker, [b"\x01\xff"])
    assert [record.value for record in outcome.results] == [b"\x01\xff\x00"]
    assert outcome.calls == ()
