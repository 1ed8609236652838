"""A worker whose codec comes from an installed plugin can be worked with by the testing kit."""

from __future__ import annotations

import pytest

from core_messaging.errors import BrokenWorker
from core_messaging.testing import run, simulate
from tests.unit.plugins.conftest import Install
from tests.unit.testing.test_workbench import HexWorker

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


def test_a_simulation_decodes_and_encodes_by_the_codec_of_an_installed_plugin(install: Install) -> None:
    install("hex-codec", HEX)
    report = simulate(HexWorker, [b"\x01\xff", b"\x02"], seed=1, faults=())
    assert (report.finished, report.dead_lettered) == (2, 0)


def test_a_simulation_says_that_there_is_no_such_codec(alone: None) -> None:
    with pytest.raises(BrokenWorker, match="codec 'hex'"):
        simulate(HexWorker, [b"\x01"], seed=1, faults=())
