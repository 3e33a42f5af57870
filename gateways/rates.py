"""How often somebody may do something, and who somebody is."""

import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_address

from aiohttp import web

from gateways.refusals import RefusedError

_REMEMBERED = 50_000


class Rate:
    """At most `a_minute` a key, in bursts of up to as many. 0 is no limit. Kept in this process only."""

    def __init__(self, what: str, a_minute: int) -> None:
        self._what = what
        self._a_minute = a_minute
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (spent, at)

    def spend(self, key: str) -> None:
        """Counts one.

        Raises:
            RefusedError: It is one too many; it says when to come back.
        """
        spent = self._now_spent(key)
        if self._a_minute and spent + 1 > self._a_minute:
            wait = (spent + 1 - self._a_minute) * 60 / self._a_minute
            message = f"Too many {self._what}: at most {self._a_minute} a minute. Try again in {max(1, round(wait))} s."
            raise RefusedError(429, "too_many", message, retry_after=wait)
        self._spent[key] = (spent + 1, time.monotonic())
        self._spent.move_to_end(key)
        while len(self._spent) > _REMEMBERED:
            self._spent.popitem(last=False)

    def _now_spent(self, key: str) -> float:
        spent, at = self._spent.get(key, (0.0, 0.0))
        return max(0.0, spent - (time.monotonic() - at) * self._a_minute / 60)


class Seats:
    """At most so many open streams an address. 0 is no limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def seat(self, address: str) -> Iterator[None]:
        """Takes a seat, and gives it back.

        Raises:
            RefusedError: All are taken.
        """
        if self._most and self._taken[address] >= self._most:
            message = f"Too many open streams: at most {self._most} from one address. Close some pages and try again."
            raise RefusedError(429, "too_many", message, retry_after=10)
        self._taken[address] += 1
        try:
            yield
        finally:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]


def client_address(request: web.Request, proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """The address that a request came from: the last one that no proxy of ours has added."""
    address = request.remote or "unknown"
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        if not _is_proxy(address, proxies) or not hop.strip():
            break
        address = hop.strip()
    return address


def _is_proxy(address: str, proxies: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        return any(ip_address(address) in network for network in proxies)
    except ValueError:
        return False
