"""A case through a workflow: nothing is sent, and nobody clicks unless the case says so."""

from datetime import timedelta
from typing import Any

from runllm import Agent, AnswerCategory, ChatWidget, Event, WidgetListener, entrypoint, task
from runllm.bridge.messages import Source
from runllm.categories import Category
from runllm.evaluation.cases import Case
from runllm.evaluation.offline import Result, run_case
from runllm.evaluation.page import page
from runllm.evaluation.scoring import figures, names, shortfalls, verdicts, worse

ASK = [{"type": "buttons", "buttons": [{"id": "person", "text": "A person"}]}]


class Engine:
    """A model that answers what it is asked, and remembers what that was."""

    def __init__(self, category: str = "answered") -> None:
        self.asked: list[dict[str, Any]] = []
        self.category = category

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        text = f"about {body['said'][-1]['text']}"
        chosen = list(body.get("options", {}))[:1]
        return {
            "text": text, "category": self.category, "sources": [{"title": "Keys", "url": "https://x.example/a/keys#b"}],
            "chosen": chosen, "model": "m", "input_tokens": 10, "output_tokens": 2, "cost": 0.5, "seconds": 0.1,
        }  # fmt: skip


@task()
def later(agent: Agent, event: Event, widget: ChatWidget) -> None:
    agent.send_to_chat_widget("later", widget)


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def desk(agent: Agent, event: Event) -> None:
    answer = agent.stream_answer(event.conversation)
    widget = event.conversation.surface
    assert isinstance(widget, ChatWidget)
    agent.categorize(event.conversation, {"billing": "money", "other": "all else"}, "other", apply_as_tag=True)
    if answer.category is AnswerCategory.ANSWERED:
        return
    click = agent.send_to_chat_widget("A person?", widget, blocks=ASK, block_until_button_clicked=True)
    if click:
        agent.create_zendesk_ticket(event.conversation)
        agent.apply_tag("escalated", event.conversation)


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def steps(agent: Agent, event: Event) -> None:
    agent.apply_tag(agent.step("look up", lambda: "gold"), event.conversation)


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def breaks(agent: Agent, event: Event) -> None:
    agent.sleep(timedelta(days=1))
    raise RuntimeError("it broke")


def test_a_workflow_answers_and_nobody_is_told() -> None:
    engine = Engine()
    result = run_case(Case(id="1", question="keys?"), desk, [], engine)
    assert (result.answer, result.category, result.sent) == ("about keys?", "answered", ["about keys?"])
    assert (result.tags, result.categories, result.error) == (["billing"], ["billing"], "")
    assert (result.cost, result.input_tokens, result.seconds) == (1.0, 20, 0.2)
    assert [body["what"] for body in engine.asked] == ["answer", "categorize"]


def test_the_conversation_is_asked_with_what_was_answered_anew() -> None:
    engine = Engine()
    said = [
        {"author": "user", "text": "one"},
        {"author": "assistant", "text": "old"},
        {"author": "user", "text": "two"},
    ]
    result = run_case(Case.model_validate({"conversation": said}), desk, [], engine)
    answers = [body["said"] for body in engine.asked if body["what"] == "answer"]
    assert [message["text"] for message in answers[1]] == ["one", "about one", "two"]
    assert result.sent == ["about two"]


def test_nobody_clicks_unless_the_case_says_so() -> None:
    unclicked = run_case(Case(question="x"), desk, [], Engine("unanswered"))
    assert (unclicked.waits_for, unclicked.tags) == (["person"], ["billing"])
    clicked = run_case(Case(question="x", clicks=["person"]), desk, [], Engine("unanswered"))
    assert (clicked.waits_for, clicked.tags) == ([], ["billing", "escalated"])


def test_a_step_runs_only_where_that_was_allowed() -> None:
    refused = run_case(Case(question="x"), steps, [], Engine())
    assert "'look up' was not run" in refused.error
    assert "--run-steps" in refused.error
    assert run_case(Case(question="x"), steps, [], Engine(), runs_steps=True).tags == ["gold"]


def test_what_a_handler_raises_is_a_result() -> None:
    result = run_case(Case(question="x"), breaks, [], Engine())
    assert result.error == "RuntimeError: it broke"
    assert verdicts(Case(question="x"), result) == {"runs": False}


def case(**expect: Any) -> Case:
    return Case.model_validate({"id": "c", "question": "q", "expect": expect})


