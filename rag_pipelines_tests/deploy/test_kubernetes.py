"""The manifests of Kubernetes: rendered, valid by its schemas, with the rights of the restricted profile."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag_pipelines.config import load_config
from rag_pipelines_tests.deploy.composed import DEPLOY, image_variables
from tools import prometheus_rule

MANIFESTS = DEPLOY / "kubernetes"
OVERLAYS = ("dev", "prod")
OTHERS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, whose schemas are not among those of Kubernetes."""
SECRETS = ("database_url", "reader_url", "intranet_key_sha256")


@cache
def rendered(overlay: str) -> tuple[dict[str, Any], ...]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed, whose kustomize renders the manifests")
    command = ["kubectl", "kustomize", MANIFESTS / "overlays" / overlay]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return tuple(yaml.safe_load_all(said.stdout))


def pods(overlay: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, metadata and specification of each pod that would be made."""
    for one in rendered(overlay):
        if one["kind"] in ("Deployment", "Job"):
            template = one["spec"]["template"]
            yield one["metadata"]["name"], template["metadata"], template["spec"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_manifest_is_valid_for_kubernetes(overlay: str):
    validator = pytest.importorskip("kubernetes_validate")
    for one in rendered(overlay):
        if one["kind"] not in OTHERS:
            validator.validate(one, validator.latest_version(), strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_pod_keeps_to_the_restricted_profile_with_a_root_that_is_read_only(overlay: str):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    seen = set()
    for name, _, spec in pods(overlay):
        seen.add(name)
        context = spec["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001), name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
        assert {next(iter(volume.keys() - {"name"})) for volume in spec["volumes"]} <= {
            "configMap",
            "emptyDir",
            "secret",
        }, name
        for container in spec["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False, name
            assert rights["readOnlyRootFilesystem"] is True, name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name
    assert seen == {"rag-serve", "rag-migrate", "rag-work"}
    labels = next(one for one in rendered(overlay) if one["kind"] == "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_pods_name_is_there(overlay: str):
    everything = rendered(overlay)
    names = {(one["kind"], one["metadata"]["name"]) for one in everything}
    for name, _, spec in pods(overlay):
        assert ("ServiceAccount", spec["serviceAccountName"]) in names
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for container in spec["containers"]:
            assert "/" in container["image"], f"{name}: the overlay does not say which image"
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys(), name
            for source in container.get("envFrom", []):
                assert ("ConfigMap", source["configMapRef"]["name"]) in names, name
        assert ("ConfigMap", volumes["config"]["configMap"]["name"]) in names, name
        assert volumes["secrets"]["secret"]["secretName"] == "rag-secrets"
        places = {mount["mountPath"] for one in spec["containers"] for mount in one["volumeMounts"]}
        variables = image_variables()
        assert str(Path(variables["RAG_CONFIG"]).parent) in places, name
        assert variables["HOME"] in places, name
    (serve,) = (metadata["labels"] for name, metadata, _ in pods(overlay) if name == "rag-serve")
    for one in everything:
        for selector in _selectors(one):
            assert selector.items() <= serve.items(), one["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_node_can_be_emptied_and_the_service_scaled(overlay: str):
    found = {one["kind"]: one["spec"] for one in rendered(overlay) if one["metadata"]["name"] == "rag-serve"}
    replicas, scaler = found["Deployment"]["replicas"], found["HorizontalPodAutoscaler"]
    assert found["PodDisruptionBudget"]["minAvailable"] < replicas
    assert scaler["minReplicas"] == replicas
    assert scaler["scaleTargetRef"]["name"] == "rag-serve"
    (port,) = found["Service"]["ports"]
    (container,) = found["Deployment"]["template"]["spec"]["containers"]
    assert port["targetPort"] in {one["name"] for one in container["ports"]}
    assert found["ServiceMonitor"]["endpoints"][0]["port"] == port["name"]


def test_the_configuration_of_the_pods_is_valid(tmp_path: Path):
    text = (MANIFESTS / "base" / "rag.yaml").read_text()
    for name in SECRETS:
        assert f"/run/secrets/rag/{name}" in text
        (tmp_path / name).write_text("0" * 64 if name.endswith("sha256") else "postgresql://rag:x@db/rag")
    config = tmp_path / "rag.yaml"
    config.write_text(text.replace("/run/secrets/rag", str(tmp_path)))
    settings = load_config(config, {})
    assert settings.execution.executor == "k8s"
    assert set(settings.execution.stages) == {"list", "parse", "chunk", "embed"}


def test_the_alerts_of_the_operator_are_those_of_the_repository():
    assert prometheus_rule.TARGET.read_text() == prometheus_rule.text(), "run python -m tools.prometheus_rule"


def test_dagsters_launcher_takes_what_the_values_say_and_its_jobs_are_valid():
    pytest.importorskip("dagster_k8s")
    validator = pytest.importorskip("kubernetes_validate")
    from dagster._config import process_config
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job

    values = yaml.safe_load((DEPLOY / "dagster" / "values.yaml").read_text())
    given = values["runLauncher"]["config"]["k8sRunLauncher"]
    own = {
        "service_account_name": values["global"]["serviceAccountName"],
        "instance_config_map": "dagster-instance",
        "dagster_home": "/opt/dagster/dagster_home",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "image_pull_policy": given["imagePullPolicy"],
        "env_vars": given["envVars"],
        "volumes": given["volumes"],
        "volume_mounts": given["volumeMounts"],
        "run_k8s_config": {_snake(key): value for key, value in given["runK8sConfig"].items()},
    }
    checked = process_config(K8sRunLauncher.config_type(), own)
    assert checked.success, checked.errors
    shared = ("env_vars", "run_k8s_config", "volume_mounts", "volumes")
    context = K8sContainerContext.create_from_config({"k8s": {key: own[key] for key in shared}})
    job = construct_dagster_k8s_job(
        DagsterK8sJobConfig(
            job_image="registry.example/rag-pipelines-worker:1",
            dagster_home=own["dagster_home"],
            instance_config_map=own["instance_config_map"],
            postgres_password_secret=own["postgres_password_secret"],
        ),
        ["dagster", "api", "execute_run"],
        "dagster-run-1",
        user_defined_k8s_config=context.run_k8s_config,
    )
    import kubernetes

    manifest = kubernetes.client.ApiClient().sanitize_for_serialization(job)
    validator.validate(manifest, validator.latest_version(), strict=True)
    pod = manifest["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert deployment["podSecurityContext"] == pod["securityContext"]


def _selectors(one: dict[str, Any]) -> Iterator[dict[str, str]]:
    """What an object of the service selects pods by."""
    spec = one.get("spec", {})
    if one["metadata"]["name"] != "rag-serve":
        return
    if one["kind"] == "Service":
        yield spec["selector"]
    for key in ("selector", "podSelector"):
        if isinstance(spec.get(key), dict) and "matchLabels" in spec[key]:
            yield spec[key]["matchLabels"]


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
