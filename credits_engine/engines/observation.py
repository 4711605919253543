"""Asking an engine safely: it gets copies, its errors are caught, and what it returns is checked before use."""

from control_plane.experiments import observation as experiments
from control_plane.experiments.observation import ERROR_CHARACTERS, Timer
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.decisions import Book, Decision, Engine, EngineName, Outcome, Request
from credits_engine.engines.periods import Period

RETIRED = "Legacy is retired and was not asked."
LARGEST_NUMBER = 2**53
SOUND_SHAPES = (Amounts, Amounts, Limits, Limits, Period, str)


class Observation(experiments.Observation[EngineName, Decision]):
    """One engine's answer: a decision, or the error that prevented one, and how long it took."""

    __slots__ = ()

    @property
    def engine(self) -> EngineName:
        return self.name

    @property
    def outcome(self) -> Outcome:
        return Outcome.ERROR if self.decision is None else self.decision.outcome


def observe(candidate: Engine, engine: EngineName, *, book: Book, request: Request, timer: Timer) -> Observation:
    """Ask one engine. It gets copies of its own, and nothing that it raises or returns can reach the caller."""
    return Observation.of(
        engine,
        lambda: candidate(_copied(book), Request(request.user_id, _own(request.amounts))),
        check=_unsound,
        timer=timer,
    )


def retired(engine: EngineName) -> Observation:
    """Return an observation of a shadow that is not asked any more: it is retired."""
    return Observation.skip(engine, RETIRED)


def _copied(book: Book) -> Book:
    period, limits = book.period, book.limits
    return Book(
        Period(period.start, period.end),
        _own(book.used),
        Limits(*limits.figures),
        book.blocked,
        _own(book.bought),
    )


def _own(amounts: Amounts) -> Amounts:
    return Amounts(*amounts.figures)


def _unsound(answer: object) -> str | None:
    """Return why an answer is no decision that could be stored and compared; None when it is one."""
    if type(answer) is not Decision:
        return f"The engine answered with {type(answer).__name__} instead of a decision."
    if type(answer.outcome) is not Outcome or answer.outcome is Outcome.ERROR:
        return f"The engine answered with the outcome {answer.outcome!r}."[:ERROR_CHARACTERS]
    fields = (answer.charged, answer.used, answer.limits, answer.remaining, answer.period, answer.reason)
    shapes = tuple(type(field) for field in fields)
    if shapes != SOUND_SHAPES:
        return "The engine answered with a decision whose fields are not what they must be."
    limits = (*answer.limits.figures, *answer.remaining.figures)
    counts = (*answer.charged.figures, *answer.used.figures)
    for number in (*counts, *(limit for limit in limits if limit is not None)):
        if type(number) is not int or abs(number) > LARGEST_NUMBER:
            return f"The engine answered with {number!r} where credits are counted."[:ERROR_CHARACTERS]
    return None
