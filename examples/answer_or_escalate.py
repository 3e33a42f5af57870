"""Answer from the documentation; where it has no answer, ask whether a person should take over.

`make dev` publishes it. By hand: `RUNLLM_API_KEY=$(cat .runllm/api_key) python examples/answer_or_escalate.py`.
"""

from datetime import timedelta

from runllm import AdminConsole, Agent, AnswerCategory, ChatWidget, Client, Event, entrypoint, task
from runllm.bridge.listeners import AdminConsoleListener, WidgetListener

NAME = "answer_or_escalate"

WEAK = (AnswerCategory.UNANSWERED, AnswerCategory.LOW_CONFIDENCE)

BUTTONS = [
    {
        "type": "buttons",
        "buttons": [
            {"id": "helped", "style": "primary", "text": "That helps"},
            {"id": "person", "text": "I need a person"},
        ],
    }
]


@entrypoint(listeners=[WidgetListener(domain="localhost"), AdminConsoleListener(agent_id=1)])
def answer_or_escalate(agent: Agent, event: Event) -> None:
    """Answers every message; the buttons below a weak answer stay valid while the conversation goes on."""
    answer = agent.stream_answer(event.conversation)
    if answer.category not in WEAK:
        return
    click = ask(agent, event, "I am not sure about this one. Did it help, or shall I get a person?")
    if click == "person":
        agent.apply_tag("needs-a-person", event.conversation)
        say(agent, event, "I have put this on the team's list. Add whatever they should know, right here.")
        agent.listen(on=[event.conversation.surface], handler=collect_details)
    if click == "helped":
        agent.apply_tag("helped", event.conversation)


@task()
def collect_details(agent: Agent, event: Event) -> None:
    """Takes down what the customer adds, without answering it."""
    message = event.conversation.new_message
    print(f"details for the team: message {message.chat_id if message else None}")
    say(agent, event, "Thank you, I have added that.")


def ask(agent: Agent, event: Event, text: str) -> str | None:
    """The id of the button that was clicked; None after three days without a click."""
    surface, patience = event.conversation.surface, timedelta(days=3)
    match surface:
        case ChatWidget():
            click = agent.send_to_chat_widget(
                text, surface, blocks=BUTTONS, block_until_button_clicked=True, timeout=patience
            )
        case AdminConsole():
            click = agent.send_to_admin_console(
                text, surface, blocks=BUTTONS, block_until_button_clicked=True, timeout=patience
            )
        case _:
            click = None
    return click.id if click else None


def say(agent: Agent, event: Event, text: str) -> None:
    """Says something where the customer is."""
    match event.conversation.surface:
        case ChatWidget() as widget:
            agent.send_to_chat_widget(text, widget)
        case AdminConsole() as console:
            agent.send_to_admin_console(text, console)


if __name__ == "__main__":
    client = Client()
    client.publish(NAME, answer_or_escalate, tasks=[collect_details])
    client.watch(NAME)
