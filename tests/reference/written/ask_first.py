"""Buttons: a person looks at an answer before it goes out."""

from runllm import Agent, Client, Event, WidgetListener, entrypoint

LOOK_AT_IT = [
    {
        "type": "buttons",
        "buttons": [
            {"id": "send", "style": "primary", "text": "✅ Send it"},
            {"id": "keep", "style": "danger", "text": "❌ Keep it"},
        ],
    }
]


@entrypoint(listeners=[WidgetListener(domain="example.com")])
def ask_first(agent: Agent, event: Event) -> None:
    response = agent.answer(event.conversation)
    slack_thread = agent.create_or_get_slack_thread(event.conversation, "T0000001", "C0000002")

    button_clicked = agent.send_to_slack_thread(
        response, slack_thread, blocks=LOOK_AT_IT, block_until_button_clicked=True
    )

    if button_clicked.id == "send":
        agent.send_to_chat_widget(response, event.conversation.surface)
        agent.send_to_slack_thread("It is out.", slack_thread, ephemeral=True, enable_feedback=False)
    elif button_clicked.id == "keep":
        agent.send_to_slack_thread("It stays here. What is wrong with it?", slack_thread)
    print(slack_thread.link(), agent.learn(event.conversation))


client = Client(api_key="0123456789")
client.publish("ask_first", ask_first)
