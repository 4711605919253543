"""Why one user has a flag or not: the trace that evaluation itself made."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.platform.settings import Settings
from control_plane.rollouts import store
from flags import store as flag_store
from flags.explanation import explainer
from flags.snapshot import SNAPSHOTS


@dataclass(frozen=True, slots=True)
class ExplainScreen:
    """The form, and the answer once a user is named."""

    now: datetime
    flags: tuple[str, ...]
    flag: str
    user_id: str
    environment: str
    answer: dict[str, object] | None


def read(
    session: Session, settings: Settings, *, flag: str, user_id: str, environment: str, now: datetime
) -> ExplainScreen:
    """The screen; raises UnknownFlagError for a flag that does not exist."""
    flags = (*(rollout.flag for rollout in store.load_all(session)), *flag_store.switches(session))
    flag = flag or (flags[0] if flags else "")
    environment = environment or settings.environment
    answer = None
    if flag and user_id:
        explain = explainer(session, SNAPSHOTS.get(), settings, flag, now=now, environment=environment)
        answer = explain(user_id, {})
    return ExplainScreen(now, flags, flag, user_id, environment, answer)
