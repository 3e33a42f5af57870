"""A published workflow that does what it is told by the first word of a message: each method on the surface it is told
on, and on the others where the method is about those."""

from runllm.bridge.listeners import (
    AdminConsoleListener,
    DiscordListener,
    Listener,
    SlackListener,
    WidgetListener,
    ZendeskListener,
)
from runllm.bridge.triggers import AllMessages

FLOW = """
from runllm import (
    AdminConsole, AdminConsoleListener, AllMessages, ChatWidget, DiscordListener, DiscordThread, SlackListener,
    SlackThread, UsageError, ZendeskListener, ZendeskTicket,
)

CHOICE = [{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}, {"id": "no", "text": "No"}]}]


def reply(agent, event, message, **how):
    to = event.conversation.surface
    match to:
        case SlackThread():
            return agent.send_to_slack_thread(message, to, **how)
        case DiscordThread():
            return agent.send_to_discord_thread(message, to, **how)
        case ChatWidget():
            return agent.send_to_chat_widget(message, to, **how)
        case AdminConsole():
            return agent.send_to_admin_console(message, to, **how)
        case ZendeskTicket():
            return agent.send_to_zendesk_ticket(message, to)


def answers(agent, event):
    reply(agent, event, agent.answer(event.conversation))


def chats(agent, event):
    reply(agent, event, agent.chat(event.conversation))


def streams(agent, event):
    try:
        agent.stream_answer(event.conversation)
    except UsageError:
        reply(agent, event, "cannot be streamed here")


def summarizes(agent, event):
    reply(agent, event, agent.summarize(event.conversation))


def learns(agent, event):
    reply(agent, event, "learned: " + agent.learn(event.conversation))


def tags(agent, event):
    found = agent.tag(event.conversation, {"billing": "about money", "login": "about passwords"})
    agent.apply_tag("seen", event.conversation)
    reply(agent, event, f"tagged {sorted(found)}")


def categorizes(agent, event):
    kinds = {"bug": "something is broken", "wish": "something is missing"}
    reply(agent, event, "it is a " + agent.categorize(event.conversation, kinds, "question", apply_as_tag=True))


def asks(agent, event):
    click = reply(agent, event, "Shall I?", blocks=CHOICE, block_until_button_clicked=True)
    reply(agent, event, f"clicked {click.id}")


def asks_in_vain(agent, event):
    click = reply(agent, event, "Quickly?", blocks=CHOICE, block_until_button_clicked=True, timeout=1)
    reply(agent, event, f"nobody clicked: {click}")


def opens_slack(agent, event):
    thread = agent.create_or_get_slack_thread(event.conversation, "T1", "C2")
    again = agent.create_or_get_slack_thread(event.conversation, "T1", "C2")
    other = agent.create_slack_thread("T1", "C2")
    agent.send_to_slack_thread("for the team: " + event.conversation.new_message.text, thread)
    assert thread.config.thread_ts == again.config.thread_ts != other.config.thread_ts
    reply(agent, event, f"opened {thread.link()}")


def opens_discord(agent, event):
    thread = agent.create_or_get_discord_thread(event.conversation, "GUILD", "CHANNEL")
    again = agent.create_or_get_discord_thread(event.conversation, "GUILD", "CHANNEL")
    other = agent.create_discord_thread("GUILD", "CHANNEL")
    agent.send_to_discord_thread("for the team: " + event.conversation.new_message.text, thread)
    assert thread.config.thread_id == again.config.thread_id != other.config.thread_id
    reply(agent, event, f"opened {thread.config.thread_id}")


def opens_ticket(agent, event):
    ticket = agent.create_zendesk_ticket(event.conversation, tags=["first"], title="For you")
    agent.send_to_zendesk_ticket("The engine looks after this.", ticket)
    agent.update_zendesk_ticket(["second"], "on-hold", ticket)
    reply(agent, event, f"opened ticket {ticket.id}")


def copies(agent, event):
    ticket = agent.create_zendesk_ticket(event.conversation, description="See the comments.")
    thread = agent.create_or_get_slack_thread(event.conversation, "T1", "C2")
    other = agent.create_or_get_discord_thread(event.conversation, "GUILD", "CHANNEL")
    reply(agent, event, "one moment")
    for to in (ticket, thread, other):
        agent.sync_conversation(event.conversation, to)
    reply(agent, event, f"copied to {ticket.id} {thread.config.thread_ts} {other.config.thread_id}")


def listens(agent, event):
    reply(agent, event, "tell me more")
    agent.listen([event.conversation.surface], more)


def ends(agent, event):
    reply(agent, event, "good bye")
    agent.terminate()


@task()
def more(agent: Agent, event: Event) -> None:
    reply(agent, event, "more: " + event.conversation.new_message.text)


DO = {
    "answer": answers, "chat": chats, "stream": streams, "summarize": summarizes, "learn": learns, "tag": tags,
    "categorize": categorizes, "ask": asks, "vain": asks_in_vain, "slack": opens_slack, "discord": opens_discord,
    "ticket": opens_ticket, "copy": copies, "listen": listens, "end": ends,
}


@entrypoint(
    listeners=[
        HERE,
        SlackListener(team_id="T1", default_trigger=AllMessages()),
        DiscordListener(guild_id="GUILD", default_trigger=AllMessages()),
        ZendeskListener(subdomain="acme"),
        AdminConsoleListener(agent_id=1),
    ]
)
def answer(agent: Agent, event: Event) -> None:
    word = event.conversation.new_message.text.partition(":")[0]
    if word in DO:
        DO[word](agent, event)
"""


def listeners(guild: str) -> list[Listener]:
    """As the flow has them."""
    return [
        WidgetListener(domain="acme.test"),
        SlackListener(team_id="T1", default_trigger=AllMessages()),
        DiscordListener(guild_id=guild, default_trigger=AllMessages()),
        ZendeskListener(subdomain="acme"),
        AdminConsoleListener(agent_id=1),
    ]
