"""Configuration: one YAML file becomes one frozen `Settings`, or one `ConfigError` with every problem.

What belongs here: the shape of the file (`settings`), its value types (`values`), reading it with
line numbers and ``${NAME}`` references (`document`), wording what is wrong with it (`problems`) and
putting these together (`load`). What does not: anything that opens a connection or acts on a setting.
"""

from __future__ import annotations

from rag_pipelines.config.database import DatabaseSettings
from rag_pipelines.config.load import DEMO_CONFIG, config_path, load_config
from rag_pipelines.config.settings import (
    DeleteGuard,
    FusionSettings,
    GateSettings,
    IndexSettings,
    KeepSettings,
    LexicalSettings,
    LimitSettings,
    Profiles,
    Settings,
    SourceSettings,
    VectorSettings,
)

__all__ = [
    "DEMO_CONFIG",
    "DatabaseSettings",
    "DeleteGuard",
    "FusionSettings",
    "GateSettings",
    "IndexSettings",
    "KeepSettings",
    "LexicalSettings",
    "LimitSettings",
    "Profiles",
    "Settings",
    "SourceSettings",
    "VectorSettings",
    "config_path",
    "load_config",
]
