"""Database URLs: parsed for the driver, and redacted for display.

If a password contains `/`, `?`, `#` or `@` without percent-encoding, a parser splits host, port and
database at the wrong place. Redaction therefore does not depend on a parser: in an ambiguous URL it
replaces everything that may belong to the password.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, unquote_plus

from delivery.settings.url_parameters import DRIVER, FOREIGN, LIBPQ, PASSWORDS, refusal_of

__all__ = [
    "DriverUrl",
    "InvalidDatabaseUrl",
    "parse_database_url",
    "passwords_in",
    "redact_password",
    "without_password",
]

_MASK: Final = "***"
_RECOGNISABLE: Final = 6
"""Minimum length of a password piece that is redacted everywhere in a text."""

_SCHEME: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST_AND_PORT: Final = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_PARAMETER: Final = re.compile(r"[?&]([^=&?#]*)=")
_SECRET_NAME: Final = re.compile(r"pass(?!file)|pwd|secret|token|scram_", re.IGNORECASE)
_KEYWORD: Final = re.compile(r"password\s*=\s*('(?:[^'\\]|\\.)*'?|\S+)", re.IGNORECASE | re.DOTALL)
"""Password in the keyword/value form of libpq."""
_SETTING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_DELIMITERS: Final = re.compile(r"[/?#@&=:]")
_AS_WRITTEN: Final = "%!$&'()*+,;=~-._:"
_HIGHEST_PORT: Final = 65_535

_ENCODE: Final = (
    "percent-encode the characters of user and password: %40 for @, %3A for :, %2F for /, %3F for ?"
    " and %23 for #"
)
_SYSTEM_AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Usual locations of the trusted certificates of a system."""


class InvalidDatabaseUrl(ValueError):
    """Invalid database URL. The message gives the reason and contains no part of a password."""


@dataclass(frozen=True, slots=True)
class DriverUrl:
    """Database URL in the form of the driver."""

    dsn: str = field(repr=False)
    application_name: str | None = None
    """Session name from the URL."""
    connect_timeout: float | None = None
    """Seconds to wait for a connection, from the URL."""


def without_password(url: str) -> str:
    """Return the URL with `***` in place of any password, also in a malformed URL."""
    spans = _password_spans(url)
    if spans is None:
        return _MASK
    parts: list[str] = []
    done = 0
    for start, end in spans:
        parts += (url[done:start], _MASK)
        done = end
    return "".join([*parts, url[done:]])


def passwords_in(url: str) -> tuple[str, ...]:
    """Return every possible password in the URL: as written, decoded, and in pieces.

    A parser may mistake such a piece for a host, port or name if the password is not encoded.
    """
    spans = _password_spans(url)
    if spans is None:
        written = [url, *(found[1].strip("'") for found in _KEYWORD.finditer(url))]
    else:
        written = [url[start:end] for start, end in spans]
    found: dict[str, None] = {}
    for text in written:
        for piece in (text, *_DELIMITERS.split(text)):
            found.update(dict.fromkeys((piece, unquote(piece), unquote_plus(piece))))
    return tuple(sorted(filter(None, found), key=len, reverse=True))


def redact_password(text: str, url: str) -> str:
    """Return a text about the URL, such as a driver error, without pieces of its password.

    A short piece can be part of an ordinary word, so it is redacted only in quotes, as error
    messages quote it, and before an `@`.
    """
    for piece in passwords_in(url):
        if len(piece) >= _RECOGNISABLE:
            text = text.replace(piece, _MASK)
            continue
        for before, after in (("'", "'"), ('"', '"'), (":", "@")):
            text = text.replace(f"{before}{piece}{after}", f"{before}{_MASK}{after}")
    return text


def parse_database_url(url: str) -> DriverUrl:
    """Return the URL in the form of the driver.

    Unambiguous special characters are encoded, and libpq parameters without an effect are dropped.

    Raises:
        InvalidDatabaseUrl: if the URL is malformed or ambiguous, or asks for a feature that the
            driver does not have.
    """
    url = url.strip()
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[1].lower() not in {"postgresql", "postgres"}:
        message = "must begin with postgresql:// or postgres://"
        raise InvalidDatabaseUrl(message)
    if _CONTROL.search(url):
        message = "it contains a control character, such as a line break; remove it"
        raise InvalidDatabaseUrl(message)
    if _SURROGATE.search(url):
        message = "it contains a lone surrogate, which UTF-8 cannot encode; remove it"
        raise InvalidDatabaseUrl(message)
    authority, path, query = _parts(url[scheme.end() :])
    userinfo, at, hosts = authority.rpartition("@")
    _check_hosts(hosts, has_user=bool(at))
    parameters, application_name, connect_timeout = _parameters(query)
    location = quote(hosts, safe=_AS_WRITTEN + "[]") + path
    dsn = f"postgresql://{quote(userinfo, safe=_AS_WRITTEN)}{at}{location}"
    if parameters:
        dsn = f"{dsn}?{'&'.join(parameters)}"
    return DriverUrl(dsn, application_name, connect_timeout)


