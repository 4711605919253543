"""The counts of signals by time: by equal steps for charts of a day or a month, over a long window, by ten seconds."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db import database
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.observability.signals import MINUTE, SLICE, SLICE_SECONDS, SLICES_KEPT_SECONDS, SeriesKey
from control_plane.signal_counts import Counts

MINUTES_RETENTION = timedelta(days=90)
"""Longer than any reader goes back: charts of a phase and the usual traffic of an hour need four weeks."""
FORGOTTEN_MINUTES = 360
POINT = (MINUTE.c.minute // bindparam("step", type_=BigInteger)).label("point")
POINTS = (
    select(
        *MINUTE.c["signal", "engine", "role"],
        POINT,
        func.sum(MINUTE.c.bad, type_=BigInteger).label("bad"),
        func.sum(MINUTE.c.total, type_=BigInteger).label("total"),
    )
    .where(MINUTE.c.minute >= bindparam("first"), MINUTE.c.minute < bindparam("end"))
    .group_by(*MINUTE.c["signal", "engine", "role"], "point")
)

SUMS = CompiledStatement(
    select(
        *MINUTE.c["signal", "engine", "role"],
        func.sum(MINUTE.c.bad, type_=BigInteger).label("bad"),
        func.sum(MINUTE.c.total, type_=BigInteger).label("total"),
    )
    .where(MINUTE.c.minute >= bindparam("first"), MINUTE.c.minute < bindparam("end"))
    .group_by(*MINUTE.c["signal", "engine", "role"])
)
SLICES = select(*SLICE.c["signal", "engine", "role", "slice", "bad", "total"]).where(
    SLICE.c.slice.in_(bindparam("wanted", expanding=True))
)
POINTS_OF_SIGNALS = POINTS.where(MINUTE.c.signal.in_(bindparam("signals", expanding=True)))


def points(
    session: Session, *, first: int, end: int, step: int, signals: Sequence[str] = ()
) -> dict[tuple[SeriesKey, int], Counts]:
    """Return counts per series and `step` minutes of the epoch, from `first` to `end`; of all or some signals."""
    statement = POINTS_OF_SIGNALS if signals else POINTS
    parameters = {"first": first * step, "end": end * step, "step": step, "signals": signals}
    rows = database.execute_core(session, statement, parameters)
    return {(SeriesKey(*series), point): Counts(int(bad), int(total)) for *series, point, bad, total in rows}


def sums(session: Session, first: int, end: int) -> dict[SeriesKey, Counts]:
    """Return counts per series over the minutes of the epoch from `first` on, before `end`."""
    rows = SUMS.fetch_all(session, {"first": first, "end": end})
    return {SeriesKey(signal, engine, role): Counts(int(bad), int(total)) for signal, engine, role, bad, total in rows}


def slices(session: Session, wanted: Collection[int]) -> dict[tuple[SeriesKey, int], Counts]:
    """Return counts per series and ten seconds of the epoch, of those ten seconds that are wanted."""
    rows = database.execute_core(session, SLICES, {"wanted": sorted(wanted)})
    return {(SeriesKey(*series), each): Counts(bad, total) for *series, each, bad, total in rows}


def forget_minutes(session: Session, now: datetime) -> None:
    """Drop the oldest minutes that nobody reads any more: six hours of them at a time, which locks a few thousand rows.

    Their sum stays in the counts since the beginning. Called each few minutes, it catches up with months within a day.
    """
    oldest = int((now - MINUTES_RETENTION).timestamp()) // 60
    first = session.scalar(select(func.min(MINUTE.c.minute)))
    if first is not None and first < oldest:
        end = min(oldest, first + FORGOTTEN_MINUTES)
        database.execute_core(session, MINUTE.delete().where(MINUTE.c.minute < end))


def forget_signals(session: Session, signals: Collection[str]) -> None:
    """Drop what these signals counted when: their windows begin anew, and their totals stay."""
    for table in (MINUTE, SLICE):
        database.execute_core(session, table.delete().where(table.c.signal.in_(signals)))


def forget_slices(session: Session, now: datetime) -> None:
    """Drop the ten seconds that no window begins in any more; their minutes stay."""
    oldest = int(now.timestamp() - 2 * SLICES_KEPT_SECONDS) // SLICE_SECONDS
    database.execute_core(session, SLICE.delete().where(SLICE.c.slice < oldest))
