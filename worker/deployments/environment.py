"""What of the environment customer code gets to see: enough to run and to reach Temporal, and no secret."""

from collections.abc import Mapping

_KEPT = ("PATH", "HOME", "TZ", "LANG", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE", "SSL_CERT_DIR")

_NO_KEY = "not-available-on-session-hosts"


def for_customer_code(environ: Mapping[str, str], *, temporal: bool) -> dict[str, str]:
    """The environment of a process that runs customer code.

    `Client.publish` at the top of a published file does nothing there: `RUNLLM_LOADING` says so.

    Args:
        environ: The environment of this process.
        temporal: The process talks to Temporal.
    """
    kept = {name: value for name, value in environ.items() if name in _KEPT or name.startswith("LC_")}
    if temporal:
        kept |= {name: value for name, value in environ.items() if name.startswith("TEMPORAL_")}
    return kept | {"RUNLLM_LOADING": "1", "RUNLLM_API_KEY": _NO_KEY, "PYTHONUNBUFFERED": "1"}
