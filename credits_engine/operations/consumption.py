"""The use case: one operation is decided by both engines, posted to both books and journalled once, in one transaction.

The flag decides who judges, never who writes: what the served engine charged goes into both books, so either engine
can take over at any instant.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter_ns

from sqlalchemy.orm import Session

from control_plane.experiments.observation import Timer
from control_plane.experiments.shadow_budget import ShadowBudgets
from credits_engine.engines import legacy, receipts, v2
from credits_engine.engines.amounts import NOTHING, Amounts, Kind
from credits_engine.engines.comparison import compare
from credits_engine.engines.decisions import Engine, EngineName, Outcome, Request
from credits_engine.engines.memberships import Membership, own_key
from credits_engine.engines.observation import Observation, observe, retired
from credits_engine.engines.packs import Pack, beyond_plan
from credits_engine.engines.packs import spend as drawn_from
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.operations.account_books import Books, load_account, load_for_update, synced_account
from credits_engine.operations.members import place_of, within_limit
from credits_engine.store import books, journal, members, packs
from credits_engine.store.accounts import Account, KnownKey

UNWRITTEN = 0


@dataclass(frozen=True, slots=True)
class FlagEvaluation:
    """The flag's value for this user: whether v2 serves, why, and at which revision of the flags."""

    enabled: bool
    reason: str
    revision: int

    @property
    def engine(self) -> EngineName:
        return EngineName.V2 if self.enabled else EngineName.LEGACY


Evaluate = Callable[[Account], FlagEvaluation]


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines. The product has these two; only a simulation replaces them."""

    legacy: Engine = legacy.decide
    v2: Engine = v2.decide

    def of(self, name: EngineName) -> Engine:
        """Return the engine of that name."""
        return self.legacy if name is EngineName.LEGACY else self.v2


ENGINES = Engines()


@dataclass(frozen=True, slots=True)
class EnginePolicy:
    """This process's policy: the engines, the time the shadow may take, and what a failure means to the caller.

    An operation whose kinds are all in `allowed_on_error` goes ahead uncharged when the served engine fails; any other
    is refused as undecided.
    """

    shadows: ShadowBudgets = field(default_factory=ShadowBudgets)
    allowed_on_error: frozenset[Kind] = frozenset()
    engines: Engines = ENGINES
    timer: Timer = perf_counter_ns

    def fails_open_for(self, amounts: Amounts) -> bool:
        """Return whether an undecided operation is allowed."""
        kinds = {kind for kind, amount in amounts.items() if amount}
        return kinds <= self.allowed_on_error


@dataclass(frozen=True, slots=True)
class Operation:
    """A request: amounts per kind for a user, under a key that the caller chose and repeats on retries."""

    user_id: str
    key: str
    amounts: Amounts
    actor: str = ""
    type: EntryType = EntryType.CONSUME
    member: Membership | None = None
    """Who asks, where the account is an organisation's."""

    def taken_from(self, member: Membership | None) -> "Operation":
        """Return the operation as the account's of whom `member` is."""
        user_id, key = place_of(member, self.user_id, self.key)
        return replace(self, user_id=user_id, key=key, member=member) if member else self

    @property
    def fingerprint(self) -> str:
        """Equal for two requests exactly when they ask for the same."""
        return f"{self.type} {self.amounts.fingerprint}"


class UnknownUserError(LookupError):
    """The directory has no such user."""


class KeyConflictError(Exception):
    """The key was used before for something else."""


class LostRaceError(Exception):
    """Another transaction took the same key at the same moment; run the whole transaction again to get its answer."""


def consume(
    session: Session,
    operation: Operation,
    *,
    now: datetime,
    evaluate: Evaluate,
    policy: EnginePolicy | None = None,
) -> Receipt:
    """Answer `operation` once: a known key gets its first receipt again, unless that was an error, which is retried.

    Raises UnknownUserError, UnknownPlanError, KeyConflictError and LostRaceError; nothing is written then.
    """
    first = load_account(session, operation.user_id, key=operation.key, now=now)
    if first is None:
        raise UnknownUserError(f"User {operation.user_id!r} is not in the directory; add the user first.")
    if earlier := _earlier_receipt(session, operation, first.known):
        return earlier
    # Before any lock on a book: a sync locks the billing account first, and two orders would wait in a circle.
    account = synced_account(session, first.account, now=now)
    view = first.view if account is first.account else None  # a sync may have moved the books
    # From here on every other operation of this user waits. What was known of the key before may be out of date: a twin
    # of this request may have committed while we waited, so the key is looked at again under the locks.
    loaded, known = load_for_update(session, account, key=operation.key, now=now, known=first.known, view=view)
    if earlier := _earlier_receipt(session, operation, known):
        return earlier
    if operation.member:
        loaded = within_limit(session, operation.member, loaded, operation.amounts)
    evaluation = evaluate(account)
    receipt = run_experiment(operation, loaded, evaluation=evaluation, now=now, policy=policy)
    # Only an attempt that ended in an error comes this far with a known key: it charged nothing, so it may run again.
    if known:
        receipt = replace(receipt, retry_of=known.journal_id)
    return _write(session, operation, receipt, loaded.packs)


