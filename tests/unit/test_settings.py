"""Settings come from four sources in a fixed order, and every error in them is reported."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import InvalidSetting
from delivery.message.storage.encryption import generate_key
from delivery.models import RetryPolicy
from delivery.settings import (
    HttpSettings,
    Settings,
    describe_settings,
    load_settings,
    show_settings,
)

DOCUMENTED = Path(__file__).parents[2] / "config" / "delivery.toml"
"""File that documents every key."""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the developer's DELIVERY_ variables."""
    for info in describe_settings():
        monkeypatch.delenv(info.environment, raising=False)
    monkeypatch.delenv("DELIVERY_CONFIG", raising=False)


def written(directory: Path, text: str) -> Path:
    path = directory / "delivery.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(config: Path | None = None, **overrides: Any) -> str:
    with pytest.raises(InvalidSetting) as caught:
        load_settings(config, **overrides)
    return str(caught.value)


def test_settings_have_defaults() -> None:
    settings = load_settings()
    assert settings == Settings()
    assert settings.database.url is None
    assert settings.worker.concurrency == 200
    assert settings.http.user_agent.startswith("delivery")


def test_the_default_retry_policy_is_that_of_the_model() -> None:
    assert Settings().retry.policy() == RetryPolicy()


def test_arguments_override_the_environment_and_the_environment_overrides_the_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = written(tmp_path, "[http]\ntimeout = 1\nconnect_timeout = 1\nkeepalive = 1\n")
    monkeypatch.setenv("DELIVERY_HTTP_CONNECT_TIMEOUT", "2")
    monkeypatch.setenv("DELIVERY_HTTP_KEEPALIVE", "2")
    settings = load_settings(config, http={"keepalive": 3})
    assert (settings.http.timeout, settings.http.connect_timeout) == (1.0, 2.0)
    assert settings.http.keepalive == 3.0
    assert settings.origin("http", "timeout") == str(config)
    assert (
        settings.origin("http", "connect_timeout")
        == "environment variable DELIVERY_HTTP_CONNECT_TIMEOUT"
    )
    assert settings.origin("http", "keepalive") == "argument http"
    assert settings.origin("http", "transport") == "default"


def test_delivery_config_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = written(tmp_path, "[worker]\nconcurrency = 7\n")
    monkeypatch.setenv("DELIVERY_CONFIG", str(config))
    assert load_settings().worker.concurrency == 7


def test_unset_fields_of_a_section_object_override_no_other_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DELIVERY_HTTP_TIMEOUT", "9")
    settings = load_settings(http=HttpSettings(keepalive=4.0))
    assert (settings.http.timeout, settings.http.keepalive) == (9.0, 4.0)


@pytest.mark.parametrize("text", ["127.0.0.0/8, ::1/128", '["127.0.0.0/8", "::1/128"]'])
def test_a_list_in_the_environment_is_separated_by_commas_or_json(
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DELIVERY_HTTP_ALLOWED_NETWORKS", text)
    assert load_settings().http.allowed_networks == ("127.0.0.0/8", "::1/128")


def test_an_empty_environment_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELIVERY_DATABASE_URL", "")
    assert load_settings().database.url is None


@pytest.mark.parametrize("name", ["DELIVERY_TEST_DATABASE_URL", "DELIVERY_VERSION"])
def test_variables_that_are_not_settings_are_ignored(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, "anything")
    assert load_settings() == Settings()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("DELIVERY_HTTP_TIMEOOT", "http.timeoot: there is no such setting; did you mean timeout?"),
        ("DELIVERY_WORKERS_CONCURRENCY", "workers: there is no such section; did you mean worker?"),
        ("DELIVERY_HTTP", "http: is a section, not a setting"),
    ],
)
def test_a_misspelt_variable_is_an_error(
    name: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, "5")
    text = refused()
    assert message in text
    assert name in text


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[http]\ntimeoot = 1", "http.timeoot: there is no such setting; did you mean timeout?"),
        ("[http]\nzzz = 1", "known are allowed_hosts"),
        ("[http]\nheartbeat_interval = 1", "did you mean worker.heartbeat_interval?"),
        ("[htp]\ntimeout = 1", "htp: there is no such section; did you mean http?"),
        ("timeout = 1", "timeout: belongs into a section, such as [http]"),
        ("http = 1", "http: is a section, not a value"),
        ('[http]\ntimeout = "5"', "http.timeout: must be a number, not a string"),
        ("[http]\ntimeout = true", "http.timeout: must not be a boolean"),
        ("[http]\ntimeout = nan", "http.timeout: must be"),
        ("[http]\ntimeout = 0", "http.timeout: must be greater than 0, not 0"),
        ("[database]\npool_size = 1", "allowed: 2 to 100"),
        ("[database]\npool_size = 2.5", "database.pool_size: must be a valid integer"),
        ("[worker]\nnotifications = 1", "worker.notifications: must be a boolean"),
        ("[worker]\npoll_min = 2.0", "poll_min (2.0) must not exceed poll_max (1.0)"),
        ("[worker]\ndead_after = 5.0", "at least twice heartbeat_interval"),
        ('[http]\nallowed_networks = ["10.0.0.1/8"]', "http.allowed_networks: 10.0.0.1/8"),
        ("[http]\nallowed_ports = [0]", "http.allowed_ports: must be greater than or equal to 1"),
        ('[http]\nuser_agent = "a\\r\\nb"', "http.user_agent: must be printable ASCII"),
        ('[http]\ntransport = "curl"', "http.transport: must be 'native' or 'httpx', not 'curl'"),
        ('[retry]\nstrategy = "schedule"', 'strategy "schedule" needs a schedule'),
        ('[database]\nurl = "mysql://h/d"', "must begin with postgresql://"),
        ("[http]\ntimeout = \n", "is not valid TOML: Invalid value (at line 2"),
    ],
)
def test_an_error_in_the_file_names_the_file(
    toml: str,
    message: str,
    tmp_path: Path,
) -> None:
    config = written(tmp_path, toml)
    text = refused(config)
    assert message in text
    assert str(config) in text


