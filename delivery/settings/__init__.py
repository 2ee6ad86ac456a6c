"""Configuration: arguments over environment over TOML file over defaults, every key checked.

A setting has a section and a key: `timeout` under `[http]` in the file is the environment variable
`DELIVERY_HTTP_TIMEOUT` and the argument `http={"timeout": …}`. `config/delivery.toml` lists all
settings. Durations are in seconds.
"""

from __future__ import annotations

from delivery.settings.database_url import (
    parse_database_url,
    passwords_in,
    redact_password,
    without_password,
)
from delivery.settings.display import SettingInfo, ShownSetting, describe_settings, show_settings
from delivery.settings.endpoint_health import HealthSettings
from delivery.settings.loading import load_settings
from delivery.settings.redaction import RedactionSettings
from delivery.settings.section import Section
from delivery.settings.sections import (
    DatabaseSettings,
    HttpSettings,
    LimitSettings,
    LogSettings,
    PartitionSettings,
    RetrySettings,
    SecretSettings,
    Settings,
    WorkerSettings,
)

__all__ = [
    "DatabaseSettings",
    "HealthSettings",
    "HttpSettings",
    "LimitSettings",
    "LogSettings",
    "PartitionSettings",
    "RedactionSettings",
    "RetrySettings",
    "SecretSettings",
    "Section",
    "SettingInfo",
    "Settings",
    "ShownSetting",
    "WorkerSettings",
    "describe_settings",
    "load_settings",
    "parse_database_url",
    "passwords_in",
    "redact_password",
    "show_settings",
    "without_password",
]
