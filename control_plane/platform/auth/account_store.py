"""All SQL of people and tokens."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.auth.models import ApiTokenRow, PersonRow, PersonSessionRow
from control_plane.platform.auth.passwords import NOBODY
from control_plane.platform.db import database
from control_plane.platform.identity_types import Grant, Passkey, Person, PersonSession, Role, Token, TokenType

# What another process changed meanwhile counts, even where this session has seen the row before.
PEOPLE = select(PersonRow).execution_options(populate_existing=True)
TOKENS = select(ApiTokenRow).execution_options(populate_existing=True)


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A second factor as it is stored: the secret sealed, the last step used, the digests of recovery codes."""

    secret: str
    step: int
    recovery_codes: tuple[str, ...]

    def used(self, step: int) -> "SecondFactor":
        """Return it after a code of this step."""
        return replace(self, step=step)

    def without(self, digest: str) -> "SecondFactor":
        """Return it after a recovery code."""
        return replace(self, recovery_codes=tuple(each for each in self.recovery_codes if each != digest))


def second_factor(session: Session, person_id: int) -> SecondFactor | None:
    """Return somebody's second factor and lock their row, so that of two uses of one code one is the first."""
    row = session.scalars(PEOPLE.where(PersonRow.id == person_id).with_for_update()).one_or_none()
    if row is None or row.totp_secret is None:
        return None
    return SecondFactor(row.totp_secret, row.totp_step or 0, tuple(row.recovery_codes))


def set_second_factor(session: Session, person_id: int, found: SecondFactor | None) -> None:
    """Store a second factor, or that there is none."""
    values = {
        "totp_secret": found.secret if found else None,
        "totp_step": found.step if found else None,
        "recovery_codes": list(found.recovery_codes) if found else [],
    }
    session.execute(update(PersonRow).where(PersonRow.id == person_id).values(values))


def passkeys(session: Session, person_id: int) -> tuple[Passkey, ...]:
    """Return somebody's passkeys and lock their row, so that two uses of one are counted one after the other."""
    row = session.scalars(PEOPLE.where(PersonRow.id == person_id).with_for_update()).one_or_none()
    return _passkeys(row) if row else ()


def set_passkeys(session: Session, person_id: int, found: Iterable[Passkey]) -> None:
    """Store which passkeys somebody has."""
    values = {"passkeys": [_passkey_json(each) for each in found]}
    session.execute(update(PersonRow).where(PersonRow.id == person_id).values(values))


def add_person(session: Session, *, username: str, password_hash: str, role: Role, now: datetime) -> Person | None:
    """Store a new person; None when the username is taken, by whichever of two processes came first."""
    statement = (
        database.dialect_insert(session, PersonRow)
        .values(username=username, password_hash=password_hash, role=role, session_version=1, created_at=now)
        .on_conflict_do_nothing(index_elements=["username"])
        .returning(PersonRow)
    )
    row = session.scalars(statement).one_or_none()
    return _person(row) if row else None


def person(session: Session, person_id: int) -> Person | None:
    """Return the person with this id."""
    row = session.scalars(PEOPLE.where(PersonRow.id == person_id)).one_or_none()
    return _person(row) if row else None


def credentials(session: Session, username: str) -> tuple[Person, str] | None:
    """Return the person with this username and their password hash."""
    row = session.scalars(PEOPLE.where(PersonRow.username == username)).one_or_none()
    return (_person(row), row.password_hash) if row else None


def lock_people(session: Session, usernames: Collection[str]) -> list[Person]:
    """Return the people of these names; nobody locks them out or changes their role until the transaction ends."""
    named = PEOPLE.where(PersonRow.username.in_(usernames)).order_by(PersonRow.id)
    return [_person(row) for row in session.scalars(named.with_for_update())]


def person_by_identity(session: Session, identity: str) -> Person | None:
    """Return the person whom an identity provider knows by this."""
    row = session.scalars(PEOPLE.where(PersonRow.identity == identity)).one_or_none()
    return _person(row) if row else None


def person_without_proof(session: Session, username: str) -> Person | None:
    """Return the person with this username if they can't prove themselves yet: no password, no identity."""
    unproved = PersonRow.username == username, PersonRow.identity.is_(None), PersonRow.password_hash == NOBODY
    row = session.scalars(PEOPLE.where(*unproved)).one_or_none()
    return _person(row) if row else None


def set_identity(session: Session, person_id: int, identity: str) -> None:
    """Let this be how an identity provider knows somebody."""
    session.execute(update(PersonRow).where(PersonRow.id == person_id).values(identity=identity))


def set_language(session: Session, person_id: int, language: str | None) -> None:
    """Let this be the language in which somebody reads pages; their sessions go on."""
    session.execute(update(PersonRow).where(PersonRow.id == person_id).values(language=language))


def people(session: Session) -> list[Person]:
    """Return everyone, by username."""
    return [_person(row) for row in session.scalars(PEOPLE.order_by(PersonRow.username))]


def is_empty(session: Session) -> bool:
    """Return whether no account exists yet."""
    return session.scalar(select(PersonRow.id).limit(1)) is None


def active_admins(session: Session) -> set[int]:
    """Return the ids of enabled admins and lock their rows, so that two admins can't remove each other at once."""
    admins = select(PersonRow.id).where(PersonRow.role == Role.ADMIN, PersonRow.disabled_at.is_(None))
    return set(session.scalars(admins.order_by(PersonRow.id).with_for_update()))


