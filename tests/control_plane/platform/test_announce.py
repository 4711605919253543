"""The change feed: what is committed wakes everybody, in this process and in others, and what is rolled back nobody."""

import threading
from datetime import datetime

import pytest
from flask import Flask

from control_plane.platform import announce
from control_plane.platform.database import reading, transaction
from control_plane.platform.settings import Settings
from tests.applications import application

SECONDS = 20.0


def publish(app: Flask, now: datetime) -> int:
    with app.app_context(), transaction() as session:
        return announce.publish(session, "rollout", "FLAG", now=now)


def test_a_change_wakes_who_waits_here_and_in_another_process(app: Flask, settings: Settings, now: datetime) -> None:
    with application(settings) as other:
        feeds = [app.extensions["change_feed"], other.extensions["change_feed"]]
        try:
            for feed in feeds:
                feed.start()
            with app.app_context(), reading() as session:
                before = announce.revision(session)
            assert all(feed.wait(-1, SECONDS) == before for feed in feeds)
            revision = publish(app, now)
            assert [feed.wait(before, SECONDS) for feed in feeds] == [revision, revision]
        finally:
            for feed in feeds:
                feed.stop()


def test_what_is_rolled_back_is_never_announced(app: Flask, now: datetime) -> None:
    with app.app_context():
        with reading() as session:
            before = announce.revision(session)
        with pytest.raises(ZeroDivisionError):
            _publish_and_fail(now)
        with reading() as session:
            assert announce.revision(session) == before


def test_revisions_become_visible_in_their_order(app: Flask, now: datetime) -> None:
    seen: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        with app.app_context():
            while not stop.is_set():
                with reading() as session:
                    seen.append(announce.revision(session))

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


def test_stopping_releases_whoever_waits(app: Flask) -> None:
    feed = app.extensions["change_feed"]
    waiter = threading.Thread(target=feed.wait, args=[-1, SECONDS])
    waiter.start()
    feed.stop()
    waiter.join(SECONDS / 2)
    assert not waiter.is_alive()


def _publish_and_fail(now: datetime) -> None:
    with transaction() as session:
        announce.publish(session, "rollout", "FLAG", now=now)
        raise ZeroDivisionError
