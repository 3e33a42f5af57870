"""Write support conversations as plain Python functions.

`@entrypoint` and `@task` mark handlers, an `Agent` acts in them, `Client.publish` puts them to work.

Example:
    ```python
    from runllm import Agent, Client, Event, WidgetListener, entrypoint

    @entrypoint(listeners=[WidgetListener(domain="docs.example.com")])
    def answer_questions(agent: Agent, event: Event) -> None:
        agent.stream_answer(event.conversation)

    client = Client()
    client.publish("docs", answer_questions)
    client.watch("docs")
    ```
"""

from runllm.agent import Agent
from runllm.bridge.buttons import ButtonClicked
from runllm.bridge.core import Conversation, Event
from runllm.bridge.listeners import (
    AdminConsoleListener,
    DiscordChannel,
    DiscordListener,
    Listener,
    ListenerType,
    SlackChannel,
    SlackListener,
    WidgetListener,
    ZendeskListener,
)
from runllm.bridge.messages import (
    AnswerCategory,
    AssistantChatMessage,
    ChatMessage,
    MessageType,
    Source,
    UserChatMessage,
)
from runllm.bridge.surfaces import (
    AdminConsole,
    AdminConsoleConfig,
    ChatSurface,
    ChatWidget,
    ChatWidgetConfig,
    DiscordThread,
    DiscordThreadConfig,
    SlackThread,
    SlackThreadConfig,
    SurfaceType,
    ZendeskTicket,
    ZendeskTicketConfig,
)
from runllm.bridge.triggers import AllMessages, Emoji, Mention, TicketComment, TicketStatus, Trigger, TriggerType
from runllm.categories import Category
from runllm.client import Client
from runllm.decorators import EntrypointWrapper, TaskWrapper, entrypoint, task
from runllm.errors import (
    ModelError,
    NotConnected,
    PublishError,
    RateLimited,
    Rejected,
    RunLLMError,
    ServerError,
    StepError,
    SurfaceError,
    Unavailable,
    UsageError,
)
from runllm.tools import ToolWrapper, tool
from runllm.version import VERSION

__version__ = VERSION

__all__ = [
    "AdminConsole",
    "AdminConsoleConfig",
    "AdminConsoleListener",
    "Agent",
    "AllMessages",
    "AnswerCategory",
    "AssistantChatMessage",
    "ButtonClicked",
    "Category",
    "ChatMessage",
    "ChatSurface",
    "ChatWidget",
    "ChatWidgetConfig",
    "Client",
    "Conversation",
    "DiscordChannel",
    "DiscordListener",
    "DiscordThread",
    "DiscordThreadConfig",
    "Emoji",
    "EntrypointWrapper",
    "Event",
    "Listener",
    "ListenerType",
    "Mention",
    "MessageType",
    "ModelError",
    "NotConnected",
    "PublishError",
    "RateLimited",
    "Rejected",
    "RunLLMError",
    "ServerError",
    "SlackChannel",
    "SlackListener",
    "SlackThread",
    "SlackThreadConfig",
    "Source",
    "StepError",
    "SurfaceError",
    "SurfaceType",
    "TaskWrapper",
    "TicketComment",
    "TicketStatus",
    "ToolWrapper",
    "Trigger",
    "TriggerType",
    "Unavailable",
    "UsageError",
    "UserChatMessage",
    "WidgetListener",
    "ZendeskListener",
    "ZendeskTicket",
    "ZendeskTicketConfig",
    "__version__",
    "entrypoint",
    "task",
    "tool",
]
