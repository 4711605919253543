"""What was closed since the backup stays closed over a restore."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import text

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import account_store, accounts, second_factor, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Grant, Person, Role, Token
from credits_engine.administration import corrections
from credits_engine.migration import backup
from credits_engine.store.accounts import EVERYBODY, frozen_because
from flags import store
from flags.store import Effect
from tests.credits_engine.restoring.conftest import Restore, put_back
from tests.installation import Installation
from tests.people import authenticate

BOB = "bob@example.org"


def test_a_rollback_since_the_backup_stands(installation: Installation, back: Restore) -> None:
    installation.roll_back()
    with read_only() as session:
        before = rollouts.find(session, FLAG)
    back()
    with read_only() as session:
        after = rollouts.find(session, FLAG)
    assert after.latched
    assert "For a test." in after.state_reason, "why it was rolled back before"
    assert after.version > before.version, "a page that was open before the restore changes nothing"
    assert after.attempt > before.attempt, "what the guard has seen of the attempt before never counts"


@pytest.mark.parametrize("state", [RolloutState.RUNNING, RolloutState.COMPLETE, RolloutState.ROLLED_BACK])
def test_whatever_the_backup_says_nobody_is_exposed(
    installation: Installation, database_url: str, tmp_path: Path, state: RolloutState
) -> None:
    with transaction() as session:
        session.execute(text("UPDATE rollout SET state = :state"), {"state": state.value})
        corrections.freeze(session, EVERYBODY, ChangeContext(datetime.now(UTC), "test", "damage"))
    backup.backup(database_url, tmp_path / "other.backup")
    put_back(tmp_path / "other.backup")
    with read_only() as session:
        after = rollouts.find(session, FLAG)
        assert (after.latched, after.attempt) == (True, 2)
        assert frozen_because(session, EVERYBODY) is not None


def test_who_was_kept_out_since_the_backup_is_kept_out(
    installation: Installation, back: Restore, now: datetime
) -> None:
    with transaction() as session:
        store.put_override(session, FLAG, "ada", Effect.DENY, ChangeContext(now, "olga", "complained"))
        corrections.freeze(session, "ada", ChangeContext(now, "olga", "Chargeback"))
    back()
    with read_only() as session:
        assert store.find_override(session, FLAG, "ada", Effect.DENY) is not None
        assert frozen_because(session, "ada") == "Chargeback"


def test_overrides_let_in_whom_they_let_in_at_last(
    installation: Installation, database_url: str, tmp_path: Path, now: datetime
) -> None:
    with transaction() as session:
        for user, effect in (("ada", Effect.ALLOW), ("bob", Effect.ALLOW), ("eve", Effect.DENY)):
            store.put_override(session, FLAG, user, effect, ChangeContext(now, "olga", "-"))
        corrections.freeze(session, EVERYBODY, ChangeContext(now, "test", "damage"))
    backup.backup(database_url, tmp_path / "other.backup")
    with transaction() as session:
        store.delete_override(session, FLAG, "ada", Effect.ALLOW)
        store.delete_override(session, FLAG, "eve", Effect.DENY)
    put_back(tmp_path / "other.backup")
    with read_only() as session:
        assert set(store.overrides(session, FLAG, Effect.ALLOW)) == {"bob"}
        assert set(store.overrides(session, FLAG, Effect.DENY)) == {"eve"}, "in doubt somebody is kept out"


def test_access_is_given_back_to_nobody(
    installation: Installation, database_url: str, tmp_path: Path, cast: dict[str, Person], now: datetime
) -> None:
    installation.token("admin")
    backup.backup(database_url, tmp_path / "other.backup")
    victor, olga = cast["victor"], cast["olga"]
    with transaction() as session:
        [token] = tokens.list_tokens(session)
        tokens.revoke_token(session, token.id, now=now, actor="alice")
        accounts.disable_person(session, victor.id, now=now, actor="alice")
        accounts.change_role(session, olga.id, role=Role.VIEWER, now=now, actor="alice")
        accounts.change_password(session, olga.id, password="another long password", now=now, actor="alice")
        late = accounts.create_person(session, BOB, password="bob's long password", role="viewer", now=now)
        corrections.freeze(session, EVERYBODY, ChangeContext(now, "test", "damage"))
    fresh = installation.token("service")
    put_back(tmp_path / "other.backup")
    with transaction() as session:
        assert {each.selector: each.revoked_at is not None for each in tokens.list_tokens(session)} == {
            token.selector: True,
            fresh.split("v2_")[1][:22]: False,
        }
        people = {each.username: each for each in accounts.list_people(session)}
        assert people["victor"].disabled_at is not None
        assert (people["olga"].role, people["olga"].session_version) == (Role.VIEWER, olga.session_version + 2)
        assert authenticate(session, "olga", "another long password") is not None
        assert people[BOB] == late
        newest = accounts.create_person(session, "nina", password="nina's long password", role="viewer", now=now)
        assert newest.id not in {each.id for each in people.values()}


def test_roles_in_places_and_second_factors_are_those_of_the_last_moment(
    installation: Installation, database_url: str, tmp_path: Path, cast: dict[str, Person], now: datetime
) -> None:
    olga, victor, secret = cast["olga"], cast["victor"], second_factor.new_secret()
    with transaction() as session:
        accounts.change_grants(session, olga.id, grants=[Grant(Role.OWNER, FLAG)], now=now, actor="alice")
    backup.backup(database_url, tmp_path / "other.backup")
    with transaction() as session:
        accounts.change_grants(session, olga.id, grants=[], now=now, actor="alice")
        accounts.change_grants(session, victor.id, grants=[Grant(Role.OPERATOR, FLAG)], now=now, actor="alice")
        second_factor.enable(session, victor, secret, pyotp.TOTP(secret).at(now), now=now)
        corrections.freeze(session, EVERYBODY, ChangeContext(now, "test", "damage"))
    limited = installation.token("admin", role="viewer", flags=[FLAG])
    put_back(tmp_path / "other.backup")
    with transaction() as session:
        people = {each.username: each for each in accounts.list_people(session)}
        assert people["olga"].grants == ()
        assert people["victor"].grants == (Grant(Role.OPERATOR, FLAG),)
        assert people["victor"].has_second_factor
        assert not second_factor.check(session, victor, pyotp.TOTP(secret).at(now), now=now), "a code counts once"
        token = tokens.check_token(limited, now)
        assert isinstance(token, Token)
        assert (token.role, token.flags) == (Role.VIEWER, (FLAG,))


def test_a_session_that_was_ended_since_the_backup_stays_ended(
    installation: Installation, database_url: str, tmp_path: Path, cast: dict[str, Person], now: datetime
) -> None:
    with transaction() as session:
        olga = accounts.begin_session(
            session, cast["olga"], now=now, lifetime=timedelta(hours=1), address="::1", browser=""
        )
    backup.backup(database_url, tmp_path / "other.backup")
    with transaction() as session:
        accounts.end_session(session, olga)
        corrections.freeze(session, EVERYBODY, ChangeContext(now, "test", "damage"))
    put_back(tmp_path / "other.backup")
    with read_only() as session:
        assert accounts.person_of_session(session, olga) is None


def test_a_flag_that_was_switched_off_since_the_backup_stays_off(
    installation: Installation, database_url: str, tmp_path: Path, now: datetime
) -> None:
    def put(enabled: dict[str, bool]) -> None:
        with transaction() as session:
            wires = [{"name": name, "enabled": value, "strategies": []} for name, value in enabled.items()]
            store.put_definitions(session, "production", wires, actor="test", now=now)

    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(now, "test", "damage"))
    put({"search": True, "chat": True, "gone": True, "dark": False})
    backup.backup(database_url, tmp_path / "other.backup")
    put({"search": False, "dark": True})
    with transaction() as session:
        store.delete_definition(session, "production", "gone")
    done = put_back(tmp_path / "other.backup")
    with read_only() as session:
        on = {name for (_, name), wire in store.every_definition(session).items() if wire["enabled"]}
    assert on == {"chat"}
    assert done.document["carried_over"]["switched_off"] == ["production/gone", "production/search"]


def test_the_only_flag_that_was_deleted_since_the_backup_stays_off(
    installation: Installation, database_url: str, tmp_path: Path, now: datetime
) -> None:
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(now, "test", "damage"))
        wire = {"name": "search", "enabled": True, "strategies": []}
        store.put_definitions(session, "production", [wire], actor="test", now=now)
    backup.backup(database_url, tmp_path / "other.backup")
    with transaction() as session:
        store.delete_definition(session, "production", "search")
    done = put_back(tmp_path / "other.backup")
    with read_only() as session:
        assert [wire["enabled"] for wire in store.every_definition(session).values()] == [False]
    assert done.document["carried_over"]["switched_off"] == ["production/search"]


def test_a_flag_that_was_narrowed_since_the_backup_stays_narrow(
    installation: Installation, database_url: str, tmp_path: Path, now: datetime
) -> None:
    """By its own strategies, or by the segment that those name."""

    def put(percentage: str, plan: str, *, dark: bool) -> None:
        share = {"name": "flexibleRollout", "parameters": {"rollout": percentage}, "segments": [3]}
        wires = [
            {"name": name, "enabled": enabled, "strategies": [share]}
            for name, enabled in (("chat", True), ("dark", dark))
        ]
        constraint = {"contextName": "plan", "operator": "IN", "values": [plan]}
        with transaction() as session:
            store.put_definitions(session, "production", wires, actor="test", now=now)
            store.put_segments(session, "production", [{"id": 3, "name": "three", "constraints": [constraint]}])

    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(now, "test", "damage"))
    put("100", "pro", dark=False)
    backup.backup(database_url, tmp_path / "other.backup")
    put("1", "staff", dark=True)
    done = put_back(tmp_path / "other.backup")
    with read_only() as session:
        found = {name: wire for (_, name), wire in store.every_definition(session).items()}
        (segment,) = store.segments(session, "production")
    assert {wire["strategies"][0]["parameters"]["rollout"] for wire in found.values()} == {"1"}
    assert (found["chat"]["enabled"], found["dark"]["enabled"]) == (True, False), "nothing is switched on"
    assert segment["constraints"][0]["values"] == ["staff"]
    assert done.document["carried_over"]["redefined"] == ["production/chat", "production/dark"]


def test_what_cant_be_read_any_more_is_named_and_the_rest_is_kept(installation: Installation, back: Restore) -> None:
    installation.roll_back()
    with transaction() as session:
        session.execute(text("DROP TABLE flag_override"))
        session.execute(text("ALTER TABLE person RENAME COLUMN role TO part"))
        versions = dict.fromkeys(session.scalars(text("SELECT username FROM person")), 1)
    done = back()
    assert done.document["carried_over"]["not_readable"] == ["overrides", "people"]
    with read_only() as session:
        assert rollouts.find(session, FLAG).latched
        assert all(each.session_version > 1 for each in account_store.people(session)), versions
