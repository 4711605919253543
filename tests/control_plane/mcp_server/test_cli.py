"""`rollout mcp` as it is typed wrongly, and without its extra."""

import sys

import pytest
from click.testing import CliRunner

from control_plane.mcp_server.cli import mcp_command


@pytest.mark.parametrize("url", ["rollout.example.com", "ftp://x", "http://", "https://a:b@x", "https://x?token=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    done = CliRunner().invoke(mcp_command, ["--url", url], env={"ROLLOUT_TOKEN": "t"})
    assert done.exit_code == 1
    assert "is no address of a server" in done.output


def test_without_a_token_it_says_how_to_make_one() -> None:
    done = CliRunner().invoke(mcp_command, [], env={"ROLLOUT_TOKEN": ""})
    assert done.exit_code == 1
    assert "rollout token create" in done.output


@pytest.mark.parametrize("token", ["secret\nmore", "secrét", "\x00secret"])
def test_a_token_with_characters_that_none_has_is_refused_and_not_repeated(token: str) -> None:
    done = CliRunner().invoke(mcp_command, ["--token", token])
    assert done.exit_code == 1
    assert "ROLLOUT_TOKEN holds characters" in done.output
    assert "secr" not in done.output


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    monkeypatch.delitem(sys.modules, "control_plane.mcp_server.server", raising=False)
    done = CliRunner().invoke(mcp_command, [], env={"ROLLOUT_TOKEN": "t"})
    assert done.exit_code == 1
    assert "rollout-control-plane[mcp]" in done.output
