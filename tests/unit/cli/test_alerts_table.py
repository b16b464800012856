"""Alerts as a terminal shows them."""

from __future__ import annotations

import pytest
from rich.console import Console

from selfright.cli.overview import alerts_table

MESSAGE = "solver: error rate 1.00 [0.84, 1.00] since the change (n = 20): certainly worse"
ALERT = {
    "alert_id": "alert-2600c79c1a438136",
    "timestamp": "2026-01-02T03:04:05Z",
    "level": "critical",
    "state": "acknowledged",
    "agent_name": "solver",
    "message": MESSAGE,
    "count": 1_234,
}


@pytest.mark.parametrize("width", [80, 159, 160, 200])
def test_a_message_is_never_broken_into_single_words(width, capsys):
    """In a narrow terminal an alert has a line for its id and another for what it says."""
    Console(width=width).print(alerts_table([ALERT, ALERT], width))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 9
    for words in ("alert-2600c79c1a438136", "critical", "1,234"):
        assert sum(words in line for line in lines) == 2
