"""A sentence of a catalogue as a template, by which a text that was made of it gives its values back. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PLACEHOLDER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Template:
    """A message, its texts between the placeholders, and the names of those."""

    message: str
    literals: Sequence[str]
    names: Sequence[str]

    def values(self, text: str) -> Mapping[str, str] | None:
        """Return what stands in `text` for each name; None where it does not fit.

        Each value ends where the next literal first occurs: nothing is tried twice, however hostile the text.
        """
        first, *others = self.literals
        if not text.startswith(first) or not text.endswith(self.literals[-1]):
            return None
        place, found = len(first), {}
        for index, (name, literal) in enumerate(zip(self.names, others, strict=True), start=1):
            end = len(text) - len(literal) if index == len(self.names) else text.find(literal, place + 1)
            if end <= place:
                return None
            found[name] = text[place:end]
            place = end + len(literal)
        return found if place == len(text) else None


def template(message: str) -> Template:
    """Read a message of gettext's, with `%(name)s` for each value."""
    literals = [part.replace("%%", "%") for part in PLACEHOLDER.split(message)]
    return Template(message, literals[::2], literals[1::2])
