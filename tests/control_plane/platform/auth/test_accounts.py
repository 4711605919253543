"""People: made, proved, changed and locked out, always leaving an admin and a trace."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane.platform.auth import account_store, accounts, audit, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Person, Role
from control_plane.platform.problems import Problem
from tests.people import authenticate
from tests.test_house import PRODUCT, ROOT

PASSWORD = "correct horse battery"


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    with app.app_context(), transaction() as session:
        yield session


@pytest.fixture
def alice(session: Session, now: datetime) -> Person:
    return accounts.create_person(session, "alice", password=PASSWORD, role="admin", now=now)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Problem) as refusal:
        act()
    assert refusal.value.detail.endswith(".")
    return refusal.value.code


def in_force(session: Session) -> set[str]:
    return {token.name for token in tokens.list_tokens(session) if token.revoked_at is None}


def test_somebody_who_was_made_can_be_proved(session: Session, alice: Person) -> None:
    assert authenticate(session, "alice", PASSWORD) == alice
    assert authenticate(session, " ALICE ", PASSWORD) == alice
    assert alice.role is Role.ADMIN


def test_nobody_else_is(session: Session, alice: Person) -> None:
    wrong = [
        ("alice", "wrong"),
        ("alice", ""),
        ("bob", PASSWORD),
        ("", ""),
        ("al\x00ice", PASSWORD),
        ("a" * 99, "b" * 9999),
    ]
    assert [authenticate(session, *credentials) for credentials in wrong] == [None] * len(wrong)


@pytest.mark.database("sqlite")
def test_a_name_that_cannot_be_used_is_refused(session: Session, now: datetime) -> None:
    for username in ("", "a", "-alice", "al ice", "ali\nce", "a" * 65, "al\x00ice", "<b>", "ålice"):
        make = partial(accounts.create_person, session, username, password=PASSWORD, role="viewer", now=now)
        assert refused(make) == "INVALID_USERNAME"


def test_nobody_is_called_like_a_part_of_the_program(session: Session, now: datetime) -> None:
    for username in ("guard", " System ", "ANONYMOUS", "identity-provider"):
        make = partial(accounts.create_person, session, username, password=PASSWORD, role="viewer", now=now)
        assert refused(make) == "INVALID_USERNAME"


def test_every_actor_of_the_program_is_a_reserved_name() -> None:
    source = "\n".join(path.read_text() for package in PRODUCT for path in (ROOT / package).rglob("*.py"))
    actors = set(re.findall(r'(?:ACTOR|SYSTEM|ANONYMOUS) = "([a-z-]+)"', source))
    assert {"guard", "system", "anonymous"} <= actors
    assert actors <= accounts.RESERVED


def test_a_name_is_taken_in_any_spelling(session: Session, alice: Person, now: datetime) -> None:
    again = refused(lambda: accounts.create_person(session, "Alice", password=PASSWORD, role="viewer", now=now))
    assert again == "USERNAME_TAKEN"
    assert len(accounts.list_people(session)) == 1


def test_a_role_that_does_not_exist_is_refused(session: Session, now: datetime) -> None:
    code = refused(lambda: accounts.create_person(session, "bob", password=PASSWORD, role="king", now=now))
    assert code == "UNKNOWN_ROLE"


def test_a_person_added_gets_a_password_that_works(session: Session, now: datetime) -> None:
    password = accounts.add_person(session, "bob", "operator", now=now, actor="alice")
    found = authenticate(session, "bob", password)
    assert found is not None
    assert found.role is Role.OPERATOR


def test_the_first_owner_is_made_once(session: Session, now: datetime) -> None:
    password = accounts.ensure_first_owner(session, now)
    assert password is not None
    owner = authenticate(session, accounts.FIRST_OWNER, password)
    assert owner is not None
    assert owner.role is Role.ADMIN
    assert accounts.ensure_first_owner(session, now) is None


def test_of_two_processes_that_start_together_one_makes_the_first_owner(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = accounts.ensure_first_owner(session, now)
    monkeypatch.setattr(account_store, "is_empty", lambda _: True)
    assert accounts.ensure_first_owner(session, now) is None
    assert authenticate(session, accounts.FIRST_OWNER, password or "") is not None


def test_where_anybody_exists_no_first_owner_is_made(session: Session, now: datetime) -> None:
    accounts.add_person(session, "bob", "viewer", now=now)
    assert accounts.ensure_first_owner(session, now) is None


def test_a_new_password_replaces_the_old_one_and_ends_every_session(
    session: Session, alice: Person, now: datetime
) -> None:
    accounts.change_password(session, alice.id, password="another horse entirely", now=now, actor="alice")
    assert authenticate(session, "alice", PASSWORD) is None
    changed = authenticate(session, "alice", "another horse entirely")
    assert changed is not None
    assert changed.session_version == alice.session_version + 1


def test_a_new_role_ends_every_session(session: Session, alice: Person, now: datetime) -> None:
    bob = accounts.create_person(session, "bob", password=PASSWORD, role="viewer", now=now)
    accounts.change_role(session, bob.id, role="operator", now=now, actor="alice")
    changed = account_store.person(session, bob.id)
    assert changed is not None
    assert (changed.role, changed.session_version) == (Role.OPERATOR, bob.session_version + 1)


def test_somebody_locked_out_is_proved_no_more(session: Session, alice: Person, now: datetime) -> None:
    bob = accounts.create_person(session, "bob", password=PASSWORD, role="owner", now=now)
    accounts.disable_person(session, bob.id, now=now, actor="alice")
    assert authenticate(session, "bob", PASSWORD) is None


def test_the_last_admin_stays_one(session: Session, alice: Person, now: datetime) -> None:
    accounts.add_person(session, "bob", "owner", now=now)
    assert refused(lambda: accounts.disable_person(session, alice.id, now=now, actor="alice")) == "LAST_ADMIN"
    demote = refused(lambda: accounts.change_role(session, alice.id, role="viewer", now=now, actor="alice"))
    assert demote == "LAST_ADMIN"


def test_a_lock_revokes_the_tokens_that_act_and_names_those_of_services(
    session: Session, alice: Person, now: datetime
) -> None:
    nina = accounts.create_person(session, "nina", password=None, role="admin", now=now)

    made = (
        ("deploys", "admin", "nina"),
        ("by-deploys", "admin", "token:deploys"),
        ("shop", "client", "token:by-deploys"),
        ("of-alice", "admin", "alice"),
    )
    for name, kind, maker in made:
        tokens.create_token(session, tokens.NewToken(name, kind, environment="production"), now=now, actor=maker)
    left = accounts.disable_person(session, nina.id, now=now, actor="alice", reason="Has left.")
    assert (left.revoked, left.in_force) == (("by-deploys", "deploys"), ("shop",))
    assert in_force(session) == {"shop", "of-alice"}
    entry = audit.latest(session, subject="person:nina")[0]
    assert entry.after == {"tokens_revoked": ["by-deploys", "deploys"], "tokens_in_force": ["shop"]}
    accounts.enable_person(session, nina.id, now=now, actor="alice", reason="Is back.")
    assert in_force(session) == {"shop", "of-alice"}


def test_who_is_no_admin_any_more_has_no_token_that_is_one(session: Session, alice: Person, now: datetime) -> None:
    nina = accounts.create_person(session, "nina", password=None, role="admin", now=now)
    for name, kind, maker in (
        ("deploys", "admin", "nina"),
        ("more", "admin", "token:deploys"),
        ("shop", "client", "nina"),
    ):
        tokens.create_token(session, tokens.NewToken(name, kind, environment="production"), now=now, actor=maker)
    accounts.change_role(session, nina.id, role="admin", now=now, actor="alice")
    assert in_force(session) == {"deploys", "more", "shop"}, "the same role changes nothing"
    left = accounts.change_role(session, nina.id, role="operator", now=now, actor="alice")
    assert (left.revoked, left.in_force) == (("deploys", "more"), ("shop",))
    assert in_force(session) == {"shop"}
    entry = audit.latest(session, subject="person:nina")[0]
    assert entry.after == {"role": "operator", "tokens_revoked": ["deploys", "more"], "tokens_in_force": ["shop"]}


def test_an_admin_who_is_locked_out_does_not_count_as_one(session: Session, alice: Person, now: datetime) -> None:
    bob = accounts.create_person(session, "bob", password=PASSWORD, role="admin", now=now)
    accounts.disable_person(session, bob.id, now=now, actor="alice")
    assert refused(lambda: accounts.change_role(session, alice.id, role="viewer", now=now, actor="a")) == "LAST_ADMIN"


def test_whoever_does_not_exist_is_named_so(session: Session, now: datetime) -> None:
    assert refused(lambda: accounts.end_sessions(session, 404, now=now, actor="alice")) == "PERSON_NOT_FOUND"


def test_every_change_leaves_a_trace_without_a_secret(app: Flask, now: datetime) -> None:
    with app.app_context():
        with transaction() as session:
            bob = accounts.create_person(session, "bob", password=PASSWORD, role="viewer", now=now, actor="alice")
            accounts.add_person(session, "carol", "owner", now=now, actor="alice")
            accounts.change_role(session, bob.id, role="operator", now=now, actor="alice")
            accounts.change_password(session, bob.id, password="another horse entirely", now=now, actor="bob")
            accounts.end_sessions(session, bob.id, now=now, actor="alice")
            accounts.disable_person(session, bob.id, now=now, actor="alice")
        with read_only() as session:
            entries = audit.latest(session, subject="person:bob")
            assert audit.verify(session).intact
    verbs = ["disable", "end_sessions", "change_password", "change_role", "create"]
    assert [entry.action for entry in entries] == [f"person.{verb}" for verb in verbs]
    assert (entries[3].before, entries[3].after) == ({"role": "viewer"}, {"role": "operator"})
    assert entries[2].actor == "bob"
    assert all("horse" not in str((entry.before, entry.after)) for entry in entries)


def test_nothing_is_kept_of_a_change_that_was_rolled_back(app: Flask, now: datetime) -> None:
    with app.app_context():
        with pytest.raises(Problem), transaction() as session:  # noqa: PT012 - the second call undoes the first
            accounts.add_person(session, "bob", "viewer", now=now)
            accounts.end_sessions(session, 404, now=now, actor="alice")
        with read_only() as session:
            assert accounts.list_people(session) == []
            assert audit.latest(session) == []
