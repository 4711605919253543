"""Lint the Helm chart and render it in each variant, by Helm's own code: `make chart`."""

import sys
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[1] / "deploy" / "helm"
WARNING = 2
KINDS = {"Deployment", "Service", "PodDisruptionBudget"}
VARIANTS: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({}, set()),
    ({"ingress": {"enabled": True}, "serviceMonitor": {"enabled": True}}, {"Ingress", "ServiceMonitor"}),
    ({"existingClaim": "shared", "image": {"tag": "v1"}, "replicas": 3}, set()),
)


def main() -> None:
    """Print what was rendered; exit code 1 for the first finding."""
    for values, more in VARIANTS:
        report = helm_python.lint(CHART, values, strict=True)
        findings = [each for each in report["messages"] if each["severity"] >= WARNING]
        with helm_python.Chart.load(CHART) as chart:
            chart.validate_schema(values)
            texts = chart.render(values, name="rollout", namespace="production").values()
        kinds = {each["kind"] for text in texts for each in yaml.safe_load_all(text) if each}
        if findings or kinds != KINDS | more:
            sys.exit(f"{values}: {findings or kinds}")
        print(f"{values}: {', '.join(sorted(kinds))}")  # noqa: T201


if __name__ == "__main__":
    main()
