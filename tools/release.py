"""Makes a release: python tools/release.py 0.1.0. RELEASING.md says what comes before and after.

It dates the section of the changelog, turns the line of the README on how to install, builds and checks both
distributions, commits and tags. It publishes nothing: the last step is yours.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_PUBLISHED = re.compile(r"The name is not on the package index yet\.[^\n]*\n?[^\n]*does the same\. ")


class NotReady(Exception):
    """What has to be mended before the release."""


def dated(changelog: str, version: str, day: date) -> str:
    """*changelog* with *day* in place of "unreleased" in the heading of *version*. Raises NotReady."""
    heading = re.compile(
        rf"^## (?:\[?{re.escape(version)}\]?[^\n]*unreleased[^\n]*|\[?Unreleased\]?)$", re.MULTILINE
    )
    new, count = heading.subn(f"## [{version}] - {day.isoformat()}", changelog, count=1)
    if count == 0:
        raise NotReady(
            f"CHANGELOG.md has no section ## {version} (unreleased); write what has changed into it"
        )
    if not re.search(r"^- ", new.partition(f"## [{version}]")[2].partition("\n## ")[0], re.MULTILINE):
        raise NotReady(f"the section of {version} in CHANGELOG.md is empty; write what has changed into it")
    return new


def published(readme: str) -> str:
    """*readme* without the sentence that the name is not published; the line above it then works for everybody."""
    return NOT_PUBLISHED.sub("", readme)


def section_of(changelog: str, version: str) -> str:
    """What has changed in *version*: the text of its tag."""
    return changelog.partition(f"## [{version}]")[2].partition("\n## ")[0].partition("\n")[2].strip()


def run(*command: str) -> str:
    """Run to the end, in the repository. Raises NotReady."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise NotReady(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def check(version: str) -> None:
    """Raises NotReady for a version that is not the one of pyproject.toml, changes that are not committed, or a tag that is there."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if version != declared:
        raise NotReady(f"pyproject.toml has version {declared}; set it to {version}, and commit that")
    if run("git", "status", "--porcelain"):
        raise NotReady("there are changes that are not committed; commit them first")
    if run("git", "tag", "--list", f"v{version}"):
        raise NotReady(f"the tag v{version} is there already; choose another version")


def build(folder: Path) -> list[Path]:
    """Wheel and source distribution in *folder*, both as the package index wants them. Raises NotReady."""
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    found = sorted(folder.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *map(str, found))
    return found


def release(version: str, day: date) -> None:
    """Raises NotReady; then nothing is committed."""
    check(version)
    changelog, readme = ROOT / "CHANGELOG.md", ROOT / "README.md"
    changelog.write_text(dated(changelog.read_text("utf-8"), version, day), "utf-8")
    readme.write_text(published(readme.read_text("utf-8")), "utf-8")
    for file in build(ROOT / "dist" / version):
        print(f"built {file.relative_to(ROOT)}")
    run("git", "commit", "--all", "--message", f"Release {version}")
    text = section_of(changelog.read_text("utf-8"), version)
    # Without --cleanup git takes the headings for comments.
    run("git", "tag", "--annotate", "--cleanup=whitespace", f"v{version}", "--message", text)
    print(f"tagged v{version}; next: push it, and python -m twine upload dist/{version}/*")


def main() -> None:
    """One line for what is not ready."""
    arguments = argparse.ArgumentParser(description="Make a release; see RELEASING.md.")
    arguments.add_argument("version", help="as in pyproject.toml, without a v")
    try:
        release(arguments.parse_args().version, datetime.now(UTC).date())
    except NotReady as error:
        raise SystemExit(f"not released: {error}") from error


if __name__ == "__main__":
    main()
