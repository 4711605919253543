"""Migrations that alerts.yaml declares: their signals may be named by alerts, and every mistake has its line."""

from pathlib import Path

import pytest

from alerts.definitions import parser
from alerts.definitions.parser import InvalidRules, parse_definitions
from alerts.definitions.rules_file import RulesFile
from control_plane.experiments.migration import Migration
from tests.conftest import ROOT

PRICES = Migration.named("PRICES", control="list", candidate="tiered", prefix="price")
ALERTS = "alerts:\n  price_failure: {threshold: 1%, window: 5m, severity: critical}\n"
DECLARED = "migrations:\n  PRICES: {control: list, candidate: tiered, prefix: price}\n"


def test_its_alerts_belong_to_its_flag_wherever_it_stands_in_the_file() -> None:
    for text in (DECLARED + ALERTS, ALERTS + DECLARED):
        found = parse_definitions(text)
        assert found.migrations == (PRICES,)
        assert [(rule.flag, rule.migration) for rule in found.rules] == [("PRICES", PRICES)]


def test_without_it_the_signal_is_unknown() -> None:
    with pytest.raises(InvalidRules, match="nothing is measured under the name 'price_failure'"):
        parser.parse(ALERTS)


@pytest.mark.parametrize(
    ("migrations", "mistake"),
    [
        ("  PRICES: {control: list, candidate: tiered}", "Line 2, migrations.PRICES.prefix: missing."),
        (
            "  PRICES: {control: list, candidate: list, prefix: price}",
            "Line 2, migrations.PRICES: Both implementations",
        ),
        ("  PRICES: {control: L, candidate: tiered, prefix: price}", "Line 2, migrations.PRICES.control: 'L' is not"),
        ("  PRICES: {control: list, candidate: tiered, prefix: pr-ice}", "Line 2, migrations.PRICES: 'pr-ice_routed'"),
        ("  PRICES: {control: list, candidate: tiered, prefix: credit}", "Line 2, migrations.PRICES.prefix: "),
        ("  PRICES: {control: l, candidate: t, prefix: price, flag: X}", "Line 2, migrations.PRICES.flag: unknown key"),
        ("  ENABLE_CREDITS_V2: {control: l, candidate: t, prefix: price}", "is the flag of another migration already"),
        ("  9: {control: l, candidate: t, prefix: price}", "Line 2, migrations.9: '9' is not the name of a flag"),
        (
            "  A: {control: l, candidate: t, prefix: p}\n  B: {control: l, candidate: t, prefix: p}",
            "Line 3, migrations.B",
        ),
        ("  - PRICES", "Line 2, migrations: expected keys with values below it."),
        ("  PRICES:", "Line 2, migrations.PRICES: expected keys with values below it."),
        ("  PRICES: {control: [l], candidate: t, prefix: p}", "Line 2, migrations.PRICES.control: expected one value"),
    ],
)
def test_every_mistake_is_named_with_its_line(migrations: str, mistake: str) -> None:
    with pytest.raises(InvalidRules) as raised:
        parse_definitions(f"migrations:\n{migrations}\n{ALERTS}")
    assert any(mistake in str(each) for each in raised.value.mistakes), raised.value


def test_a_migration_that_this_program_runs_itself_is_not_declared_again() -> None:
    with pytest.raises(InvalidRules, match="PRICES is the flag of another migration already"):
        parse_definitions(DECLARED + ALERTS, (PRICES,))


def test_the_file_declares_another_one_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text((ROOT / "alerts.yaml").read_text())
    rules = RulesFile(path)
    assert not rules.declared
    path.write_text(DECLARED + ALERTS)
    rules.refresh()
    rules.refresh()
    assert rules.declared == (PRICES,)
    path.write_text("migrations: {}\nalerts: [")
    rules.refresh()
    rules.refresh()
    assert rules.declared == (PRICES,), "a file that can't be used changes nothing"
