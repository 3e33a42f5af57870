"""Rows that tests need before they can begin."""

from sqlalchemy.ext.asyncio import AsyncSession

from runllm.bridge.listeners import AdminConsoleListener, Listener
from runllm.bridge.surfaces import ChatWidget, ChatWidgetConfig, SlackThread, SlackThreadConfig
from runllm.bundle import Bundle, BundleEntry
from store import agents, messages, sessions
from store.models import Message, Session


def widget(conversation: str = "a") -> ChatWidget:
    return ChatWidget(config=ChatWidgetConfig(convo_identifier=conversation))


def slack_thread(ts: str = "1.1", channel: str = "C1") -> SlackThread:
    config = SlackThreadConfig(bot_conn_token="installation:1", team_id="T1", channel=channel, thread_ts=ts)
    return SlackThread(config=config)


async def new_session(db: AsyncSession, conversation: str = "a", name: str = "support") -> Session:
    agent = await agents.ensure_agent(db)
    return await sessions.create(db, agent_id=agent.id, published_name=name, surface=widget(conversation))


async def new_message(db: AsyncSession, session: Session, text: str = "hello", author: str = "user") -> Message:
    return await messages.add(db, session_id=session.id, author=author, text=text)


def bundle(name: str = "support", source: str = "pass", listeners: list[Listener] | None = None) -> Bundle:
    entry = BundleEntry(name="answer", module="flow", function="answer")
    places = listeners or [AdminConsoleListener(agent_id=1)]
    return Bundle(name=name, files={"flow.py": source}, entrypoint=entry, listeners=places)
