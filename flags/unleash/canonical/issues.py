"""Issues found in a definition, by field: repairs to report and errors to refuse."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\ufeff"
QUOTED_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class Issue:
    """One remark about one field, which is named by its path: `strategies[0].constraints[1].value`."""

    field: str
    sentence: str
    moves: bool = False
    """It gives the feature to other users than before, in some engine at least."""
    respells: bool = False
    """It moves only users of engines that had the text as it was: whoever writes it here means the same."""
    name: str = ""
    """Of the feature or the segment that it is about; empty where it is about none of the document."""


@dataclass(frozen=True, slots=True)
class InvalidDefinition:
    """Every reason why a definition is not taken."""

    mistakes: tuple[Issue, ...]

    def __str__(self) -> str:
        return " ".join(f"{mistake.field}: {mistake.sentence}" for mistake in self.mistakes)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Every reason why one feature, or one segment, of a document is not taken."""

    name: str
    mistakes: tuple[Issue, ...]


@dataclass(slots=True)
class Issues:
    """Collects remarks; a reader that refuses returns something harmless and reading goes on, to find all mistakes."""

    repairs: list[Issue] = field(default_factory=list)
    mistakes: list[Issue] = field(default_factory=list)

    def repair(self, where: str, sentence: str, *, moves: bool = False) -> None:
        """Tell that the field was rewritten, and whether that moves users."""
        self.repairs.append(Issue(where, sentence, moves))

    def respell(self, where: str, sentence: str, *, moves: bool = True) -> None:
        """Tell that the field is written in another way, and whether some engine answered otherwise before."""
        self.repairs.append(Issue(where, sentence, moves, respells=True))

    def refuse(self, where: str, sentence: str) -> None:
        """Refuse the definition for this field."""
        self.mistakes.append(Issue(where, sentence))

    def record(self, raw: object, where: str, known: Iterable[str]) -> Mapping[str, object]:
        """Return the object at `where`, reporting what in it is not among the `known` fields and so is left out."""
        if not isinstance(raw, Mapping):
            self.refuse(where, f"An object is needed, not {truncate(raw)}.")
            return {}
        if unknown := sorted(str(name) for name in raw.keys() - set(known)):
            self.repair(where, f"SDKs have no use for {', '.join(unknown)}, which is left out.")
        return raw

    def entries(self, raw: object, where: str) -> Iterator[tuple[object, str]]:
        """Yield the entries of a list with the path of each; none where it is missing."""
        if raw is None:
            return
        if not isinstance(raw, list | tuple):
            self.refuse(where, f"A list is needed, not {truncate(raw)}.")
            return
        for number, entry in enumerate(raw):
            yield entry, f"{where}[{number}]"

    def switch(self, raw: object, where: str, *, default: bool | None = False) -> bool:
        """Read a boolean; without a default it must be there."""
        if raw is None and default is not None:
            return default
        if not isinstance(raw, bool):
            self.refuse(where, f"true or false is needed, not {truncate(raw)}.")
        return raw is True

    def text(self, raw: object, where: str, *, default: str = "", moves: bool = True) -> str:
        """Return text without white space around it, which the Node SDK trims and others keep; numbers are written out.

        Engines that took it as it was may have let others in; `moves` is False for what none of them evaluates.
        """
        if raw is None:
            return default
        if isinstance(raw, bool | int | float):
            self.respell(where, f"SDKs need text: {truncate(raw)} is sent as {_scalar(raw)!r}.", moves=moves)
            return _scalar(raw)
        if not isinstance(raw, str):
            self.refuse(where, f"Text is needed, not {truncate(raw)}.")
            return default
        if raw != (trimmed := trim(raw)):
            self.respell(where, f"The white space around {trimmed!r} is left out.", moves=moves)
        return trimmed


def trim(text: str) -> str:
    """Return it without what JavaScript or Python takes for white space at either end."""
    return text.strip(WHITE_SPACE)


def truncate(raw: object) -> str:
    """Return a value as an error sentence shows it, however long it is."""
    text = repr(raw)
    return text if len(text) <= QUOTED_LENGTH_MAX else f"{text[:QUOTED_LENGTH_MAX]}…"


def _scalar(raw: float) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(int(raw)) if raw == raw // 1 and abs(raw) < 2**53 else repr(raw)
