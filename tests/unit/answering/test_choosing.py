"""Categories are told apart by what they mean, and by examples."""

from collections.abc import Sequence

import numpy as np
import pytest

from runllm import Category
from worker.answering import choosing
from worker.answering.choosing import Choice, Chooser, choices_of
from worker.answering.embedding_minilm import MiniLM
from worker.answering.extractive import ExtractiveModel
from worker.answering.protocol import Turn
from worker.answering.scoring import Floats

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


class Points:
    """Texts as points around those of their choices, which overlap: "3/7" is the seventh text of choice 3."""

    name = "points"

    def __init__(self, choices: int, width: int = 24) -> None:
        self._centres = np.random.default_rng(1).normal(0, 0.5, (choices, width))
        self._stretched = 0.4 + 2.2 * np.random.default_rng(2).random(width) ** 3

    async def embed(self, texts: Sequence[str]) -> Floats:
        rows = []
        for text in texts:
            choice, number = (int(one) for one in text.replace(" ", "/").split("/"))
            rows.append(
                self._centres[choice] + self._stretched * np.random.default_rng([choice, number]).normal(0, 1, 24)
            )
        made = np.asarray(rows, np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


async def test_examples_move_the_borders_to_where_they_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = [Choice(name=f"{n}/0", examples=tuple(f"{n}/{m}" for m in range(1, 9))) for n in range(20)]

    async def told_right() -> float:
        chooser = Chooser(Points(len(choices)))
        right = 0
        for number in range(400):
            fit = await chooser.fit(f"{number % 20}/{100 + number}", choices)
            right += max(fit, key=lambda one: fit[one]) == f"{number % 20}/0"
        return right / 400

    moved = await told_right()
    monkeypatch.setattr(choosing, "_FEWEST_EXAMPLES", 100)
    plain = await told_right()
    assert moved > plain + 0.1


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
