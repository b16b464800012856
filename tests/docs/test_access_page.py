"""The page of access names every route with its scope, and every refusal."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from selfright.performance_monitor import PerformanceMonitor
from selfright.server import guard
from selfright.server.access import refusals
from selfright.server.app import create_app
from selfright.server.scope import GRANTABLE, INCLUDED, classified

PAGE = (Path(__file__).parents[2] / "docs" / "access.md").read_text(encoding="utf-8")


def test_the_page_lists_every_route_with_its_scope() -> None:
    """None missing, none that is not there."""
    with PerformanceMonitor() as monitor:
        served = {
            (f"{method} {path.replace(':path}', '}')}", str(scope))
            for (method, path), scope in classified(create_app(monitor).routes).items()
        }
    assert set(re.findall(r"^\| `([A-Z]+ /.*?)` \| (\w+) \|$", PAGE, re.MULTILINE)) == served


def test_the_page_says_what_each_scope_includes() -> None:
    """As the code has it."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*?) ?\|$", PAGE, re.MULTILINE)
    words = {scope.value: INCLUDED[scope] - {scope} for scope in GRANTABLE}
    assert {name: said for name, said in rows if name in words} == {
        name: "all" if len(more) == 3 else ", ".join(f"`{scope}`" for scope in more)
        for name, more in words.items()
    }


def test_the_page_lists_every_refusal() -> None:
    """Of door and guard, with its status; but for those that are our own mistakes."""
    source = inspect.getsource(refusals) + inspect.getsource(guard)
    made = set(re.findall(r'Problem\(\s*(\d+),\s*"([a-z-]+)"', source))
    made -= {("403", "unclassified-route"), ("403", "forbidden"), ("415", "unsupported-media-type")}
    listed = set(re.findall(r"^\| (\d+) \| `([a-z-]+)` \|", PAGE, re.MULTILINE))
    assert listed == made
