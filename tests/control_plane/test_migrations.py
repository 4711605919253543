"""The schema: up, down and up again on both databases, equal to the models, and a newer database refused."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import event, inspect, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.schema import SchemaItem

from control_plane import bootstrap, migrations, rollouts
from control_plane.app import create_app
from control_plane.change_context import ChangeContext
from control_plane.checklists import store as checklist_store
from control_plane.checklists.store import SignatureKey
from control_plane.core.checklist import Signature
from control_plane.core.phases import Phase, Plan
from control_plane.core.transitions import Transition
from control_plane.experiments.credits import FLAG
from control_plane.migrations.table_archive import PREFIX
from control_plane.platform.auth import accounts, audit, tokens
from control_plane.platform.db import database
from control_plane.platform.db.database import Base, db
from control_plane.platform.identity_types import Grant, Person, Role
from control_plane.platform.settings import Settings
from control_plane.rollouts import store as rollout_store
from credits_engine.store import usage_webhooks
from flags.store import UserAttributes, upsert_users, user
from tests import people


def tables(app: Flask) -> set[str]:
    with app.app_context():
        return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_going_down_and_up_again_loses_nothing(app: Flask, now: datetime) -> None:
    before = tables(app)
    with app.app_context():
        with database.transaction() as session:
            bootstrap.bootstrap(session, now)
            upsert_users(session, [UserAttributes("u1", "pro", now)], now=now)
        migrations.downgrade("base")
        assert all(table.startswith(PREFIX) for table in tables(app))
        migrations.upgrade()
        assert tables(app) == before
        with database.read_only() as session:
            assert rollouts.find(session, FLAG).version == 1
            assert audit.verify(session).first_broken is None
            assert user(session, "u1") is not None
            assert len(accounts.list_people(session)) == 1


def test_a_schema_that_is_up_to_date_takes_no_lock(app: Flask) -> None:
    """Or a stop would wait for somebody else's writing, or for an upgrade that hangs, to find nothing to do."""
    statements: list[str] = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *seen: statements.append(seen[2]))
        assert migrations.upgrade() == migrations.head()
    assert statements
    assert not [each for each in statements if "lock" in each]


def test_owners_of_before_become_admins_and_going_back_gives_nobody_more(
    app: Flask, cast: Mapping[str, Person], now: datetime
) -> None:
    people.signed_in(app, "victor")
    with app.app_context():
        with database.transaction() as session:
            accounts.create_person(session, "oscar", password=None, role="owner", now=now)
            accounts.change_grants(session, cast["victor"].id, grants=[Grant(Role.OWNER, "F")], now=now, actor="alice")
            for name, role in (("everything", "admin"), ("little", "viewer")):
                tokens.create_token(
                    session, tokens.NewToken(name, "admin", environment="production", role=role), now=now
                )
        migrations.downgrade("0027")
        with db.engine.connect() as connection:
            found = connection.execute(text("SELECT username, role FROM person ORDER BY username"))
            roles = {"alice": "owner", "olga": "operator", "oscar": "operator", "victor": "viewer"}
            assert dict(row for row in found) == roles, "an owner of before could do what oscar may not"
            ended = connection.execute(text("SELECT name FROM api_token WHERE revoked_at IS NOT NULL"))
            assert list(ended.scalars()) == ["little"]
        migrations.upgrade()
        with database.read_only() as session:
            after = {each.username: each for each in accounts.list_people(session)}
            assert after["alice"].role is Role.ADMIN
            assert after["victor"].all_grants == (Grant(Role.VIEWER),)
            assert session.scalar(text("SELECT count(*) FROM person_session")) == 1, "nobody is signed out by it"


def test_a_token_held_to_a_project_opens_nothing_for_a_version_that_knows_none(app: Flask, now: datetime) -> None:
    with app.app_context():
        with database.transaction() as session:
            for name, projects in (("all", ()), ("shop's", ("shop",))):
                new = tokens.NewToken(name, "client", environment="production", projects=projects)
                tokens.create_token(session, new, now=now)
        migrations.downgrade("0081")
        with db.engine.connect() as connection:
            ended = connection.execute(text("SELECT name FROM api_token WHERE revoked_at IS NOT NULL"))
            assert list(ended.scalars()) == ["shop's"]
        migrations.upgrade()