def change_person(session: Session, person_id: int, **columns: object) -> None:
    """Write columns of one person and end every session they have."""
    changed = {**columns, "session_version": PersonRow.session_version + 1}
    session.execute(update(PersonRow).where(PersonRow.id == person_id).values(changed))


def add_session(session: Session, person: Person, begun: PersonSession) -> None:
    """Begin a session of somebody."""
    session.add(PersonSessionRow(**asdict(begun), person_id=person.id, version=person.session_version))
    session.flush()


def renew_session(session: Session, session_id: str, version: int) -> None:
    """Let this session go on under another version of its person."""
    session.execute(update(PersonSessionRow).where(PersonSessionRow.id == session_id).values(version=version))


def sessions_of(session: Session, person: Person, *, since: datetime) -> list[PersonSession]:
    """Return the sessions of somebody that began since this instant and have not ended, the newest first."""
    columns = PersonSessionRow.id, PersonSessionRow.started_at, PersonSessionRow.address, PersonSessionRow.browser
    theirs = PersonSessionRow.person_id == person.id, PersonSessionRow.version == person.session_version
    query = select(*columns).where(*theirs, PersonSessionRow.started_at >= since)
    return [PersonSession(*row) for row in session.execute(query.order_by(PersonSessionRow.started_at.desc()))]


def person_of_session(session: Session, session_id: str) -> Person | None:
    """Return the person of a session; None when it has ended."""
    found = PEOPLE.join(PersonSessionRow, PersonSessionRow.person_id == PersonRow.id)
    row = session.scalars(found.where(PersonSessionRow.id == session_id)).one_or_none()
    return _person(row) if row else None


def remove_session(session: Session, session_id: str) -> None:
    """End one session; doing so twice changes nothing."""
    session.execute(delete(PersonSessionRow).where(PersonSessionRow.id == session_id))


def remove_sessions(session: Session, *, before: datetime) -> None:
    """Forget the sessions that began before this instant."""
    session.execute(delete(PersonSessionRow).where(PersonSessionRow.started_at < before))


def add_token(session: Session, **columns: object) -> Token:
    """Store a new token."""
    row = ApiTokenRow(**columns)
    session.add(row)
    session.flush()
    return _token(row)


def tokens(session: Session) -> list[Token]:
    """Return every token, the newest first, revoked ones too."""
    return [_token(row) for row in session.scalars(TOKENS.order_by(ApiTokenRow.id.desc()))]


def token(session: Session, token_id: int) -> Token | None:
    """Return the token with this id."""
    row = session.scalars(TOKENS.where(ApiTokenRow.id == token_id)).one_or_none()
    return _token(row) if row else None


def tokens_by_selector(session: Session, selectors: Collection[str]) -> dict[str, Token]:
    """Return the tokens with these selectors, as the database has them now; the unknown are left out."""
    rows = session.scalars(TOKENS.where(ApiTokenRow.selector.in_(selectors)))
    return {row.selector: _token(row) for row in rows}


def revoke(session: Session, token_id: int, now: datetime) -> bool:
    """End a token; False when it had ended before."""
    statement = update(ApiTokenRow).where(ApiTokenRow.id == token_id, ApiTokenRow.revoked_at.is_(None))
    return database.rowcount_of(session, statement.values(revoked_at=now)) == 1


def touch_last_seen(session: Session, uses: Mapping[int, datetime]) -> None:
    """Note when tokens were last used; a note never moves back."""
    for token_id, at in sorted(uses.items()):
        older = or_(ApiTokenRow.last_seen_at.is_(None), ApiTokenRow.last_seen_at < at)
        session.execute(update(ApiTokenRow).where(ApiTokenRow.id == token_id, older).values(last_seen_at=at))


def _person(row: PersonRow) -> Person:
    return Person(
        id=row.id,
        username=row.username,
        role=Role(row.role),
        session_version=row.session_version,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        grants=tuple(Grant(Role(each["role"]), each["flag"], each["environment"]) for each in row.grants),
        has_device=row.totp_secret is not None,
        identity=row.identity,
        language=row.language,
        passkeys=_passkeys(row),
    )


def _passkeys(row: PersonRow) -> tuple[Passkey, ...]:
    return tuple(
        Passkey(
            id=each["id"],
            name=each["name"],
            public_key=each["public_key"],
            signatures=each["signatures"],
            added_at=datetime.fromisoformat(each["added_at"]),
            used_at=datetime.fromisoformat(each["used_at"]) if each["used_at"] else None,
            answered=each.get("answered", {}),
        )
        for each in row.passkeys
    )


def _passkey_json(passkey: Passkey) -> dict[str, object]:
    times = {name: at and at.isoformat() for name, at in (("added_at", passkey.added_at), ("used_at", passkey.used_at))}
    return {**asdict(passkey), **times}


def _token(row: ApiTokenRow) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        type=TokenType(row.type),
        environment=row.environment,
        selector=row.selector,
        digest=row.digest,
        trusted_attributes=tuple(row.trusted_attributes),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_seen_at=row.last_seen_at,
        role=Role(row.role) if row.role else None,
        flags=tuple(row.flags),
        projects=tuple(row.projects),
    )
