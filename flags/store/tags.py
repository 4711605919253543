"""The tags of flags."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from flags.models import FlagTag

Tag = tuple[str, str]
"""A type and a value."""


def put_tags(session: Session, by_flag: Mapping[str, Iterable[Tag]]) -> None:
    """Give flags these tags and no others."""
    for flag in by_flag:
        session.execute(delete(FlagTag).where(FlagTag.flag == flag))
    rows = [{"flag": flag, "type": kind, "value": value} for flag, found in by_flag.items() for kind, value in {*found}]
    if rows:
        session.execute(insert(FlagTag), rows)


def tags(session: Session) -> dict[str, tuple[Tag, ...]]:
    """Return the tags of every flag that has any."""
    found: dict[str, list[Tag]] = defaultdict(list)
    for flag, kind, value in session.execute(
        select(FlagTag.flag, FlagTag.type, FlagTag.value).order_by(FlagTag.flag, FlagTag.type, FlagTag.value)
    ):
        found[flag].append((kind, value))
    return {flag: tuple(each) for flag, each in found.items()}
