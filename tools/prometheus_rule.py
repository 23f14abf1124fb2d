"""Writes deploy/kubernetes/base/prometheus-rule.yaml, the alerts as Prometheus' operator has them.

python -m tools.prometheus_rule
"""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "ops" / "prometheus" / "rag.rules.yml"
TARGET = ROOT / "deploy" / "kubernetes" / "base" / "prometheus-rule.yaml"


def text() -> str:
    """What the file has to be."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "rag"},
        "spec": yaml.safe_load(SOURCE.read_text()),
    }
    made = f"# Made from {SOURCE.relative_to(ROOT)} by: python -m tools.prometheus_rule\n"
    return made + yaml.safe_dump(rule, sort_keys=False, width=110)


if __name__ == "__main__":
    TARGET.write_text(text())
