"""The settings of where the stages of a run are worked off: in how many parts, by whom, on what machines.

What belongs here: fields, defaults and bounds of `execution`, and what they ask of the rest of the file. What
does not: what an executor makes of them (`orchestration.executors`), and the parts themselves (`sync`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from rag_pipelines.config.section import Section
from rag_pipelines.parameters import Size

Place = tuple[str | int, ...]

ExecutorName = Literal["in_process", "multiprocess", "celery", "k8s", "ray"]
StageName = Literal["list", "parse", "chunk", "embed"]

SEVERAL_MACHINES: frozenset[str] = frozenset({"celery", "k8s", "ray"})
"""The executors whose steps may run on other machines than the run."""


class StagePlace(Section):
    """What the steps of one stage ask for; each executor reads what it knows.

    `queue` is a queue of Celery; `cpu` cores, `memory` bytes and `gpu` devices are resources of Kubernetes
    and of Ray; `pod` is added to the pod's specification, in Kubernetes' own terms in snake case
    (``node_selector: {pool: gpu}``, ``tolerations: [...]``).
    """

    queue: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    cpu: float | None = Field(default=None, gt=0)
    memory: Size | None = Field(default=None, ge=2**20)
    gpu: int = Field(default=0, ge=0)
    pod: dict[str, Any] = Field(default={})


class ExecutionSettings(Section):
    """How the stages after the listing are divided, and who works them off.

    `shards` is in how many parts at the most the documents of one source are parsed, chunked and embedded;
    `executor` says where Dagster runs the steps of a run, and `options` is that executor's own configuration,
    as its library documents it.
    """

    executor: ExecutorName = "in_process"
    options: dict[str, Any] = Field(default={}, repr=False)
    shards: int = Field(default=1, ge=1, le=64)
    stages: dict[StageName, StagePlace] = Field(default={})


def execution_problems(data: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """What a run over several machines needs of other sections, in data that need not be valid otherwise."""
    execution = _mapping(data.get("execution"))
    executor = execution.get("executor")
    if executor not in SEVERAL_MACHINES:
        return
    if not _mapping(data.get("database")).get("url"):
        yield (
            ("execution", "executor"),
            f"received {executor!r}; valid: in_process or multiprocess where no 'database.url' is set, "
            "because the embedded server is reached from its own machine alone",
        )
    profiles = _mapping(_mapping(data.get("profiles")).get("embedding"))
    used = {
        str(_mapping(index).get("embedding", "default")) for index in _mapping(data.get("indexes")).values()
    }
    for name in sorted(used):
        profile = _mapping(profiles.get(name))
        if profile.get("provider", "sentence-transformers") != "sentence-transformers":
            continue
        runtime = profile.get("runtime", "auto")
        if runtime == "auto" or (runtime == "openvino" and profile.get("precision", "auto") == "auto"):
            left = "runtime" if runtime == "auto" else "precision"
            yield (
                ("profiles", "embedding", name, *((left,) if left in profile else ())),
                f"received {left}: auto; valid with the executor {executor!r}: runtime: torch, or runtime: "
                "openvino with precision: fp32 or bf16, because machines that differ would choose "
                "differently, and an index mixes no vectors of two ways",
            )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