def test_going_back_leaves_the_first_of_what_a_user_was_told_of_one_period(app: Flask, now: datetime) -> None:
    with app.app_context():
        with database.transaction() as session:
            for granted in (100, 1_000):
                told = {"user_id": "ada", "event": "e", "kind": "roast", "percent": 80, "since": now, "engine": "v2"}
                usage_webhooks.add(session, {**told, "used": 80, "granted": granted, "occurred_at": now}, now=now)
        migrations.downgrade("0084")
        migrations.upgrade()
        with database.read_only() as session:
            assert list(session.scalars(select(usage_webhooks.WEBHOOKS.c.granted))) == [100]


def test_upgrading_twice_changes_nothing(app: Flask) -> None:
    with app.app_context():
        assert migrations.upgrade() == migrations.head()
        assert migrations.upgrade() == migrations.head()


def test_the_models_say_what_the_migrations_made(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        options = {"compare_type": False, "include_object": partial(_is_of, connection.dialect.name)}
        context = MigrationContext.configure(connection, opts=options)
        differences = [each for each in compare_metadata(context, Base.metadata) if _matters(each)]
    assert differences == []


def test_a_database_newer_than_the_code_is_refused_with_what_to_do(app: Flask, settings: Settings) -> None:
    with app.app_context():
        with db.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(migrations.SchemaError, match="newer than the code"):
            migrations.upgrade()
    with pytest.raises(migrations.SchemaError, match="9999"):
        create_app(settings)


def _is_of(dialect: str, item: SchemaItem, *_: object) -> bool:
    """Return whether the dialect has it: an index may name the only one that does."""
    return bool(item.info.get("dialect", dialect) == dialect)


def _matters(difference: object) -> bool:
    """Tables, columns and constraints; partitions and triggers are the migrations' own."""
    kind = difference[0] if isinstance(difference, tuple) else difference
    return kind in ("add_table", "remove_column", "add_column", "add_index", "remove_index")


def test_going_back_leaves_the_flags_own_rollout_to_decide_everywhere(app: Flask, now: datetime) -> None:
    """The release before could not read the plan of one environment, nor anything beside it."""
    change = ChangeContext(now, "alice", "Planned.")
    everyone = Phase("everyone", "Everyone", "everyone", (100,), timedelta(0))
    with app.app_context():
        with database.transaction() as session:
            bootstrap.bootstrap(session, now)
            plan = Plan((everyone,), now, environment="staging")
            made = rollouts.plan(session, f"{FLAG}@staging", plan, change, confirm_losing=True)
            assert isinstance(made, Transition)
            signed = SignatureKey(attempt=0, phase="", checklist="ready", item="backup")
            checklist_store.add(session, f"{FLAG}@staging", signed, Signature("alice", now))
        migrations.downgrade("0055")
        migrations.upgrade()
        with database.read_only() as session:
            assert [each.flag for each in rollout_store.load_all(session)] == [FLAG]
            assert rollout_store.plan_versions(session, f"{FLAG}@staging") == []
            assert not checklist_store.signatures(session, f"{FLAG}@staging"), "another one begins unsigned"


@pytest.mark.database("postgresql")
def test_an_upgrade_that_was_ended_so_that_operations_could_go_on_is_done_again(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str | None] = []
    upgrade_within = migrations.upgrade_within

    def end_the_first(connection: Connection, revision: str = "head") -> str | None:
        found.append(upgrade_within(connection, revision))
        if len(found) == 1:
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'a circle' USING ERRCODE = '40P01'; END $$"))
        return found[-1]

    monkeypatch.setattr(migrations, "upgrade_within", end_the_first)
    with app.app_context():
        migrations.downgrade("0071")
        assert migrations.upgrade() == "0071"
        with database.read_only() as session:
            assert migrations.current(session) == migrations.head()
    # The version after that is prepared, so the one before it is a step of its own.
    assert found == ["0071", "0071", "0072"]
