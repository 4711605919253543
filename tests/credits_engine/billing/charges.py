"""The lines of a customer's invoices, and to when the money that came for each pays, by rules that fit on a page."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.credits_engine.billing.virtual_stripe import START

GRACE = timedelta(days=5)
FAR = START.replace(year=9000)


@dataclass
class Charge:
    """One line of an invoice: so much for a plan from `start` to `end`."""

    invoice: str
    plan: str
    start: datetime
    end: datetime
    opens_period: bool
    paid_at: datetime = FAR
    given_for_nothing_at: datetime = FAR
    failed_at: datetime = FAR
    given_up_at: datetime = FAR
    lost_at: datetime = FAR
    traded_in_at: datetime = FAR
    cents: int = 0
    returned: list[tuple[datetime, int]] = field(default_factory=list)
    is_trial: bool = False
    """Whether it ends with the subscription."""
    asked_cents: int = 0
    """What its line asks, of which a credit may pay a part."""
    credit: "Credit | None" = None
    credited: "list[Credit]" = field(default_factory=list)
    """What later invoices credit for the rest of it."""

    def share(self, now: datetime, *, extra_cents: int = 0) -> float:
        """The share of what it asks that is paid and was not given back."""
        if not self.paid_at <= now < self.lost_at:
            return 0.0
        returned = max((cents for at, cents in self.returned if at <= now), default=0)
        kept = 1 - min(1.0, (returned + extra_cents) / self.cents) if returned else 1.0
        if self.credit is None:
            return kept
        return kept * max(0.0, 1 - self.credit.cents * (1 - self.credit.share(now)) / self.asked_cents)

    def is_unpaid(self, now: datetime) -> bool:
        """Return whether its money went back, or nobody is expected to pay it any more."""
        is_failed = self.failed_at + GRACE <= now or self.given_up_at <= now
        return self.lost_at <= now or (is_failed and self.paid_at > now)

    def paid_until(self, now: datetime, *, extra_cents: int) -> datetime:
        """To when the money pays that is not given back by `now`; a cut of a cent may fall either way."""
        until = self.start + (self.end - self.start) * self.share(now, extra_cents=extra_cents)
        traded = [credit.at for credit in self.credited if credit.by.share(now) > 0]
        return min([until, self.traded_in_at if self.traded_in_at <= now else FAR, *traded])


@dataclass
class Credit:
    """What an invoice credits for the rest of charges of a plan."""

    by: Charge
    of: list[Charge]
    at: datetime
    cents: int

    def share(self, now: datetime) -> float:
        """The share of the credit that somebody paid."""
        paid = [each for each in self.of if each.paid_at <= now]
        return paid[-1].share(now) if paid else 0.0
