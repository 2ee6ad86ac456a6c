"""Database URLs: passwords are redacted, and libpq's parameters are supported."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from asyncpg import connect_utils
from hypothesis import example, given
from hypothesis import strategies as st

from delivery.errors import InvalidSetting
from delivery.settings import (
    load_settings,
    parse_database_url,
    passwords_in,
    redact_password,
    show_settings,
    without_password,
)
from delivery.settings.database_url import InvalidDatabaseUrl


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@h:5/db", "postgresql://me:***@h:5/db"),
        ("postgresql://me@h/db", "postgresql://me@h/db"),
        ("postgresql://me:a@b@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:a/b@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:a?b@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:a#b@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:12/b@h/db", "postgresql://me:***@h/db"),
        ("postgresql://me:a@b/c?d#e@h/db", "postgresql://me:***@h/db"),
        ("postgresql:///me:secret@h/db", "postgresql:///me:***@h/db"),
        ("postgresql://me:secret", "postgresql://me:***"),
        ("postgresql://h:5432,i:5433/db", "postgresql://h:5432,i:5433/db"),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("postgresql://h/db?password=secret&user=me", "postgresql://h/db?password=***&user=me"),
        ("postgresql://h/db?PASSWORD=a&b#c&user=me", "postgresql://h/db?PASSWORD=***&user=me"),
        ("postgresql://h/db?pass%77ord=a@b&port=5", "postgresql://h/db?pass%77ord=***&port=5"),
        ("postgresql://h/db?sslpassword=a", "postgresql://h/db?sslpassword=***"),
        ("postgresql:///db?host=/run/pg", "postgresql:///db?host=/run/pg"),
        ("postgresql://me:secret@[::1/db", "postgresql://me:***@[::1/db"),
        ("mysql://me:se/cret@h/db", "mysql://me:***@h/db"),
        ("host=h user=me password='se cret'", "***"),
        ("me:secret@h/db", "***"),
        ("postgresql:/me:secret@h/db", "***"),
    ],
)
def test_the_password_of_a_url_is_redacted(url: str, shown: str) -> None:
    assert without_password(url) == shown


passwords = st.text(string.printable, min_size=6, max_size=20).filter(
    lambda text: len(text.strip()) >= 6
)


@given(passwords)
@example("p/ss@w#rd?x")
def test_a_password_is_redacted_in_every_notation(password: str) -> None:
    password = f"Q{password}Q"
    for url in (
        f"postgresql://me:{password}@host:5432/db",
        f"postgresql://me:{password}@/db",
        f"postgresql://host/db?user=me&password={password}",
        f"host=host user=me password='{password}' dbname=db",
    ):
        assert password not in without_password(url)
        if "://" in url:
            assert password in passwords_in(url)
            assert password not in redact_password(f"cannot resolve {password}", url)
        if (refusal := refusal_of(url)) is None:
            assert parsed_by_driver(parse_database_url(url).dsn)[1].user == "me"
        else:
            assert password not in refusal
            assert not [each for each in password.split() if len(each) > 5 and each in refusal]


def refusal_of(url: str) -> str | None:
    try:
        parse_database_url(url)
    except InvalidDatabaseUrl as error:
        return str(error)
    return None


@given(passwords)
def test_the_driver_receives_the_decoded_password(password: str) -> None:
    target = parse_database_url(f"postgresql://m%40e:{quote(password, safe='')}@host:5432/db")
    (address,), parameters = parsed_by_driver(target.dsn)
    assert address == ("host", 5432)
    assert (parameters.user, parameters.password) == ("m@e", password)
    assert parameters.database == "db"


def parsed_by_driver(dsn: str) -> tuple[list[object], connect_utils._ConnectionParameters]:
    """Return the parameters that the driver reads from a URL."""
    parse = connect_utils._parse_connect_dsn_and_args  # type: ignore[attr-defined]
    addresses, parameters = parse(
        dsn=dsn,
        **dict.fromkeys(
            (
                *("host", "port", "user", "password", "passfile", "database", "ssl", "service"),
                *("servicefile", "direct_tls", "server_settings", "target_session_attrs"),
                *("krbsrvname", "gsslib"),
            )
        ),
    )
    return addresses, parameters


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:se/cret@h/db",
        "postgresql://me:se?cret@h/db",
        "postgresql://me:se#cret@h/db",
        "postgresql://me:se@cret@h/db",
        "postgresql://me:12/cret@h/db",
        "postgresql://me:cret",
        "postgresql://h/db?user=me&password=se&cret",
        "postgresql://h/db?user=me&password=se&cret=cret",
        "postgresql://h/db?user=me&password=se#cret",
        "postgresql://me:se@cret:cret/db",
    ],
)
def test_an_unencoded_password_is_rejected_with_advice(url: str) -> None:
    with pytest.raises(InvalidDatabaseUrl) as caught:
        parse_database_url(url)
    assert "cret" not in str(caught.value)
    assert "%40 for @" in str(caught.value)
    assert "%2F for /" in str(caught.value)


def test_the_error_about_a_rejected_url_names_its_source_but_does_not_quote_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DELIVERY_DATABASE_URL", "postgresql://me:se/cret@h/db")
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    text = str(caught.value)
    assert text.startswith("database.url: it is ambiguous: it contains @, /, ? or #")
    assert text.endswith("(environment variable DELIVERY_DATABASE_URL)")
    assert "cret" not in text


def test_characters_that_parsers_reject_are_encoded_for_the_driver() -> None:
    (address,), parameters = parsed_by_driver(
        parse_database_url("postgresql://me:p℀[s s]w@h/d").dsn
    )
    assert (address, parameters.password) == (("h", 5432), "p℀[s s]w")


def test_printed_settings_redact_parameters_of_the_url() -> None:
    settings = load_settings(database={"url": "postgresql://u:secret@h/d?application_name=a@b"})
    (shown,) = [each.value for each in show_settings(settings) if each.key == "url"]
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("sslmode=require&channel_binding=prefer", "?sslmode=require"),
        ("keepalives=1&keepalives_idle=30&tcp_user_timeout=5", ""),
        ("gssencmode=disable&target_session_attrs=read-write", "?target_session_attrs=read-write"),
        ("options=endpoint%3Dep-1&sslsni=1", "?options=endpoint%3Dep-1"),
        ("client_encoding=UTF8&&load_balance_hosts=disable", ""),
        ("search_path=a&statement_timeout=5", "?search_path=a&statement_timeout=5"),
    ],
)
def test_parameters_without_effect_are_dropped(query: str, kept: str) -> None:
    assert parse_database_url(f"postgres://h/db?{query}").dsn == f"postgresql://h/db{kept}"


def test_name_and_timeout_in_the_url_are_supported() -> None:
    target = parse_database_url("postgresql://h/d?application_name=my+app&connect_timeout=10")
    assert (target.application_name, target.connect_timeout) == ("my app", 10)
    target = parse_database_url("postgresql://h/d?fallback_application_name=x&connect_timeout=0")
    assert (target.application_name, target.connect_timeout) == ("x", None)


@pytest.mark.parametrize(
    ("query", "named", "advice"),
    [
        ("channel_binding=require", "channel_binding", "sslmode=verify-full"),
        ("gssencmode=require", "gssencmode", "sslmode"),
        ("require_auth=scram-sha-256", "require_auth", "remove it"),
        ("hostaddr=127.0.0.1", "hostaddr", "address as the host"),
        ("requiressl=1", "requiressl", "sslmode=require"),
        ("ssl=true", "ssl", "sslmode=require"),
        ("pgbouncer=true", "pgbouncer", "statement_cache_size"),
        ("schema=public", "schema", "remove it"),
        ("oauth_scope=x", "oauth_scope", "does not support"),
        ("connect_timeout=soon", "connect_timeout", "whole number"),
        ("sslrootcert=system&sslmode=require", "sslrootcert", "verify-full"),
    ],
)
def test_unsupported_parameters_are_rejected_by_name(query: str, named: str, advice: str) -> None:
    with pytest.raises(InvalidDatabaseUrl) as caught:
        parse_database_url(f"postgresql://h/db?{query}")
    assert f"parameter {named}" in str(caught.value)
    assert advice in str(caught.value)


@given(st.text())
def test_any_text_is_redacted_or_rejected_without_another_error(text: str) -> None:
    for url in (text, f"postgresql://{text}"):
        without_password(url)
        refusal_of(url)
