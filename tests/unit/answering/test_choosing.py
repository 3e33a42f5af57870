"""Categories are told apart by what they mean, and by examples."""

import pytest

from runllm import Category
from worker.answering.choosing import Chooser, choices_of
from worker.answering.embedding_minilm import MiniLM
from worker.answering.extractive import ExtractiveModel
from worker.answering.protocol import Turn

DESCRIBED = {
    "billing": "invoices, prices, refunds",
    "bug": "something is broken or crashes",
    "account": "signing in, passwords, deleting an account",
}


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return MiniLM()


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("I want my money back", "billing"),
        ("The app closes itself whenever I open a file", "bug"),
        ("I cannot log in any more", "account"),
        ("What do you think of the weather in Norway?", "other"),
    ],
)
async def test_other_words_of_the_same_meaning_choose_the_category(minilm: MiniLM, text: str, category: str) -> None:
    said = [Turn(author="user", text=text)]
    assert await ExtractiveModel(minilm).categorize(said, DESCRIBED, "other", None) == category


async def test_examples_decide_where_descriptions_do_not(minilm: MiniLM) -> None:
    described = {
        "a": Category("the first team", examples=["my parcel is late", "where is my delivery?"]),
        "b": Category("the second team", examples=["the invoice is wrong", "I was charged twice"]),
    }
    fit = await Chooser(minilm).fit("Still waiting for the shipment", choices_of(described))
    assert fit["a"] > fit["b"] + 0.1
    without = await Chooser(minilm).fit(
        "Still waiting for the shipment", choices_of({n: str(d) for n, d in described.items()})
    )
    assert abs(without["a"] - without["b"]) < 0.1


async def test_what_all_examples_share_tells_nothing_and_what_differs_decides(minilm: MiniLM) -> None:
    """Five pages of one product: nearly every example has the same words but one."""
    pages = ("colour", "font", "margin", "column", "footnote")
    asks = ("In the report editor of Quill 7 on Windows, how do I change the {} of a page?",
            "In the report editor of Quill 7 on Windows, my {} is not saved with the page",
            "In the report editor of Quill 7 on Windows, where is the {} of my page set?")  # fmt: skip
    choices = choices_of({page: Category("", examples=[ask.format(page) for ask in asks]) for page in pages})
    fit = await Chooser(minilm).fit("In the report editor of Quill 7 on Windows, which typeface has a page?", choices)
    best, second = sorted(fit.values(), reverse=True)[:2]
    assert fit["font"] == best
    assert best - second > 0.1
    assert 0.2 < best < 1, "on the scale of a fit without examples, so that limits hold"


async def test_examples_that_are_all_the_same_are_no_harm(minilm: MiniLM) -> None:
    choices = choices_of({name: Category("", examples=["hello there"] * 3) for name in ("a", "b", "c", "d", "e")})
    fit = await Chooser(minilm).fit("hello there", choices)
    assert all(0 < one <= 1.001 for one in fit.values())


async def test_examples_count_without_an_embedder_too() -> None:
    described = {"a": Category("first", examples=["my parcel is late"]), "b": "second"}
    fit = await Chooser().fit("the parcel", choices_of(described))
    assert fit["a"] > fit["b"] == 0


async def test_tags_that_fit_by_their_meaning_are_chosen(minilm: MiniLM) -> None:
    said = [Turn(author="user", text="I want my money back. The app crashes, too.")]
    assert set(await ExtractiveModel(minilm).tag(said, DESCRIBED, None)) == {"billing", "bug"}
    assert await ExtractiveModel(minilm).tag([Turn(author="user", text="Hi there")], DESCRIBED, None) == []


@pytest.mark.parametrize("size", [1, 300])
async def test_one_category_or_three_hundred_are_fine(minilm: MiniLM, size: int) -> None:
    described = {f"topic{n}": f"matters of the kind {n}" for n in range(size - 1)} | {"refund": "money back"}
    said = [Turn(author="user", text="please return my payment")]
    assert await ExtractiveModel(minilm).categorize(said, described, "other", None) == "refund"
    assert await ExtractiveModel(minilm).categorize([], described, "other", None) == "other"
