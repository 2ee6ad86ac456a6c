"""Configuration: arguments over environment over TOML file over defaults, every key checked.

A setting has a section and a key. The same one is `timeout` under `[http]` in the file, the
variable `DELIVERY_HTTP_TIMEOUT` in the environment, and `http={"timeout": …}` as an argument.
`config/delivery.toml` lists all of them. Durations are seconds.
"""

from __future__ import annotations

from delivery.settings.database_url import (
    hide_password,
    parse_database_url,
    passwords_in,
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
    "hide_password",
    "load_settings",
    "parse_database_url",
    "passwords_in",
    "show_settings",
    "without_password",
]
