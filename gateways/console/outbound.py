"""The admin console's outbound side: the record is the surface."""

from gateways.recorded import RecordedSurface


class AdminConsoleAdapter(RecordedSurface):
    """Shows messages in the admin console's conversations."""
