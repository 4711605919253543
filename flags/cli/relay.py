"""`rollout relay`."""

import click

from control_plane.platform.observability import prometheus_multiprocess
from control_plane.platform.settings import Settings
from control_plane.server import check_port
from flags.relay.server import serve


@click.command("relay")
@click.option("--upstream", required=True, help="The server to stand in front of: this program's, or Unleash's.")
@click.option("--token", "tokens", required=True, multiple=True, help="A client token of it; one per environment.")
def relay_command(*, upstream: str, tokens: tuple[str, ...]) -> None:
    """Serve SDKs from memory, following another server; starts from its backup while that is away."""
    settings = Settings.from_env()
    check_port(settings)
    prometheus_multiprocess.set_up(settings)
    click.echo(f"Relay     http://{settings.host}:{settings.port}, following {upstream}\nStop      Ctrl-C")
    serve(settings, upstream, tokens)
