"""What tokens cost, as far as it is known here: US dollars for a million, at the vendors' list prices.

Prices change, and there are models that nobody here has heard of: RUNLLM_MODEL_PRICES comes first. A model without a
price is counted in tokens only, and the doctor says so.
"""

from collections.abc import Mapping

from worker.answering.completion import Spent
from worker.answering.model_settings import Price

_LISTED: Mapping[str, Price] = {
    # https://docs.claude.com/en/docs/about-claude/pricing; a name also stands for its dated releases
    "claude-opus-4-5": Price(input=5, output=25),
    "claude-opus-4-6": Price(input=5, output=25),
    "claude-sonnet-4-5": Price(input=3, output=15),
    "claude-sonnet-4-6": Price(input=3, output=15),
    "claude-haiku-4-5": Price(input=1, output=5),
}

_CACHE_READ, _CACHE_WRITE = 0.1, 1.25
"""Of the price of input, where a price does not say."""


def price_of(model: str, own: Mapping[str, Price]) -> Price | None:
    """The price of a model; None where nobody knows it."""
    for prices in (own, _LISTED):
        if model in prices:
            return prices[model]
        dated = [name for name in prices if model.startswith(f"{name}-")]
        if dated:
            return prices[max(dated, key=len)]
    return None


def microdollars(spent: Spent, own: Mapping[str, Price]) -> int | None:
    """What one request has cost, in millionths of a US dollar; None where nobody knows the price."""
    price = price_of(spent.model, own)
    if price is None:
        return None
    read = price.input * _CACHE_READ if price.cache_read is None else price.cache_read
    write = price.input * _CACHE_WRITE if price.cache_write is None else price.cache_write
    return round(
        spent.input_tokens * price.input
        + spent.output_tokens * price.output
        + spent.cache_read_tokens * read
        + spent.cache_write_tokens * write
    )
