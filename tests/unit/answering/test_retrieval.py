"""Questions that people could ask about the sample documentation, and what they must find."""

import pytest

from runllm.bridge.messages import AnswerCategory
from store.engine import Store
from worker.answering.extractive import ExtractiveModel
from worker.answering.protocol import Found, Question, Turn, nobody
from worker.answering.retrieval import LexicalRetriever

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
    return await LexicalRetriever(store).find(AGENT, Question(text=text, history=history or []))


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
