"""The command line: everything an operator does from a terminal.

``app``        the commands, put together
``command``    what all of them share: options that stand everywhere, errors, exit codes
``session``    settings and the place that a command works on
``show``       tables for people, JSON for programs, progress for the patient
``fleet``      what a command asks of a fleet, over REST or straight from its directory
"""

from __future__ import annotations


def main() -> None:
    """Run the command that ``sys.argv`` names. The entry point ``selfright``."""
    from selfright.cli.app import run

    run()
