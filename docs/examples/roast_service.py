"""A service that sells roasts: each costs a roast credit, and a thorough one costs an analysis credit as well.

    ROLLOUT_URL=http://127.0.0.1:8000 ROLLOUT_TOKEN=… flask --app docs/examples/roast_service run --port 8001

The token is a service token: `rollout token create roasts service`. A real service would learn the user from its own
session; this one is told in a header.
"""

import os

from flask import Flask, request

from credits_engine.client import CreditsClient


def create_app(url: str = "", token: str = "", limit_seconds: float = 0.05) -> Flask:
    """Return the service, counting at the control plane under `url`."""
    app = Flask(__name__)
    counter = CreditsClient(
        url or os.environ["ROLLOUT_URL"],
        token or os.environ["ROLLOUT_TOKEN"],
        user=lambda: request.headers["X-User"],
        limit_seconds=limit_seconds,
    )

    @app.post("/roast")
    @counter.require_roast_credits()
    def roast() -> dict[str, str]:
        return {"roast": f"{subject()} has the charm of a parking ticket."}

    @app.post("/thorough-roast")
    @counter.require_both_credits(analysis=1, roast=1)
    def thorough_roast() -> dict[str, str]:
        if subject() == "nobody":
            raise LookupError("There is nobody to look at.")
        return {"analysis": "looked at closely", "roast": f"{subject()} reads terms of service for pleasure."}

    def subject() -> str:
        return str(request.get_json()["subject"])

    return app
