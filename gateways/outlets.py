"""What adapters are made of. Built once in each process that posts."""

from dataclasses import dataclass

from gateways.platforms import PlatformSettings
from gateways.recorded import Pokes
from store.engine import Store
from store.sealing import Seal


@dataclass(frozen=True)
class Outlets:
    """The record, the key to the credentials in it, who is told that a surface changed, and the platforms' settings."""

    store: Store
    hub: Pokes
    seal: Seal
    settings: PlatformSettings
