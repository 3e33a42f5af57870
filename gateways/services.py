"""What the parts of a gateway share. Built once, in `gateways.server`."""

from dataclasses import dataclass

from aiohttp import web

from gateways.connecting import Setups
from gateways.delivery import Delivery
from gateways.files import Files, Readers
from gateways.hints import Hints
from gateways.hub import Hub
from gateways.indexing import Indexing
from gateways.origins import Origins
from gateways.outlets import Outlets
from gateways.rates import Rate, Seats, client_address
from gateways.routing import Routing
from gateways.settings import GatewaySettings
from gateways.temporal import Temporal
from store.engine import Store
from store.sealing import Seal


@dataclass(frozen=True)
class Services:
    """The record, Temporal, and what stands between them and the outside."""

    settings: GatewaySettings
    store: Store
    temporal: Temporal
    hub: Hub
    delivery: Delivery
    routing: Routing
    origins: Origins
    indexing: Indexing
    outlets: Outlets
    setups: Setups
    files: Files
    messages: Rate
    conversations: Rate
    logins: Rate
    streams: Seats

    def address(self, request: web.Request) -> str:
        """Where a request comes from."""
        return client_address(request, self.settings.trusted_proxies)


SERVICES = web.AppKey("services", Services)


def services(request: web.Request) -> Services:
    """The services of the application that serves `request`."""
    return request.config_dict[SERVICES]


def build(settings: GatewaySettings, store: Store, temporal: Temporal, setups: Setups, readers: Readers) -> Services:
    """Wires the parts together; `setups` says how each platform is connected, `readers` who reads its files."""
    hub = Hub()
    outlets = Outlets(store, hub, Seal(settings.secret), settings.platforms)
    delivery = Delivery(store, temporal)
    routing = Routing(store, delivery.soon, hub.poke_soon, Hints(hub.say, lambda: origins.routes))
    origins = Origins(routing.routes, lambda: bool(hub.watched()))
    limits = settings.limits
    return Services(
        settings=settings,
        store=store,
        temporal=temporal,
        hub=hub,
        delivery=delivery,
        routing=routing,
        origins=origins,
        indexing=Indexing(store, temporal),
        outlets=outlets,
        setups=setups,
        files=Files(outlets, readers),
        messages=Rate("messages", limits.messages_a_minute),
        conversations=Rate("new conversations", limits.conversations_a_minute),
        logins=Rate("attempts to sign in", limits.logins_a_minute),
        streams=Seats(limits.streams),
    )
