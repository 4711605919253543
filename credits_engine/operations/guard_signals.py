"""The guard's signals of one receipt; record them after the commit."""

from functools import lru_cache
from zlib import crc32

from flask import has_app_context

from control_plane.cohort_names import Cohort, Cohorts
from control_plane.experiments.credits import CREDITS
from control_plane.platform.observability.signals import Sample, bound_seconds
from credits_engine.engines.amounts import Limits
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.declared_differences import is_excused, plans_by
from credits_engine.engines.receipts import EngineResult, Receipt

SIGNALS = CREDITS.signals
FAILURE = SIGNALS.failure
SERVING = SIGNALS.serving_failure
VARIANCE = SIGNALS.difference
DRIFT = "credit_drift"
SLOW, SLOW_SECONDS = SIGNALS.slow, 0.05
SHADOW_SLOW, SHADOW_SLOW_SECONDS = "credit_shadow_slow", 0.005
SHADOW_SKIPPED = SIGNALS.shadow_skipped
REFUSED_ALONE = "credit_refused_by_v2_only"
ALLOWED_ALONE = "credit_allowed_by_v2_only"
ANSWER_DIFFERS = "credit_outcome_mismatch"
REPEATED = "credit_retry"
V2, LEGACY = EngineName.V2, EngineName.LEGACY.value
UNCOUNTED = SIGNALS.outcome_missing
UNCOMPARED = SIGNALS.comparison_missing
# Made once, for each is counted with every operation.
SHADOW_SLOW_SAMPLES = {slow: Sample(SHADOW_SLOW, slow) for slow in (False, True)}
V2_SLOWER_SAMPLES = {slower: Sample("credit_slower_by_v2_only", slower) for slower in (False, True)}
SLOWER_TIMES, NOTICED_US = 1.25, 1_000
RETRY_SAMPLES = {again: Sample(REPEATED, again) for again in (False, True)}
FAILED_ALONE = {EngineName.V2: SIGNALS.failed_candidate_only, EngineName.LEGACY: SIGNALS.failed_control_only}
NEAR_LIMIT, NEAR_SHARE = Cohort("near the limit"), 0.9
COMPARED = (Variance.MATCH, Variance.POLICY, Variance.DEFECT)


def outcome_signals(receipt: Receipt) -> tuple[Sample, ...]:
    """Return who failed in which role, whether the answers contradict each other, and who failed alone.

    The first says how serving went. An operation counts once: replays and retries add nothing. A refusal is no failure.
    """
    if receipt.replayed or receipt.retry_of is not None:
        return ()
    account, cohorts = receipt.user_id, cohorts_of(receipt)
    failed = receipt.outcome is Outcome.ERROR
    serving = Sample(SERVING, failed, receipt.served.engine.value, account=account, cohorts=cohorts)
    signals = [serving, _failure(receipt.served, "served", account, cohorts)]
    signals += [*_shadow_skipped(receipt), *_slow(receipt)]
    if receipt.shadow.outcome is not None:
        signals.append(_failure(receipt.shadow, "shadow", account, cohorts))
        signals += _discordant_failure(receipt)
    if receipt.comparison.variance in COMPARED:
        defect = receipt.comparison.variance is Variance.DEFECT or _is_undeclared(receipt)
        signals.append(Sample(VARIANCE, defect, at_fault(receipt), account=account, cohorts=cohorts))
        signals += [*_outcome_mismatch(receipt, cohorts, defect=defect), V2_SLOWER_SAMPLES[_is_v2_slower(receipt)]]
    if receipt.comparison.variance in (Variance.MATCH, Variance.DEFECT):
        signals += _drift(receipt)
    return tuple(signals)


def at_fault(receipt: Receipt) -> str:
    """Return under whose name a difference counts: legacy's where it alone contradicts its own figures, else nobody's.

    A difference that neither engine's figures explain counts against v2, which is the one that is new.
    """
    return LEGACY if receipt.comparison.blames_only_legacy else ""


def cohorts_of(receipt: Receipt) -> Cohorts:
    """Return the plan, which legacy's limits tell, the kinds of credits, and whether it comes near one of the limits.

    All of it is known before either engine decides.
    """
    legacy = receipt.shadow if receipt.served.engine is EngineName.V2 else receipt.served
    found = list(_plan(legacy.limits))
    is_near = False
    for kind, amount in receipt.requested.items():
        if amount:
            found.append(_kind(kind))
            limit = legacy.limits[kind]
            is_near = is_near or (limit is not None and legacy.used[kind] + amount >= NEAR_SHARE * limit)
    return (*found, NEAR_LIMIT) if is_near else tuple(found)


@lru_cache(maxsize=256)
def _plan(limits: Limits) -> Cohorts:
    return tuple(Cohort("plan", plan.name) for plan in plans_by(limits)[:1])


@lru_cache(maxsize=256)
def _kind(name: str) -> Cohort:
    return Cohort("kind", name)


