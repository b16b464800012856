"""The life cycle is the table that its documentation shows."""

from __future__ import annotations

from selfright.alerts import life
from selfright.alerts.life import STEPS, AlertEvent, AlertState


def test_the_documented_table_is_the_table():
    """Every row of the table in the head of the module, and no other, is a step."""
    body = life.__doc__.split("============  =========\n")[2]
    rows = [line.split() for line in body.splitlines() if line and not line.startswith("=")]
    documented = {
        (state.replace("\\-", ""), event): (becomes, told) for state, event, becomes, told in rows
    }
    real = {
        (str(state or ""), str(event)): (str(step.state), "yes" if step.told else "no")
        for (state, event), step in STEPS.items()
    }
    assert documented == real


def test_nothing_leaves_resolved():
    """A resolved alert stays so; the next one is another alert."""
    assert not [step for (state, _), step in STEPS.items() if state is AlertState.RESOLVED]


def test_every_state_can_be_reached_and_left():
    """From nothing every state can be reached, and from each open one the end."""
    reached = {None}
    while True:
        more = {step.state for (state, _), step in STEPS.items() if state in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == {None, *AlertState}
    for state in set(AlertState) - {AlertState.RESOLVED}:
        assert STEPS[state, AlertEvent.CLEARED].state is AlertState.RESOLVED
