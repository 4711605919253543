"""Notices: written with what they tell, delivered once to each target, tried again, and given up visibly."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts.guard_job import run_guard
from alerts.models import Notification
from alerts.notifications import sender, store
from alerts.notifications.sender import ATTEMPTS_MAX, deliver, pause_after
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import RolloutState
from control_plane.core.transitions import Refusal, Transition
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.settings import SETTINGS, Settings
from control_plane.rollouts import store as rollout_store
from tests.alerts.conftest import StoredRollout
from tests.credit_signals import FAILURE

CHAT, PAGER = "json://127.0.0.1:9/chat-secret", "json://127.0.0.1:9/pager-secret"
SECOND = timedelta(seconds=1)


@dataclass
class FakeSender:
    """A sender that takes messages for addresses, or refuses those of some."""

    refused: set[str] = field(default_factory=set)
    taken: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, address: str, title: str, body: str) -> bool:
        if address in self.refused:
            raise ConnectionRefusedError
        self.taken.append((address, title, body))
        return True


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, notify_urls=(CHAT, PAGER))


@pytest.fixture(autouse=True)
def at_work(app: Flask, stored_rollout: StoredRollout) -> Iterator[None]:
    with app.app_context():
        run_guard(stored_rollout.now, 1)
        yield


def hold(now: datetime) -> None:
    with transaction() as session:
        rollouts.hold(session, FLAG, ChangeContext(now, "olga", "Support asked."))


def notifications() -> list[Notification]:
    with read_only() as session:
        return [notification for notification, _ in store.latest(session)]


def states() -> dict[str, int]:
    with read_only() as session:
        return store.by_state(session)


def test_a_rollback_tells_what_happened_on_what_evidence_and_what_to_do(stored_rollout: StoredRollout) -> None:
    for number in range(20):
        signals.record(Sample(FAILURE, bad=number < 12, engine="v2", account=f"u{number}"))
    run_guard(stored_rollout.now + SECOND, 1)
    fake_sender = FakeSender()
    assert deliver(stored_rollout.now + SECOND, fake_sender) == 2
    (_, title, body), _ = fake_sender.taken
    assert {address for address, _, _ in fake_sender.taken} == {CHAT, PAGER}
    assert title == "ENABLE_CREDITS_V2 rolled back to legacy"
    for told in (
        "by guard: credit_consumption_failure: v2 failed 12 of 20 operations. Over its threshold",
        "Alert: credit_consumption_failure, allowed 1%.",
        "Observed: 12 of 20 (60%) since the attempt began, 12 of 20 (60%) in the last 5m.",
        "; a rollback takes 1 of ",
        "whether legacy would do better is not known",
        "Phase: Everyone, 10 %, attempt 1.",
        "Next: Legacy serves everybody in production.",
    ):
        assert told in body


def test_a_target_with_a_name_hears_of_the_rollouts_whose_plan_names_it(
    app: Flask, stored_rollout: StoredRollout
) -> None:
    named = (CHAT, f"payments={PAGER}", f"search={PAGER}-2", f"web={CHAT}")
    SETTINGS.set(app, replace(SETTINGS.get(app), notify_urls=named))
    fake_sender = FakeSender()
    for plan in (("payments", "web"), ()):
        with transaction() as session:
            found = rollouts.find(session, FLAG)
            after = replace(found, plan=replace(found.plan, notify=plan), version=found.version + 1)
            assert rollout_store.compare_and_set(session, after, expected_version=found.version)
            change = ChangeContext(stored_rollout.now, "olga", "Support asked.")
            assert isinstance((rollouts.hold if plan else rollouts.resume)(session, FLAG, change), Transition)
    deliver(stored_rollout.now, fake_sender)
    heard = [(address, title.rpartition(" ")[2]) for address, title, _ in fake_sender.taken]
    assert sorted(heard) == sorted([(CHAT, "held"), (PAGER, "held"), (CHAT, "resumed")])


def test_a_plan_that_names_an_unknown_target_is_refused_with_those_that_there_are(
    app: Flask, stored_rollout: StoredRollout
) -> None:
    SETTINGS.set(app, replace(SETTINGS.get(app), notify_urls=(CHAT, f"payments={PAGER}")))
    plan = replace(default_plan(stored_rollout.now), notify=("payments", "paymnets"))
    with transaction() as session:
        refused = rollouts.plan(session, "OTHER", plan, ChangeContext(stored_rollout.now, "olga", "Planned."))
        assert isinstance(refused, Refusal)
        assert "notify names paymnets, which NOTIFY_URLS does not: those named are payments." in refused.sentence
        right = replace(plan, notify=("payments",))
        made = rollouts.plan(session, "OTHER", right, ChangeContext(stored_rollout.now, "olga", "Planned."))
        assert isinstance(made, Transition)


def test_a_notice_ends_with_whom_to_ask(stored_rollout: StoredRollout) -> None:
    contacts = ("Technical Lead: Development Team", "Support: Customer Success Team")
    with transaction() as session:
        found = rollouts.find(session, FLAG)
        after = replace(found, plan=replace(found.plan, contacts=contacts), version=found.version + 1)
        assert rollout_store.compare_and_set(session, after, expected_version=found.version)
    hold(stored_rollout.now)
    assert notifications()[0].body.endswith(f"\nContacts: {contacts[0]}; {contacts[1]}.")


def test_a_change_that_is_not_committed_is_not_told(stored_rollout: StoredRollout) -> None:
    def undone() -> None:
        with transaction() as session:
            rollouts.hold(session, FLAG, ChangeContext(stored_rollout.now, "olga", "Support asked."))
            raise LookupError

    with pytest.raises(LookupError):
        undone()
    assert notifications() == []


def test_each_target_is_told_once_by_however_many_leaders(app: Flask, stored_rollout: StoredRollout) -> None:
    hold(stored_rollout.now)
    fake_sender = FakeSender()

    def lead(_: int) -> None:
        with app.app_context():
            deliver(stored_rollout.now, fake_sender)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lead, range(8)))
    assert sorted(address for address, _, _ in fake_sender.taken) == [CHAT, PAGER]
    assert states() == {"pending": 0, "delivered": 2, "dead": 0}


def test_a_target_that_is_away_is_tried_again_later_and_later_and_keeps_nobody_waiting(
    stored_rollout: StoredRollout,
) -> None:
    hold(stored_rollout.now)
    fake_sender = FakeSender(refused={CHAT})
    assert deliver(stored_rollout.now, fake_sender) == 1
    assert deliver(stored_rollout.now + 9 * SECOND, fake_sender) == 0
    fake_sender.refused.clear()
    assert deliver(stored_rollout.now + 10 * SECOND, fake_sender) == 1
    assert states()["delivered"] == 2
    assert [pause_after(attempts).total_seconds() for attempts in (0, 1, 2, 20)] == [10, 20, 40, 600]


def test_what_can_not_be_delivered_is_given_up_visibly_and_the_others_are_told(
    stored_rollout: StoredRollout, sign_in: Callable[[str], FlaskClient]
) -> None:
    hold(stored_rollout.now)
    fake_sender = FakeSender(refused={CHAT})
    for attempt in range(ATTEMPTS_MAX):
        deliver(stored_rollout.now + attempt * sender.LONGEST_PAUSE, fake_sender)
    assert states()["dead"] == 1
    deliver(stored_rollout.now + ATTEMPTS_MAX * sender.LONGEST_PAUSE, fake_sender)
    assert [title for address, title, _ in fake_sender.taken if address == PAGER][-1].endswith("was not told")
    shown = sign_in("victor").get("/api/notices").get_json()
    (dead,) = (each for notice in shown["notices"] for each in notice["deliveries"] if each["state"] == "dead")
    assert dead["error"] == "It could not be sent: ConnectionRefusedError."
    assert "secret" not in str(shown)


def test_an_address_that_is_configured_no_longer_is_given_up(app: Flask, stored_rollout: StoredRollout) -> None:
    hold(stored_rollout.now)
    SETTINGS.set(app, replace(SETTINGS.get(app), notify_urls=(PAGER,)))
    deliver(stored_rollout.now, FakeSender())
    assert states() == {"pending": 1, "delivered": 1, "dead": 1}


def test_targets_that_are_all_down_keep_no_rollback_from_happening(stored_rollout: StoredRollout) -> None:
    signals.record(*(Sample(FAILURE, bad=True, engine="v2", account=f"u{number}") for number in range(9)))
    run_guard(stored_rollout.now + SECOND, 1)
    assert deliver(stored_rollout.now + SECOND) == 0, "nobody listens there"
    assert stored_rollout.rollout.state is RolloutState.ROLLED_BACK


def test_evidence_that_has_no_words_keeps_no_rollback_from_happening(stored_rollout: StoredRollout) -> None:
    with transaction() as session:
        rollouts.roll_back(
            session, FLAG, ChangeContext(stored_rollout.now, "guard", "Odd.", evidence={"verdicts": [{"alert": "odd"}]})
        )
    assert stored_rollout.rollout.state is RolloutState.ROLLED_BACK
    assert [notification.kind for notification in notifications()] == ["roll_back"]


def test_an_alert_without_anything_to_judge_by_is_mentioned_once(stored_rollout: StoredRollout) -> None:
    signals.record(Sample(FAILURE, bad=False, engine="v2"))
    run_guard(stored_rollout.now, 1)
    for minute in range(1, 40):
        run_guard(stored_rollout.now + timedelta(minutes=minute), 1)
    quiet = [notification.title for notification in notifications() if notification.kind == "quiet"]
    assert quiet.count(f"{FAILURE} has nothing to judge by") == 1
    assert stored_rollout.rollout.state is RolloutState.RUNNING
