"""The public interface, pinned: names, order and defaults of parameters. Optional extras are keyword-only."""

import inspect
from typing import Any

import pytest

import runllm
from runllm import Agent, Client, entrypoint, task

NO = inspect.Parameter.empty

Signature = list[tuple[str, Any]]

METHODS: dict[str, Signature] = {
    "answer": [("target", NO)],
    "apply_tag": [("tag", NO), ("to", NO)],
    "categorize": [
        ("conversation", NO), ("categories", NO), ("default", NO), ("guidelines", None), ("apply_as_tag", False),
    ],
    "chat": [("conversation", NO)],
    "create_discord_thread": [("guild_id", NO), ("channel_id", NO)],
    "create_or_get_discord_thread": [("conversation", NO), ("guild_id", NO), ("channel_id", NO)],
    "create_or_get_slack_thread": [("convo", NO), ("team_id", NO), ("channel_id", NO)],
    "create_slack_thread": [("team_id", NO), ("channel_id", NO)],
    "create_zendesk_ticket": [("conversation", NO), ("tags", None), ("title", None), ("description", None)],
    "learn": [("conversation", NO)],
    "listen": [("on", NO), ("handler", NO), ("triggers", None)],
    "send_to_admin_console": [("message", NO), ("to", NO)],
    "send_to_chat_widget": [("message", NO), ("to", NO)],
    "send_to_discord_thread": [("message", NO), ("to", NO)],
    "send_to_slack_thread": [
        ("message", NO), ("to", NO), ("ephemeral", False), ("prefix", None), ("enable_feedback", True),
        ("blocks", None), ("block_until_button_clicked", False),
    ],
    "send_to_zendesk_ticket": [("message", NO), ("to", NO)],
    "stream_answer": [("convo", NO)],
    "sync_conversation": [("conversation", NO), ("to", NO)],
    "tag": [("conversation", NO), ("options", NO), ("guidelines", None)],
    "terminate": [("keep_in_sync", None)],
    "update_zendesk_ticket": [("tags", NO), ("status", NO), ("to", NO)],
}  # fmt: skip

WAITING = {"blocks": None, "block_until_button_clicked": False, "timeout": None, "allowed_users": None}

EXTRAS: dict[str, dict[str, Any]] = {
    "chat": {"tools": None},
    "create_zendesk_ticket": {"domain": None, "follow_up_of": None},
    "listen": {"timeout": None, "on_timeout": None},
    "send_to_admin_console": WAITING,
    "send_to_chat_widget": WAITING,
    "send_to_discord_thread": WAITING,
    "send_to_slack_thread": {"timeout": None, "allowed_users": None},
    "send_to_zendesk_ticket": {"internal": False},
}
"""What a method takes beyond that: keyword-only, or after everything else, and always with a default."""

OWN_METHODS = {"now", "sleep", "step", "summarize"}
"""Methods that are ours."""

CLIENT: dict[str, Signature] = {
    "__init__": [("api_key", None), ("server_address", None)],
    "publish": [("name", NO), ("entrypoint", NO), ("tasks", None)],
    "watch": [("name", NO)],
    "rollback": [("name", NO), ("build_id", None)],
}

MODULES = {
    "runllm": "Agent Client Event Conversation entrypoint task",
    "runllm.agent": "Agent",
    "runllm.client": "Client",
    "runllm.decorators": "entrypoint task EntrypointWrapper TaskWrapper EntrypointFunction TaskFunction",
    "runllm.bridge.core": "Conversation Event",
    "runllm.bridge.listeners": "Listener AdminConsoleListener DiscordChannel DiscordListener ListenerType SlackChannel "
    "SlackListener WidgetListener",
    "runllm.bridge.surfaces": "ChatMessage ChatSurface AdminConsole AdminConsoleConfig ChatWidget ChatWidgetConfig "
    "DiscordThread DiscordThreadConfig SlackThread SlackThreadConfig SurfaceType ZendeskTicket ZendeskTicketConfig",
    "runllm.bridge.triggers": "Trigger AllMessages Emoji Mention TicketComment TriggerType",
    "runllm.bridge.messages": "ChatMessage AnswerCategory AssistantChatMessage MessageType UserChatMessage",
    "runllm.bridge.buttons": "ButtonClicked",
}

