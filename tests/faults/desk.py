"""A workflow that Zendesk starts: it answers each comment once, and says goodbye when the ticket is solved."""

from runllm import Agent, Event, TicketStatus, ZendeskListener, ZendeskTicket, entrypoint, task

DESK = ZendeskListener(
    subdomain="acme", default_trigger=TicketStatus(statuses=["solved"], comments=True), tags=["ask-bot"]
)


@entrypoint(listeners=[DESK])
def answer(agent: Agent, event: Event) -> None:
    ticket, message = event.conversation.surface, event.conversation.new_message
    assert isinstance(ticket, ZendeskTicket)
    if message is None:
        agent.send_to_zendesk_ticket("Goodbye.", ticket)
        agent.update_zendesk_ticket(["done"], "pending", ticket)
        agent.listen([ticket], handler=quiet)
    elif not message.is_from_staff:
        agent.send_to_zendesk_ticket(f"You wrote: {message.text}", ticket)
        agent.send_to_zendesk_ticket(f"Seen: {message.text}", ticket, internal=True)
        agent.update_zendesk_ticket(["answered"], "pending", ticket)


@task()
def quiet(agent: Agent, event: Event) -> None:
    """Nothing more is said."""
