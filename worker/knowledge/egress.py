"""Where connections may go: addresses of the internet, and networks that a setting allows.

What counts is the address that is connected to, so a name that resolves to something else the second time, or a
redirect, gets no further than a plain address would.
"""

import errno
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import aiohttp

Address = IPv4Address | IPv6Address

_NAT64 = ip_network("64:ff9b::/96")
# What Python's own list leaves out, depending on its release. 168.63.129.16 and 192.0.0.192 are public by their
# numbers, but behind them are a cloud's own services for its machines.
_NEVER = [
    ip_network(one)
    for one in (
        "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100::/64", "2001::/23",
        "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
    )
]  # fmt: skip


class Forbidden(OSError):
    """An address that may not be connected to. It is an OSError, so that clients give up in their usual way."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"{address} is not an address of the internet")
        self.address = address


class Egress:
    """The rule."""

    def __init__(self, allowed: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._allowed = list(allowed)

    def permits(self, address: str) -> bool:
        """Whether `address` may be connected to."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return all(self._is_good(one) for one in _all_meant_by(found)) or self._is_allowed(found)

    def check(self, address: str) -> None:
        """Lets good addresses pass.

        Raises:
            Forbidden: It is loopback, private, link-local or otherwise not of the internet.
        """
        if not self.permits(address):
            raise Forbidden(address)

    def connector(self) -> aiohttp.TCPConnector:
        """A connector that asks before each connection."""
        return aiohttp.TCPConnector(socket_factory=self._socket, limit=8, ttl_dns_cache=60)

    def _socket(self, info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        self.check(str(address[0]))
        return socket.socket(family=family, type=kind, proto=protocol)

    def _is_good(self, address: Address) -> bool:
        return (
            address.is_global
            and not address.is_multicast
            and not address.is_reserved
            and not any(address in network for network in _NEVER)
        )

    def _is_allowed(self, address: Address) -> bool:
        return any(one in network for network in self._allowed for one in _all_meant_by(address))


def _all_meant_by(address: Address) -> list[Address]:
    """The address, and the IPv4 one that is wrapped in it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    wrapped = [address.sixtofour, *(address.teredo or ())]
    return [address, *(one for one in wrapped if one is not None)]
