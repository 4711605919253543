"""The change feed: what is committed wakes everybody, in this process and in others, and what is rolled back nobody."""

import threading
from datetime import datetime

import pytest
from flask import Flask

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed
from control_plane.platform.runtime.change_feed import FEED
from control_plane.platform.settings import Settings
from tests.applications import application

SECONDS = 20.0


def publish(app: Flask, now: datetime) -> int:
    with app.app_context(), transaction() as session:
        return change_feed.publish(session, "rollout", "FLAG", now=now)


def test_a_change_wakes_who_waits_here_and_in_another_process(app: Flask, settings: Settings, now: datetime) -> None:
    with application(settings) as other:
        feeds = [FEED.get(app), FEED.get(other)]
        try:
            for feed in feeds:
                feed.start()
            with app.app_context(), read_only() as session:
                before = change_feed.revision(session)
            assert all(feed.wait(-1, SECONDS) == before for feed in feeds)
            revision = publish(app, now)
            assert [feed.wait(before, SECONDS) for feed in feeds] == [revision, revision]
        finally:
            for feed in feeds:
                feed.stop()


def test_what_is_rolled_back_is_never_announced(app: Flask, now: datetime) -> None:
    with app.app_context():
        with read_only() as session:
            before = change_feed.revision(session)
        with pytest.raises(ZeroDivisionError):
            _publish_and_fail(now)
        with read_only() as session:
            assert change_feed.revision(session) == before


def test_revisions_become_visible_in_their_order(app: Flask, now: datetime) -> None:
    seen: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        with app.app_context():
            while not stop.is_set():
                with read_only() as session:
                    seen.append(change_feed.revision(session))

    watcher = threading.Thread(target=watch)
    watcher.start()
    writers = [threading.Thread(target=lambda: [publish(app, now) for _ in range(10)]) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    watcher.join()
    assert seen == sorted(seen)


@pytest.mark.database("sqlite")
def test_whoever_is_served_after_a_pause_ends_it(
    app: Flask, settings: Settings, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_feed, "UNUSED_SECONDS", 0.0)
    monkeypatch.setattr(change_feed, "UNUSED_POLL_SECONDS", {"sqlite": 3600.0})
    feed, heard = FEED.get(app), list[int]()
    known = threading.Semaphore(0)

    def listen(revision: int) -> None:
        heard.append(revision)
        known.release()

    feed.subscribe(listen)
    feed.start()
    try:
        assert known.acquire(timeout=SECONDS)
        with application(settings) as other:
            revision = publish(other, now)
        feed.use()
        assert known.acquire(timeout=SECONDS)
        assert heard[-1] == revision
    finally:
        feed.stop()


def test_stopping_releases_whoever_waits(app: Flask) -> None:
    feed = FEED.get(app)
    waiter = threading.Thread(target=feed.wait, args=[-1, SECONDS])
    waiter.start()
    feed.stop()
    waiter.join(SECONDS / 2)
    assert not waiter.is_alive()


def test_whoever_waits_for_something_else_too_looks_when_told_to(app: Flask) -> None:
    feed, found = FEED.get(app), list[int]()
    waiter = threading.Thread(target=feed.wait, args=[-1, SECONDS], kwargs={"unless": lambda: found})
    waiter.start()
    feed.interrupt()
    found.append(1)
    feed.interrupt()
    waiter.join(SECONDS / 2)
    assert not waiter.is_alive()


def _publish_and_fail(now: datetime) -> None:
    with transaction() as session:
        change_feed.publish(session, "rollout", "FLAG", now=now)
        raise ZeroDivisionError


@pytest.mark.parametrize("is_slow", [False, True])
def test_the_answer_to_a_change_waits_until_this_process_has_read_it(
    app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch, *, is_slow: bool
) -> None:
    """Or whoever changed a flag would be served the old one by their next request."""
    feed, read, released = FEED.get(app), list[int](), threading.Event()

    def listener(revision: int) -> None:
        released.wait(SECONDS if is_slow else 0.1)
        read.append(revision)

    feed.subscribe(listener)

    def change() -> str:
        with transaction() as session:
            return str(change_feed.publish(session, "rollout", "FLAG", now=now))

    app.add_url_rule("/change", view_func=change, methods=["POST"])
    monkeypatch.setattr(change_feed, "OWN_CHANGE_SECONDS", 0.05 if is_slow else SECONDS)
    released.set()
    feed.start()
    try:
        feed.wait(-1, SECONDS)
        released.clear()
        answer = app.test_client().post("/change")
        assert (answer.status_code, int(answer.text) in read) == (200, not is_slow)
    finally:
        released.set()
        feed.stop()
