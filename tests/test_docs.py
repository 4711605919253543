"""Docs that cannot rot: links lead somewhere, and every setting and command of the code is in them."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from control_plane.app import PACKAGES
from control_plane.cli import rollout
from control_plane.platform import settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
VARIABLE = re.compile(r'^    """`([A-Z0-9_]+)`', re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_setting_is_documented() -> None:
    source = Path(settings.__file__).read_text(encoding="utf-8")
    documented = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    missing = [name for name in VARIABLE.findall(source) if f"`{name}`" not in documented]
    assert missing == []


def test_every_command_is_documented() -> None:
    for package in PACKAGES:
        import_module(f"{package}.cli").register(rollout)
    documented = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    missing = [name for name in _commands(rollout) if f"`rollout {name}" not in documented]
    assert missing == []


def test_the_readme_fits_its_purpose() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make run" in text
    assert "make test" in text
    assert "docs/images/rollout.png" in text


def _commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name


def test_every_test_that_the_security_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "security.md").read_text(encoding="utf-8")))
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert sorted(name for name in named if f"def {name}(" not in source) == []
