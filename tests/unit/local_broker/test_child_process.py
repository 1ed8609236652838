"""A child process that is paused does nothing from that moment on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from core_messaging.local_broker.child_process import GuardedProcess

BUSY = """
import os, threading

def write():
    while True:
        os.write(1, b".")

for _ in range(4):
    threading.Thread(target=write).start()
"""


def test_a_paused_process_says_nothing_more(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = GuardedProcess([sys.executable, "-c", BUSY], log)
    try:
        while not log.exists() or not log.stat().st_size:
            time.sleep(0.01)
        for _ in range(5):
            process.pause()
            size = log.stat().st_size
            time.sleep(0.02)  # time in which a thread that still runs would have written
            assert log.stat().st_size == size
            process.resume()
    finally:
        process.kill()
