"""Connections to the services of models."""

import httpx2

KEPT_OPEN = httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=240.0)
"""Connections to a service: one that was used in the last minutes saves the next question two journeys or three.

The client's five seconds are less than the time between two questions. A connection that the service has closed
meanwhile is noticed before it is used.
"""
