"""Resolves a host and judges every address before anything is connected to.

The guard against server-side request forgery: whoever may create a reaction must not be able to
reach what only this machine can reach. A name is resolved once for each new connection, all its
addresses are judged, and the connection goes to one of those very addresses, so that a name which
resolves differently the next time gains nothing.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from delivery.errors import InvalidReaction
from delivery.http.addresses import is_public
from delivery.http.names import Names, system_addresses
from delivery.message.url import ascii_host, literal_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from delivery.http.addresses import Address, Network
    from delivery.message.url import Endpoint

__all__ = ["AddressBlocked", "Guard"]


class AddressBlocked(Exception):
    """The endpoint must not be connected to."""


class Guard:
    """What may be called: public addresses, and what is allowed beyond them.

    Args:
        allowed_networks: Networks that may be called although they are not public.
        allowed_hosts: Host names (`example.test`) and suffixes (`*.example.test`) whose addresses
            are not judged.
        allowed_ports: The only ports that may be called; None: all.
        resolver: See `Names`.

    Raises:
        ValueError: if a network is not one, or a host cannot be a host name.
    """

    def __init__(
        self,
        allowed_networks: Iterable[str] = (),
        allowed_hosts: Iterable[str] = (),
        allowed_ports: Iterable[int] | None = None,
        resolver: Callable[[str], Iterable[str]] = system_addresses,
    ) -> None:
        self._networks: tuple[Network, ...] = tuple(map(ip_network, allowed_networks))
        hosts = list(allowed_hosts)
        self._hosts = frozenset(ascii_host(host) for host in hosts if not host.startswith("*."))
        self._suffixes = tuple(
            "." + ascii_host(host.removeprefix("*.")) for host in hosts if host.startswith("*.")
        )
        self._ports = None if allowed_ports is None else frozenset(allowed_ports)
        self._names = Names(resolver)

    def check(self, endpoint: Endpoint) -> None:
        """Refuse what can be refused without resolving a name; for when a reaction is saved.

        Raises:
            InvalidReaction: if the port, or the address that is the host, may not be called.
        """
        try:
            self._judge_port(endpoint)
            address = literal_address(endpoint.host)
            if address is not None:
                self._judge(endpoint.host, [address])
        except AddressBlocked as blocked:
            raise InvalidReaction(str(blocked)) from None

    async def resolve(self, endpoint: Endpoint) -> list[str]:
        """The addresses of the endpoint, all of them judged, in the order to try them.

        Raises:
            AddressBlocked: if the port or any of the addresses may not be called.
            socket.gaierror, UnicodeError: if the name cannot be resolved.
        """
        self._judge_port(endpoint)
        literal = literal_address(endpoint.host)
        if literal is not None:
            addresses: list[Address] = [literal]
        else:
            addresses = await self._names.addresses(endpoint.host)
        self._judge(endpoint.host, addresses)
        return [str(address) for address in addresses]

    def _judge_port(self, endpoint: Endpoint) -> None:
        if self._ports is not None and endpoint.port not in self._ports:
            message = (
                f"port {endpoint.port} of {endpoint.host} may not be called;"
                " http.allowed_ports says which may"
            )
            raise AddressBlocked(message)

    def _judge(self, host: str, addresses: list[Address]) -> None:
        if host in self._hosts or host.endswith(self._suffixes):
            return
        for address in addresses:
            if not is_public(address) and not any(
                address in network
                for network in self._networks
                if network.version == address.version
            ):
                of_name = "" if host == str(address) else f" (an address of {host})"
                message = (
                    f"{address}{of_name} is not a public address and may not be called; to allow"
                    " it, add its network to http.allowed_networks"
                    " (DELIVERY_HTTP_ALLOWED_NETWORKS), or its host to http.allowed_hosts"
                )
                raise AddressBlocked(message)
