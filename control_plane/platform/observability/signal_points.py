"""The counts of signals added up by equal steps of time, for charts of a day or a month."""

from sqlalchemy import BigInteger, bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db import database
from control_plane.platform.observability.signals import MINUTE, Count, SeriesKey

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


def points(session: Session, *, first: int, end: int, step: int) -> dict[tuple[SeriesKey, int], Count]:
    """Counts per series and `step` minutes of the epoch, numbered from `first` on, before `end`."""
    rows = database.execute_core(session, POINTS, {"first": first * step, "end": end * step, "step": step})
    return {(SeriesKey(*series), point): Count(int(bad), int(total)) for *series, point, bad, total in rows}
