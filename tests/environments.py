"""Environments of their own for packages that tests install: layered over the one the tests run in.

A layer sees everything that is installed below it, so pip has next to nothing to do; what is installed into it is
seen by nobody else. The ``core`` command in it is a real one, made by pip.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "example_plugins"


@dataclass(frozen=True)
class Environment:
    """One virtual environment in *folder*."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def core(self) -> Path:
        return self.folder / "bin" / "core"

    def install(self, *packages: Path | str) -> None:
        """pip install, from here: nothing is downloaded."""
        offline = [
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--quiet",
            "--disable-pip-version-check",
        ]
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", *offline]
        run([*pip, *map(str, packages)])


def layer(folder: Path) -> Environment:
    """An empty environment over the present one. It has no ``core`` command until core-messaging is installed."""
    venv.create(folder, with_pip=False, symlinks=True)
    environment = Environment(folder)
    variables = {"base": str(folder), "platbase": str(folder)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", variables))
    below = sysconfig.get_path("purelib")
    # addsitedir, unlike a plain line, also follows the .pth files down there (editable installs). The name sorts
    # before those of this layer, which need what is below.
    (site_packages / "00-below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    return environment


def run(command: list[str], cwd: Path | None = None) -> str:
    """Run to the end; a failure shows everything it printed."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
