"""The guard's tick: read the counters, turn them into evidence, judge, remember, and hold or roll back.

A tick is a function of what is stored and of `now`: run twice, or by two leaders at once, it does no harm. The
heartbeat comes first, so that a leader whose term is over is turned away before it writes anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.orm import Session

from alerts import store
from alerts.attribution import Pairs
from alerts.evidence import Counts, Evidence, discordant_bet, step
from alerts.metrics import FAILED_LEGACY_ONLY, FAILED_V2_ONLY
from alerts.rules import Rule, alphas, bet_of, counted
from alerts.store import Judged, Memory
from alerts.verdicts import Facts, Status, Verdict, judge, to_json
from control_plane import rollouts
from control_plane import store as rollout_store
from control_plane.phases import PRODUCTION, Rollout, RolloutState, exposure
from control_plane.platform import leases, signals
from control_plane.platform.signals import Count, Series
from control_plane.transitions import Decision, Transition

ACTOR = "guard"
V2, LEGACY = "v2", "legacy"
FAILURE = "credit_consumption_failure"

log = structlog.get_logger()

Totals = Mapping[Series, Count]
Minutes = Mapping[tuple[Series, int], Count]


class FencedError(RuntimeError):
    """A newer leader has taken over; this tick must leave no trace."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Every counter at one moment: totals since the beginning, and minutes of the longest window."""

    totals: Totals
    minutes: Minutes

    @classmethod
    def read(cls, session: Session, rules: Sequence[Rule], now: datetime) -> "Counters":
        """The counters that `rules` need at `now`."""
        longest = max((rule.window_seconds for rule in rules), default=0.0)
        since = now - timedelta(seconds=longest)
        return cls(signals.totals(session), signals.minutes(session, since))

    def of(self, rule: Rule) -> Counts:
        """What the rule counts, since the beginning."""
        return counted(rule, self.totals.items())

    def in_window(self, rule: Rule, now: datetime) -> dict[Series, Count]:
        """The counts of the rule's window that ends now, to the minute."""
        first = int((now - timedelta(seconds=rule.window_seconds)).timestamp()) // 60
        window: dict[Series, Count] = {}
        for (series, minute), count in self.minutes.items():
            if minute > first:
                before = window.get(series, Count(0, 0))
                window[series] = Count(before.bad + count.bad, before.total + count.total)
        return window


def tick(
    session: Session, rules: Sequence[Rule], *, now: datetime, term: int, lease_seconds: float
) -> list[Transition]:
    """Judge every rollout once; returns what was done to them. Raises FencedError if a newer leader has ticked."""
    if not leases.beat(session, now=now, term=term, ttl_seconds=lease_seconds):
        raise FencedError(f"Term {term} is over; a newer leader guards.")
    counters = Counters.read(session, rules, now)
    done = []
    for rollout in rollout_store.load_all(session):
        verdicts = _judge_rollout(session, rollout, rules, counters, now)
        decision = _act(session, rollout, verdicts, now)
        if isinstance(decision, Transition):
            log.warning("guard.acted", flag=rollout.flag, action=decision.action, reason=decision.reason)
            done.append(decision)
    return done


def applicable(rules: Sequence[Rule], flag: str) -> list[Rule]:
    """The rules that speak of `flag` in production."""
    return [rule for rule in rules if rule.flag == flag and (not rule.environments or PRODUCTION in rule.environments)]


def _judge_rollout(
    session: Session, rollout: Rollout, rules: Sequence[Rule], counters: Counters, now: datetime
) -> list[Verdict]:
    remembered = store.memories(session, rollout.flag, attempt=rollout.attempt)
    shares = alphas(rules)
    exposed = not exposure(rollout, PRODUCTION).empty
    verdicts, changed = [], []
    for rule in applicable(rules, rollout.flag):
        before = remembered.get((rule.name, rule.fingerprint)) or _first_look(rule, counters)
        after = _look_again(rule, before, counters, now)
        facts = _facts(rule, after, counters, exposed=exposed, now=now)
        verdict = judge(rule, after.evidence, facts, alpha=shares.get(rule.name), previous=before.verdict, now=now)
        verdicts.append(verdict)
        if _worth_keeping(before, after, verdict):
            changed.append(
                Judged(
                    rule, rollout.attempt, Memory(after.seen, after.evidence, after.seen_pairs, after.pairs, verdict)
                )
            )
    store.remember(session, rollout.flag, changed, now=now)
    return verdicts


