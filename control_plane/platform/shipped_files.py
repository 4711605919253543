"""Files that the distribution brings beside its packages: those of a checkout, else those that the wheel installed."""

import sysconfig
from pathlib import Path

FOLDER = Path("share", "rollout-control-plane")
"""Where `setup.cfg` puts them, below the environment's own folder."""


def shipped_alerts() -> Path:
    """Return the path of the alerts that are in force where nobody wrote any."""
    return _shipped("alerts.yaml")


def shipped_glossary() -> Path:
    """Return the path of the words that are ours."""
    return _shipped("docs/glossary.md")


def alerts_in(folder: Path) -> Path:
    """Return `alerts.yaml` of `folder`, or the shipped one where there is none."""
    own = folder / "alerts.yaml"
    return own if own.exists() else shipped_alerts()


def _shipped(place: str) -> Path:
    checkout = Path(__file__).parents[2] / place
    return checkout if checkout.exists() else Path(sysconfig.get_path("data")) / FOLDER / checkout.name
