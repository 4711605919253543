"""The alerts in the words of other programs: Prometheus' rules, and the tests that promtool runs on them."""
