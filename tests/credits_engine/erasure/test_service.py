"""A person is erased: named nowhere, every sum as before, the chain whole, and a restore brings nobody back."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from control_plane.platform.auth import audit, erasures
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.models import AuditEntryRow
from control_plane.platform.problems import Problem
from control_plane.platform.settings import Settings
from credits_engine.administration import corrections
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import EntryType
from credits_engine.erasure import service
from credits_engine.migration import backup, erasure_manifest
from credits_engine.migration.backup import CopyError
from credits_engine.operations.consumption import Operation, UnknownUserError
from credits_engine.operations.execution import run_operation, run_reservation
from credits_engine.reconciliation import scheduled
from credits_engine.store.accounts import EVERYBODY
from credits_engine.store.tables import COUNTERS, JOURNAL, PACKS
from flags.administration import flag_versions
from flags.administration.definitions import create_flag
from flags.administration.imports import ImportOptions, import_definitions
from flags.administration.users import UserChange, import_users
from flags.client_features.user_directory import USER_DIRECTORY, UserDirectory
from tests import postgres, tampering
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.credits_engine.erasure.conftest import EMAIL, NOW, OTHER, PERSON, Erase, change, fill, found, take
from tests.credits_engine.restoring.conftest import put_back
from tests.faults.ledger import assert_whole

FIGURES = ("type", "charged", "v2_posted", "legacy_posted", "outcome", "occurred_at")


def figures() -> list[tuple[Any, ...]]:
    with read_only() as session:
        return [
            tuple(row[name] for name in FIGURES)
            for row in session.execute(select(JOURNAL).order_by(JOURNAL.c.id)).mappings()
        ]


def intact() -> bool:
    with read_only() as session:
        return audit.verify(session).intact


def differences() -> int:
    return scheduled.check_books(NOW, "schedule").found + scheduled.check_books(NOW, "demand").found


def test_the_person_is_named_nowhere_and_every_sum_is_as_before(app: Flask, erase: Erase) -> None:
    fill(app, OTHER, "b")
    before = figures()
    assert len({place.partition(":")[0] for place in found(PERSON, EMAIL)}) > 15, "the example is everywhere"
    done = erase()
    named = [place for place in found(PERSON, EMAIL) if OTHER not in place]
    assert named == [] == done.still_named
    assert figures() == before
    assert differences() == 0
    assert intact()
    assert_whole(app)
    with read_only() as session:
        assert set(session.scalars(select(PACKS.c.user_id))) == {done.pseudonym, OTHER}


def test_another_user_whose_name_only_begins_alike_keeps_everything(app: Flask, erase: Erase) -> None:
    fill(app, OTHER, "b")
    own = [place for place in found(OTHER) if place.partition(".")[0] not in ("change", "billing_event")]
    erase()
    assert [place for place in found(OTHER) if place.partition(".")[0] not in ("change", "billing_event")] == own
    take(OTHER, "k9", analysis=1)


@pytest.mark.parametrize("word", ["free", "production", "customer_id", "roast", "ENABLE_CREDITS_V2"])
def test_who_is_called_like_a_plan_or_a_field_takes_nothing_from_others(filled: VirtualStripe, word: str) -> None:
    """A user chooses their own name, and every user of the plan `free` would be on none."""
    with transaction() as session:
        import_users(session, [UserChange(word, {"plan": "free"})], actor="test", now=NOW)
        create_flag(session, "search", {"production": True}, change())
    take(word, "k1", analysis=1)
    before = found("free", "production")
    for user_id, also in ((word, []), (PERSON, [word])):
        with pytest.raises(Problem) as refusal:
            service.erase(user_id, change(), also=also)
        assert refusal.value.code == "NAME_IS_A_WORD"
    assert found("free", "production") == before


def test_a_number_for_a_name_changes_no_version_of_a_flag(filled: VirtualStripe) -> None:
    quarter = {"name": "flexibleRollout", "parameters": {"rollout": "25", "stickiness": "userId", "groupId": "search"}}
    with transaction() as session:
        import_users(session, [UserChange("25", {"plan": "free"})], actor="test", now=NOW)
        document = {"features": [{"name": "search", "enabled": True, "strategies": [quarter]}]}
        import_definitions(session, "production", document, change(), ImportOptions())
    with read_only() as session:
        before = [each.state for each in flag_versions.versions(session, "search")]
    service.erase("25", change())
    with read_only() as session:
        assert [each.state for each in flag_versions.versions(session, "search")] == before
    assert intact()


def test_the_person_is_unknown_to_services_and_in_memory_at_once(app: Flask, erase: Erase) -> None:
    directory = USER_DIRECTORY.get()
    assert isinstance(directory, UserDirectory)
    assert directory.find(PERSON)
    erase()
    directory.follow(NOW)
    assert directory.find(PERSON) is None
    with pytest.raises(UnknownUserError):
        run_operation(Operation(PERSON, "again", Amounts(analysis=1), "test"), now=NOW)
    assert found(PERSON) == []


def test_what_stripe_tells_later_counts_for_the_pseudonym_and_names_nobody(
    app: Flask, erase: Erase, filled: VirtualStripe
) -> None:
    done = erase()
    told = len(filled.events)
    filled.now = NOW
    filled.open("cus_new", "pro_monthly", metadata={"user_id": PERSON})
    billing = Billing(app, NOW)
    billing.process(filled.events[told:], at=NOW)
    assert {state for event, state in billing.states().items() if "dead" not in event} <= {
        "applied",
        "superseded",
        "ignored",
    }
    assert billing.user(done.pseudonym)[0] == "pro"
    assert found(PERSON) == []


def test_who_comes_back_and_is_erased_again_gets_another_pseudonym(app: Flask, erase: Erase) -> None:
    first = erase()
    fill(app, name="c")
    second = erase()
    assert first.pseudonym != second.pseudonym
    assert found(PERSON, EMAIL) == []
    assert intact()
    assert differences() == 0


def test_only_an_erasure_changes_a_row_and_only_who_it_is_about(erase: Erase) -> None:
    done = erase()
    for statement in (
        update(JOURNAL).where(JOURNAL.c.user_id == done.pseudonym).values(v2_posted=Amounts(analysis=9)),
        update(JOURNAL).where(JOURNAL.c.user_id == done.pseudonym).values(user_id="mallory"),
        update(AuditEntryRow).values(actor="mallory", erasure=done.pseudonym),
        update(AuditEntryRow).values(reason="Nothing happened."),
    ):
        with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
            session.execute(statement)


def test_an_entry_that_is_redacted_without_an_erasure_is_found(erase: Erase) -> None:
    done = erase()
    with transaction() as session:
        # What the trigger lets through is found by the chain: no erasure names what is left of this entry.
        session.execute(update(AuditEntryRow).where(AuditEntryRow.id == 1).values(reason="x", erasure=done.pseudonym))
    with read_only() as session:
        assert audit.verify(session).first_broken == 1


def test_a_redacted_entry_that_is_changed_is_found(erase: Erase) -> None:
    erase()
    with read_only() as session:
        number = session.scalar(select(AuditEntryRow.id).where(AuditEntryRow.erasure.is_not(None)))
    tampering.allow()
    with transaction() as session:
        session.execute(text("UPDATE audit_entry SET reason = 'x' WHERE id = :id"), {"id": number})
    with read_only() as session:
        assert audit.verify(session).first_broken == number


@pytest.mark.parametrize(
    ("user_id", "options", "status", "code"),
    [
        ("nobody", {}, 404, "USER_NOT_FOUND"),
        (PERSON, {"also": ["x"]}, 422, "NAME_TOO_SHORT"),
        ("erased-0", {}, 409, "ERASED_ALREADY"),
    ],
)
def test_who_cannot_be_erased_is_told_why(
    filled: VirtualStripe, user_id: str, options: dict[str, list[str]], status: int, code: str
) -> None:
    with pytest.raises(Problem) as refused:
        service.erase(user_id, change(), **options)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(("reason", "code"), [(" ", "REASON_REQUIRED"), (f"{PERSON} asked.", "REASON_NAMES_PERSON")])
def test_the_reason_is_given_and_names_nobody(filled: VirtualStripe, reason: str, code: str) -> None:
    with pytest.raises(Problem, match=r".") as refused:
        service.erase(PERSON, change(reason))
    assert refused.value.code == code


def test_what_still_goes_on_hinders(app: Flask, erase: Erase, filled: VirtualStripe) -> None:
    billing = Billing(app, NOW)
    with transaction() as session:
        session.execute(text("UPDATE billing_event SET state = 'new' WHERE id = 1"))
    with pytest.raises(Problem, match="Events of Stripe"):
        erase()
    with transaction() as session:
        session.execute(text("UPDATE billing_event SET state = 'applied' WHERE id = 1"))
    run_reservation(
        Operation(PERSON, "r1", Amounts(analysis=1), "test", type=EntryType.RESERVE), ttl=timedelta(minutes=15), now=NOW
    )
    with pytest.raises(Problem, match="reserved"):
        erase()
    told = len(filled.events)
    filled.now = NOW
    filled.open("cus_a", "starter_monthly")
    billing.process(filled.events[told:], at=NOW)
    with pytest.raises(Problem, match="subscription"):
        erase()


def test_a_flag_that_names_the_person_is_left_and_named(app: Flask, erase: Erase) -> None:
    with transaction() as session:
        feature = {"name": "vip", "strategies": [{"name": "userWithId", "parameters": {"userIds": f"x,{PERSON}"}}]}
        session.execute(
            text(
                "INSERT INTO flag_definition (environment, name, feature, updated_at, updated_by, version) "
                "VALUES ('production', 'vip', :feature, '2026-01-01 00:00:00+00', 'x', 1)"
            ),
            {"feature": json.dumps(feature)},
        )
    assert erase().still_named == ["flag_definition: production/vip"]


def test_what_was_written_about_another_user_is_left_and_named(erase: Erase) -> None:
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, change(f"While {EMAIL} is looked into."))
    (place,) = erase().still_named
    assert place.startswith("credit_journal: row ")


def test_a_restore_brings_nobody_back(
    app: Flask, erase: Erase, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.use_programs(monkeypatch)
    fill(app, OTHER, "b")
    kept = tmp_path / "kept.backup"
    backup.backup(settings.database_url, kept)
    done = erase()
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, change("damage"))
    restored = put_back(kept)
    assert restored.document["erased_again"] == 1
    # The further names were never kept anywhere, so the one who restores has to give them again.
    assert [place for place in found(PERSON) if OTHER not in place] == []
    with read_only() as session:
        assert erasures.current_name(session, PERSON) == done.pseudonym
    assert intact()
    assert differences() == 0


def test_the_manifest_erases_where_the_database_is_lost(
    app: Flask, erase: Erase, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.use_programs(monkeypatch)
    kept = tmp_path / "kept.backup"
    backup.backup(settings.database_url, kept)
    done = erase()
    (noted,) = erasure_manifest.read(settings.instance_dir)
    assert noted.pseudonym == done.pseudonym
    assert PERSON not in (settings.instance_dir / erasure_manifest.FILE_NAME).read_text()
    with transaction() as session:
        session.execute(text("DELETE FROM erasure"))
        corrections.freeze(session, EVERYBODY, change("damage"))
    (tmp_path / erasure_manifest.FILE_NAME).write_text("no line of ours")
    with pytest.raises(CopyError, match=r"erasures\.jsonl can't be read"):
        put_back(kept)
    (tmp_path / erasure_manifest.FILE_NAME).unlink()
    erasure_manifest.save(tmp_path, [noted])
    assert put_back(kept).document["erased_again"] == 1
    with read_only() as session:
        assert list(session.scalars(select(COUNTERS.c.user_id).distinct())) == [done.pseudonym]
