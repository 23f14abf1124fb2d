"""The component by which another Dagster project has sources and indexes beside its own assets.

What belongs here: what its YAML says, and what a scaffold of it holds. What does not: the definitions
(`build`) and the configuration itself (`config`).
See https://docs.dagster.io/guides/build/components
"""

# Dagster reads the annotations of a component as types, not as text.
# ruff: noqa: I002

from collections.abc import Mapping
from typing import Annotated, Any

import dagster as dg
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import Field

from rag_pipelines.config.load import load_config, load_values
from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import ConfigError
from rag_pipelines.orchestration.build import build_definitions

RESOURCES = ("database", "embedders", "quality")
"""The resources that a project may bring; `settings` is what the component was made from."""

EXAMPLE: Mapping[str, Any] = {
    "sources": {
        "docs": {"connector": "filesystem", "options": {"root": "${CONFIG_DIR}/docs"}, "access": "public"}
    },
    "indexes": {"main": {"sources": ["docs"]}},
}
"""What a scaffolded component indexes: a folder beside its ``defs.yaml``."""


class RagPipelineScaffolder(dg.Scaffolder):
    """Writes a ``defs.yaml`` that indexes a folder beside it."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """Write the file and the folder."""
        docs = request.target_path / "docs"
        docs.mkdir(parents=True, exist_ok=True)
        (docs / "hello.md").write_text("# Hello\n\nReplace this page by your own.\n", encoding="utf-8")
        dg.scaffold_component(request, {"config": dict(EXAMPLE)})


@dg.scaffold_with(RagPipelineScaffolder)
class RagPipeline(dg.Component, dg.Model, dg.Resolvable):
    """Sources, versioned indexes, their checks, jobs, schedules and sensors, from one configuration."""

    config: Annotated[
        str | dict[str, Any],
        Field(description="A configuration file, relative to this one, or the configuration itself."),
    ]
    translation: Annotated[
        TranslationFn[dg.AssetSpec] | None,
        TranslationFnResolver(template_vars_for_translation_fn=lambda _: {}),
        Field(
            description="What assets have instead of their own owners, group, tags or automation condition."
        ),
    ] = None
    resources: Annotated[
        dict[str, str],
        Field(description=f"Resources of the project that serve as {', '.join(RESOURCES)}, by their names."),
    ] = Field(default_factory=dict)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions.

        Raises:
            ConfigError: the configuration is not valid, a resource has no such name, or an asset was given
                another key.
        """
        if unknown := self.resources.keys() - set(RESOURCES):
            received, valid = ", ".join(sorted(unknown)), ", ".join(RESOURCES)
            raise ConfigError(f"resources: received {received}; valid: {valid}")
        taken = {name: _taken_from(key) for name, key in self.resources.items()}
        definitions = build_definitions(settings=self._settings(context), resource_overrides=taken)
        if self.translation is None:
            return definitions
        return definitions.map_asset_specs(func=self._translated)

    def _settings(self, context: dg.ComponentLoadContext) -> Settings:
        if isinstance(self.config, str):
            return load_config(context.path / self.config)
        data = {"data_dir": str(context.project_root / ".rag"), **self.config}
        return load_values(data, context.path / "defs.yaml")

    def _translated(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        assert self.translation is not None
        translated = self.translation(spec, spec)
        if translated.key != spec.key:
            raise ConfigError(
                f"translation: received the key {translated.key.to_user_string()} for "
                f"{spec.key.to_user_string()}; valid: what changes no key, because what the command line "
                "does is shown under it"
            )
        return translated


def _taken_from(key: str) -> dg.ResourceDefinition:
    """A resource that is another one of the project."""
    return dg.ResourceDefinition(
        lambda context: getattr(context.resources, key),
        required_resource_keys={key},
        description=f"The resource `{key}` of the project.",
    )
