"""Every sentence of the pages can be looked up, and every catalogue has it: whole, by hand, with its placeholders."""

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, check_and_call_extract_file, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from dashboards.language import FOLDER, LANGUAGES, LOCALES, SOURCE, translations

DASHBOARDS = FOLDER.parent
ROOT = DASHBOARDS.parent
TEMPLATES = sorted((DASHBOARDS / "templates").rglob("*.html"))
KEYWORDS = {**DEFAULT_KEYWORDS, "N_": None, "NN_": (1, 2)}
"""As `make translations` has them."""
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")
TAG = re.compile(r"</?[a-z]+[^>]*>|`[^`]+`")

READ_ATTRIBUTES = ("alt", "aria-label", "placeholder", "title")
CODE = ("code", "pre", "script", "style")
"""Elements whose content a program reads."""
LOOKUPS = ("_", "gettext", "ngettext", "pgettext")
NOT_TRANSLATED = {
    "Rollout": "the product's name",
    "· Rollout": "the product's name, behind the title of a page",
    "CSV": "a format",
    "UTC": "a unit",
    'q aria-invalid="true" aria-describedby="q "': "attributes that a macro makes",
    'data-rollback="q q " data-title="q · q · Rollout" data-sentence="q "': "attributes that a macro makes",
    "operator checkout_v2 production": "what one writes, as it is parsed",
}
"""Texts of the templates that stay as they are, each with the reason."""
WORD = re.compile(r"[A-Za-z]{2,}")
SENTENCE = re.compile(r"[A-Z][a-z]+($|[ :,.…?])|^[A-Z] [a-z]+ [a-z]+|[a-z]+ [a-z]+ [a-z]+")
GAP = "q "
"""In place of what a template computes, also of the name of an element: a letter, and no word."""
Key = tuple[str | None, str]


@pytest.fixture(scope="module")
def sources() -> dict[Key, tuple[str, ...]]:
    """Every message of the code and the templates, by its context and first form."""
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    of_pages = extract_from_dir(str(DASHBOARDS), methods, options, keywords=KEYWORDS)
    of_glossary = check_and_call_extract_file(
        ROOT / "docs" / "glossary.md", methods, options, None, KEYWORDS, (), strip_comment_tags=False, dirpath=ROOT
    )
    found = chain(of_pages, of_glossary)
    forms = ((context, message if isinstance(message, tuple) else (message,)) for _, _, message, _, context in found)
    return {(context, each[0]): each for context, each in forms}


def catalogue(code: str) -> Catalog:
    with (FOLDER / code / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=code)


def messages(code: str) -> dict[Key, Message]:
    return {(each.context, forms(each.id)[0]): each for each in catalogue(code) if each.id}


