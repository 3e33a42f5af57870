"""`runllm init`: a folder to start a workflow in, with its test and a page to answer from."""

from pathlib import Path
from typing import Annotated

import typer

from runllm.cli.engine import in_words
from runllm.errors import UsageError

WORKFLOW = '''\
"""Answers questions in the chat widget; asks whether a person should help where it is not sure."""

from datetime import timedelta

from runllm import Agent, AnswerCategory, ChatWidget, Event, WidgetListener, entrypoint, task

# Buttons below a message. The id is what your code gets; the text is what the customer sees.
BUTTONS = [
    {
        "type": "buttons",
        "buttons": [
            {"id": "person", "style": "primary", "text": "Get a person"},
            {"id": "fine", "text": "No, that helps"},
        ],
    }
]


# New conversations start here. The widget on http://localhost and http://127.0.0.1 is listened to; put your site's
# domain here when you go there.
@entrypoint(listeners=[WidgetListener(domain="localhost")])
def answer_questions(agent: Agent, event: Event) -> None:
    """Runs once for each message of the customer."""
    widget = event.conversation.surface
    if not isinstance(widget, ChatWidget):
        return

    # Looks the question up in the documentation, and shows the answer while it is made. Each call of the agent is
    # remembered: after a restart the handler goes on behind the last one.
    answer = agent.stream_answer(event.conversation)
    if answer.category is AnswerCategory.ANSWERED:
        return

    # Waits for a click, for two days if need be. The customer's other messages are answered meanwhile.
    click = agent.send_to_chat_widget(
        "I am not sure about this one. Shall I get a person?",
        widget,
        blocks=BUTTONS,
        block_until_button_clicked=True,
        timeout=timedelta(days=2),
    )
    if click is not None and click.id == "person":
        agent.apply_tag("needs-a-person", event.conversation)
        agent.send_to_chat_widget("Somebody will read this. What should they know?", widget)
        # From here on, messages of this conversation go to the task below.
        agent.listen(on=[widget], handler=take_down)


@task()
def take_down(agent: Agent, event: Event, widget: ChatWidget) -> None:
    """Takes down what the customer adds; your team reads it in the admin console."""
    agent.send_to_chat_widget("Thank you, I have added that.", widget)
'''

TEST = '''\
"""What customers get, without a server: run `pytest` here."""

from runllm import AnswerCategory
from runllm.testing import Rehearsal
from support import answer_questions, take_down


def test_a_good_answer_is_all_that_is_said() -> None:
    with Rehearsal(answer_questions, [take_down]) as talk:
        talk.will_answer("Open Settings, then Security.")
        talk.say("How do I change my password?")
        assert talk.texts() == ["Open Settings, then Security."]


def test_a_customer_can_get_a_person() -> None:
    with Rehearsal(answer_questions, [take_down]) as talk:
        talk.will_answer("Perhaps restart it?", category=AnswerCategory.LOW_CONFIDENCE)
        talk.will_click("person")
        talk.say("It is broken")
        assert talk.tags == ["needs-a-person"]
        talk.say("Since Monday")
        assert talk.texts()[-1] == "Thank you, I have added that."


def test_a_customer_who_is_fine_is_left_alone() -> None:
    with Rehearsal(answer_questions, [take_down]) as talk:
        talk.will_answer("Perhaps restart it?", category=AnswerCategory.LOW_CONFIDENCE)
        talk.will_click("fine")
        talk.say("It is slow")
        assert talk.tags == []
'''

PAGE = """\
# Passwords

## Change your password

Open **Settings**, then **Security**, and choose **Change password**. You need your old password once. Sessions on other
devices end at once.

## When you have forgotten it

Choose **Forgot password** on the sign-in page. The mail with the link arrives within two minutes and the link is good
for an hour. Where no mail comes, look into the spam folder, and ask your administrator whether your account signs in
with single sign-on: such accounts have no password here.
"""

README = """\
# {name}

A support workflow: `support.py` answers questions from the pages in `docs`, `test_support.py` says what customers get.

Start the engine in one terminal, with these pages to answer from:

    runllm dev --no-example --docs docs

Publish the workflow from another, and ask "How do I change my password?" at http://127.0.0.1:8080/demo:

    runllm publish support.py

Run the tests, which need no engine:

    pytest

After that: `runllm sessions tail` shows what is said while it is said, `runllm replay support.py` tells whether a
change fits the conversations that run now, `runllm doctor` tells whether all is well.
"""

IGNORED = ".runllm/\n__pycache__/\n.pytest_cache/\n"

FILES = {
    "support.py": WORKFLOW,
    "test_support.py": TEST,
    "docs/passwords.md": PAGE,
    "README.md": README,
    ".gitignore": IGNORED,
}


def init(
    directory: Annotated[Path, typer.Argument(help="Folder to make, or one that is empty.", show_default=False)],
) -> None:
    """Make a project folder: a workflow, its test, and a page to index.

    Example: runllm init help-desk
    """
    with in_words():
        write_project(directory)
    typer.echo(f"{directory} has a workflow, its test and a page to answer from. Go on with:\n")
    typer.echo(f"  cd {directory}")
    typer.echo("  pytest                                 # the tests, which need no engine")
    typer.echo("  runllm dev --no-example --docs docs    # the engine, in its own terminal")
    typer.echo("  runllm publish support.py              # from another; then ask at")
    typer.echo("                                         # http://127.0.0.1:8080/demo")


def write_project(directory: Path) -> None:
    """Writes the files of a new project.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
    """
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            what = "is not empty" if directory.is_dir() else "is a file"
            raise UsageError(f"{directory} {what}, and nothing in it is to be overwritten. Name a new folder")
        for path, text in FILES.items():
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("{name}", directory.resolve().name), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{directory} cannot be written ({error.strerror or error}). Name another folder") from None
