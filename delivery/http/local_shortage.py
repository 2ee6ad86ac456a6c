"""Resource shortages of this machine or process, as opposed to failures of an endpoint.

Shortages of files (EMFILE, ENFILE), of memory for sockets (ENOBUFS, ENOMEM), of threads for name
resolution and of ephemeral ports are transient and independent of the endpoint. A network interface
that is down (ENETDOWN) counts as a shortage, because it affects all endpoints.

EACCES and EPERM are not shortages. They come from firewall rules and routes that forbid a
destination: they are permanent and specific to an endpoint, whose owner must be notified.
ENETUNREACH is not a shortage either: on a host without IPv6 it is the error of every endpoint that
has only IPv6 addresses.
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
    """Error of a call that this process cannot make now, independent of the endpoint."""


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an error, or one of its causes, is a shortage."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, LocalShortage):
            return True
        if isinstance(error, socket.gaierror):
            if error.errno == socket.EAI_MEMORY:
                return True
        # The `errno` of a TLS error is a number of OpenSSL.
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

    The system's resolver does not report this: without a file for its socket, it reports that the
    name cannot be resolved.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _SHORTAGES
    return False


def is_out_of_ports(family: int, address: str, port: int) -> bool:
    """Return whether EADDRNOTAVAIL for this destination means that the TCP ports are used up.

    EADDRNOTAVAIL can also mean that this machine has no source address for the destination, for
    example no IPv6 address. In that case, a datagram socket, whose ports are separate, cannot be
    connected either.
    """
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, port))
    except OSError as error:
        return error.errno in _SHORTAGES
    return True