def forms(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


TRANSLATED = [code for code in LANGUAGES if code != SOURCE]


def test_there_is_a_catalogue_for_each_language_and_a_language_for_each_catalogue() -> None:
    assert {path.parents[1].name for path in FOLDER.rglob("*.po")} == set(TRANSLATED)
    assert LOCALES.keys() == LANGUAGES.keys()
    assert list(Path(FOLDER).rglob("*.mo")) == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_has_what_the_pages_say_and_nothing_else(code: str, sources: dict[Key, tuple[str, ...]]) -> None:
    """`make translations` brings a catalogue to what the pages say."""
    assert messages(code).keys() == sources.keys()
    assert not catalogue(code).obsolete


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated_and_nobody_guessed(code: str) -> None:
    plurals = catalogue(code).num_plurals
    found = [
        key
        for key, each in messages(code).items()
        if each.fuzzy or not all(forms(each.string)) or len(forms(each.string)) != (plurals if each.pluralizable else 1)
    ]
    assert found == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_holds_the_placeholders_and_the_markup_of_its_message(code: str) -> None:
    found = [
        (each.id, string)
        for each in messages(code).values()
        for string in forms(each.string)
        if parts(PLACEHOLDER, string) not in [parts(PLACEHOLDER, form) for form in forms(each.id)]
        or parts(TAG, string, "name=value", "nombre=valor")
        != parts(TAG, forms(each.id)[0], "name=value", "nombre=valor")
        or string.count("%%") != forms(each.id)[0].count("%%")
        or string.count("\n") != forms(each.id)[0].count("\n")
    ]
    assert found == []


def parts(pattern: re.Pattern[str], text: str, old: str = "", new: str = "") -> list[str]:
    return sorted(pattern.findall(text.replace(old, new) if old else text))


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_begins_and_ends_as_its_message_does(code: str) -> None:
    """A blank, a full stop or a question mark that is missing is seen on the page."""
    found = [
        (each.id, string)
        for each in messages(code).values()
        for string in forms(each.string)
        if ends(string) != ends(forms(each.id)[0])
    ]
    assert found == []


def ends(text: str) -> tuple[bool, bool, str]:
    return text[:1] == " ", text[-1:] == " ", text[-1] if text[-1] in ".?!:,…" else ""


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_is_what_pages_look_sentences_up_in(code: str) -> None:
    key = next(key for key, each in messages(code).items() if key[0] is None and not each.pluralizable)
    assert translations(code).gettext(key[1]) == messages(code)[key].string


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_holds_no_bare_text(template: Path) -> None:
    """Write text for people as `{{ _("…") }}` or `{% trans %}…{% endtrans %}`."""
    tree = environment().parse(template.read_text())
    assert [*bare_texts(tree), *bare_strings(tree)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Held</p>", ["Held"]),
        ('<p>{{ _("Held") }}</p>', []),
        ("{% trans %}Held{% endtrans %}", []),
        ('<a href="{{ x }}">Show all</a>', ["Show all"]),
        ('<nav aria-label="Main">{{ x }}</nav>', ["Main"]),
        ('{% if x %}<p class="quiet">{{ x }} of</p>{% endif %}', ["q of"]),
        ("<code>rollout plan</code>", []),
        ('{{ empty("No rollout yet") }}', ["No rollout yet"]),
        ('{{ field("A moment in UTC.") }}', ["A moment in UTC."]),
        ('{{ empty(_("No rollout yet")) }}', []),
    ],
)
def test_bare_text_is_found(source: str, found: list[str]) -> None:
    tree = environment().parse(source)
    assert [*bare_texts(tree), *bare_strings(tree)] == found


def environment() -> Environment:
    made = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    made.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    return made


class Texts(HTMLParser):
    """A parser of what people read of HTML: its text, and the attributes that are read out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in CODE
        self.found += [value for name, value in attrs if name in READ_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in CODE

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.found.append(data)


def bare_texts(tree: nodes.Template) -> Iterator[str]:
    """Texts between the parts that a template computes."""
    parser = Texts()
    parser.feed("".join(markup(tree)))
    parser.close()
    texts = (" ".join(text.split()) for text in parser.found)
    return (text for text in texts if WORD.search(text) and text not in NOT_TRANSLATED)


def markup(node: nodes.Node) -> Iterator[str]:
    """Yield the markup of a template in its order, with a gap for each value."""
    if isinstance(node, nodes.TemplateData):
        yield node.data
    elif isinstance(node, nodes.Expr):
        yield GAP
    else:
        for name in ("nodes", "body", "elif_", "else_"):
            for child in getattr(node, name, None) or ():
                yield from markup(child)


def bare_strings(tree: nodes.Template) -> Iterator[str]:
    """Sentences written as strings, and looked up nowhere."""
    looked_up = {
        id(argument)
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in LOOKUPS
        for argument in call.find_all(nodes.Const)
    }
    for const in tree.find_all(nodes.Const):
        if isinstance(const.value, str) and id(const) not in looked_up and SENTENCE.search(const.value):
            yield const.value
