"""Streams: what changed and no more, until the session or the process ends, and never more than there is room for."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import accounts
from control_plane.platform.identity_types import Person
from control_plane.platform.runtime import change_feed
from dashboards import live_pages, sse
from dashboards.live_pages import LivePages
from dashboards.live_reader import LiveReader, View
from dashboards.view_models import rollout as screens
from dashboards.views import alerts
from tests.dashboards.browsing import write_session

pytestmark = pytest.mark.database("sqlite")

ADDRESS = f"/live/rollouts/{FLAG}"

SignIn = Callable[[str], FlaskClient]
Event = tuple[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick follows at once."""
    monkeypatch.setattr(live_pages, "TICK_SECONDS", 0.01)


@pytest.fixture
def events(sign_in: SignIn, planned: Rollout) -> Iterator[Iterator[Event]]:
    """The events of a stream that a viewer has open."""
    with sign_in("victor").get(ADDRESS, buffered=False) as answer:
        assert answer.mimetype == "text/event-stream"
        yield parsed(answer.iter_encoded())


def test_a_stream_begins_with_every_region_and_the_time_of_that(events: Iterator[Event]) -> None:
    regions = regions_until_asof(events)
    assert {
        "state",
        "timeline",
        "next",
        "guard",
        "changes",
        "dialogs",
        "exposure",
        "alert-api_error_rate",
    } <= regions.keys()


def test_a_page_knows_by_its_marks_that_it_is_up_to_date(sign_in: SignIn, events: Iterator[Event]) -> None:
    page = sign_in("victor").get(f"/rollouts/{FLAG}").get_data(as_text=True)
    for name, value in events:
        if name == "asof":
            return
        assert f'id="{value["id"]}" data-mark="{value["mark"]}"' in page


def test_nothing_is_sent_again_while_nothing_changes(events: Iterator[Event]) -> None:
    regions_until_asof(events)
    assert regions_until_asof(events) == {}


def test_a_change_sends_the_regions_it_concerns(app: Flask, events: Iterator[Event]) -> None:
    regions_until_asof(events)
    with write_session(app) as session:
        rollouts.hold(session, FLAG, ChangeContext(datetime.now(UTC), "olga", "Weekend."))
    regions = next(sent for _ in range(100) if (sent := regions_until_asof(events)))
    assert "Weekend." in regions["state"]
    assert "alert-api_error_rate" not in regions


def test_what_streams_is_what_the_role_may_see(sign_in: SignIn, events: Iterator[Event]) -> None:
    assert "<dialog" not in regions_until_asof(events)["dialogs"]
    with sign_in("olga").get(ADDRESS, buffered=False) as answer:
        assert "<dialog" in regions_until_asof(parsed(answer.iter_encoded()))["dialogs"]


def test_a_stream_tells_each_reader_the_time_by_their_clock(sign_in: SignIn, planned: Rollout) -> None:
    for zone, offset in {"Europe/Madrid": r"UTC\+[12]", "Asia/Kathmandu": r"UTC\+5:45", "Nowhere/Else": "UTC"}.items():
        browser = sign_in("victor")
        browser.set_cookie("time_zone", zone)
        assert re.search(f"<time id=.as-of.[^>]*>[0-9:]{{8}} {offset}</time>", browser.get("/").get_data(as_text=True))
        with browser.get(ADDRESS, buffered=False) as answer:
            told = next(value for name, value in parsed(answer.iter_encoded()) if name == "asof")
        assert re.fullmatch(f"[0-9:]{{8}} {offset}", told["text"])
        assert told["title"].endswith("UTC")