FIELDS: dict[str, str] = {
    "AdminConsole": "type config",
    "AdminConsoleConfig": "agent_id",
    "AdminConsoleListener": "type agent_id",
    "AssistantChatMessage": "text chat_id category",
    "ButtonClicked": "id",
    "ChatWidget": "type config",
    "ChatWidgetConfig": "convo_identifier chat_user_id context",
    "Conversation": "new_message surface tags",
    "DiscordChannel": "channel_id trigger",
    "DiscordListener": "type guild_id channels default_trigger",
    "DiscordThread": "type config",
    "DiscordThreadConfig": "guild_id channel_id thread_id",
    "Emoji": "exclude_replies shortcode",
    "Event": "conversation trigger",
    "SlackChannel": "channel_id trigger",
    "SlackListener": "type team_id channels default_trigger",
    "SlackThread": "type config",
    "SlackThreadConfig": "bot_conn_token team_id channel thread_ts chat_ts",
    "UserChatMessage": "text chat_id user_identifier attachments",
    "WidgetListener": "type domain",
    "ZendeskTicket": "type config",
    "ZendeskTicketConfig": "subdomain id",
}


def parameters_of(function: Any) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(function).parameters.values() if p.name != "self"]


def shape(parameters: list[inspect.Parameter]) -> Signature:
    return [(p.name, p.default) for p in parameters]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_what_is_documented(name: str) -> None:
    documented, extras = METHODS[name], EXTRAS.get(name, {})
    parameters = parameters_of(getattr(Agent, name))
    assert shape(parameters[: len(documented)]) == documented
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters[: len(documented)])
    assert {p.name: p.default for p in parameters[len(documented) :]} == extras


def test_the_agent_has_no_other_methods() -> None:
    methods = {name for name, _ in inspect.getmembers(Agent, inspect.isfunction) if not name.startswith("_")}
    assert methods == set(METHODS) | OWN_METHODS


@pytest.mark.parametrize("name", CLIENT)
def test_a_client_takes_what_is_documented(name: str) -> None:
    assert shape(parameters_of(getattr(Client, name))) == CLIENT[name]


def test_decorators_take_keywords_only() -> None:
    for decorator, expected in ((entrypoint, [("listeners", NO), ("name", None)]), (task, [("name", None)])):
        parameters = parameters_of(decorator)
        assert shape(parameters) == expected
        assert all(p.kind is p.KEYWORD_ONLY for p in parameters)


@pytest.mark.parametrize("module", MODULES)
def test_names_are_where_they_are_documented(module: str) -> None:
    loaded = __import__(module, fromlist=["x"])
    assert [name for name in MODULES[module].split() if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("name", FIELDS)
def test_a_model_has_the_documented_fields(name: str) -> None:
    assert set(FIELDS[name].split()) <= set(getattr(runllm, name).model_fields)


def test_enumerations_have_the_documented_members() -> None:
    assert {kind.name for kind in runllm.SurfaceType} == {
        "CHAT_WIDGET", "SLACK_THREAD", "ZENDESK_TICKET", "DISCORD_THREAD", "ADMIN_CONSOLE",
    }  # fmt: skip
    extra = {"ZENDESK_TICKET", "TICKET_STATUS"}  # ours
    listeners = {kind.name for kind in runllm.ListenerType}
    assert listeners - extra == {"SLACK_THREAD", "WIDGET", "DISCORD_THREAD", "ADMIN_CONSOLE"}
    triggers = {kind.name for kind in runllm.TriggerType}
    assert triggers - extra == {"MENTION", "EMOJI", "ALL_MESSAGES", "TICKET_COMMENT"}
    assert {kind.name for kind in runllm.AnswerCategory} == {"IRRELEVANT", "UNANSWERED", "LOW_CONFIDENCE", "ANSWERED"}
    assert {kind.name for kind in runllm.MessageType} == {"ASSISTANT", "USER"}


@pytest.mark.parametrize("owner", [Agent, Client, entrypoint, task])
def test_public_docstrings_say_everything(owner: Any) -> None:
    documented = (
        [getattr(owner, name) for name in dir(owner) if not name.startswith("_")] if inspect.isclass(owner) else [owner]
    )
    for function in filter(callable, documented):
        text = inspect.getdoc(function) or ""
        assert "Example:" in text, function
        assert not parameters_of(function) or "Args:" in text, function
        for parameter in parameters_of(function):
            assert f"    {parameter.name}: " in text, f"{function.__qualname__}({parameter.name})"
