"""The language of a page: what its sentences are looked up in, and whose figures it has. Pure.

English is written where it is shown; every other language is a file, `translations/<code>/LC_MESSAGES/messages.po`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

SOURCE = "en"
LANGUAGES: Mapping[str, str] = {SOURCE: "English", "es": "Español"}
"""Each language in its own words, as people choose among them."""
LOCALES: Mapping[str, str] = {SOURCE: "en_GB", "es": "es"}
"""Whose dates and decimals go with it."""
FOLDER = Path(__file__).parent / "translations"

_current: ContextVar[str] = ContextVar("language", default=SOURCE)


def gettext(message: str, /, **values: object) -> str:
    """Return `message` in the present language, with `values` in place of its `%(name)s`."""
    return gettext_of(message) % values


def ngettext(one: str, many: str, number: int, /, **values: object) -> str:
    """Return the form that `number` takes in the present language; `values` as in `gettext`."""
    return ngettext_of(one, many, number) % values


def pgettext(context: str, message: str, /, **values: object) -> str:
    """Return `message` as it is meant in `context`: one word of English may be two elsewhere."""
    return pgettext_of(context, message) % values


def gettext_of(message: str, /) -> str:
    """Return `message` in the present language, as it is written: templates fill in its values by themselves."""
    return translations(_current.get()).gettext(message)


def ngettext_of(one: str, many: str, number: int, /) -> str:
    """Return the form that `number` takes in the present language, as it is written."""
    return translations(_current.get()).ngettext(one, many, number)


def pgettext_of(context: str, message: str, /) -> str:
    """Return `message` as it is meant in `context`, as it is written."""
    return translations(_current.get()).pgettext(context, message)


def N_(message: str, /) -> str:  # noqa: N802 - the name that gettext's own manual gives it
    """Mark a text of a table for extraction; it is looked up when it is shown."""
    return message


def NN_(one: str, many: str, /) -> tuple[str, str]:  # noqa: N802 - as above, for counts
    """Mark both forms of a text of a table for extraction."""
    return one, many


def language() -> str:
    """Return the code of the present language."""
    return _current.get()


def locale() -> Locale:
    """Return the data by which the present language writes dates and numbers."""
    return _locale(_current.get())


def set_language(code: str) -> None:
    """Let what this thread says from now on be in this language."""
    _current.set(code)


@contextmanager
def use_language(code: str) -> Iterator[None]:
    """Speak a language for as long as it lasts."""
    before = _current.set(code)
    try:
        yield
    finally:
        _current.reset(before)


@cache
def translations(code: str) -> NullTranslations:
    """Return the sentences of a language; it is read once per process. What is fuzzy does not count."""
    if code == SOURCE:
        return NullTranslations()
    with (FOLDER / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


@cache
def _locale(code: str) -> Locale:
    return Locale.parse(LOCALES[code])
