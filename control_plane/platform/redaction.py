"""A person's names replaced by a pseudonym in texts and in JSON. Pure."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

DISTINCT_LENGTH = 3
"""A shorter name, or one of digits, may be any word: it is replaced only where it is marked as a user's."""

NOTHING = "(?!)"
"""A pattern that no text fits."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Names of one person, and what stands for them. Names that only look alike stay."""

    names: tuple[str, ...]
    pseudonym: str
    _pattern: re.Pattern[str]

    def text(self, text: str) -> str:
        """Return a text with every mention replaced."""
        return self.pseudonym if text in self.names else self._pattern.sub(self.pseudonym, text)

    def value(self, value: object) -> object:
        """Return a JSON value with every mention replaced, in keys too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each) for each in value]
        return value

    @property
    def distinct(self) -> "Redaction":
        """Return the same without names that may be any word or number."""
        return redaction(filter(_is_distinct, self.names), self.pseudonym)

    @property
    def spellings(self) -> set[str]:
        """Return every way in which a stored text may spell one of the names: as it is, and as JSON does."""
        return set(self.names) | {spelling for name in self.names for spelling in _in_json(name)}


def redaction(names: Iterable[str], pseudonym: str) -> Redaction:
    """Make the redaction of a person by their id and whatever else names them, the longest first."""
    ordered = tuple(sorted(set(names), key=len, reverse=True))
    spellings = {spelling: None for name in ordered for spelling in (name, *_in_json(name))}
    return Redaction(ordered, pseudonym, re.compile("|".join(map(_name_pattern, spellings)) or NOTHING))


def _is_distinct(name: str) -> bool:
    return len(name) >= DISTINCT_LENGTH and not name.isdigit()


def _name_pattern(name: str) -> str:
    escaped = re.escape(name)
    if _is_distinct(name):
        return rf"(?<![\w@.+\\-]){escaped}(?![\w@+-]|\.\w)"
    return rf"(?<=[\"']){escaped}(?=[\"'])|(?<=user:){escaped}(?!\w)|(?<=[Uu]ser ){escaped}(?!\w)"


def _in_json(name: str) -> list[str]:
    return [json.dumps(name)[1:-1], json.dumps(name, ensure_ascii=False)[1:-1]]
