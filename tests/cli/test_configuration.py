"""`delivery config` shows the settings in force and their sources; options take precedence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from delivery.cli.options import parse_overrides
from delivery.errors import InvalidSetting
from delivery.settings import load_settings
from tests.cli.running import call, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_options_override_environment_and_file(tmp_path: Path) -> None:
    file = tmp_path / "delivery.toml"
    file.write_text("[http]\ntimeout = 1\nconnect_timeout = 1\nkeepalive = 1\n")
    shown = (
        await run(
            *("config", "show", "http", "--json", "--config", str(file), "--set", "http.timeout=3"),
            environment={"DELIVERY_HTTP_TIMEOUT": "2", "DELIVERY_HTTP_CONNECT_TIMEOUT": "2"},
        )
    ).object
    assert list(shown) == ["http"]
    http = shown["http"]
    assert (http["timeout"]["value"], http["timeout"]["set_by"]) == (3, "--set http.timeout")
    assert http["connect_timeout"]["value"] == 2
    assert "DELIVERY_HTTP_CONNECT_TIMEOUT" in http["connect_timeout"]["set_by"]
    assert (http["keepalive"]["value"], http["keepalive"]["set_by"]) == (1, str(file))


async def test_config_show_redacts_a_password() -> None:
    shown = await call("config", "show", "--database-url", "postgresql://me:hunter2@host/x")
    assert shown.code == 0
    assert "postgresql://me:***@host/x" in shown.out
    assert "hunter2" not in shown.out


async def test_every_setting_is_explained() -> None:
    shown = await call("config", "show", "--explain")
    assert "http.timeout = 15.0" in shown.out
    assert "DELIVERY_HTTP_TIMEOUT; set by: default" in shown.out


async def test_an_unknown_section_is_refused() -> None:
    shown = await call("config", "show", "htp")
    assert (shown.code, "there is no section 'htp'" in shown.err) == (2, True)


def test_assignments_are_converted_to_the_types_of_their_settings() -> None:
    overrides: dict[str, Any] = parse_overrides(
        [
            "http.timeout=2.5",
            "http.allowed_networks=127.0.0.0/8, ::1/128",
            "http.allowed_ports=80,443",
            "worker.notifications=false",
            "retry.strategy=constant",
            "http.user_agent=a=b",
        ]
    )
    settings = load_settings(**overrides)
    assert settings.http.timeout == 2.5
    assert settings.http.allowed_networks == ("127.0.0.0/8", "::1/128")
    assert settings.http.allowed_ports == (80, 443)
    assert settings.worker.notifications is False
    assert settings.http.user_agent == "a=b"


@pytest.mark.parametrize("assignment", ["", "=", "http=1", "http.timeout", ".timeout=1", "http.=1"])
def test_malformed_assignments_are_refused(assignment: str) -> None:
    with pytest.raises(InvalidSetting, match=r"section\.key=value"):
        parse_overrides([assignment])
