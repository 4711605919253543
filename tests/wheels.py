"""The distribution as it is released: built from what a checkout holds, and installed beside others."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from control_plane.app import PACKAGES

ROOT = Path(__file__).parents[1]
PRODUCT = ("control_plane", *PACKAGES)
FILES = ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "alerts.yaml", "docs/glossary.md")
VERSIONS = "control_plane/migrations/versions"


def build(folder: Path, *, version: str | None = None, migration: str = "") -> Path:
    """Build a wheel in `folder`, from a copy of the sources in `folder/source`.

    Of another version where one is given, with a further migration of the schema.
    """
    source = folder / "source"
    for name in PRODUCT:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    if version:
        settings = source / "setup.cfg"
        settings.write_text(re.sub(r"^version = .*$", f"version = {version}", settings.read_text(), flags=re.MULTILINE))
    if migration:
        (source / VERSIONS / "9998_next.py").write_text(migration)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, folder, source], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel alone; what it depends on is that of the tests. Return its `rollout`."""
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", wheel], check=True, capture_output=True)
    return folder / "bin/rollout"
