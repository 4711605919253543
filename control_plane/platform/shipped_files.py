"""Files that the distribution brings beside its packages: those of a checkout, else those that the wheel installed."""

import sysconfig
from pathlib import Path

FOLDER = Path("share", "rollout-control-plane")
"""Where `setup.cfg` puts them, below the environment's own folder."""


def shipped_alerts() -> Path:
    """Return the path of the alerts that are in force where nobody wrote any."""
    checkout = Path(__file__).parents[2] / "alerts.yaml"
    return checkout if checkout.exists() else Path(sysconfig.get_path("data")) / FOLDER / "alerts.yaml"


def alerts_in(folder: Path) -> Path:
    """Return `alerts.yaml` of `folder`, or the shipped one where there is none."""
    own = folder / "alerts.yaml"
    return own if own.exists() else shipped_alerts()
