"""The chat widget's outbound side: the record is the surface."""

from gateways.recorded import RecordedSurface


class ChatWidgetAdapter(RecordedSurface):
    """Shows messages in chat widgets."""
