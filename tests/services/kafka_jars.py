"""The jars of a Kafka broker, fetched once by Maven and kept between runs.

There is no Debian package of Kafka, and its own archive comes from no package registry; the same
jars do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.services.server_process import ServiceMissingError

VERSION = "4.4.0"
_OLDEST_JAVA = 17
_LOG_TAIL_LINES = 5
# The broker logs through slf4j 1.7. It runs without any logger behind that, but then it does not
# say why it ends. The simple one prints to the standard error and needs no configuration file.
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>selfright.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"


def find_java() -> Path:
    """Return the program `java` if it is new enough.

    Raises
    ------
    ServiceMissingError
        If it is not.
    """
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    said = ""
    with suppress(OSError):
        said = subprocess.run(
            [found or "java", "-version"], capture_output=True, text=True, check=False
        ).stderr
    version = re.search(r'version "(\d+)', said)
    if found is None or version is None or int(version[1]) < _OLDEST_JAVA:
        raise ServiceMissingError(
            f"no Java {_OLDEST_JAVA} or newer for the Kafka broker (found: {found or 'none'}): "
            "install the package `openjdk-17-jre-headless`, or set SELFRIGHT_TEST_KAFKA to the "
            "host:port of a broker"
        )
    return Path(found)


def fetch(within_s: float) -> Path:
    """Return the folder with the jars; the first time, Maven fetches 43 MiB.

    Raises
    ------
    ServiceMissingError
        If there is no Maven, or it does not get them in time. What it did get stays in its own
        store, so that the next try begins there.
    """
    folder = cache() / f"kafka-{VERSION}"
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise ServiceMissingError(
            f"no Maven to fetch Kafka {VERSION} with: install the package `maven`, or set "
            "SELFRIGHT_TEST_KAFKA to the host:port of a broker"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as name:
        half_done = Path(name)
        (half_done / "pom.xml").write_text(_POM)
        _run(maven, half_done, within_s)
        # Whole or not at all, and whoever comes second keeps what the first one brought.
        with suppress(OSError):
            (half_done / "lib").rename(folder)
    if not folder.is_dir():
        raise ServiceMissingError(f"Maven left no jars for {folder}")
    return folder


def cache() -> Path:
    """Return the folder, outside of the checkout, for what is worth keeping between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "selfright-tests"


def _run(maven: str, folder: Path, within_s: float) -> None:
    command = [
        maven,
        "-B",
        "-q",
        "-Dstyle.color=never",
        _COPY,
        "-DincludeScope=runtime",
        "-DoutputDirectory=lib",
    ]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=within_s,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceMissingError(
            f"Maven did not fetch Kafka {VERSION} within {within_s:.0f} s: run "
            "`.venv/bin/python -m tests.services true` once, which waits longer"
        ) from error
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[:_LOG_TAIL_LINES])
        raise ServiceMissingError(f"Maven could not fetch Kafka {VERSION}:\n{said}")
