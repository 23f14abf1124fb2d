"""Where the steps of a run work: the executor of the configuration, and what each stage asks of a machine.

What belongs here: choosing among Dagster's executors, and their tags. What does not: how work is divided
(`sharded_assets`), and any scheduling, which is the executors'. The configuration of a run may name another
executor that is installed; what is run in the process of its caller, as by the command line, has none.
See https://docs.dagster.io/guides/operate/run-executors
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import dagster as dg

from rag_pipelines.config.execution import ExecutionSettings, StageName, StagePlace
from rag_pipelines.errors import ConfigError

EXTRAS = {"celery": "dagster_celery", "k8s": "dagster_k8s", "ray": "dagster_ray"}
"""The package of each executor that is not Dagster's own; the extras are named after the executors."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {"multiprocess": {"start_method": {"forkserver": {}}}}
"""The process of a step comes from one that has loaded the definitions, at less than half the cost."""

GPU = "nvidia.com/gpu"
"""What Kubernetes calls a GPU."""


def run_executor(execution: ExecutionSettings) -> dg.ExecutorDefinition:
    """The executor of a deployment's jobs.

    Raises:
        ConfigError: it is not installed, or does not take the options that it is given.
    """
    chosen, options = execution.executor, execution.options
    _resolve(chosen, options)
    names = ["in_process", "multiprocess", *(name for name, package in EXTRAS.items() if find_spec(package))]

    def requirements(given: Mapping[str, Any]) -> Sequence[Any]:
        (name,) = given
        return _definition(name).get_requirements({})

    @dg.executor(
        name="chosen",
        config_schema=dg.Field(
            dg.Selector({name: dg.Field(dg.Permissive(), is_required=False) for name in names}),
            default_value={chosen: {}},
            description="Where the steps of the run work, and that executor's own configuration.",
        ),
        requirements=requirements,
    )
    def executor(context: dg.InitExecutorContext) -> dg.Executor:
        ((name, given),) = context.executor_config.items()
        assert isinstance(given, Mapping)
        own = _resolve(name, {**(options if name == chosen else {}), **given})
        definition = _definition(name)
        assert definition.executor_creation_fn is not None
        return definition.executor_creation_fn(
            dg.InitExecutorContext(context.job, definition, own, context.instance)
        )

    return executor


def stage_tags(execution: ExecutionSettings, stage: StageName) -> dict[str, Any]:
    """The tags by which executors place the steps of a stage; none where the configuration says nothing."""
    place = execution.stages.get(stage)
    if place is None:
        return {}
    tags: dict[str, Any] = {}
    if place.queue:
        tags["dagster-celery/queue"] = place.queue
    if k8s := _k8s_config(place):
        tags["dagster-k8s/config"] = k8s
    amounts = {"num_cpus": place.cpu, "num_gpus": place.gpu or None, "memory": place.memory}
    if ray := {name: amount for name, amount in amounts.items() if amount is not None}:
        tags["dagster-ray/config"] = ray
    return tags


def _k8s_config(place: StagePlace) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if resources := k8s_resources(place):
        config["container_config"] = {"resources": resources}
    if place.pod:
        config["pod_spec_config"] = place.pod
    return config


def k8s_resources(place: StagePlace) -> dict[str, dict[str, str]]:
    """What a container of the stage requests, and what it may not go above: its memory and its GPUs."""
    requests = {"cpu": f"{place.cpu:g}" if place.cpu else None, "memory": str(place.memory or "") or None}
    limits = {"memory": requests["memory"], GPU: str(place.gpu) if place.gpu else None}
    found = {"requests": requests, "limits": limits}
    kept = {kind: {name: n for name, n in amounts.items() if n} for kind, amounts in found.items()}
    return {kind: amounts for kind, amounts in kept.items() if amounts}


def _definition(name: str) -> dg.ExecutorDefinition:
    if name not in EXTRAS:
        return {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}[name]
    try:
        package = import_module(EXTRAS[name])
    except ImportError as error:
        raise ConfigError(
            f"execution.executor: received {name!r}, of which {error.name or EXTRAS[name]} is not installed; "
            f"valid: in_process, multiprocess, or {name} after pip install 'rag-pipelines[{name}]'"
        ) from None
    found: dg.ExecutorDefinition = getattr(package, f"{'k8s_job' if name == 'k8s' else name}_executor")
    return found


def _resolve(name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The whole configuration of an executor, as it reads it itself."""
    answer = _definition(name).configured({**DEFAULTS.get(name, {}), **options}).apply_config_mapping({})
    if not answer.success:
        reasons = "; ".join(_reason(error.message) for error in answer.errors or [])
        raise ConfigError(f"execution.options: the executor {name!r} does not take them: {reasons}")
    assert answer.value is not None
    config: Mapping[str, Any] = answer.value["config"]
    return config


def _reason(message: str) -> str:
    return " ".join(message.partition("Stack Trace:")[0].split())