def run_experiment(
    operation: Operation,
    loaded: Books,
    *,
    evaluation: FlagEvaluation,
    now: datetime,
    policy: EnginePolicy | None = None,
) -> Receipt:
    """Let both engines decide and compare them; what the served one says stands. Writes nothing."""
    policy = policy or EnginePolicy()
    engines, timer = policy.engines, policy.timer
    request = Request(operation.user_id, operation.amounts)
    served_name = evaluation.engine
    served_book, shadow_book = loaded.of(served_name), loaded.of(served_name.other)
    served = observe(engines.of(served_name), served_name, book=served_book, request=request, timer=timer)
    shadow = _run_shadow(policy, loaded, served_name.other, request)
    charged = served.decision.charged if served.decision and served.outcome is Outcome.ALLOWED else NOTHING
    # The plan's credits go first, packs last: they outlive the period, so spending them late favours the customer.
    from_packs = beyond_plan(served_book, charged)
    side = receipts.engine_result(served, served_book, charged - from_packs, from_packs)
    return Receipt(
        journal_id=UNWRITTEN,
        type=operation.type,
        occurred_at=now,
        user_id=operation.user_id,
        operation_key=operation.key,
        requested=operation.amounts,
        charged=charged,
        outcome=served.outcome,
        reason=side.reason,
        served=side,
        # The shadow's book is posted what the served engine charged, not what the shadow would have charged.
        shadow=receipts.engine_result(shadow, shadow_book, charged - from_packs, from_packs),
        comparison=compare(served, shadow, served_book=served_book, shadow_book=shadow_book, request=request),
        flag_revision=evaluation.revision,
        evaluation_reason=evaluation.reason,
        actor=operation.actor,
        uncharged=served.decision is None and policy.fails_open_for(operation.amounts),
    )


def _run_shadow(policy: EnginePolicy, loaded: Books, name: EngineName, request: Request) -> Observation:
    """Run the shadow within its budget; skip a retired one."""
    if loaded.legacy_retired and name is EngineName.LEGACY:
        return retired(name)
    budget, timer = policy.shadows.of(name), policy.timer
    # Skipped rather than slow: the caller waits for the shadow too, so a slow one may take only its share of the time.
    if not budget.admits(timer()):
        return Observation.skip(name)
    observation = observe(policy.engines.of(name), name, book=loaded.of(name), request=request, timer=timer)
    budget.spend(observation.duration_us, timer())
    return observation


def _earlier_receipt(session: Session, operation: Operation, known: KnownKey | None) -> Receipt | None:
    """Return the receipt that answers a known key again; None when the key is new or its last attempt was an error."""
    if known is None:
        return None
    if known.fingerprint != operation.fingerprint:
        raise KeyConflictError(
            f"Key {own_key(operation.key)!r} was used before for another request; use a new key or repeat it unchanged."
        )
    if not known.is_final:
        return None
    return receipts.replayed(receipts.from_columns(journal.fetch(session, operation.user_id, known.journal_id)))


def _write(session: Session, operation: Operation, receipt: Receipt, bought: tuple[Pack, ...]) -> Receipt:
    sides = {receipt.served.engine: receipt.served, receipt.shadow.engine: receipt.shadow}
    # A refusal moves no book and is journalled all the same: the comparison needs it.
    if receipt.served.posted != NOTHING:
        books.post(
            session,
            receipt.user_id,
            period_start=sides[EngineName.V2].period.start,
            month_start=sides[EngineName.LEGACY].period.start,
            amounts=receipt.served.posted,
        )
    journal_id = journal.append(session, receipts.to_columns(receipt))
    if receipt.spent_from_packs != NOTHING:
        packs.move(session, receipt.user_id, journal_id, drawn_from(bought, receipt.spent_from_packs))
    if operation.member and receipt.charged != NOTHING:
        members.add_entry(session, journal_id, operation.member, sides[EngineName.V2].period.start, receipt.charged)
    if receipt.retry_of is not None:
        journal.redirect(session, operation.user_id, operation.key, journal_id=journal_id)
    # The last word is the primary key's: where two requests under one new key came this far, one of them begins again.
    elif not journal.remember(
        session,
        operation.user_id,
        operation.key,
        fingerprint=operation.fingerprint,
        journal_id=journal_id,
        now=receipt.occurred_at,
    ):
        raise LostRaceError(f"Key {own_key(operation.key)!r} is being answered by another request; try again.")
    return replace(receipt, journal_id=journal_id)