def exempt_signals(receipt: Receipt) -> tuple[Sample, ...]:
    """Return the signals that exempt an operation: it owes the guard no good outcome, no comparison, or neither.

    Otherwise one account that fails all night, whose failures count once, would look as if nobody counted.
    """
    if receipt.replayed:
        return ()
    engine, again = receipt.served.engine.value, receipt.retry_of is not None
    failed = receipt.outcome is Outcome.ERROR
    expected = {UNCOUNTED: not (again or failed), UNCOMPARED: not again and receipt.comparison.variance in COMPARED}
    return tuple(Sample(signal, bad=False, engine=engine) for signal, due in expected.items() if not due)


def retry_signal(receipt: Receipt) -> Sample:
    """Return whether the request is a retry, of a lost answer or of a failed operation.

    Each time counts, unlike everywhere else: a storm of retries is what this is to show, and it shows nowhere else.
    """
    return RETRY_SAMPLES[receipt.replayed or receipt.retry_of is not None]


def _shadow_skipped(receipt: Receipt) -> list[Sample]:
    """Return whether the shadow was skipped: what is not compared is not guarded."""
    missing = receipt.comparison.variance in (Variance.SHADOW_ERROR, Variance.SHADOW_SKIPPED)
    return [Sample(SHADOW_SKIPPED, missing, engine=receipt.served.engine.value)]


def _slow(receipt: Receipt) -> list[Sample]:
    """Return whether an engine exceeded its time, and the shadow the time that callers may notice."""
    seconds = _bound(SLOW, SLOW_SECONDS)
    found = [Sample(SLOW, receipt.served.duration_us > seconds * 1e6, receipt.served.engine.value)]
    if receipt.shadow.outcome is not None:
        found.append(Sample(SLOW, receipt.shadow.duration_us > seconds * 1e6, receipt.shadow.engine.value, "shadow"))
        added = _bound(SHADOW_SLOW, SHADOW_SLOW_SECONDS)
        found.append(SHADOW_SLOW_SAMPLES[receipt.shadow.duration_us > added * 1e6])
    return found


def _is_v2_slower(receipt: Receipt) -> bool:
    """Return whether v2 took longer for the request than legacy by a quarter, and by what a caller might notice."""
    took = {side.engine: side.duration_us for side in (receipt.served, receipt.shadow)}
    v2, legacy = took[EngineName.V2], took[EngineName.LEGACY]
    return v2 > max(SLOWER_TIMES * legacy, legacy + NOTICED_US)


def _bound(signal: str, default: float) -> float:
    return bound_seconds(signal, default) if has_app_context() else default


def _outcome_mismatch(receipt: Receipt, cohorts: Cohorts, *, defect: bool) -> list[Sample]:
    """Count where, without a declared reason, v2 refuses what legacy allows, or allows what legacy refuses.

    For whatever reason: one answers 200, 402 or 403 and the other does not. On the same requests the share of none of
    them can differ between the engines by more than this rate, whoever they serve.
    """
    v2, legacy = (each.outcome for each in sorted((receipt.served, receipt.shadow), key=lambda side: side.engine != V2))
    flipped, name = defect and v2 is not legacy, at_fault(receipt)
    refused = flipped and legacy is Outcome.ALLOWED
    return [
        Sample(REFUSED_ALONE, refused, name, account=receipt.user_id, cohorts=cohorts),
        Sample(ALLOWED_ALONE, flipped and v2 is Outcome.ALLOWED, name, account=receipt.user_id),
        Sample(ANSWER_DIFFERS, v2 is not legacy, name, account=receipt.user_id),
    ]


def _is_undeclared(receipt: Receipt) -> bool:
    """Return whether limits explain the difference that no plan of the catalogue declares."""
    if receipt.comparison.variance is not Variance.POLICY:
        return False
    sides = {side.engine: side.limits for side in (receipt.served, receipt.shadow)}
    v2, legacy = sides[EngineName.V2], sides[EngineName.LEGACY]
    return not is_excused(receipt.comparison, receipt.requested, v2=v2, legacy=legacy)


def _failure(side: EngineResult, role: str, account: str, cohorts: Cohorts) -> Sample:
    return Sample(FAILURE, side.outcome is Outcome.ERROR, side.engine.value, role, account, cohorts=cohorts)


def _discordant_failure(receipt: Receipt) -> list[Sample]:
    """Return the discordant pairs: an outage that both engines share says nothing about either."""
    failed = [side.engine for side in (receipt.served, receipt.shadow) if side.outcome is Outcome.ERROR]
    return [Sample(FAILED_ALONE[failed[0]], bad=True, account=receipt.user_id)] if len(failed) == 1 else []


def _drift(receipt: Receipt) -> list[Sample]:
    """Count how far the two charges differ, as an outcome that is bad with the probability of that difference.

    So the bad rate is the mean relative difference, whatever its shape, and over- and undercharging can't hide each
    other. The operation's own key draws the lot: the same operation always counts the same.
    """
    charged = {each.engine: each.charged for each in (receipt.served, receipt.shadow)}
    legacy, apart = charged[EngineName.LEGACY], charged[EngineName.V2] - charged[EngineName.LEGACY]
    expected = legacy.total
    if not expected:
        return []
    lot = crc32(f"{receipt.user_id}:{receipt.operation_key}".encode()) / 2**32
    is_apart = lot * expected < sum(map(abs, apart.figures))
    return [Sample(DRIFT, is_apart, at_fault(receipt), account=receipt.user_id)]
