"""What kind a file is, by its name: on every machine the same, whatever its own tables of kinds are."""

import mimetypes

_KINDS = mimetypes.MimeTypes()


def kind_of(name: str, otherwise: str = "application/octet-stream") -> str:
    """The media type of a file of that name."""
    return _KINDS.guess_type(name)[0] or otherwise
