"""What docs/guard.md promises in figures and words is what the code does."""

import re

from alerts.analysis.cohorts import ACCOUNTS_MIN
from alerts.analysis.metrics import METRICS
from alerts.analysis.rules import COHORTS_SHARE, Action, error_budgets
from alerts.analysis.verdicts import Status
from alerts.definitions import explanation, parser
from control_plane.experiments.credits import FLAG
from control_plane.platform.observability.account_hours import REMEMBERED_MAX
from control_plane.platform.observability.account_memory import BUSIEST
from control_plane.platform.observability.cohort_counts import NAMES_MAX
from credits_engine.operations.guard_signals import NEAR_SHARE
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "guard.md").read_text(encoding="utf-8")
SIGNALS = re.findall(
    r"^\| (● )?`([a-z0-9_]+)` \|", (ROOT / "docs" / "guard-signals.md").read_text("utf-8"), re.MULTILINE
)
RULES = parser.parse((ROOT / "alerts.yaml").read_text(encoding="utf-8"))


def table(first_cell: str) -> list[list[str]]:
    """Return the cells of the table whose head begins with `first_cell`, its head first."""
    rows = PAGE[PAGE.index(f"| {first_cell} |") :].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return [cells[0], *cells[2:]]


def test_the_table_of_errors_is_what_the_guard_computes() -> None:
    (_, *names), *rows = table("outcomes")
    by_name, budgets = {rule.name: rule for rule in RULES}, error_budgets(RULES)
    columns = [explanation.errors_needed(by_name[name], budgets[name]) for name in names]
    computed = [
        [f"{size:,}", *(f"{column[index].hold} / {column[index].rollback}" for column in columns)]
        for index, size in enumerate(explanation.SIZES)
    ]
    assert rows == computed


def test_every_verdict_is_explained() -> None:
    assert {row[0] for row in table("it says")[1:]} == {status.value for status in Status}


def test_every_measurement_is_listed_once_and_the_shipped_ones_are_marked() -> None:
    assert sorted(name for _, name in SIGNALS) == sorted(METRICS)
    assert {name for mark, name in SIGNALS if mark} == {rule.metric_name for rule in RULES}


def test_what_can_not_tell_the_engines_apart_is_listed_as_such() -> None:
    text = (ROOT / "docs" / "guard-signals.md").read_text("utf-8")
    listed = text.partition("These can't tell v2 from legacy: ")[2].partition(". An alert")[0]
    assert set(re.findall("`([a-z0-9_]+)`", listed)) == {name for name, each in METRICS.items() if each.engine_unknown}
    apart = text.partition("\nOf `credit_variance`")[2].partition(", what legacy alone")[0]
    named = {"credit_variance", *re.findall("`([a-z0-9_]+)`", apart)}
    assert named == {name for name, each in METRICS.items() if each.control_apart}


def test_the_figures_of_cohorts_are_those_of_the_code() -> None:
    section = " ".join(PAGE[PAGE.index("## Whom it concerns") :].split("\n## ")[0].split())
    assert (BUSIEST, ACCOUNTS_MIN, COHORTS_SHARE, NEAR_SHARE, NAMES_MAX) == (20, 3, 0.1, 0.9, 50)
    for words in (
        "the twenty accounts",
        "fewer than three accounts",
        "share a tenth of its chance",
        "nine tenths of it",
    ):
        assert words in section
    with_cohorts = {rule.name for rule in RULES if error_budgets(RULES)[rule.name].cohorts}
    assert with_cohorts == {
        "credit_consumption_failure",
        "credit_serving_failure",
        "credit_variance",
        "credit_refused_by_v2_only",
    }


def test_the_alert_on_tickets_that_the_page_gives_can_be_used() -> None:
    page = (ROOT / "docs" / "guard-signals.md").read_text(encoding="utf-8")
    line = next(line for line in page.splitlines() if line.startswith("`credit_support_ticket: "))
    (rule,) = parser.parse(f"alerts:\n  {line.strip('`')}\n")
    assert (rule.metric.signal, rule.flag, rule.action) == ("credit_support_ticket", FLAG, Action.NOTIFY)


def test_the_alert_per_account_that_the_page_gives_can_be_used_and_its_signals_are_named() -> None:
    (rule,) = parser.parse(PAGE[PAGE.index("```yaml\nalerts:") :].split("```")[1].removeprefix("yaml\n"))
    assert (rule.by_account, rule.window_seconds) == (True, 3600)
    signals = (ROOT / "docs" / "guard-signals.md").read_text("utf-8")
    listed = signals.partition("say whose they are: ")[2].partition(", and of any other")[0]
    assert set(re.findall("`([a-z0-9_]+)`", listed)) == {name for name, each in METRICS.items() if each.has_accounts}
    assert f"at most {REMEMBERED_MAX:,} of them" in signals


def test_every_test_that_is_promised_exists() -> None:
    page = (ROOT / "docs" / "guard-guarantees.md").read_text(encoding="utf-8")
    promised = re.findall(r"`(test_\w+)`", page)
    known = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(promised) >= 60
    assert [name for name in promised if f"def {name}(" not in known] == []
