"""Which surface each parameter of a handler is given."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Optional, Protocol, TypeVar, Union

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from runllm import (
    Agent,
    ChatSurface,
    ChatWidget,
    ChatWidgetConfig,
    DiscordThread,
    Event,
    SlackThread,
    SlackThreadConfig,
    UsageError,
    ZendeskTicket,
    ZendeskTicketConfig,
)
from runllm.bridge import surfaces
from runllm.parameters import bind, check_bindable, extra_parameters

if TYPE_CHECKING:
    from runllm import SlackThread as Thread

W1 = ChatWidget(config=ChatWidgetConfig(convo_identifier="1"))
W2 = ChatWidget(config=ChatWidgetConfig(convo_identifier="2"))
S1 = SlackThread(config=SlackThreadConfig(bot_conn_token="", team_id="T", channel="C", thread_ts="1"))
S2 = SlackThread(config=SlackThreadConfig(bot_conn_token="", team_id="T", channel="C", thread_ts="2"))
Z1 = ZendeskTicket(config=ZendeskTicketConfig(subdomain="acme", id="1"))

Place = TypeAliasType("Place", "SlackThread | DiscordThread")
AnyPlace = TypeVar("AnyPlace")
Read = TypeAliasType("Read", SlackThread | DiscordThread)
Widget = ChatWidget


class Linked(Protocol):
    def link(self) -> str: ...


# Handlers; each key names the test. `on` is what they listen on, and then what each parameter gets.


def nothing(agent, event): ...
def in_order(agent, event, first, second): ...
def by_type(agent: Agent, event: Event, thread: SlackThread, widget: ChatWidget) -> None: ...
def types_before_order(agent, event, other, thread: SlackThread): ...
def two_of_a_type(agent: Agent, event: Event, one: SlackThread, two: SlackThread) -> None: ...
def text(agent: "Agent", event: "Event", thread: "SlackThread") -> None: ...
def text_of_a_union(agent: Agent, event: Event, place: "SlackThread | ZendeskTicket") -> None: ...
def dotted(agent: Agent, event: Event, place: "surfaces.ZendeskTicket") -> None: ...
def of_an_alias(agent: Agent, event: Event, place: "Widget") -> None: ...
def union(agent: Agent, event: Event, place: Union[SlackThread, ZendeskTicket]) -> None: ...  # noqa: UP007
def optional(agent: Agent, event: Event, place: Optional[ZendeskTicket]) -> None: ...  # noqa: UP045
def optional_text(agent: Agent, event: Event, place: Optional["SlackThread"]) -> None: ...


def or_none(agent: Agent, event: Event, place: ZendeskTicket | None) -> None: ...
def or_none_as_text(agent: Agent, event: Event, place: "ZendeskTicket | None") -> None: ...
def with_default(agent: Agent, event: Event, place: ZendeskTicket | None = None, *, loud: bool = False) -> None: ...
def keyword(agent: Agent, event: Event, *, thread: SlackThread) -> None: ...
def anything(agent: Agent, event: Event, one: Any, two: object) -> None: ...
def any_surface(agent: Agent, event: Event, place: ChatSurface, thread: SlackThread) -> None: ...
def narrow_before_wide(agent: Agent, event: Event, p: SlackThread | ChatWidget, thread: SlackThread) -> None: ...
def annotated(agent: Agent, event: Event, thread: Annotated[SlackThread, "where"]) -> None: ...
def type_alias(agent: Agent, event: Event, thread: Place) -> None: ...
def type_alias_read(agent: Agent, event: Event, thread: Read) -> None: ...


def model(agent: Agent, event: Event, place: BaseModel) -> None: ...


class WithData(Protocol):
    config: Any


def protocol_with_data(agent: Agent, event: Event, place: WithData) -> None: ...


def protocol(agent: Agent, event: Event, place: Linked) -> None: ...
def not_a_class(agent: Agent, event: Event, place: AnyPlace) -> None: ...
def unreadable(agent: Agent, event: Event, place: "a thread, please") -> None: ...  # noqa: F722
def only_checked(agent: Agent, event: Event, place: "Thread") -> None: ...
def mentions(agent: Agent, event: Event, place: "missing.SlackThread | Optional[Nowhere]") -> None: ...  # noqa: F821, UP045
def mentions_none(agent: Agent, event: Event, place: "missing.ZendeskTicket | None") -> None: ...  # noqa: F821
def rest(agent, *more, thread: SlackThread, **named): ...


BOUND: dict[str, tuple[Callable[..., Any], Sequence[ChatSurface], dict[str, ChatSurface | None]]] = {
    "no parameters": (nothing, [W1, S1], {}),
    "by order": (in_order, [W1, S1], {"first": W1, "second": S1}),
    "by type": (by_type, [W1, S1], {"thread": S1, "widget": W1}),
    "types choose before order": (types_before_order, [S1, W1], {"thread": S1, "other": W1}),
    "two of a type, by order": (two_of_a_type, [S1, W1, S2], {"one": S1, "two": S2}),
    "text": (text, [W1, S1], {"thread": S1}),
    "text of a union": (text_of_a_union, [W1, Z1], {"place": Z1}),
    "a dotted name": (dotted, [W1, Z1], {"place": Z1}),
    "a name of the module": (of_an_alias, [S1, W2], {"place": W2}),
    "Union": (union, [W1, Z1, S1], {"place": Z1}),
    "Optional that is there": (optional, [W1, Z1], {"place": Z1}),
    "Optional that is missing": (optional, [W1], {"place": None}),
    "Optional of text": (optional_text, [W1, S1], {"place": S1}),
    "or None that is missing": (or_none, [W1], {"place": None}),
    "or None as text": (or_none_as_text, [W1], {"place": None}),
    "a default": (with_default, [W1], {}),
    "a default that is not needed": (with_default, [Z1], {"place": Z1}),
    "a keyword": (keyword, [W1, S1], {"thread": S1}),
    "anything": (anything, [W1, S1], {"one": W1, "two": S1}),
    "any surface takes what is left": (any_surface, [S1, W1], {"thread": S1, "place": W1}),
    "narrow before wide": (narrow_before_wide, [S1, W1], {"thread": S1, "p": W1}),
    "Annotated": (annotated, [W1, S1], {"thread": S1}),
    "type alias": (type_alias, [W1, S1], {"thread": S1}),
    "type alias, read": (type_alias_read, [W1, S1], {"thread": S1}),
    "a base class": (model, [S1], {"place": S1}),
    "a protocol says nothing": (protocol, [W1], {"place": W1}),
    "a protocol with data says nothing": (protocol_with_data, [W1], {"place": W1}),
    "no class says nothing": (not_a_class, [W1], {"place": W1}),
    "unreadable text says nothing": (unreadable, [W1], {"place": W1}),
    "a name for type checkers only": (only_checked, [W1], {"place": W1}),
    "a surface mentioned in unreadable text": (mentions, [W1, S1], {"place": S1}),
    "one mentioned, or None": (mentions_none, [W1], {"place": None}),
    "after *more": (rest, [S1], {"thread": S1}),
    "the same surface twice": (in_order, [W1, W1], {"first": W1, "second": W1}),
}


@pytest.mark.parametrize("case", BOUND)
def test_parameters_are_given_their_surfaces(case: str) -> None:
    function, on, expected = BOUND[case]
    assert bind(function, on) == expected
    check_bindable(function, on)


def test_a_bound_surface_is_the_one_that_was_given_and_no_copy() -> None:
    assert bind(text, [S1])["thread"] is S1


def wants_number(agent: Agent, event: Event, count: int) -> None: ...
def wants_list(agent: Agent, event: Event, threads: list[SlackThread]) -> None: ...
def wants_discord(agent: Agent, event: Event, thread: DiscordThread) -> None: ...
def wants_none(agent: Agent, event: Event, thread: None) -> None: ...


UNBOUND: dict[str, tuple[Callable[..., Any], Sequence[ChatSurface], str]] = {
    "missing type": (by_type, [W1], r"by_type takes `thread: SlackThread`, but of ChatWidget nothing is left for it"),
    "too few": (in_order, [W1], r"in_order takes `second`, but of ChatWidget"),
    "none at all": (in_order, [], r"of nothing nothing is left|takes `first`, but of nothing"),
    "one of two of a type": (two_of_a_type, [S1, W1], r"takes `two: SlackThread`, but of SlackThread, ChatWidget"),
    "a number": (wants_number, [W1], r"wants_number takes `count: int`, which is no surface"),
    "a list": (wants_list, [S1], r"`threads: list\[SlackThread\]`, which is no surface"),
    "another platform": (wants_discord, [S1], r"`thread: DiscordThread`.*or give the parameter a default"),
}


@pytest.mark.parametrize("case", UNBOUND)
def test_a_parameter_without_a_surface_is_an_error_that_names_both(case: str) -> None:
    function, on, words = UNBOUND[case]
    with pytest.raises(UsageError, match=words):
        bind(function, on)
    with pytest.raises(UsageError, match=words):
        check_bindable(function, on)


def test_only_none_fits_none() -> None:
    assert bind(wants_none, [S1]) == {"thread": None}


EXTRA: dict[str, tuple[Callable[..., Any], list[tuple[str, str | None]]]] = {
    "none": (nothing, []),
    "bare": (in_order, [("first", None), ("second", None)]),
    "classes": (by_type, [("thread", "SlackThread"), ("widget", "ChatWidget")]),
    "union": (or_none, [("place", "ZendeskTicket | None")]),
    "text": (dotted, [("place", "ZendeskTicket")]),
    "Optional": (optional, [("place", "Optional[ZendeskTicket]")]),
    "keywords come last": (with_default, [("place", "ZendeskTicket | None"), ("loud", "bool")]),
    "rest": (rest, [("thread", "SlackThread")]),
}


@pytest.mark.parametrize("case", EXTRA)
def test_extra_parameters_by_name_and_annotation(case: str) -> None:
    function, expected = EXTRA[case]
    assert extra_parameters(function) == expected


def test_names_are_looked_up_where_the_wrapped_function_was_written() -> None:
    @functools.wraps(of_an_alias)
    def wrapper(*args: Any) -> None:
        of_an_alias(*args)

    assert bind(wrapper, [S1, W1]) == {"place": W1}
