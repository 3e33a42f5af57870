"""Workflows as authors test them on Slack, Zendesk and Discord: with the fixture `runllm_engine` and nothing else."""

from pathlib import Path

import pytest

from runllm.testing import Comment, RunningEngine

pytestmark = [pytest.mark.workflow, pytest.mark.long, pytest.mark.timeout(180)]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "escalation.md"

APPROVAL = """
from runllm import Agent, DiscordListener, DiscordThread, Event, entrypoint, task

GUILD, TEAM = "123456789012345678", "234567890123456789"
CHOICE = [{"type": "buttons", "buttons": [{"id": "yes", "text": "Yes"}, {"id": "no", "text": "No"}]}]


@entrypoint(listeners=[DiscordListener(guild_id=GUILD)])
def answer(agent: Agent, event: Event) -> None:
    thread = event.conversation.surface
    assert isinstance(thread, DiscordThread)
    grace = {"block_until_button_clicked": True, "allowed_users": ["GRACE"]}
    agent.send_to_discord_thread("May I?", thread, blocks=CHOICE, **grace)
    agent.send_to_discord_thread("Thank you.", thread)
    team = agent.create_or_get_discord_thread(event.conversation, GUILD, TEAM)
    agent.listen(on=[thread, team], handler=both)


@task()
def both(agent: Agent, event: Event, thread: DiscordThread, team: DiscordThread) -> None:
    here = event.conversation.surface
    agent.send_to_discord_thread(event.conversation.new_message, team if here == thread else thread)
"""

TOGETHER = """
from runllm import Agent, AllMessages, Event, Rejected, SlackChannel, SlackListener, SlackThread, entrypoint

TEAM, HELP = "T0000000007", "C0000000007"
GUILD, ROOM = "123456789012345678", "234567890123456777"


@entrypoint(listeners=[SlackListener(team_id=TEAM, channels=[SlackChannel(channel_id=HELP, trigger=AllMessages())])])
def together(agent: Agent, event: Event) -> None:
    thread, message = event.conversation.surface, event.conversation.new_message
    assert isinstance(thread, SlackThread)
    assert message is not None
    try:
        ticket = agent.create_zendesk_ticket(event.conversation, title="Together", description="See the comments.")
    except Rejected:
        agent.send_to_slack_thread("There is no ticket.", thread)
        return
    files = ", ".join(f"{one['name']} ({one['mimetype']}, {one['size']})" for one in message.attachments or [])
    agent.send_to_slack_thread(f"I see {files}.", thread)
    room = agent.create_discord_thread(GUILD, ROOM)
    agent.terminate(keep_in_sync=[thread, ticket, room])
"""


def test_a_question_in_slack_goes_to_a_person_on_a_ticket_and_comes_back_solved(
    runllm_engine: RunningEngine, tmp_path: Path
) -> None:
    file = tmp_path / "escalation.py"
    file.write_text(PAGE.read_text().partition("```python\n")[2].partition("```")[0])
    runllm_engine.publish(file)
    slack, zendesk = runllm_engine.slack(), runllm_engine.zendesk()
    thread = slack.says("#support", "My export stops at 99 %. What can I do?", by="Ada Lovelace")
    assert "no documentation" in thread.read(1)[0]
    assert thread.buttons() == ["Resolved", "I need a person"]
    assert thread.click("person", by="Ada Lovelace") is None
    assert "A person of our team" in thread.read(2)[1]
    assert "Resolved" not in thread.buttons()

    ticket = zendesk.ticket(1)
    assert ticket.tags == ["from-slack"]
    assert "Ada Lovelace: My export stops at 99 %. What can I do?" in ticket.read(1)[0]
    ticket.comment("Is this the big export, or the small one?", by="Max Planck")
    assert thread.read(3)[2] == "Is this the big export, or the small one?"
    ticket.comment("She asks this every month.", by="Max Planck", public=False)
    thread.says("The big one.", by="Ada Lovelace")
    assert "The big one." in ticket.read(2)[1]
    ticket.comment("It is repaired.", by="Max Planck")
    ticket.solve(by="Max Planck")
    assert thread.read(4)[3] == "It is repaired."
    assert ticket.status == "solved"
    assert ticket.comments[-1] == Comment("Max Planck", "It is repaired.", is_public=True)
    assert "every month" not in slack.transcript()


def test_a_choice_on_discord_is_grace_s_and_her_team_hears_of_it(runllm_engine: RunningEngine, tmp_path: Path) -> None:
    discord = runllm_engine.discord()
    discord.channel("#team", id="234567890123456789")
    file = tmp_path / "approval.py"
    file.write_text(APPROVAL.replace("GRACE", discord.user("Grace")))
    runllm_engine.publish(file)
    thread = discord.says("#help", f"{discord.mention} please approve", by="Ada")
    assert thread.read(1) == ["May I?"]
    assert "not yours" in (thread.click("yes", by="Ada") or "")
    assert thread.click("yes", by="Grace") is None
    assert thread.buttons() == []
    asked, thanked = thread.read(2)
    assert "Chosen: Yes, by Grace" in asked
    assert thanked == "Thank you."
    team = discord.thread("#team")
    thread.says(f"{discord.mention} one more thing", by="Ada")
    assert "one more thing" in team.read(1)[0]
    team.says("Which one?", by="Bob")
    assert "Which one?" in thread.read(3)[2]


def test_changes_files_and_outages_go_all_the_way(runllm_engine: RunningEngine, tmp_path: Path) -> None:
    slack, zendesk, discord = runllm_engine.slack("T0000000007"), runllm_engine.zendesk(), runllm_engine.discord()
    slack.channel("#help", id="C0000000007")
    discord.channel("#room", id="234567890123456777")
    file = tmp_path / "together.py"
    file.write_text(TOGETHER)
    runllm_engine.publish(file)

    zendesk.will_refuse("open")
    thread = slack.says("#help", "Hello", by="Ada")
    assert thread.read(1) == ["There is no ticket."]
    slack.will_fail("post")
    slack.will_lose_reply("post")
    discord.will_lose_reply("open")
    thread.says("See the log", by="Ada", files={"log.txt": b"Error 17"})
    assert thread.read(2)[1:] == ["I see log.txt (text/plain, 8)."]
    ticket, room = zendesk.ticket(1), discord.thread("#room")

    with zendesk.away():
        said = thread.says("rdeo it", by="Ada", files={"more.txt": b"Error 18"})
        assert room.until_shown("rdeo it").files == {"more.txt": b"Error 18"}
        assert "rdeo it" not in str(ticket.comments)
    assert ticket.until_shown("rdeo it").files == {"more.txt": b"Error 18"}
    said.edit("redo it")
    room.until_shown("redo it")
    room.until_gone("rdeo it")
    ticket.until_shown("redo it")
    gone = room.says("not meant for you", by="Bob")
    thread.until_shown("not meant for you")
    gone.delete()
    thread.until_gone("not meant for you")

    comment = ticket.comment("Her number is 555-0100", by="Grace", files={"how-to.pdf": b"%PDF"})
    assert thread.until_shown("555-0100").author == "Grace"
    comment.redact("555-0100", by="Grace")
    ticket.comment("Sorry for that", by="Grace")
    thread.until_gone("555-0100")
    thread.until_shown("Sorry for that")
    assert {"how-to.pdf": b"%PDF"} in [one.files for one in thread.messages]
    assert len(thread.read(2)) == len(set(thread.read(2))), "nothing was posted twice"
    assert "planned failure" not in slack.transcript() + zendesk.transcript() + discord.transcript()
