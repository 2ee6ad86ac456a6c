"""Shortages of this machine or process, as opposed to faults of an endpoint.

Files (EMFILE, ENFILE), memory for sockets (ENOBUFS, ENOMEM), threads for name resolution and
ephemeral ports are shortages: they pass, and say nothing about the endpoint. So is a network
interface that is down (ENETDOWN): nothing at all can be called through it.

EACCES and EPERM are none. They come from firewall rules and routes that forbid a destination: they
last, they concern that endpoint, and its owner has to learn of them. Nor is ENETUNREACH: it is also
the error of a host without IPv6 for every endpoint with only IPv6 addresses.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Final

__all__ = ["LocalShortage", "is_out_of_files", "is_out_of_ports", "is_shortage"]

_SHORTAGES: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENETDOWN}
)


class LocalShortage(OSError):
    """This process cannot make the call now, whatever the endpoint."""


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an error, or one of those that caused it, says that something is short."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, LocalShortage):
            return True
        if isinstance(error, socket.gaierror):
            if error.errno == socket.EAI_MEMORY:
                return True
        # The numbers of TLS errors are OpenSSL's.
        elif (
            isinstance(error, OSError)
            and not isinstance(error, ssl.SSLError)
            and error.errno in _SHORTAGES
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_out_of_files() -> bool:
    """Return whether no file can be opened now.

    The resolver of the system does not say so: without a file for its socket it finds that a name
    cannot be resolved.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _SHORTAGES
    return False


def is_out_of_ports(family: int, address: str, port: int) -> bool:
    """Return whether EADDRNOTAVAIL for this destination means that the TCP ports are used up.

    The other meaning is that this machine has no address to call it from, such as one without IPv6.
    Then a datagram socket, which has ports of its own, cannot be connected either.
    """
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, port))
    except OSError as error:
        return error.errno in _SHORTAGES
    return True
