"""Reading what a feature set is made from, exactly as of one revision."""

from dataclasses import replace

from sqlalchemy.orm import Session

from control_plane.phases import FLAG
from control_plane.platform.settings import current
from flags import store
from flags.client_features.feature_set import FeatureSource
from flags.snapshot import Snapshots


def read_source(snapshots: Snapshots, session: Session, environment: str) -> FeatureSource:
    """The flags of `environment`. Two processes that read the same revision read the same."""
    revision = -1
    while revision != (newest := store.flags_revision(session)):
        # Not every database shows one instant to several statements: read again if something was changed meanwhile.
        revision = newest
        source = FeatureSource(
            environment=environment,
            revision=revision,
            phased=snapshots.flags(session, environment, revision),
            features=tuple(store.definitions(session, environment)),
            segments=tuple(store.segments(session, environment)),
        )
    return source


def with_env_override(source: FeatureSource) -> FeatureSource:
    """Apply this process's own environment variable to a backup of an earlier process."""
    override = current().credits_v2_override
    phased = {
        key: replace(flag, override_variable=override) if key == FLAG else flag for key, flag in source.phased.items()
    }
    return replace(source, phased=phased)
