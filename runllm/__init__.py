"""Write support conversations as plain Python functions.

`@entrypoint` and `@task` mark handlers, an `Agent` acts in them, `Client.publish` puts them to work.
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
from runllm.bridge.triggers import AllMessages, Emoji, Mention, TicketComment, Trigger, TriggerType
from runllm.decorators import entrypoint, task
