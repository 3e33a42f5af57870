"""Wires Discord into the server: its routes, and what runs beside them."""

from aiohttp import web

from gateways.services import Services


def attach(app: web.Application, deps: Services) -> None:
    """Adds what Discord needs to the server. Nothing yet."""
