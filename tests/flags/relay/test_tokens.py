"""The tokens of a relay: what upstream says of them, and what is on disk for a start without it."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from control_plane.platform.identity_types import Token
from flags.relay.tokens import RelayTokens
from flags.relay.upstream import Upstream, UpstreamError

TEXT = "shop:production.secret"


class Fake(Upstream):
    """An upstream that says this of the token, or can't be asked."""

    def __init__(self, said: dict[str, Any] | None) -> None:
        super().__init__("http://127.0.0.1:9")
        self.said = said

    def validate(self, tokens: list[str]) -> list[dict[str, object]]:
        if self.said is None:
            raise UpstreamError("away")
        return [{"token": text, "type": "client", "environment": "production", **self.said} for text in tokens]


def check(upstream: Upstream, path: Path) -> Token:
    found = RelayTokens(upstream, path).check(TEXT, datetime.now(UTC))
    assert isinstance(found, Token)
    return found


@pytest.mark.parametrize(
    ("said", "projects"),
    [
        ({"projects": ["shop"]}, ("shop",)),
        ({"projects": ["web", "shop"]}, ("shop", "web")),
        ({"projects": ["*"]}, ()),
        ({"projects": []}, ()),
        ({}, ()),
    ],
)
def test_a_token_is_held_to_the_projects_that_upstream_names_also_without_it(
    said: dict[str, Any], projects: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "tokens.json"
    told = check(Fake({"trustedAttributes": ["plan"], **said}), path)
    assert (told.projects, told.trusted_attributes) == (projects, ("plan",))
    assert check(Fake(None), path).projects == projects
    assert check(Fake(None), path).trusted_attributes == ("plan",)


def test_what_a_release_kept_that_knew_no_projects_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({sha256(TEXT.encode()).hexdigest(): ["client", "production", "*"]}))
    found = check(Fake(None), path)
    assert (found.environment, found.projects, found.trusted_attributes) == ("production", (), ("*",))
