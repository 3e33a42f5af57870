"""A description with examples is a description; nothing but plain texts crosses processes."""

import copy
import pickle

import pytest

from runllm import Category, UsageError
from runllm.categories import examples_in, plain, with_examples

BILLING = Category("invoices, refunds", examples=["why was I charged twice?"])


def test_a_category_is_its_description() -> None:
    assert BILLING == "invoices, refunds"
    assert BILLING.examples == ["why was I charged twice?"]
    assert Category("bugs").examples == []


def test_what_crosses_processes_is_plain_and_complete() -> None:
    described = {"billing": BILLING, "bug": "errors"}
    texts, examples = plain(described), examples_in(described)
    assert [type(text) for text in texts.values()] == [str, str]
    assert examples == {"billing": ["why was I charged twice?"]}
    again = with_examples(texts, examples)
    assert again == described
    assert examples_in(again) == examples


@pytest.mark.parametrize("twin", [copy.copy(BILLING), copy.deepcopy(BILLING), pickle.loads(pickle.dumps(BILLING))])
def test_copies_keep_their_examples(twin: Category) -> None:
    assert (twin, twin.examples) == (BILLING, BILLING.examples)


@pytest.mark.parametrize("examples", ["one text", ["", "x"], [1], {"a": "b"}, None])
def test_examples_that_are_no_messages_are_refused(examples: list[str]) -> None:
    with pytest.raises(UsageError, match=r"Category\(examples=\.\.\.\) takes a list of messages"):
        Category("x", examples=examples)
