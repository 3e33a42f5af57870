"""Which addresses may be connected to, however they are written, and that it is the connection that is checked."""

import socket
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.fakes.website import Website
from worker.knowledge.egress import Egress, Forbidden


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::", "2001:db8::1",
        "not an address", "",
    ],
)  # fmt: skip
def test_what_is_not_of_the_internet_is_refused(address: str) -> None:
    assert not Egress().permits(address)
    with pytest.raises(Forbidden):
        Egress().check(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_what_is_of_the_internet_is_not(address: str) -> None:
    assert Egress().permits(address)


def test_a_setting_allows_networks_and_no_others() -> None:
    egress = Egress([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    assert egress.permits("10.9.8.7")
    assert egress.permits("::ffff:10.9.8.7")
    assert egress.permits("fd12::1")
    assert not egress.permits("192.168.0.1")


class Liar(AbstractResolver):
    """A name server that answers whatever was asked with this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        flags = socket.AI_NUMERICHOST
        return [
            {"hostname": host, "host": "127.0.0.1", "port": self._port, "family": family, "proto": 0, "flags": flags}
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_name_that_leads_to_this_machine_is_found_out_when_it_is_connected_to(site: Website) -> None:
    site.pages["/"] = "secret"
    connector = Egress().connector()
    connector._resolver = Liar(int(site.url.rpartition(":")[2]))
    async with aiohttp.ClientSession(connector=connector) as http:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await http.get("http://docs.example.com/")
    assert isinstance(refused.value.os_error, Forbidden)
    assert site.asked == []
