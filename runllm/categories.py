"""Descriptions of categories and tags that come with examples."""

from collections.abc import Mapping, Sequence
from typing import Any, Dict, List  # noqa: UP035

from runllm.errors import UsageError


class Category(str):
    """The description of a category or of a tag, with messages that belong to it.

    It is a string, so it stands wherever `Agent.categorize` and `Agent.tag` take a description. Five examples help more
    than any description.

    Attributes:
        examples: Messages that belong to it, as customers write them.
    """

    examples: List[str]  # noqa: UP006

    def __new__(cls, description: str = "", examples: Sequence[str] = ()) -> "Category":
        """A description with examples.

        Args:
            description: What belongs to it.
            examples: Messages that do.

        Returns:
            The description, as a string that has `examples`.

        Raises:
            UsageError: An example is no text, or empty.

        Example:
            ```python
            topic = agent.categorize(
                event.conversation,
                {"billing": Category("invoices, refunds", examples=["why was I charged twice?"]), "bug": "errors"},
                default="other",
            )
            ```
        """
        given: object = examples
        listed: List[Any] = list(given) if isinstance(given, list | tuple) else [given]  # noqa: UP006
        if isinstance(given, str) or not all(isinstance(one, str) and one.strip() for one in listed):
            raise UsageError("Category(examples=...) takes a list of messages, like ['why was I charged twice?']")
        made = super().__new__(cls, description)
        made.examples = listed
        return made

    def __reduce__(self) -> "tuple[type[Category], tuple[str, List[str]]]":  # noqa: UP006
        """What copies and pickles are made from."""
        return Category, (str(self), self.examples)


def examples_in(described: Mapping[str, str]) -> Dict[str, List[str]]:  # noqa: UP006
    """The examples of those descriptions that have some."""
    return {name: one.examples for name, one in described.items() if isinstance(one, Category) and one.examples}


def plain(described: Mapping[str, str]) -> Dict[str, str]:  # noqa: UP006
    """The descriptions alone, as they cross processes."""
    return {name: str(one) for name, one in described.items()}


def with_examples(described: Mapping[str, str], examples: Mapping[str, Sequence[str]]) -> Dict[str, str]:  # noqa: UP006
    """The descriptions, with the examples that some have."""
    return {name: Category(one, examples[name]) if examples.get(name) else one for name, one in described.items()}