def test_all_errors_are_reported_together(tmp_path: Path) -> None:
    config = written(tmp_path, "[http]\ntimeout = 0\n[worker]\nconcurrency = 0\n")
    assert len(refused(config).splitlines()) == 2


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "absent.toml")


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    assert "is not UTF-8 text" in refused(path)


def test_the_error_about_a_wrong_value_in_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DELIVERY_HTTP_ALLOWED_PORTS", "80,x")
    text = refused()
    assert "http.allowed_ports" in text
    assert "DELIVERY_HTTP_ALLOWED_PORTS" in text


def test_an_unknown_argument_is_an_error() -> None:
    assert "argument htp" in refused(htp={})
    assert "argument http" in refused(http={"timeoot": 1})


def test_a_password_is_neither_printed_nor_quoted_in_errors() -> None:
    settings = load_settings(database={"url": "postgresql://me:hunter2@host/name"})
    assert "hunter2" not in repr(settings)
    assert all("hunter2" not in str(shown.value) for shown in show_settings(settings))
    assert "hunter2" not in refused(database={"url": "mysql://me:hunter2@host/name"})


def test_keys_are_neither_printed_nor_quoted_in_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys can come from any source, including a list in the environment."""
    first, second = generate_key(), generate_key()
    monkeypatch.setenv("DELIVERY_SECRETS_KEYS", f"{first},{second}")
    settings = load_settings()
    assert settings.secrets.texts() == (first, second)
    for text in (repr(settings), str(settings), f"{settings.secrets.keys}"):
        assert first[:8] not in text
    (shown,) = [each for each in show_settings(settings) if each.section == "secrets"]
    assert (shown.key, shown.value) == ("keys", ["***", "***"])
    for wrong in ("swordfish", ["swordfish"], [5], [first, "swordfish"], [first[:-4]]):
        text = refused(secrets={"keys": wrong})
        assert text.startswith("secrets.keys: ")
        assert "swordfish" not in text
        assert first[:8] not in text


def test_an_additional_key_decrypts_and_encrypts_only_if_it_is_the_only_one() -> None:
    first, other = generate_key(), generate_key()
    assert Settings().with_key(other).secrets.texts() == (other,)
    settings = load_settings(secrets={"keys": [first]})
    assert settings.with_key(other).secrets.texts() == (first, other)
    assert settings.with_key(first) is settings


def test_printed_settings_are_complete_and_have_their_sources() -> None:
    shown = show_settings(load_settings(http={"timeout": 2}))
    assert [(each.section, each.key) for each in shown] == [
        (info.section, info.key) for info in describe_settings()
    ]
    assert {each.origin for each in shown} == {"default", "argument http"}


def test_the_documented_file_has_exactly_the_existing_keys_and_defaults() -> None:
    text = DOCUMENTED.read_text(encoding="utf-8")
    # Settings without a fixed default are comments in the file; uncomment them to read them.
    live = tomllib.loads(re.sub(r"(?m)^# (\w+ = )", r"\1", text))
    assert {(section, key) for section, keys in live.items() for key in keys} == {
        (info.section, info.key) for info in describe_settings()
    }
    active = {
        (section, key): value
        for section, keys in tomllib.loads(text).items()
        for key, value in keys.items()
    }
    for info in describe_settings():
        default = list(info.default) if isinstance(info.default, tuple) else info.default
        if (info.section, info.key) in active:
            assert active[info.section, info.key] == default
        else:
            assert default is None or info.key == "user_agent"


def test_the_documented_file_and_its_examples_load(tmp_path: Path) -> None:
    assert load_settings(DOCUMENTED).model_dump() == Settings().model_dump()
    text = DOCUMENTED.read_text(encoding="utf-8")
    load_settings(written(tmp_path, re.sub(r"(?m)^# (\w+ = )", r"\1", text)))


def test_every_setting_has_a_comment_in_the_file() -> None:
    text = " ".join(DOCUMENTED.read_text(encoding="utf-8").replace("\n# ", " ").split())
    for info in describe_settings():
        assert info.doc
        assert info.doc in text, info.key


@pytest.mark.parametrize("text", ["none", " None "])
def test_a_string_can_specify_that_reactions_are_never_disabled(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIVERY_HEALTH_DISABLE_AFTER", text)
    assert load_settings().health.disable_after is None
