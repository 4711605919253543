"""The screen of usage: credits by day and by a dimension, and the days that stand out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from credits_engine.administration import analytics
from credits_engine.administration.analytics import Change
from credits_engine.engines.amounts import KINDS, Kind
from credits_engine.store import account_usage, usage
from credits_engine.store.account_usage import AccountUsage, Days
from credits_engine.store.usage import Segment, UsageRow
from dashboards.filters import count, iso_day
from dashboards.language import N_, gettext

SPANS = {"7": N_("7 days"), "30": N_("30 days"), "90": N_("90 days")}
DIVISIONS = {Segment.ENGINE: N_("engine"), Segment.PLAN: N_("plan"), Segment.COHORT: N_("month of sign-up")}
ACCOUNT = "account"
TOP_ACCOUNTS = 20


@dataclass(frozen=True, slots=True)
class DayBar:
    """One day's credits of a kind, and how high its bar is, 0 to 1 of the highest."""

    day: str
    credits: int
    height: float


@dataclass(frozen=True, slots=True)
class KindUsage:
    """One kind, day by day."""

    kind: Kind
    bars: Sequence[DayBar]

    @property
    def total(self) -> int:
        """Return what was charged in all."""
        return sum(bar.credits for bar in self.bars)

    @property
    def highest(self) -> int:
        """Return what the highest bar stands for."""
        return max(bar.credits for bar in self.bars)

    @property
    def description(self) -> str:
        """Describe the bars for readers who don't see them."""
        highest = max(self.bars, key=lambda bar: bar.credits)
        return gettext(
            "%(kind)s credits by day, %(total)s in all; most on %(day)s: %(highest)s.",
            kind=self.kind,
            total=count(self.total),
            day=iso_day(highest.day),
            highest=count(highest.credits),
        )


@dataclass(frozen=True, slots=True)
class UsageScreen:
    """Usage over some days, summed by one dimension."""

    now: datetime
    days: int
    by: str
    kinds: Sequence[KindUsage]
    rows: Sequence[UsageRow] = ()
    changes: Sequence[Change] = ()
    account: str = ""
    """The one account that this is about; empty for all of them."""
    top: Mapping[Kind, Sequence[AccountUsage]] = field(default_factory=dict)
    """By kind the accounts that consumed most, where usage is divided by account."""

    def name_of(self, row: UsageRow) -> str:
        """Name the part of the usage that `row` is about."""
        return str(getattr(row, self.by)) or gettext("unknown")


def spans() -> Mapping[str, str]:
    """Return the lengths of time to choose among, with what each is called."""
    return {days: gettext(label) for days, label in SPANS.items()}


def divisions() -> Mapping[str, str]:
    """Return by what usage can be summed, with what each is called."""
    return {**{segment.value: gettext(label) for segment, label in DIVISIONS.items()}, ACCOUNT: gettext("account")}


def read(session: Session, *, days: int, by: str, now: datetime) -> UsageScreen:
    """Return the usage of the last days, today's so far among them."""
    since = (now - timedelta(days=days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    daily = usage.daily_usage(session, frozenset({Segment.DAY}), since=since, until=now)
    changes = analytics.changes(daily, since=since, until=now)
    names = _names(now, days)
    kinds = [_kind({row.day: row.credits[kind] for row in daily}, kind, names) for kind in KINDS]
    if by == ACCOUNT:
        top = {kind: account_usage.top_accounts(session, kind, _days(now, days), most=TOP_ACCOUNTS) for kind in KINDS}
        return UsageScreen(now, days, by, kinds, changes=changes, top=top)
    summed = usage.daily_usage(session, frozenset({Segment(by)}), since=since, until=now)
    return UsageScreen(now, days, by, kinds, summed, changes)


def read_account(session: Session, account: str, *, days: int, now: datetime) -> UsageScreen:
    """Return the usage of one account in the last days."""
    daily = account_usage.days_of_account(session, account, _days(now, days))
    charged = {kind: {row.day: row.credits for row in daily if row.kind == kind} for kind in KINDS}
    kinds = [_kind(charged[kind], kind, _names(now, days)) for kind in KINDS]
    return UsageScreen(now, days, ACCOUNT, kinds, account=account)


def _days(now: datetime, days: int) -> Days:
    return Days((now - timedelta(days=days - 1)).date(), now.date())


def _names(now: datetime, days: int) -> list[str]:
    return [(now - timedelta(days=before)).date().isoformat() for before in range(days - 1, -1, -1)]


def _kind(charged: Mapping[str, int], kind: Kind, days: Sequence[str]) -> KindUsage:
    # What was given back can exceed what was charged on a day.
    highest = max(1, *(charged.get(day, 0) for day in days))
    bars = [DayBar(day, charged.get(day, 0), max(0, charged.get(day, 0)) / highest) for day in days]
    return KindUsage(kind, bars)
