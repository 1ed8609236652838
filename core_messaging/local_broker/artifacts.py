"""Finds Apache Kafka's jar files and the Java that runs them; downloads the jar files if needed.

Maven downloads the files, so a company's mirror and its credentials in ``settings.xml`` work here too. They are downloaded
once and kept in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from core_messaging.errors import DownloadFailed, LocalBrokerError, ToolMissing

KAFKA_VERSION = "4.3.1"
FOLDER_VARIABLE = "CORE_KAFKA_FOLDER"

_PRODUCT = f"Apache Kafka {KAFKA_VERSION}"
_DOWNLOAD_TIMEOUT = 600.0  # seconds

# Kafka's jar does not depend on a log4j binding. Without this one there is no log.
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>core-messaging</groupId>
  <artifactId>apache-kafka</artifactId>
  <version>{KAFKA_VERSION}</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
"""


def java() -> str:
    """Return the path of ``java``: the one in JAVA_HOME, else the one in PATH. Raises ToolMissing."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise ToolMissing(_PRODUCT, "Java 17 or newer", "install a JDK or JRE and have `java` in PATH")
    return found


def kafka_folder() -> Path:
    """Return the folder of the jar files: CORE_KAFKA_FOLDER, else ``~/.cache/core-messaging/kafka-VERSION``."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "core-messaging" / f"kafka-{KAFKA_VERSION}"


def kafka_jars() -> Path:
    """Return the folder with Apache Kafka's jar files; download them (about 44 MB) if they are not there yet.

    Raises ToolMissing without Maven, DownloadFailed where Maven fails, LocalBrokerError where the folder belongs to another
    user.
    """
    folder = kafka_folder()
    if not folder.is_dir():
        _download_into(folder)
    if not os.environ.get(FOLDER_VARIABLE):
        _keep_private(folder)
    return folder


def _keep_private(folder: Path) -> None:
    """Let only this user change *folder*, because its files are run. Raises LocalBrokerError if it belongs to another."""
    if any(found.st_uid != os.getuid() for found in (folder.lstat(), folder.stat())):
        raise LocalBrokerError(
            f"{folder} belongs to another user, and its files would be run; remove it, or let {FOLDER_VARIABLE} "
            "name a folder that you trust"
        )
    folder.chmod(0o700)


def absent() -> str | None:
    """Return one line that tells what is missing to run Apache Kafka here; None where nothing is missing.

    It downloads nothing: a download that fails is noticed later.
    """
    try:
        java()
        if not kafka_folder().is_dir():
            _maven()
    except ToolMissing as error:
        return str(error)
    return None


def _maven() -> str:
    found = shutil.which("mvn")
    if found is None:
        raise ToolMissing(
            _PRODUCT,
            "Maven",
            f"install it (`mvn` in PATH), or let {FOLDER_VARIABLE} name a folder with Kafka's jar files",
        )
    return found


def _download_into(folder: Path) -> None:
    """Download all files, or none.

    Two processes may do this at the same time: each downloads into a folder of its own, and the first rename counts.
    """
    maven = _maven()
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadFailed(_PRODUCT, f"its folder cannot be created: {error}", FOLDER_VARIABLE) from error
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as temporary:
        _run_maven(maven, Path(temporary))
        try:
            (Path(temporary) / "jars").rename(folder)
        except OSError:
            # A rename does not replace a folder that has files. The other process has downloaded the same files.
            if not folder.is_dir():
                raise


def _run_maven(maven: str, work: Path) -> None:
    (work / "pom.xml").write_text(_POM)
    command = [
        maven,
        "-q",
        "-B",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        "-DoutputDirectory=jars",
    ]
    try:
        # No shell, and every argument is from this module.
        done = subprocess.run(  # noqa: S603
            command,
            cwd=work,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise DownloadFailed(
            _PRODUCT, f"it was not done after {_DOWNLOAD_TIMEOUT:g} s", FOLDER_VARIABLE
        ) from error
    if done.returncode != 0:
        raise DownloadFailed(_PRODUCT, _first_error(done.stdout + done.stderr), FOLDER_VARIABLE)


def _first_error(output: str) -> str:
    errors = [line.removeprefix("[ERROR]").strip() for line in output.splitlines() if "[ERROR]" in line]
    return errors[0] if errors else "it gave no reason"
