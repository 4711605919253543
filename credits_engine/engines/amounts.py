"""Credits by kind: amounts and limits are one value each, in one canonical order of the kinds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import add, sub
from typing import Generic, NewType, Self, TypeVar

Kind = NewType("Kind", str)
"""What a credit pays for. The kinds are the catalogue's: see `plans.register_kind`."""
Limit = int | None
"""Credits of one kind per period. None is unlimited; 0 is legal and means none at all."""
KINDS: list[Kind] = []
"""The canonical order. Amounts are stored in it, so a kind is only ever added at the end."""

FIRST_KINDS = 2
"""So many kinds stand in every fingerprint; keys that were used before there were more must still fit."""

Figure = TypeVar("Figure", int, Limit)


@dataclass(frozen=True, slots=True, init=False)
class ByKind(Generic[Figure]):
    """A figure for each kind: positional in the canonical order, or by the kind's name; 0 where none is given."""

    figures: tuple[Figure, ...]

    def __init__(self, *figures: Figure, **by_kind: Figure) -> None:
        if by_kind:
            by_name = tuple(by_kind.pop(kind, 0) for kind in KINDS)
            if by_kind or figures:
                raise TypeError(f"{sorted(by_kind)} are no kinds of credits, or figures are given twice.")
            figures = by_name
        object.__setattr__(self, "figures", figures)

    @classmethod
    def of(cls, figure: Callable[[Kind], Figure]) -> Self:
        """Compute the figure of each kind."""
        return cls(*map(figure, KINDS))

    def __getitem__(self, kind: str) -> Figure:
        place = KINDS.index(kind)  # type: ignore[arg-type]
        return self.figures[place] if place < len(self.figures) else 0

    @property
    def in_order(self) -> tuple[Figure, ...]:
        """The figure of every kind, in the canonical order."""
        missing = len(KINDS) - len(self.figures)
        return self.figures + (0,) * missing if missing > 0 else self.figures

    @property
    def stored(self) -> tuple[Figure, ...]:
        """The figures as they are stored."""
        return self.figures

    def by_name(self) -> dict[str, Figure]:
        """Return every kind's figure under its name."""
        return dict(self.items())

    def items(self) -> Iterator[tuple[Kind, Figure]]:
        """Return every kind with its figure, in the canonical order."""
        return zip(KINDS, self.in_order, strict=False)


class Amounts(ByKind[int]):
    """Credits of each kind: asked for, charged or used. Negative only where credits are given back."""

    __slots__ = ()

    def __init__(self, *amounts: int, **by_kind: int) -> None:
        """Leave out zeros at the end, so that amounts from before a kind was added equal those from after."""
        if by_kind:
            super().__init__(*amounts, **by_kind)
            amounts = self.figures
        while amounts and amounts[-1] == 0:
            amounts = amounts[:-1]
        object.__setattr__(self, "figures", amounts)

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(*map(add, self.in_order, other.in_order))

    def __sub__(self, other: "Amounts") -> "Amounts":
        return Amounts(*map(sub, self.in_order, other.in_order))

    def __neg__(self) -> "Amounts":
        return Amounts(*(-amount for amount in self.figures))

    def __str__(self) -> str:
        return " and ".join(f"{amount} {kind}" for kind, amount in self.items() if amount) or "0"

    @property
    def fingerprint(self) -> str:
        """Equal for equal amounts, in however many kinds they were written."""
        return " ".join(map(str, self.stored))

    @property
    def stored(self) -> tuple[int, ...]:
        """The amounts as they are stored: of two kinds at least, and then up to the last that is not 0."""
        return (*self.figures, *(0,) * (FIRST_KINDS - len(self.figures)))

    @property
    def total(self) -> int:
        """The credits of all kinds together."""
        return sum(self.figures)


class Limits(ByKind[Limit]):
    """The limits of one plan in one period."""

    __slots__ = ()

    def completed(self, granted: "Limits") -> "Limits":
        """Add what a plan grants of the kinds that were added since."""
        return Limits(*self.figures, *granted.figures[len(self.figures) :])


NOTHING = Amounts()
