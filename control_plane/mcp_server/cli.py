"""`rollout mcp`."""

from urllib.parse import urlsplit

import click

from control_plane.platform.runtime.cli_support import CommandFailed

EXTRA = 'The official MCP package is not installed; install it with `pip install "rollout-control-plane[mcp]"`.'


@click.command("mcp")
@click.option("--url", envvar="ROLLOUT_URL", default="http://127.0.0.1:8000", show_default=True, help="The server.")
@click.option("--token", envvar="ROLLOUT_TOKEN", hidden=True, default="")
@click.option("--moves", is_flag=True, help="Offer tools that change rollouts too, as far as the token may.")
def mcp_command(*, url: str, token: str, moves: bool) -> None:
    """Let an assistant read rollouts over stdin and stdout (Model Context Protocol); the token is in ROLLOUT_TOKEN."""
    if not token.strip():
        raise CommandFailed("Set ROLLOUT_TOKEN to a token of the type admin; `rollout token create` makes one.")
    # A file that a secret comes from ends in a line break more often than not; no header takes anything like it.
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise CommandFailed("ROLLOUT_TOKEN holds characters that no token has; give it the token alone.")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise CommandFailed(f"{url[:100]!r} is no address of a server; write one such as https://rollout.example.com.")
    try:
        from control_plane.mcp_server.server import make_server  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as missing:
        raise CommandFailed(EXTRA) from missing
    from control_plane.mcp_server.api_client import APIClient  # noqa: PLC0415 - heavy, and for this command alone

    make_server(APIClient(url, token), with_moves=moves).run()
