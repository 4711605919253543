"""What the guard concludes of an alert, in the language of the page: by the verdict and whose fault it is. Pure.

English is the verdict's own cause. Another language has a sentence for each conclusion, and says less of its reasons.
"""

from alerts.analysis.attribution import Attribution
from alerts.analysis.evidence import LIKELY, attempts_for_chance
from alerts.analysis.rules import Per
from alerts.analysis.verdicts import Status, Verdict
from control_plane.experiments.migration import Migration
from control_plane.signal_counts import Counts
from dashboards.filters import count, figures_in, share, span
from dashboards.language import SOURCE, gettext, language
from dashboards.side_names import localized_names
from dashboards.stored_sentences import localized_value


def verdict_cause(verdict: Verdict, migration: Migration | None) -> str:
    """Say what decided."""
    if language() == SOURCE:
        return figures_in(verdict.cause)
    if verdict.status not in (Status.HOLD, Status.ROLLBACK):
        return _observation(verdict)
    return _breach(verdict, migration) if verdict.breached_since else _without_breach(verdict)


def verdict_reason(verdict: Verdict, migration: Migration | None) -> str:
    """Say what decided, with every figure behind it."""
    if language() == SOURCE:
        return figures_in(verdict.reason)
    if not verdict.counts.total:
        return verdict_cause(verdict, migration)
    figures = gettext(
        "%(window)s were bad in the last %(span)s, and %(whole)s since the attempt began; %(threshold)s is allowed.",
        window=_bad_of(verdict.window, verdict.per),
        span=span(verdict.window_seconds),
        whole=_bad_of(verdict.counts, verdict.per),
        threshold=localized_value(verdict.threshold_text),
    )
    return f"{verdict_cause(verdict, migration)} {figures} {chance(verdict.evidence_log10, verdict.rollback_log10)}"


def chance(log10: float, needed_log10: float | None = None) -> str:
    """Say of how many attempts one gets as far by chance, as alerts.analysis.evidence.chance_sentence does."""
    needed = "" if needed_log10 is None else attempts(needed_log10)
    if attempts_for_chance(log10) < LIKELY:
        if not needed:
            return gettext("Chance alone explains it.")
        return gettext("Chance alone explains it; a rollback takes 1 of %(needed)s.", needed=needed)
    if not needed:
        return gettext("Chance alone gets this far in at most 1 of %(attempts)s attempts.", attempts=attempts(log10))
    return gettext(
        "Chance alone gets this far in at most 1 of %(attempts)s attempts; a rollback takes 1 of %(needed)s.",
        attempts=attempts(log10),
        needed=needed,
    )


def attempts(log10: float) -> str:
    """Write of how many attempts at most one gets as far by chance."""
    return count(attempts_for_chance(log10))


def _observation(verdict: Verdict) -> str:
    match verdict.status:
        case Status.OK:
            return gettext("Fine.")
        case Status.INSUFFICIENT:
            return gettext("Nothing happened in the last %(span)s.", span=span(verdict.window_seconds))
        case Status.BLIND:
            return gettext("Users are exposed, but nothing is counted.")
        case _ if verdict.notifies:
            return gettext("Over its threshold; this alert only notifies.")
        case _:
            return gettext("The last window is over the threshold, which may be chance.")


def _without_breach(verdict: Verdict) -> str:
    if verdict.status is Status.ROLLBACK:
        return gettext("Users were exposed and nothing was counted; exposure that nobody can watch ends.")
    return gettext("Likely over its threshold, or held until the evidence has stayed low for a window.")


def _breach(verdict: Verdict, migration: Migration | None) -> str:
    called = localized_names(migration)
    names = {"control": called.control, "candidate": called.candidate}
    match verdict.attribution:
        case Attribution.SHARED:
            return gettext("Over its threshold, but %(control)s fails as well, so going back would not help.", **names)
        case Attribution.CONTROL:
            return gettext(
                "Over its threshold, but it is %(control)s that fails, so going back would do harm.", **names
            )
        case Attribution.CANDIDATE_ONLY:
            return gettext("Over its threshold, and %(candidate)s alone is to blame.", **names)
        case Attribution.UNKNOWN:
            return gettext("Over its threshold; whether %(control)s would do better is not known.", **names)


def _bad_of(counts: Counts, per: Per) -> str:
    values = {"bad": count(counts.bad), "total": count(counts.total), "share": share(counts.rate)}
    if per is Per.ACCOUNT:
        return gettext("%(bad)s of %(total)s users (%(share)s)", **values)
    return gettext("%(bad)s of %(total)s (%(share)s)", **values)
