"""Discord and the admin console."""

from runllm import Client
from runllm.agent import Agent
from runllm.bridge.core import Event
from runllm.bridge.listeners import AdminConsoleListener, DiscordChannel, DiscordListener
from runllm.bridge.surfaces import AdminConsole, DiscordThread
from runllm.bridge.triggers import AllMessages
from runllm.decorators import entrypoint, task

listeners = [
    DiscordListener(
        guild_id="123456789012345678",
        channels=[DiscordChannel(channel_id="223456789012345678", trigger=AllMessages())],
    ),
    AdminConsoleListener(agent_id=123),
]


@entrypoint(listeners=listeners)
def in_the_open(agent: Agent, event: Event) -> None:
    surface = event.conversation.surface
    if isinstance(surface, AdminConsole):
        agent.send_to_admin_console(agent.answer(event.conversation), surface)
        public = agent.create_or_get_discord_thread(event.conversation, "123456789012345678", "223456789012345678")
        agent.send_to_discord_thread("Somebody asked about this in private.", public)
        agent.listen([surface, public], in_both)
    elif isinstance(surface, DiscordThread):
        agent.send_to_discord_thread(agent.answer(event.conversation), to=surface)


@task(name="in both places")
def in_both(agent: Agent, event: Event, console: AdminConsole, thread: DiscordThread) -> None:
    other = agent.create_discord_thread(guild_id="123456789012345678", channel_id="223456789012345678")
    agent.send_to_discord_thread(event.conversation.new_message, to=other)
    agent.send_to_admin_console(f"It went to {thread.config.thread_id} and {other.config.thread_id}.", to=console)
    agent.terminate()


Client(api_key="0123456789").publish("in_the_open", in_the_open, tasks=[in_both])