def test_a_database_that_is_away_makes_the_page_stale_not_wrong(
    events: Iterator[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    regions_until_asof(events)
    with monkeypatch.context() as outage:
        outage.setattr(screens, "read", away)
        assert ("stale", {}) in some_of(events)
    assert "asof" in (name for name, _ in some_of(events))


def test_a_session_that_was_ended_stops_watching(app: Flask, events: Iterator[Event], cast: dict[str, Person]) -> None:
    regions_until_asof(events)
    with write_session(app) as session:
        accounts.end_sessions(session, cast["victor"].id, now=datetime.now(UTC), actor="alice")
    assert ("end", {"because": "signed-out"}) in some_of(events)


def test_a_stopping_process_ends_its_streams(app: Flask, events: Iterator[Event]) -> None:
    regions_until_asof(events)
    with app.app_context():
        change_feed.feed().stop()
    assert ("end", {"because": "stopping"}) in some_of(events)


def test_streams_are_capped_and_a_closed_one_makes_room(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    sse.LIVE_PAGES.set(app, LivePages(app, 1))
    browser = sign_in("victor")
    with browser.get(ADDRESS, buffered=False):
        refused = browser.get(ADDRESS)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert "updates as many pages live as it may (1)" in refused.get_json()["detail"]
    with browser.get(ADDRESS, buffered=False) as answer:
        assert answer.status_code == 200


def test_a_page_is_rendered_once_for_all_who_see_the_same(
    sign_in: SignIn, planned: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_pages, "TICK_SECONDS", 60)
    read, times = screens.read, list[str]()

    def counted(*given: Any, **named: Any) -> Any:
        times.append("read")
        return read(*given, **named)

    monkeypatch.setattr(screens, "read", counted)
    with ExitStack() as held:
        for name in ("victor", "victor", "olga", "olga"):
            answer = held.enter_context(sign_in(name).get(ADDRESS, buffered=False))
            assert ("<dialog" in regions_until_asof(parsed(answer.iter_encoded()))["dialogs"]) is (name == "olga")
    assert len(times) == 2


def test_a_page_that_can_not_be_rendered_ends_and_the_others_go_on(
    events: Iterator[Event], sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "alerts_fragments", lambda _screen: 1 / 0)
    with sign_in("victor").get("/live/alerts", buffered=False) as broken:
        assert list(parsed(broken.iter_encoded())) == []
    assert [name for name, _ in islice((each for each in events if each[0] == "asof"), 2)] == ["asof", "asof"]


def test_a_reader_of_whom_nothing_can_be_told_ends_and_the_others_go_on(
    sign_in: SignIn, planned: Rollout, events: Iterator[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = LiveReader.view

    def fail(reader: LiveReader) -> View | None:
        if reader.context.request.path == "/live/alerts":
            raise LookupError
        return view(reader)

    monkeypatch.setattr(LiveReader, "view", fail)
    with sign_in("victor").get("/live/alerts", buffered=False) as broken:
        assert list(parsed(broken.iter_encoded())) == []
    regions_until_asof(events)
    regions_until_asof(events)


@pytest.mark.parametrize("address", ["/live/rollouts", "/live/alerts"])
def test_every_live_screen_streams(sign_in: SignIn, planned: Rollout, address: str) -> None:
    with sign_in("victor").get(address, buffered=False) as answer:
        assert regions_until_asof(parsed(answer.iter_encoded()))


def test_a_rollout_that_is_not_there_has_no_stream(sign_in: SignIn, planned: Rollout) -> None:
    assert sign_in("victor").get("/live/rollouts/NOTHING").status_code == 404


def test_a_stranger_gets_no_stream(client: FlaskClient, planned: Rollout) -> None:
    assert client.get(ADDRESS, headers={"Accept": "text/event-stream"}).status_code in (303, 401)


def some_of(events: Iterator[Event]) -> Iterator[Event]:
    """Return the events that follow, cut short should the stream not end as it must."""
    return islice(events, 100)


def parsed(chunks: Iterator[bytes]) -> Iterator[Event]:
    """Yield the named events in a stream."""
    for chunk in chunks:
        lines = dict(line.split(": ", 1) for line in chunk.decode().strip().splitlines())
        if "event" in lines:
            yield lines["event"], json.loads(lines["data"])


def regions_until_asof(events: Iterator[Event]) -> dict[str, str]:
    """Return the regions of one tick, by id."""
    regions: dict[str, str] = {}
    for name, value in events:
        if name == "asof":
            return regions
        assert name == "region"
        regions[value["id"]] = value["html"]
    raise AssertionError("The stream ended.")