def _first_look(rule: Rule, counters: Counters) -> Memory:
    """An attempt, or a changed question, begins with what is counted from now on."""
    return Memory(counters.of(rule), Evidence(), _discordant(counters.totals), Evidence(), None)


def _look_again(rule: Rule, before: Memory, counters: Counters, now: datetime) -> Memory:
    seen, pairs_seen = counters.of(rule), _discordant(counters.totals)
    evidence = step(bet_of(rule), before.evidence, _increment(before.seen, seen), at=now)
    pairs = before.pairs
    if rule.attributable:
        bet = discordant_bet(window_seconds=rule.window_seconds)
        pairs = step(bet, pairs, _increment(before.seen_pairs, pairs_seen), at=now)
    return Memory(seen, evidence, pairs_seen, pairs, before.verdict)


def _increment(before: Counts, after: Counts) -> Counts:
    """What was counted in between; counters that were reset start a new baseline instead of counting backwards."""
    bad, total = after.bad - before.bad, after.total - before.total
    return Counts(bad, total) if 0 <= bad <= total else Counts()


def _facts(rule: Rule, memory: Memory, counters: Counters, *, exposed: bool, now: datetime) -> Facts:
    window = counters.in_window(rule, now)
    pairs = _pairs(window, memory.pairs) if rule.attributable else None
    return Facts(exposed=exposed, window=counted(rule, window.items()), pairs=pairs)


def _pairs(window: Mapping[Series, Count], discordant: Evidence) -> Pairs:
    decided, legacy = _of_engine(window, V2), _of_engine(window, LEGACY)
    return Pairs(
        decided=decided.total,
        compared=min(decided.total, legacy.total),
        v2_only=sum(count.bad for series, count in window.items() if series.signal == FAILED_V2_ONLY),
        legacy_only=sum(count.bad for series, count in window.items() if series.signal == FAILED_LEGACY_ONLY),
        legacy_failed=legacy.bad,
        discordant=discordant,
    )


def _of_engine(window: Mapping[Series, Count], engine: str) -> Count:
    counts = [count for series, count in window.items() if series.signal == FAILURE and series.engine == engine]
    return Count(sum(count.bad for count in counts), sum(count.total for count in counts))


def _discordant(totals: Totals) -> Counts:
    """Requests that just one engine failed: those of v2 among all of them."""
    v2 = sum(count.bad for series, count in totals.items() if series.signal == FAILED_V2_ONLY)
    legacy = sum(count.bad for series, count in totals.items() if series.signal == FAILED_LEGACY_ONLY)
    return Counts(v2, v2 + legacy)


def _worth_keeping(before: Memory, after: Memory, verdict: Verdict) -> bool:
    """Whether anything moved: a quiet second writes nothing but the heartbeat."""
    if (before.seen, before.seen_pairs) != (after.seen, after.seen_pairs) or before.verdict is None:
        return True
    kept = before.verdict
    return (kept.status, kept.reason, kept.calm_since) != (verdict.status, verdict.reason, verdict.calm_since)


def _act(session: Session, rollout: Rollout, verdicts: Sequence[Verdict], now: datetime) -> Decision | None:
    """Rollback first, whatever the state; then hold; then release the guard's own hold."""
    worst = max(verdicts, key=lambda verdict: list(Status).index(verdict.status), default=None)
    if worst is None or rollout.latched:
        return None
    act: Callable[..., Decision]
    match worst.status:
        case Status.ROLLBACK:
            act = partial(rollouts.roll_back, reason=f"{worst.alert}: {worst.reason}", attempt=rollout.attempt)
        case Status.HOLD | Status.BLIND if rollout.state is RolloutState.RUNNING:
            act = partial(rollouts.hold, reason=f"{worst.alert}: {worst.reason}")
        case Status.OK | Status.INSUFFICIENT | Status.WATCH if rollout.held_by_guard:
            act = partial(rollouts.resume, reason="The evidence stayed low.")
        case _:
            return None
    evidence = {"verdicts": [to_json(verdict) for verdict in verdicts if verdict.status is worst.status]}
    return act(session, rollout.flag, now=now, actor=ACTOR, evidence=evidence)
