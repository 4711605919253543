"""What the guide for owners says of the pages stands on them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.change_context import ChangeContext
from flags.administration.definitions import create_flag, switch_flag
from flags.administration.segments import edit_segment
from tests.dashboards.browsing import page_text, write_session

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("owner-guide.md", "editing-flags.md"))


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/", "Tell me of a rollback"),
        ("/", "Flags without a rollout"),
        ("/", "A token for your service"),
        ("/audit", "Glossary"),
        ("/audit", "Roll back a flag…"),
        ("/credits", "Variances"),
        ("/credits", "Catalogue"),
        ("/account", "Language of the pages"),
        ("/credits", "Members"),
        ("/billing", "Merge two users"),
        ("/users", "Erase a person"),
        ("/flags", "Import flags"),
        ("/flags", "Segments"),
        ("/segments/production/3/edit", "Preview"),
        ("/segments/production/3", "Begin with it"),
        ("/flag/checkout", "Edit"),
        ("/flag/checkout", "Restore…"),
    ],
)
def test_a_button_or_link_that_the_guide_names_is_on_its_page(
    app: Flask, sign_in: Callable[[str], FlaskClient], path: str, label: str
) -> None:
    change = ChangeContext(datetime.now(UTC), "tests", "A test.")
    with write_session(app) as session:
        create_flag(session, "checkout", {"production": False}, change)
        switch_flag(session, "checkout", "production", change, enabled=True)
        for version in range(2):
            edit_segment(session, "production", 3, {"name": "Pros", "constraints": []}, change, version=version)
    assert f"**{label}**" in " ".join(GUIDE.split())
    assert f" {label} " in page_text(sign_in("alice").get(path).text)
