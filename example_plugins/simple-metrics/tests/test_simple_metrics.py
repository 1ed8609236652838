from typing import Any

import pytest
from simple_metrics import SimpleMetrics

from core_messaging import Worker
from core_messaging.testing import run_with


class Fussy(Worker):
    input_topic = "tasks"
    dlq_topic = "tasks-dlq"
    max_retries = 0

    async def process(self, message: dict[str, Any]) -> None:
        if message["n"] == 2:
            raise ValueError("not this one")


def test_the_numbers_are_those_of_the_worker(capsys: pytest.CaptureFixture[str]) -> None:
    run_with(SimpleMetrics(), Fussy, [b'{"n": %d}' % n for n in range(5)])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Fussy: 4 done, 1 dead-lettered, 0 in flight")
