"""What all our pages have in common: the headers that keep other people's code out of them."""

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin"}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def page_headers() -> dict[str, str]:
    """Headers of a page: only our own files run there, nothing is injected, nobody frames it."""
    return {**HEADERS, "Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
