"""Why one user has a flag or not: the trace that evaluation itself made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from control_plane.rollout_names import flag_of
from control_plane.rollouts import store
from dashboards.language import gettext
from dashboards.trace_sentences import OF_THE_PAGE
from flags import store as flag_store
from flags.evaluation.contexts import NESTED
from flags.explanation import explainer
from flags.snapshot import SNAPSHOTS

NAME_LENGTH_MAX = 100
TEXT_LENGTH_MAX = 1000
PROPERTIES_MAX = 100


@dataclass(frozen=True, slots=True)
class ExplainScreen:
    """The form, and the answer once a user is named."""

    now: datetime
    flags: tuple[str, ...]
    flag: str
    user_id: str
    environment: str
    answer: dict[str, object] | None
    attributes: str = ""
    mistake: str = ""
    phase: str = field(default="", kw_only=True)
    """The title of the phase that let the user in; empty where none did."""
    query: str = field(default="", kw_only=True)
    """The same question for `GET /api/flags/<flag>/explain`."""


class MalformedAttributesError(ValueError):
    """Attributes that can't be read; the message says which line, and what would be right."""


def parse_attributes(text: str) -> dict[str, str]:
    """Return the attributes of `text`, a line of `name=value` for each. Raises MalformedAttributesError."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not line.strip():
            continue
        if not (name and equals):
            raise MalformedAttributesError(
                gettext("Line %(number)s of the attributes must be name=value, like plan=pro.", number=number)
            )
        if name in found:
            raise MalformedAttributesError(
                gettext("Line %(number)s names %(name)s a second time; leave one of the two.", number=number, name=name)
            )
        if len(name) > NAME_LENGTH_MAX or len(value) > TEXT_LENGTH_MAX:
            raise MalformedAttributesError(
                gettext(
                    "Line %(number)s is too long: at most %(name)s characters of name, %(value)s of value.",
                    number=number,
                    name=NAME_LENGTH_MAX,
                    value=TEXT_LENGTH_MAX,
                )
            )
        found[name] = value
    if len(found) > PROPERTIES_MAX:
        raise MalformedAttributesError(
            gettext(
                "These are %(count)s attributes; %(most)s at most can be tried.", count=len(found), most=PROPERTIES_MAX
            )
        )
    return found


def read(
    session: Session,
    *,
    flag: str,
    user_id: str,
    environment: str,
    now: datetime,
    attributes: str = "",
) -> ExplainScreen:
    """Return the screen, with an answer that assumes `attributes` of the user.

    Raises UnknownFlagError for a flag that does not exist.
    """
    planned = dict.fromkeys(flag_of(name) for name in store.names(session))
    flags = (*planned, *flag_store.switches(session))
    flag = flag or (flags[0] if flags else "")
    answer, mistake, assumed = None, "", dict[str, str]()
    try:
        assumed = parse_attributes(attributes)
    except MalformedAttributesError as error:
        mistake = str(error)
    if flag and user_id and not mistake:
        explain = explainer(session, SNAPSHOTS.get(), flag, environment=environment, now=now, sentences=OF_THE_PAGE)
        answer = explain(user_id, assumed)
    phase = _phase_title(session, answer) if answer and answer["phase"] else ""
    query = _query(user_id, environment, assumed)
    return ExplainScreen(now, flags, flag, user_id, environment, answer, attributes, mistake, phase=phase, query=query)


def _phase_title(session: Session, answer: Mapping[str, object]) -> str:
    rollout = store.load(session, str(answer["rollout"]))
    phases = rollout.plan.phases if rollout else ()
    return next((each.title for each in phases if each.name == answer["phase"]), str(answer["phase"]))


def _query(user_id: str, environment: str, attributes: Mapping[str, str]) -> str:
    nested = {f"{NESTED}{name}]": value for name, value in attributes.items()}
    return urlencode({"userId": user_id, "environment": environment} | nested)
