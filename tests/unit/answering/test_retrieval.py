"""Questions that people could ask about the sample documentation, and what they must find."""

from pathlib import Path

import pytest

from runllm.bridge.messages import AnswerCategory
from store import knowledge
from store.engine import Store
from worker.answering.confidence import category_of
from worker.answering.extractive import ExtractiveModel
from worker.answering.protocol import Found, Question, Turn, nobody
from worker.answering.retrieval import PassageRetriever

AGENT = 1

ANSWERED = [
    ("How do I install Lantern with Docker?", "install.md"),
    ("Is there a Helm chart?", "install.md"),
    ("Can I rename the key of a flag?", "quickstart.md"),
    ("how many users can a segment hold", "concepts.md"),
    ("How do I copy flags from staging to production?", "guides/environments.md"),
    ("I deleted an environment by accident, can I restore it?", "guides/environments.md"),
    ("roll out a feature to 10 percent of users", "guides/rollouts.md"),
    ("will the same user always see the same variation?", "guides/rollouts.md"),
    ("Which operators can I use in targeting rules?", "guides/targeting.md"),
    ("pip package for python", "guides/sdks.md"),
    ("what happens to my app when the lantern server is down?", "guides/sdks.md"),
    ("How can I rotate an SDK key without downtime?", "guides/api-keys.md"),
    ("our api key leaked, what now?", "guides/api-keys.md"),
    ("How do I verify the signature of a webhook?", "guides/webhooks.md"),
    ("how often are failed webhook deliveries retried", "guides/webhooks.md"),
    ("Set up SAML single sign-on", "guides/sso.md"),
    ("What is the rate limit for writing through the API?", "reference/rate-limits.md"),
    ("What does LNT-409 mean?", "reference/error-codes.html"),
    ("how to migrate from sqlite to postgresql", "reference/configuration.md"),
    ("nginx proxy buffering", "reference/configuration.md"),
    ("How do I restore a backup?", "operate/backups.md"),
    ("can I upgrade without downtime", "operate/upgrade.md"),
    ("How much does the Team plan cost?", "operate/billing.md"),
    ("where can I download my invoices", "operate/billing.md"),
    ("prometheus metrics port", "operate/monitoring.html"),
    ("database is locked", "operate/troubleshooting.md"),
    ("how do i report a vulnerability", "operate/security.md"),
]

NOT_ANSWERED = [
    "What is the capital of Portugal?",
    "Can you recommend a good pizza dough recipe?",
    "Who won the football world cup in 1998?",
    "How do I train a neural network with PyTorch?",
    "Does Lantern integrate with Salesforce CRM opportunities?",
    "Is there a Lantern plugin for WordPress?",
    "What's the weather like in Berlin tomorrow?",
    "Can I book a meeting room through Outlook?",
]


async def found(store: Store, text: str, history: list[Turn] | None = None) -> Found:
    return await PassageRetriever(store).find(AGENT, Question(text=text, history=history or []))


def documents(found: Found) -> list[str]:
    paths = [
        str(passage.url).partition("#")[0].removeprefix("https://docs.lantern.example/") for passage in found.passages
    ]
    return list(dict.fromkeys(paths))


@pytest.mark.parametrize(("question", "document"), ANSWERED, ids=[question for question, _ in ANSWERED])
async def test_the_document_that_answers_is_among_the_first_three(lantern: Store, question: str, document: str) -> None:
    assert document in documents(await found(lantern, question))[:3]


@pytest.mark.parametrize(("question", "document"), ANSWERED, ids=[question for question, _ in ANSWERED])
async def test_a_question_that_the_documentation_answers_is_answered_with_its_sources(
    lantern: Store, question: str, document: str
) -> None:
    said = await ExtractiveModel().answer(Question(text=question), await found(lantern, question), nobody)
    assert said.category in (AnswerCategory.ANSWERED, AnswerCategory.LOW_CONFIDENCE)
    assert said.sources
    assert all(source.quote and source.url for source in said.sources)


@pytest.mark.parametrize("question", NOT_ANSWERED)
async def test_what_the_documentation_does_not_answer_is_not_answered(lantern: Store, question: str) -> None:
    said = await ExtractiveModel().answer(Question(text=question), await found(lantern, question), nobody)
    assert said.category in (AnswerCategory.UNANSWERED, AnswerCategory.IRRELEVANT)
    assert not said.sources


