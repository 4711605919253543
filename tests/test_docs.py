"""Docs that cannot rot: links lead somewhere, and every setting and command of the code is in them."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from control_plane.app import PACKAGES
from control_plane.cli import rollout
from control_plane.platform import settings

ROOT = Path(__file__).parents[1]
PRODUCT = ("control_plane", *PACKAGES)
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


def test_every_alert_for_people_leads_to_its_part_of_the_run_book() -> None:
    rules = yaml.safe_load((ROOT / "deploy/rules/credits.yml").read_text(encoding="utf-8"))
    links = {each["annotations"]["runbook"] for group in rules["groups"] for each in group["rules"] if "alert" in each}
    pages = {link.partition("#")[0] for link in links}
    assert pages == {"docs/runbook.md"}
    text = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    parts = {part.split("\n", 1)[0]: part for part in text.split("\n## ")[1:]}
    assert parts.keys() == {link.partition("#")[2] for link in links}
    assert [
        name for name, part in parts.items() if re.findall(r"^- \*\*(\w+)", part, re.M) != ["Means", "Look", "Do"]
    ] == []


def test_the_run_book_names_events_of_the_log_that_are_written() -> None:
    text = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", text)) - {"alerts.yaml"}
    source = "".join(path.read_text(encoding="utf-8") for name in PRODUCT for path in (ROOT / name).rglob("*.py"))
    assert named
    assert {event for event in named if f'"{event}"' not in source} == set()


def test_the_site_shows_every_page_and_no_other() -> None:
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    shown = set(_pages(configuration["nav"]))
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").glob("**/*.md")}
    assert shown == there | {"index.md"}


def test_the_readme_fits_its_purpose() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make run" in text
    assert "make test" in text
    assert "docs/images/rollout.png" in text


def test_every_row_of_the_guides_coverage_says_how_it_stands_and_names_a_test_where_it_claims_one() -> None:
    text = (ROOT / "docs" / "guide-coverage.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    claims = [(row[-2], row[-1]) for row in rows if row[-1] not in ("held by", "---")]
    assert len(claims) > 40
    assert {mark for mark, _ in claims} == {"✔", "\N{EN DASH}"}
    assert [held for mark, held in claims if mark != "\N{EN DASH}" and "`test_" not in held] == []


def _pages(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(value, list):
                yield from _pages(value)
            else:
                yield value


def _commands(group: click.Group, prefix: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name


@pytest.mark.parametrize("page", ["security.md", "guide-coverage.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text(encoding="utf-8")))
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert sorted(name for name in named if f"def {name}(" not in source) == []
