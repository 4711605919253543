from dataclasses import replace

import pytest
from flask import Flask

from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration, side_names
from control_plane.experiments.registry import migration_of, migrations, register_migration

PRICES = Migration.named("ENABLE_PRICES_V2", control="list", candidate="tiered", prefix="price")


@pytest.mark.parametrize(
    ("control", "candidate", "prefix", "expected"),
    [
        ("v1", "v1", "price", "name them apart"),
        ("", "v2", "price", "is not the name of an implementation"),
        ("v1", 'v2"}', "price", "is not the name of an implementation"),
        ("v1", "v2", "Price", "is not the name of a signal"),
        ("v1", "v2", "p" * 64, "is not the name of a signal"),
    ],
)
def test_names_that_nothing_could_be_counted_under_are_refused(
    control: str, candidate: str, prefix: str, expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        Migration.named("ENABLE_PRICES_V2", control=control, candidate=candidate, prefix=prefix)


def test_two_signals_of_one_migration_need_two_names() -> None:
    with pytest.raises(ValueError, match="different names"):
        replace(PRICES.signals, slow=PRICES.signals.failure)


def test_sentences_call_the_sides_by_the_names_of_the_migration_or_by_words() -> None:
    assert (side_names(PRICES).control, side_names(PRICES).control_title) == ("list", "List")
    assert (side_names(None).control_title, side_names(None).candidate) == ("The old version", "the new version")


@pytest.mark.database("sqlite")
def test_the_credits_register_theirs(app: Flask) -> None:
    with app.app_context():
        assert migrations() == (CREDITS,)


@pytest.mark.database("sqlite")
def test_a_flag_and_a_signal_belong_to_one_migration(app: Flask) -> None:
    with app.app_context():
        register_migration(PRICES)
        assert migration_of(PRICES.flag) == PRICES
        with pytest.raises(ValueError, match="of another migration"):
            register_migration(PRICES)
        with pytest.raises(ValueError, match="counts price_comparison_missing already"):
            register_migration(replace(PRICES, flag="ANOTHER"))
        assert migration_of("ANOTHER") is None
