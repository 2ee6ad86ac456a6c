"""Guard against server-side request forgery.

The creator of a reaction must not reach hosts that only this machine can reach. For each new
connection, a name is resolved once, all its addresses are checked, and the connection goes to one
of the checked addresses. A name that resolves differently the next time therefore gains nothing.
"""

from __future__ import annotations

import logging
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from delivery.errors import InvalidReaction
from delivery.http.addresses import is_public
from delivery.http.resolver import NameResolver, system_addresses
from delivery.message.request.url import ascii_host, literal_address
from delivery.observe.repeated_logs import RepeatedLogs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from delivery.http.addresses import Address, Network
    from delivery.message.request.url import Endpoint

__all__ = ["AddressBlocked", "Guard"]

logger = logging.getLogger(__name__)

_LOOPBACK: Final = (ip_address("127.0.0.1"), ip_address("::1"))
_LOCALHOST_SUFFIX: Final = ".localhost"
"""Suffix of loopback names (RFC 6761, 6.3)."""
_PRIVATE_SUFFIXES: Final = (
    ".corp",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localdomain",
    ".private",
)
"""Suffixes of private names: RFC 6762 with its appendix G, RFC 8375, and ICANN's `.internal`."""
_LOG_INTERVAL: Final = 60.0
"""Minimum number of seconds between two messages about the same host."""


class AddressBlocked(Exception):
    """Refusal to connect to an endpoint.

    Users see the message, so it does not contain the addresses of a name.
    """


class Guard:
    """Rules for the addresses that may be called: public ones, and explicit exceptions.

    Args:
        allowed_networks: Networks that may be called although they are not public.
        allowed_hosts: Host names (`example.test`) and suffixes (`*.example.test`) that may be
            called with any address.
        allowed_ports: Ports that may be called. None for all ports.
        resolver: See `NameResolver`.
        require_https: Refuse http.

    Raises:
        ValueError: if a network or host is invalid.
    """

    def __init__(
        self,
        allowed_networks: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        allowed_ports: Iterable[int] | None = None,
        resolver: Callable[[str], Iterable[str]] = system_addresses,
        *,
        require_https: bool = False,
    ) -> None:
        self._networks: tuple[Network, ...] = tuple(map(ip_network, allowed_networks))
        hosts = list(allowed_hosts)
        self._hosts = frozenset(ascii_host(host) for host in hosts if not host.startswith("*."))
        self._suffixes = tuple(
            "." + ascii_host(host.removeprefix("*.")) for host in hosts if host.startswith("*.")
        )
        self._ports = None if allowed_ports is None else frozenset(allowed_ports)
        self._resolver = NameResolver(resolver)
        self._require_https = require_https
        self._logs = RepeatedLogs(logger, every=_LOG_INTERVAL)

    def check(self, endpoint: Endpoint) -> None:
        """Check an endpoint without resolving its name, when a reaction is saved.

        Raises:
            InvalidReaction: if the scheme, the port, or the host may not be called.
        """
        try:
            self._check_scheme_and_port(endpoint)
            address = literal_address(endpoint.host)
            if address is not None:
                self._check_addresses(endpoint.host, [address])
            else:
                self._check_name(endpoint.host)
        except AddressBlocked as blocked:
            raise InvalidReaction(str(blocked)) from None

    async def resolve(self, endpoint: Endpoint) -> list[str]:
        """Return the checked addresses of the endpoint, in the order to try them.

        Raises:
            AddressBlocked: if the scheme, the port or any of the addresses may not be called.
            socket.gaierror, UnicodeError: if the name cannot be resolved.
        """
        self._check_scheme_and_port(endpoint)
        return await self.resolve_name(endpoint.name)

    async def resolve_name(self, name: str) -> list[str]:
        """Return the checked addresses of a host, as `resolve` does, for any scheme and port.

        Args:
            name: See `Endpoint.name`.

        Raises:
            AddressBlocked: if any of the addresses may not be called.
            socket.gaierror, UnicodeError: if the name cannot be resolved.
        """
        host = name.removesuffix(".")
        literal = literal_address(host)
        if literal is not None:
            addresses: list[Address] = [literal]
        else:
            addresses = await self._resolver.addresses(name)
        self._check_addresses(host, addresses)
        return [str(address) for address in addresses]

    def _check_scheme_and_port(self, endpoint: Endpoint) -> None:
        if self._require_https and endpoint.scheme != "https":
            message = f"{endpoint.host} must be called by https, because http.require_https is set"
            raise AddressBlocked(message)
        if self._ports is not None and endpoint.port not in self._ports:
            message = (
                f"port {endpoint.port} of {endpoint.host} is not allowed;"
                " use a port of http.allowed_ports"
            )
            raise AddressBlocked(message)

    def _is_allowed(self, host: str) -> bool:
        return host in self._hosts or host.endswith(self._suffixes)

    def _check_name(self, host: str) -> None:
        """Refuse a private name, unless it can resolve to an allowed network."""
        if self._is_allowed(host):
            return
        if f".{host}".endswith(_LOCALHOST_SUFFIX):
            may_be_allowed = any(map(self._is_in_allowed_network, _LOOPBACK))
        elif "." not in host or host.endswith(_PRIVATE_SUFFIXES):
            may_be_allowed = any(not network.is_loopback for network in self._networks)
        else:
            return
        if not may_be_allowed:
            message = (
                f"{host} is a name of this machine or of a private network, and must not be called;"
                " to allow it, add it to http.allowed_hosts, or its network to"
                " http.allowed_networks"
            )
            raise AddressBlocked(message)

    def _check_addresses(self, host: str, addresses: list[Address]) -> None:
        if self._is_allowed(host):
            return
        for address in addresses:
            if is_public(address) or self._is_in_allowed_network(address):
                continue
            if host == str(address):
                message = (
                    f"{address} is not a public address and must not be called; to allow"
                    " it, add its network to http.allowed_networks"
                    " (DELIVERY_HTTP_ALLOWED_NETWORKS), or its host to http.allowed_hosts"
                )
                raise AddressBlocked(message)
            self._log_address(host, address)
            message = (
                f"{host} resolves to an address that is not public and must not be called;"
                " the worker's log contains the address; to allow it, use http.allowed_networks or"
                " http.allowed_hosts"
            )
            raise AddressBlocked(message)

    def _is_in_allowed_network(self, address: Address) -> bool:
        return any(
            address in network for network in self._networks if network.version == address.version
        )

    def _log_address(self, host: str, address: Address) -> None:
        """Log the address for the operator. The errors that tenants see omit it."""
        if self._logs.is_due(host):
            logger.warning("%s resolves to %s, which must not be called", host, address)