async def test_nearly_all_questions_are_answered_with_confidence_and_find_their_document_first(lantern: Store) -> None:
    answers = [(await found(lantern, question), document) for question, document in ANSWERED]
    first = sum(documents(one)[0] == document for one, document in answers)
    assert first / len(ANSWERED) >= 0.8


@pytest.mark.parametrize(
    ("typed", "document"),
    [
        ("verify webhok signatur", "guides/webhooks.md"),  # codespell:ignore signatur
        ("promethues metrics", "operate/monitoring.html"),  # codespell:ignore promethues
    ],
)
async def test_typos_are_repaired_with_the_documentations_own_words(lantern: Store, typed: str, document: str) -> None:
    assert documents(await found(lantern, typed))[0] == document


async def test_a_question_is_seen_in_the_light_of_what_was_said_before(lantern: Store) -> None:
    alone = documents(await found(lantern, "And how do I revoke it?"))
    before = [
        Turn(author="user", text="Tell me about access tokens"),
        Turn(author="assistant", text="Tokens begin so."),
    ]
    together = await found(lantern, "And how do I revoke it?", before)
    assert documents(together)[0] == "guides/api-keys.md"
    assert alone != documents(together)


async def test_the_last_message_counts_more_than_the_ones_before_it(lantern: Store) -> None:
    before = [Turn(author="user", text="SAML single sign-on with Okta")] * 3
    assert documents(await found(lantern, "download my invoices as PDF", before))[0] == "operate/billing.md"


async def test_an_answer_does_not_bring_its_own_passage_back(lantern: Store) -> None:
    """A quote has all the words of its passage: if it counted, every next question would be about it as well."""
    history: list[Turn] = []
    for question, document in (
        ("How do I rotate an API key?", "guides/api-keys.md"),
        ("What happens when the rate limit is exceeded?", "reference/rate-limits.md"),
        ("and how do I raise it?", "reference/rate-limits.md"),
        ("How do I install Lantern with Docker?", "install.md"),
    ):
        passages = await found(lantern, question, history)
        assert documents(passages)[0] == document
        assert category_of(passages) in (AnswerCategory.ANSWERED, AnswerCategory.LOW_CONFIDENCE)
        history += [Turn(author="user", text=question), Turn(author="assistant", text=passages.passages[0].text)]
    passages = await found(lantern, "Can you recommend a good pizza dough recipe?", history)
    assert category_of(passages) in (AnswerCategory.UNANSWERED, AnswerCategory.IRRELEVANT)


async def test_one_document_does_not_crowd_out_the_others(lantern: Store) -> None:
    paths = [str(one.url).partition("#")[0] for one in (await found(lantern, "SDK key environment")).passages]
    assert max(paths.count(path) for path in paths) <= 3
    assert len(set(paths)) >= 3


async def test_another_agents_documentation_is_not_searched(lantern: Store) -> None:
    nothing = await PassageRetriever(lantern).find(2, Question(text="How do I install Lantern?"))
    assert nothing == Found()


async def test_the_first_document_is_found_at_once(store: Store, tmp_path: Path) -> None:
    retriever = PassageRetriever(store)
    assert not (await retriever.find(AGENT, Question(text="wombat"))).passages
    async with store.begin() as db:
        source = await knowledge.add_source(db, AGENT, "folder", str(tmp_path))
        passage = knowledge.NewPassage(text="A wombat digs.")
        await knowledge.put_document(db, source, "a.md", None, "Animals", "hash", [passage])
    (only,) = (await retriever.find(AGENT, Question(text="wombats"))).passages
    assert (only.title, only.url) == ("Animals", None)


@pytest.mark.parametrize(
    "text", ["", "?!", "the of and", '"quoted" OR NEAR(x) AND *', "👋", "a" * 20_000, "x " * 3_000]
)
async def test_any_text_is_a_question(lantern: Store, text: str) -> None:
    said = await ExtractiveModel().answer(Question(text=text), await found(lantern, text), nobody)
    assert said.text