def test_each_criterion_judges_what_a_case_expects_and_nothing_else() -> None:
    result = Result(id="c", answer="Use the key.", category=AnswerCategory.ANSWERED, tags=["a", "b"])
    assert verdicts(case(), result) == {"runs": True}
    assert verdicts(case(category="answered"), result)["category"]
    assert not verdicts(case(category="irrelevant"), result)["category"]
    assert verdicts(case(says=["THE KEY"]), result)["says"]
    assert not verdicts(case(says=["the key", "door"]), result)["says"]
    assert not verdicts(case(never_says=["key"]), result)["says"]
    assert verdicts(case(tags=["b"]), result)["tags"]
    assert not verdicts(case(tags=["c"]), result)["tags"]
    assert not verdicts(case(sources=["keys"]), result)["sources"]


def test_what_is_lacking_is_said_in_words() -> None:
    result = Result(id="c", answer="Use the key.", category=AnswerCategory.ANSWERED, sources=[Source(title="Keys")])
    assert shortfalls(case(category="answered", says=["key"]), result) == []
    expected = case(category="irrelevant", sources=["doors.md"], says=["key", "door"], never_says=["use"], tags=["a"])
    assert shortfalls(expected, result) == [
        "category: answered where irrelevant is expected",
        "sources: rests on 'Keys', not on 'doors.md'",
        "says: does not say 'door'; says 'use', which it must not",
        "tags: is not tagged 'a'",
    ]
    assert shortfalls(case(), Result(id="c", error="ValueError: x")) == ["runs: ValueError: x"]


def test_a_source_is_named_by_the_end_of_its_address_or_by_a_title() -> None:
    source = Source(title="API keys › Rotate", url="https://x.example/guides/keys.md#rotate")
    assert all(names(wanted, source) for wanted in ("keys.md", "guides/keys.md", "https://x.example/guides/keys.md"))
    assert all(names(wanted, source) for wanted in ("API keys", "rotate", "API keys › Rotate", "keys.md#elsewhere"))
    assert not any(names(wanted, source) for wanted in ("ys.md", "guides", "x.example", ""))


def test_figures_count_shares_and_what_was_mistaken_for_what() -> None:
    cases = [case(category="answered"), case(category="answered"), case(category="irrelevant"), case()]
    results = [
        Result(id=str(number), category=AnswerCategory(category), seconds=number)
        for number, category in enumerate(["answered", "unanswered", "irrelevant", "answered"])
    ]
    found = figures(cases, results)
    assert (found.shares["category"].met, found.shares["category"].of) == (2, 3)
    assert set(found.shares) == {"category", "runs"}
    assert found.confusion == {"answered": {"answered": 1, "unanswered": 1}, "irrelevant": {"irrelevant": 1}}
    assert (found.seconds_median, found.seconds_p95) == (1.5, 3.0)


def test_a_case_is_worse_where_it_fails_what_it_met_before() -> None:
    good, bad = Result(id="c", category=AnswerCategory.ANSWERED), Result(id="c", category=AnswerCategory.UNANSWERED)
    assert worse([case(category="answered")], [bad], [good]) == ["c"]
    assert worse([case(category="answered")], [good], [bad]) == []
    assert worse([case(category="answered")], [bad], [bad]) == []


def test_the_page_shows_answers_side_by_side_and_runs_nothing_that_anybody_wrote() -> None:
    nasty = "<script>alert(1)</script>"
    mine = Result(id="c", answer=nasty, error=nasty, tags=[nasty], sources=[Source(title=nasty, url="javascript:x")])
    other = Result(id="c", answer="before")
    asked = Case(id="c", question=nasty, was=nasty)
    html = page("An evaluation", [asked], [("a.py", [mine], figures([asked], [mine])),
                                           ("b", [other], figures([asked], [other]))], ["c"])  # fmt: skip
    assert "<script" not in html
    assert "javascript:x" not in html
    assert "before" in html
    assert html.count('<div class="side">') == 3


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def sorts(agent: Agent, event: Event) -> None:
    agent.categorize(event.conversation, {"billing": Category("money", examples=["why twice?"]), "bug": "b"}, "bug")
    agent.tag(event.conversation, {"vip": Category("important", examples=["we are a bank"])})


def test_examples_of_categories_reach_the_model() -> None:
    engine = Engine()
    run_case(Case(question="x"), sorts, [], engine)
    assert [body["examples"] for body in engine.asked] == [{"billing": ["why twice?"]}, {"vip": ["we are a bank"]}]
