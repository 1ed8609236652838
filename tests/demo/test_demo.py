"""``make demo`` as a newcomer runs it: its own environment, real broker, real mail server, its own check."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.timeout(400)  # a first run makes an environment of its own
def test_make_demo_ends_by_itself_with_the_right_counts() -> None:
    found = subprocess.run(
        ["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=390, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    counts = {
        name.strip(): int(number.replace(",", ""))
        for name, number in re.findall(r"│ ([^│]+?) *│ +([\d,]+) │", found.stdout)
    }
    assert counts.pop("msg/s (first to last mail)") > 0
    assert counts == {
        "published": 2400,
        "received by SMTP": 2220,
        "retried": 180,
        "dead-lettered": 180,
        "of these undecodable": 90,
    }
    assert "emails-dlq: 60 letters replayed" in found.stdout
    rows = re.findall(r"^EmailWorker +emails +(\w+) +(\d+) +(\d+) +(\d+) ", found.stdout, re.MULTILINE)
    assert set(rows[:3]) == {
        ("Undecodable", "90", "0", "0"),
        ("SMTPRecipientsRefused", "60", "0", "0"),
        ("Reject", "30", "0", "0"),
    }
    assert set(rows[3:]) == {
        ("Undecodable", "90", "0", "0"),
        ("Reject", "30", "0", "0"),
        ("SMTPRecipientsRefused", "0", "60", "0"),
    }
    assert "every count is as it has to be" in found.stdout
