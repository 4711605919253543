"""The scenarios that promtool plays through the exported rules: healthy, silent, broken, and a guard that died."""

from collections.abc import Iterator, Sequence

from alerts.analysis.metrics import Compare
from alerts.analysis.rules import Rule
from alerts.export import prometheus
from alerts.export.expressions import BAD, OUTCOMES
from alerts.export.prometheus import WATCHDOGS, Document, watchdog

PER_SCRAPE = 1000
BROKEN_RATE = 0.9
LONGEST_SECONDS = 300


def tests_document(rules: Sequence[Rule], *, rules_file: str, scrape_seconds: float) -> Document:
    """Return the test file for `promtool test rules`."""
    interval = f"{scrape_seconds:g}s"
    scenarios = [scenario for rule in rules for scenario in _scenarios(rule, scrape_seconds)]
    scenarios += [_counter_series(scrape_seconds)]
    return {
        "rule_files": [rules_file],
        "evaluation_interval": interval,
        "tests": [{"interval": interval} | scenario for scenario in scenarios],
    }


def _scenarios(rule: Rule, scrape_seconds: float) -> Iterator[Document]:
    # promtool evaluates every rule at every scrape: two days of them would take it minutes, and a rate needs fewer.
    scrapes = (
        int(min(2 * rule.window_seconds, LONGEST_SECONDS) / scrape_seconds) + int(rule.for_seconds / scrape_seconds) + 2
    )
    at = f"{int(scrapes * scrape_seconds)}s"
    fires = [_expected(prometheus.plain(rule))]
    yield _scenario(f"{rule.name} is healthy", _series(rule, 0, scrapes), at, {rule.name: []})
    yield _scenario(f"{rule.name} has no traffic", _series(rule, 0, scrapes, per_scrape=0), at, {rule.name: []})
    yield _scenario(f"{rule.name} is broken", _series(rule, BROKEN_RATE, scrapes), at, {rule.name: fires})
    for status, expected in (("rollback", [_expected(prometheus.evidence(rule), rule)]), ("hold", [])):
        name = f"{rule.name} has evidence and the verdict {status}"
        yield _scenario(name, _alert_tests(rule, status, scrapes), at, {f"{rule.name}_evidence": expected})


def _counter_series(scrape_seconds: float) -> Document:
    at = f"{int(2 * scrape_seconds)}s"
    series = {"guard_lease_seconds_left": "30 0 0", "guard_lag_seconds": "0 30 60"}
    return _scenario("the guard died", series, at, {each[0]: [_expected(watchdog(*each))] for each in WATCHDOGS})


def _scenario(name: str, series: dict[str, str], at: str, expected: dict[str, list[Document]]) -> Document:
    return {
        "name": name,
        "input_series": [{"series": each, "values": values} for each, values in series.items()],
        "alert_rule_test": [
            {"eval_time": at, "alertname": alert, "exp_alerts": alerts} for alert, alerts in expected.items()
        ],
    }


def _series(rule: Rule, bad_rate: float, scrapes: int, *, per_scrape: int = PER_SCRAPE) -> dict[str, str]:
    """Return counters that grow by so much from scrape to scrape."""
    bad = round(bad_rate * per_scrape)
    engine = f', engine="{rule.metric.engine}"' if rule.metric.engine else ""
    labels = f'{{signal="{rule.signal}"{engine}}}'
    if rule.compare is Compare.DISCORDANT:
        legacy = f'{BAD}{{signal="{rule.migration.signals.failed_control_only}"}}'
        return {f"{BAD}{labels}": f"0+{bad}x{scrapes}", legacy: f"0+{per_scrape - bad}x{scrapes}"}
    return {f"{BAD}{labels}": f"0+{bad}x{scrapes}", f"{OUTCOMES}{labels}": f"0+{per_scrape}x{scrapes}"}


def _alert_tests(rule: Rule, status: str, scrapes: int) -> dict[str, str]:
    labels = f'flag="{rule.flag}", alert="{rule.name}"'
    return {
        f"guard_evidence_log10{{{labels}}}": f"5+0x{scrapes}",
        f"guard_rollback_log10{{{labels}}}": f"3+0x{scrapes}",
        f'guard_verdict{{{labels}, status="{status}"}}': f"1+0x{scrapes}",
    }


def _expected(alert: Document, rule: Rule | None = None) -> Document:
    """Return the alert that fires, with the labels of the guard's own metrics."""
    brought = {"flag": rule.flag, "alert": rule.name} if rule else {}
    return {"exp_labels": brought | alert["labels"], "exp_annotations": alert["annotations"]}