def _password_spans(url: str) -> list[tuple[int, int]] | None:
    """Return the spans of possible passwords; None if they are unknown."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return None
    start = scheme.end()
    spans: list[tuple[int, int]] = []
    colon, at = url.find(":", start), url.rfind("@", start)
    if at < 0:
        bad = _bad_port(url, start)
        if bad is not None:
            return [(bad, len(url))]
    elif start <= colon < at:
        spans.append((colon + 1, at))
    userinfo = spans[0] if spans else (start, start)
    position = start
    while (parameter := _PARAMETER.search(url, position)) is not None:
        position = parameter.end()
        if _SECRET_NAME.search(unquote_plus(parameter[1])):
            end = _end_of_password(url, position)
            if not userinfo[0] <= position < end <= userinfo[1]:
                spans.append((position, end))
            position = end
    return _merged(spans)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _end_of_authority(url: str, start: int) -> int:
    return min((place for mark in "/?#" if (place := url.find(mark, start)) >= 0), default=len(url))


def _bad_port(url: str, start: int) -> int | None:
    """Return the position after a colon without a port, where a password may begin."""
    position = start
    for part in url[start : _end_of_authority(url, start)].split(","):
        if not _HOST_AND_PORT.fullmatch(part):
            return position + part.find(":") + 1
        position += len(part) + 1
    return None


def _end_of_password(url: str, start: int) -> int:
    """Return the end of a password in the query: the start of the next known parameter."""
    for parameter in _PARAMETER.finditer(url, start):
        if parameter[0][0] == "&" and unquote_plus(parameter[1]) in LIBPQ:
            return parameter.start()
    return len(url)


def _parts(rest: str) -> tuple[str, str, str]:
    """Split the part after the scheme into authority, path and query, if it is unambiguous."""
    end = _end_of_authority(rest, 0)
    authority, tail = rest[:end], rest[end:]
    tail, _, fragment = tail.partition("#")
    path, _, query = tail.partition("?")
    unclear = (
        authority.count("@") > 1
        or "@" in path
        or "#" in rest
        or ("@" in query and "@" not in authority and ":" in authority)
    )
    if unclear or fragment:
        message = f"it is ambiguous: it contains @, /, ? or # that separate nothing; {_ENCODE}"
        raise InvalidDatabaseUrl(message)
    return authority, path, query


def _check_hosts(hosts: str, *, has_user: bool) -> None:
    for part in hosts.split(","):
        found = _HOST_AND_PORT.fullmatch(unquote(part))
        if found is None and not has_user:
            message = (
                "there is no port number after the first :, and no @ and host after user:password;"
                f" in a password, {_ENCODE}"
            )
            raise InvalidDatabaseUrl(message)
        if found is None:
            message = (
                f"host and port are not host:port with a number; if it is a password, {_ENCODE}"
            )
            raise InvalidDatabaseUrl(message)
        if found[1] and not 0 < int(found[1]) <= _HIGHEST_PORT:
            message = f"the port must be from 1 to {_HIGHEST_PORT}"
            raise InvalidDatabaseUrl(message)


def _parameters(query: str) -> tuple[list[str], str | None, float | None]:
    """Return the parameters for the driver as written, application name and connect timeout."""
    pairs: dict[str, tuple[str, str]] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            message = (
                "a part of its query is not name=value; in a value, percent-encode & as %26, and in"
                f" a password, {_ENCODE}"
            )
            raise InvalidDatabaseUrl(message)
        pairs[unquote_plus(name)] = (part, unquote_plus(value))
    _check_names(pairs)
    fallback = pairs.pop("fallback_application_name", ("", ""))[1]
    name = pairs.pop("application_name", ("", ""))[1] or fallback
    timeout = _connect_timeout(pairs.pop("connect_timeout", ("", ""))[1])
    if pairs.get("sslrootcert", ("", ""))[1] == "system":
        _use_system_authorities(pairs)
    for key, (_, value) in list(pairs.items()):
        if key not in DRIVER and (key in LIBPQ or key in FOREIGN):
            problem = refusal_of(key, value)
            if problem is not None:
                message = f"its parameter {key} cannot be used as given: {problem}"
                raise InvalidDatabaseUrl(message)
            del pairs[key]
    return [part for part, _ in pairs.values()], name or None, timeout


def _check_names(pairs: dict[str, tuple[str, str]]) -> None:
    """Reject names that are not parameters; they may be the part of a password after an `&`."""
    for name in pairs:
        if name in LIBPQ or name in FOREIGN:
            continue
        if not PASSWORDS.isdisjoint(pairs) or not _SETTING.fullmatch(name):
            message = (
                "its query has a parameter that PostgreSQL does not know; if it is part of a"
                f" password, percent-encode & as %26 and = as %3D, and {_ENCODE}"
            )
            raise InvalidDatabaseUrl(message)


def _connect_timeout(value: str) -> float | None:
    if not value:
        return None
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        message = "its parameter connect_timeout is not a whole number of seconds"
        raise InvalidDatabaseUrl(message)
    # As in libpq, zero and less mean none.
    return float(value) if int(value) > 0 else None


def _use_system_authorities(pairs: dict[str, tuple[str, str]]) -> None:
    """Replace `sslrootcert=system` by the system's file; as in libpq, it also verifies the host."""
    if pairs.get("sslmode", ("", "verify-full"))[1] != "verify-full":
        message = "its parameter sslrootcert=system works with sslmode=verify-full only"
        raise InvalidDatabaseUrl(message)
    for path in (ssl.get_default_verify_paths().cafile or "", *_SYSTEM_AUTHORITIES):
        if Path(path).is_file():
            pairs["sslrootcert"] = (f"sslrootcert={quote(path)}", path)
            pairs["sslmode"] = ("sslmode=verify-full", "verify-full")
            return
    message = "its parameter sslrootcert=system finds no file here; name the file of authorities"
    raise InvalidDatabaseUrl(message)
