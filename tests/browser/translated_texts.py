"""What a page in another language says in place of a text that a test knows in English: by the catalogue alone."""

import re
from collections.abc import Iterator, Mapping
from functools import cache

from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from dashboards.language import FOLDER, SOURCE
from dashboards.sentence_templates import PLACEHOLDER, Template, template

TAG = re.compile(r"<[^>]+>")
Text = str | re.Pattern[str]
SHARE = "to a share"
"""The context of a message whose value is a share, which takes an article in some languages."""
LITERAL_MIN = 0.2
"""The part of a text that has to be the message's own: a message of little more than values would fit any text."""


def translate(text: Text, language: str) -> Text:
    """Return what stands in place of a text, or of what a pattern finds; itself where it is a name or a figure."""
    if language == SOURCE or (isinstance(text, str) and text.isupper()):
        return text
    if isinstance(text, str):
        if exact := sorted({told for said, told, _ in _messages(language) if said.message == text}):
            return exact[0] if len(exact) == 1 else re.compile(f"^({'|'.join(map(re.escape, exact))})$")
        if whole := _translate_message(text, language):
            return whole
    found = re.compile(re.escape(text)) if isinstance(text, str) else text
    parts = {_pattern(told) for said, told, _ in _messages(language) if found.search(said.message)}
    return re.compile("|".join(sorted(parts))) if parts else text


def _translate_message(text: str, language: str) -> str | None:
    """Translate a text that is one message, with its values and with what a page does to its ends."""
    if text.endswith("…") and (begun := _translate_message(text[:-1], language)):
        return f"{begun}…"
    if told := _translate_template(text, language):
        return told
    if text.endswith(".") and (begun := _translate_message(text[:-1], language)):
        return f"{begun}."
    inside = _translate_template(text[0].lower() + text[1:], language)
    return inside and inside[0].upper() + inside[1:]


def _translate_template(text: str, language: str) -> str | None:
    fitting = [
        (said, told, values)
        for said, told, context in _messages(language)
        if (values := said.values(text)) is not None and (context == SHARE) <= _is_share(values)
    ]
    # Of several that say the same, the first: those with a context stand before the one without.
    said, told, values = max(fitting, key=lambda each: _rank(each[0]), default=(None, "", {}))
    if said is None or _literal_length(said) < LITERAL_MIN * len(text):
        return None
    return PLACEHOLDER.sub(lambda found: _translate_template(values[found[1]], language) or values[found[1]], told)


def _is_share(values: Mapping[str, str]) -> bool:
    return any(value[:1].isdigit() for value in values.values())


def _rank(said: Template) -> tuple[bool, int]:
    """Return how much a message says of itself: its beginning first, then how long it is without its values."""
    return bool(said.literals[0]), _literal_length(said)


def _literal_length(said: Template) -> int:
    return sum(map(len, said.literals))


@cache
def _messages(language: str) -> tuple[tuple[Template, str, str | None], ...]:
    with (FOLDER / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    return tuple((said, told, message.context) for message in messages for said, told in _forms(message))


def _forms(message: Message) -> Iterator[tuple[Template, str]]:
    """Yield each line of a message with its translation; of one with plurals the first and the last form."""
    said = message.id if isinstance(message.id, tuple) else (message.id,)
    told = message.string if isinstance(message.string, tuple) else (message.string,)
    for place in (0, -1):
        lines = str(said[place]).splitlines(), str(told[place]).splitlines()
        yield from ((template(TAG.sub("", one)), TAG.sub("", other)) for one, other in zip(*lines, strict=False))


def _pattern(told: str) -> str:
    """Return a pattern of a message with anything in place of its values."""
    return ".*".join(re.escape(part.replace("%%", "%")) for part in PLACEHOLDER.split(told)[::2])
