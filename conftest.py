"""The services under the tests are fixtures for all of them."""

from __future__ import annotations

pytest_plugins = ["tests.services.fixtures"]
