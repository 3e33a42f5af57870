"""Workflows as authors test them on Slack, Zendesk and Discord: with the fixture `runllm_engine` and nothing else."""

from pathlib import Path

import pytest

from runllm.testing import Comment, RunningEngine

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(180)]

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
