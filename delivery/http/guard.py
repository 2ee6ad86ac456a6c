"""Resolves a host and judges every address before anything is connected to.

The guard against server-side request forgery: whoever may create a reaction must not be able to
reach what only this machine can reach. A name is resolved once for each new connection, all its
addresses are judged, and the connection goes to one of those very addresses, so that a name which
resolves differently the next time gains nothing.
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
_LOCALHOST: Final = ".localhost"
"""RFC 6761, 6.3."""
_LOCAL: Final = (
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
"""Names of private networks: RFC 6762 with its appendix G, RFC 8375, and ICANN's `.internal`."""
_LOGGED_EVERY: Final = 60.0
"""Seconds between two messages about the same host."""


class AddressBlocked(Exception):
    """The endpoint must not be connected to.

    The text is shown to users, so it names no address that a name resolves to.
    """


class Guard:
    """What may be called: public addresses, and what is allowed beyond them.

    Args:
        allowed_networks: Networks that may be called although they are not public.
        allowed_hosts: Host names (`example.test`) and suffixes (`*.example.test`) whose addresses
            are not judged.
        allowed_ports: The only ports that may be called; None: all.
        resolver: See `NameResolver`.
        require_https: Whether http may not be spoken.

    Raises:
        ValueError: if a network is not one, or a host cannot be a host name.
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
        self._logs = RepeatedLogs(logger, every=_LOGGED_EVERY)

    def check(self, endpoint: Endpoint) -> None:
        """Refuse what can be refused without resolving a name; for when a reaction is saved.

        Raises:
            InvalidReaction: if the scheme, the port, or the host may not be called.
        """
        try:
            self._judge_scheme_and_port(endpoint)
            address = literal_address(endpoint.host)
            if address is not None:
                self._judge(endpoint.host, [address])
            else:
                self._judge_name(endpoint.host)
        except AddressBlocked as blocked:
            raise InvalidReaction(str(blocked)) from None

    async def resolve(self, endpoint: Endpoint) -> list[str]:
        """Return the addresses of the endpoint, all of them judged, in the order to try them.

        Raises:
            AddressBlocked: if the scheme, the port or any of the addresses may not be called.
            socket.gaierror, UnicodeError: if the name cannot be resolved.
        """
        self._judge_scheme_and_port(endpoint)
        return await self.resolve_name(endpoint.name)

    async def resolve_name(self, name: str) -> list[str]:
        """Return the addresses of a host, as `resolve` does, whatever the scheme and port.

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
        self._judge(host, addresses)
        return [str(address) for address in addresses]

    def _judge_scheme_and_port(self, endpoint: Endpoint) -> None:
        if self._require_https and endpoint.scheme != "https":
            message = (
                f"{endpoint.host} may be called by https only, because http.require_https is set"
            )
            raise AddressBlocked(message)
        if self._ports is not None and endpoint.port not in self._ports:
            message = (
                f"port {endpoint.port} of {endpoint.host} may not be called;"
                " http.allowed_ports says which may"
            )
            raise AddressBlocked(message)

    def _is_allowed(self, host: str) -> bool:
        return host in self._hosts or host.endswith(self._suffixes)

    def _judge_name(self, host: str) -> None:
        """Refuse names that lead into a private network, unless something there may be called."""
        if self._is_allowed(host):
            return
        if f".{host}".endswith(_LOCALHOST):
            may_be_right = any(map(self._is_in_allowed_network, _LOOPBACK))
        elif "." not in host or host.endswith(_LOCAL):
            may_be_right = any(not network.is_loopback for network in self._networks)
        else:
            return
        if not may_be_right:
            message = (
                f"{host} is a name of this machine or of a private network, and may not be called;"
                " to allow it, add it to http.allowed_hosts, or its network to"
                " http.allowed_networks"
            )
            raise AddressBlocked(message)

    def _judge(self, host: str, addresses: list[Address]) -> None:
        if self._is_allowed(host):
            return
        for address in addresses:
            if is_public(address) or self._is_in_allowed_network(address):
                continue
            if host == str(address):
                message = (
                    f"{address} is not a public address and may not be called; to allow"
                    " it, add its network to http.allowed_networks"
                    " (DELIVERY_HTTP_ALLOWED_NETWORKS), or its host to http.allowed_hosts"
                )
                raise AddressBlocked(message)
            self._log(host, address)
            message = (
                f"{host} resolves to an address that is not public, which may not be called;"
                " http.allowed_networks and http.allowed_hosts allow addresses, and the worker's"
                " log names this one"
            )
            raise AddressBlocked(message)

    def _is_in_allowed_network(self, address: Address) -> bool:
        return any(
            address in network for network in self._networks if network.version == address.version
        )

    def _log(self, host: str, address: Address) -> None:
        """Log the address for the operator; errors shown to tenants omit it."""
        if self._logs.is_due(host):
            logger.warning("%s resolves to %s, which may not be called", host, address)
