"""The faults that a visitor may order, and the file by which the pages tell the traffic."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dashboards.language import N_
from dashboards.simulation.fault_injection import Fault, FaultKind


@dataclass(frozen=True, slots=True)
class Order:
    """A fault to order: its title, what will be seen, and what goes wrong in each engine."""

    title: str
    expected: str
    v2: tuple[Fault, ...] = ()
    legacy: tuple[Fault, ...] = ()


NOTHING = "nothing"


def _fault(kind: FaultKind, rate: float) -> tuple[Fault, ...]:
    return (Fault(kind, rate, from_operation=0),)


ORDERS: Mapping[str, Order] = {
    NOTHING: Order(N_("No fault"), N_("A step can be taken once its gates are open.")),
    "double-charge": Order(
        N_("v2 charges one operation in five twice"),
        N_("The guard rolls back by itself; what was charged too much is listed to be paid back."),
        v2=_fault(FaultKind.DOUBLE_CHARGE, 0.2),
    ),
    "fail": Order(
        N_("v2 fails one operation in five"),
        N_("The guard rolls back by itself. Users whom legacy serves notice nothing at any time."),
        v2=_fault(FaultKind.FAIL, 0.2),
    ),
    "refuse": Order(
        N_("v2 refuses one operation in five that legacy grants"),
        N_("The guard rolls back by itself: both engines answer every request, so it is seen in the shadow too."),
        v2=_fault(FaultKind.DENY, 0.2),
    ),
    "both": Order(
        N_("Both engines fail: an outage"),
        N_(
            "The rollout is held and not rolled back: legacy fails the same requests, so going back to it helps nobody."
        ),
        v2=_fault(FaultKind.FAIL, 1.0),
        legacy=_fault(FaultKind.FAIL, 1.0),
    ),
    "legacy": Order(
        N_("Only legacy fails"),
        N_("Nothing is rolled back: legacy is what users would be given. People are told that legacy fails."),
        legacy=_fault(FaultKind.FAIL, 0.3),
    ),
}


class OrderBook:
    """The order in force, in a file of the demonstration's folder that pages write and the traffic reads."""

    def __init__(self, folder: Path) -> None:
        """Keep the order in `folder`."""
        self._file = folder / "order"

    def write(self, name: str) -> None:
        """Put an order in force. Raises KeyError for a name that is none."""
        ORDERS[name]
        arriving = self._file.with_suffix(".new")
        arriving.write_text(name, encoding="utf-8")
        arriving.replace(self._file)

    def read(self) -> str:
        """Return the name of the order in force."""
        return self._file.read_text(encoding="utf-8") if self._file.exists() else NOTHING
