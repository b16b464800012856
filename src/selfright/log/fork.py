"""What becomes of logs and writers in a forked child.

A child gets a copy of everything but the threads: locks that a thread held stay locked
for ever, queues hold what the parent will deliver itself, and a database connection used
by both corrupts the file. So whoever has such things is told: before the fork, to come to
rest, and afterwards, in the child, to start anew.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final, Protocol

# Longest wait for a member to come to rest. One that does not is busy with a disk; its
# child copy starts anew in any case.
REST_S: Final = 1.0


class Forkable(Protocol):
    """Somebody who must be told of a fork."""

    def before_fork(self) -> bool:
        """Come to rest; return whether ``after_fork_in_parent`` shall be called."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on."""
        ...

    def after_fork_in_child(self) -> None:
        """Start anew: no threads, nothing queued, nothing open."""
        ...


_members: weakref.WeakSet[Forkable] = weakref.WeakSet()
_resting: list[Forkable] = []
_registering = threading.Lock()
_is_registered = False


def watch(member: Forkable) -> None:
    """Tell ``member`` of every fork from now on, as long as somebody else holds it."""
    global _is_registered  # noqa: PLW0603 - a process can take its hooks only once
    with _registering:
        if not _is_registered and hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before, after_in_parent=_in_parent, after_in_child=_in_child
            )
            _is_registered = True
        _members.add(member)


def _before() -> None:
    _resting[:] = [member for member in list(_members) if member.before_fork()]


def _in_parent() -> None:
    while _resting:
        _resting.pop().after_fork_in_parent()


def _in_child() -> None:
    _resting.clear()
    for member in list(_members):
        member.after_fork_in_child()


def abandon(*inherited: object) -> None:
    """Keep the parent's objects for ever in this child, so that nothing closes them.

    SQLite forbids to close a connection in a child of the process that opened it: it
    might take the last one's duties upon itself, under locks that the child does not
    have. The interpreter would close it on exit, for it drops every reference it knows.
    """
    import ctypes

    for thing in inherited:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
