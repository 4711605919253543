"""What every kind of audience says of itself, and the register in which plans find it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import StrEnum
from typing import ClassVar, Protocol

from control_plane.audiences.constraint import Constraint, listed
from control_plane.audiences.exposure import EVERYBODY, PRODUCTION, Exposure, Share


class AudienceKind(StrEnum):
    """The kinds that are registered here, in the order in which an evaluation asks."""

    ENVIRONMENTS = "environments"
    ALLOWLIST = "allowlist"
    NEW_SIGNUPS = "new_signups"
    ATTRIBUTES = "attributes"
    EVERYONE = "everyone"


class Opening(Protocol):
    """A phase, as far as a kind of audience reads it."""

    @property
    def name(self) -> str: ...
    @property
    def steps(self) -> tuple[int, ...]: ...
    @property
    def environments(self) -> tuple[str, ...]: ...
    @property
    def constraints(self) -> tuple[Constraint, ...]: ...
    @property
    def segment(self) -> str: ...


class Audience(ABC):
    """One kind of audience: a stateless value."""

    name: ClassVar[str]
    is_stepped: ClassVar[bool] = True
    takes_environments: ClassVar[bool] = False
    takes_constraints: ClassVar[bool] = False

    @abstractmethod
    def open(self, exposure: Exposure, phase: Opening, percentage: int, environment: str) -> Exposure:
        """`exposure` with this percentage of the phase's audience in `environment`."""

    @abstractmethod
    def sentence(self, phase: Opening, cutover: str) -> str:
        """Describe the audience, as a sentence without its full stop; `cutover` is the plan's day in words."""

    @abstractmethod
    def reach(self, phase: Opening, share: str) -> str:
        """Describe a step inside a sentence: `25 % of new signups`."""

    def entry(self, percentage: int | None) -> str:
        """Describe how a user enters with this audience, inside a sentence."""
        return f"at {percentage} % of {self.name.replace('_', ' ')}"

    def errors(self, phase: Opening) -> Iterator[str]:
        """Yield every reason why the phase can't have this audience."""
        if not self.is_stepped and phase.steps != (EVERYBODY,):
            yield f"an audience of {self.name} has the one step 100."
        if self.takes_environments != bool(phase.environments):
            yield "a phase names environments if its audience is environments, and only then."
        if self.takes_constraints != bool(phase.constraints):
            yield "a phase has constraints or a segment if its audience is attributes, and only then."
        for constraint in phase.constraints:
            yield from constraint.errors()


class ConstraintAudience(Audience):
    """Customers in production who meet constraints: with those alone a kind is evaluated, compiled and proved."""

    @abstractmethod
    def constraints(self, phase: Opening) -> tuple[Constraint, ...]:
        """Return the constraints that a customer has to meet, every one of them."""

    def open(self, exposure: Exposure, phase: Opening, percentage: int, environment: str) -> Exposure:
        """`exposure` with a share of those customers."""
        if environment != PRODUCTION:
            return exposure
        return exposure.with_share(Share(self.name, self.constraints(phase), percentage, phase.name, phase.segment))

    def sentence(self, phase: Opening, cutover: str) -> str:  # noqa: ARG002 - for those who signed up
        """Name the conditions."""
        return f"Customers whose {listed(self.constraints(phase))}"

    def reach(self, phase: Opening, share: str) -> str:
        """Name the share and the conditions."""
        return f"{share} of customers whose {listed(self.constraints(phase))}"


KINDS: dict[str, Audience] = {}


class UnknownAudienceError(ValueError):
    """No such kind is registered; the message names those that are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no audience {name!r}; there are {', '.join(KINDS)}.")


def register_audience(kind: Audience) -> None:
    """Let plans have phases of this kind."""
    KINDS[kind.name] = kind


def audience_kind(name: str) -> Audience:
    """Return the kind called `name`; raises UnknownAudienceError."""
    if name not in KINDS:
        raise UnknownAudienceError(name)
    return KINDS[name]


def known_audience(name: str) -> str:
    """Return `name` if there is such a kind; raises UnknownAudienceError."""
    return audience_kind(name).name
