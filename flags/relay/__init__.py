"""A relay: the same wire protocols from memory, in front of another server.

It needs no database and outlives its upstream.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from flask import Flask

from control_plane.platform import problems
from control_plane.platform.auth import authorization
from control_plane.platform.auth.tokens import VERIFIER
from control_plane.platform.db import database
from control_plane.platform.http import health, proxies, url_converters
from control_plane.platform.http.application import Application
from control_plane.platform.http.health import NotReady
from control_plane.platform.observability import signals, telemetry
from control_plane.platform.runtime import change_feed, jobs
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import SETTINGS, Settings
from flags.client_features.refresher import FEATURE_PROVIDER
from flags.client_features.user_directory import USER_DIRECTORY
from flags.evaluation.contexts import KnownAttributes
from flags.protocols import client_api, edge_api, frontend, ofrep, sse, streaming, wsgi_fast_path
from flags.relay import comparison_results
from flags.relay.metrics_forwarder import MetricsForwarder
from flags.relay.sync import UpstreamSync
from flags.relay.tokens import RelayTokens
from flags.relay.upstream import Upstream
from flags.usage.reporter import REPORTER, UsageReporter

FOLDER = "relay"
TOKEN = re.compile(r"[^:\s]*:(?P<environment>[^.\s]+)\.\S+")


class NullUserLookup:
    """A relay has no directory: it knows nobody, and callers say themselves what is to be known."""

    def find(self, _user_id: str | None) -> KnownAttributes | None:
        """Find nothing."""
        return None


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay's application, and what runs beside it."""

    app: Flask
    follower: UpstreamSync
    tokens: RelayTokens
    forwarding: MetricsForwarder
    own_tokens: dict[str, str]

    def start(self) -> None:
        """Serve what was kept, and follow upstream."""
        for environment, token in self.own_tokens.items():
            self.follower.start(environment, token)
        self.tokens.start()
        self.forwarding.start()

    def stop(self) -> None:
        """End every stream and hand on what is left to report."""
        change_feed.FEED.get(self.app).stop()
        self.follower.stop()
        self.tokens.stop()
        self.forwarding.stop()


def create_relay(settings: Settings, url: str, own_tokens: Sequence[str]) -> Relay:
    """Return a relay of `url` for the environments of its own tokens, keeping what it knows in the instance folder."""
    app = Application("relay", static_folder=None)
    folder = settings.instance_dir / FOLDER
    # The platform wants an engine. Nothing a relay does ever connects to it, so the file is never made.
    settings = replace(settings, database_url=f"sqlite:///{folder.absolute() / 'none.db'}", database_direct_url="")
    SETTINGS.set(app, settings)
    app.secret_key = settings.secret_key
    database.init_app(app, settings)
    for part in (url_converters, telemetry, problems, authorization, health, change_feed, signals, jobs):
        part.init_app(app)
    upstream, reporter = Upstream(url), UsageReporter()
    by_environment = {_environment(token): token for token in own_tokens}
    follower, tokens = UpstreamSync(upstream, folder), RelayTokens(upstream, folder / "tokens.json")
    VERIFIER.set(app, tokens)
    FEATURE_PROVIDER.set(app, follower)
    USER_DIRECTORY.set(app, NullUserLookup())
    REPORTER.set(app, reporter)
    health.PINGS.set(app, {"upstream": partial(_ping, follower)})
    sse.init_app(app, settings)
    for routes in (client_api, streaming, edge_api, frontend, ofrep, wsgi_fast_path):
        routes.init_app(app)
    comparison_results.init_app(app, upstream)
    proxies.init_app(app, settings)
    return Relay(app, follower, tokens, MetricsForwarder(upstream, reporter, by_environment), by_environment)


def _environment(token: str) -> str:
    """Return the environment that a token names: `project:environment.secret`."""
    found = TOKEN.match(token)
    if found is None:
        raise SettingsError(f"{token[:12]!r}… is no token of an SDK; it looks like `*:production.…`.")
    return found["environment"]


def _ping(follower: UpstreamSync) -> None:
    if seconds := follower.stale_seconds:
        raise NotReady(f"upstream last answered {seconds:.0f} seconds ago")
