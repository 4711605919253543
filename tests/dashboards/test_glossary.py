"""The glossary of the pages is the table of the docs, in the language of the page."""

import re
from pathlib import Path

import pytest

from dashboards.glossary import meaning, parse, terms
from dashboards.language import use_language

ROOT = Path(__file__).parents[2]
WRITTEN = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TEMPLATES = sorted((ROOT / "dashboards" / "templates").rglob("*.html"))
USED = re.compile(r'term\("([^"]+)"')


def test_every_row_of_the_docs_is_a_term_and_nothing_else() -> None:
    rows = [line for line in WRITTEN.splitlines() if line.startswith("|")][2:]
    assert [f"| {each.name} | {each.meaning} |" for each in terms()] == [
        "|".join(line.split("|")[:3]) + "|" for line in rows
    ]


def test_terms_are_in_the_order_of_the_language_under_the_same_anchors() -> None:
    with use_language("es"):
        spanish = terms()
    assert [each.name for each in spanish] == sorted((each.name for each in spanish), key=str.casefold)
    assert {each.anchor for each in spanish} == {each.anchor for each in terms()}
    assert next(each.name for each in spanish if each.anchor == "gate") == "puerta"
    assert not {each.meaning for each in spanish} & {each.meaning for each in terms()}


def test_a_row_without_a_contrast_is_read() -> None:
    (found,) = parse(["| term | what |", "|---|", "| served, shadow | both | | `a.py` |"])
    assert found[0] == 3
    assert (found[1].anchor, found[1].meaning, found[1].contrast) == ("served-shadow", "both", "")


@pytest.mark.parametrize(
    "template", [path for path in TEMPLATES if USED.search(path.read_text())], ids=lambda p: p.stem
)
def test_each_term_that_a_page_links_to_is_in_it(template: Path) -> None:
    for anchor in USED.findall(template.read_text()):
        assert meaning(anchor)


def test_a_term_that_there_is_not_is_an_error() -> None:
    with pytest.raises(KeyError):
        meaning("nothing")
