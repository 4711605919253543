"""One language at a time, for as long as it is spoken; sentences, numbers and dates follow it."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from dashboards import filters, language
from dashboards.language import LANGUAGES, LOCALES, gettext, ngettext, pgettext, use_language

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def test_english_is_spoken_where_nobody_says_otherwise() -> None:
    assert language.language() == "en"
    assert gettext("Held by hand, %(who)s", who="ann") == "Held by hand, ann"


def test_a_language_lasts_as_long_as_its_block_also_where_that_fails() -> None:
    with use_language("es"):
        assert gettext("Roll back") == "Revertir"
        with use_language("en"):
            assert gettext("Roll back") == "Roll back"
        assert gettext("Roll back") == "Revertir"
    with pytest.raises(ZeroDivisionError), use_language("es"):
        _ = 1 // 0
    assert language.language() == "en"


def test_a_thread_does_not_hear_what_another_speaks() -> None:
    heard: list[str] = []
    with use_language("es"):
        thread = threading.Thread(target=lambda: heard.append(gettext("Roll back")))
        thread.start()
        thread.join()
    assert heard == ["Roll back"]


def test_what_no_catalogue_has_stands_as_it_was_written() -> None:
    with use_language("es"):
        assert gettext("A sentence of nobody's, %(count)s", count=3) == "A sentence of nobody's, 3"


def test_one_word_of_english_may_be_two() -> None:
    with use_language("es"):
        assert gettext("Open") == "Abierta"
        assert pgettext("button", "Open") == "Abrir"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 puertas"),
        (1, "1 puerta"),
        (2, "2 puertas"),
        (12_450, "12 450 puertas"),
        (1_000_000, "1 000 000 de puertas"),
    ],
)
def test_a_noun_takes_the_form_of_its_count(number: int, words: str) -> None:
    with use_language("es"):
        assert filters.pluralize(number, "gate").replace(filters.NARROW, " ") == words


def test_a_sentence_takes_the_form_of_its_count() -> None:
    forms = "%(environments)s keeps the flag.", "%(environments)s keep the flag."
    with use_language("es"):
        assert ngettext(*forms, 1, environments="Staging") == "Staging conserva el flag."
        assert ngettext(*forms, 2, environments="Todo") == "Todo conservan el flag."


def test_dates_and_figures_are_written_as_spanish_has_them() -> None:
    with use_language("es"):
        written = [
            filters.moment(NOW),
            filters.day(NOW),
            filters.day_and_minute(NOW.timestamp() / 60),
            filters.share(0.0053),
            filters.share(0.000001),
            filters.tenths(2.71),
            filters.figure("log10", 2.714),
            filters.count(1_234_567),
            filters.ago(NOW - timedelta(hours=5), NOW),
            filters.ago(NOW + timedelta(minutes=3), NOW),
        ]
    assert [each.replace(filters.NARROW, " ") for each in written] == [
        "2 mar 2026, 09:30 UTC",
        "2 mar 2026",
        "2 mar 09:30",
        "0,53 %",
        "< 0,001 %",
        "2,7",
        "2,71",
        "1 234 567",
        "hace 5 h",
        "dentro de 3 min",
    ]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_has_a_locale_that_there_is(code: str) -> None:
    with use_language(code):
        assert str(language.locale()) == LOCALES[code]
        assert language.locale().language == code


def test_what_is_stored_in_english_gets_no_name_of_another_language() -> None:
    reason = "credit_variance: not shown yet to be below 0.1%."
    with use_language("es"):
        assert filters.stored_sentence(reason) == "Credit variance: not shown yet to be below 0.1\u202f%."
        assert filters.sentence_case(reason).startswith("Discrepancia de créditos:")
