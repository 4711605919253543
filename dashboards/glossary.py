"""The words that are ours, out of `docs/glossary.md`: that file is their one source, also of what is translated."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import IO

from control_plane.platform.shipped_files import shipped_glossary
from dashboards.language import pgettext_of

CONTEXT = "glossary"
HEADINGS = ("| term", "|---")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, what it is, and what it is not, which may be empty; anchor and English name are so in every language."""

    anchor: str
    english: str
    name: str
    meaning: str
    contrast: str


def terms() -> tuple[Term, ...]:
    """Return every term in the present language, by its name there."""
    rows = (
        Term(each.anchor, each.english, *(pgettext_of(CONTEXT, text) if text else "" for text in _texts(each)))
        for each in _written()
    )
    return tuple(sorted(rows, key=lambda each: each.name.casefold()))


def meaning(anchor: str) -> str:
    """Return what the term of this anchor is, without marks of code; raises KeyError where the glossary lacks it."""
    return pgettext_of(CONTEXT, _by_anchor()[anchor].meaning).replace("`", "")


def parse(lines: Iterable[str]) -> Iterator[tuple[int, Term]]:
    """Yield the rows of the table, each with the number of its line."""
    for number, line in enumerate(lines, start=1):
        if line.startswith("|") and not line.startswith(HEADINGS):
            name, what, contrast, _ = (cell.strip() for cell in line.strip().strip("|").split("|"))
            yield number, Term(re.sub(r"\W+", "-", name.lower()), name, name, what, contrast)


def extract(
    file: IO[bytes], *_wanted: object, **_options: object
) -> Iterator[tuple[int, str, tuple[str, str], list[str]]]:
    """Give Babel each text of the glossary as a message, by the protocol of its extraction methods."""
    for number, term in parse(file.read().decode().splitlines()):
        for text in filter(None, _texts(term)):
            yield number, "pgettext", (CONTEXT, text), []


def _texts(term: Term) -> tuple[str, str, str]:
    return term.name, term.meaning, term.contrast


@cache
def _written() -> tuple[Term, ...]:
    text = shipped_glossary().read_text(encoding="utf-8")
    return tuple(term for _, term in parse(text.splitlines()))


@cache
def _by_anchor() -> Mapping[str, Term]:
    return {each.anchor: each for each in _written()}
