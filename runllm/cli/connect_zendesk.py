"""`runllm connect zendesk`."""

from typing import Annotated

import typer

from runllm.cli import showing
from runllm.cli.connecting import connect_and_say
from runllm.cli.engine import DEFAULT_SERVER, ApiKey, AsJson, Engine, Server, in_words


def command(
    subdomain: Annotated[
        str, typer.Option(help="`company` of `company.zendesk.com`.", envvar="ZENDESK_SUBDOMAIN", prompt=True)
    ],
    email: Annotated[
        str, typer.Option(help="The address of the user as whom the engine acts.", envvar="ZENDESK_EMAIL")
    ] = "",
    api_token: Annotated[
        str, typer.Option(help="An API token; asked for where it is left out.", envvar="ZENDESK_API_TOKEN")
    ] = "",
    oauth_token: Annotated[
        str,
        typer.Option(help="An OAuth access token, in place of those two.", envvar="ZENDESK_OAUTH_TOKEN"),
    ] = "",
    sign_in: Annotated[
        bool, typer.Option("--sign-in", help="Print a link on which somebody connects the account by signing in.")
    ] = False,
    json: AsJson = False,
    server: Server = DEFAULT_SERVER,
    api_key: ApiKey = "",
) -> None:
    """Connect a Zendesk account, or put right what was changed there.

    Tries the credentials, and makes the webhook and the trigger that report comments.

    Give it an address with an API token, or an OAuth token, or sign in: --sign-in prints a link for an administrator of
    the account. Tokens are better in the environment than on the command line, where other users of the machine see
    them. Repeated, it puts right what was changed in Zendesk.
    """
    if sign_in:
        _print_link(subdomain, json=json, server=server, api_key=api_key)
        return
    if not oauth_token:
        email = email or typer.prompt("E-mail address")
        api_token = api_token or typer.prompt("API token", hide_input=True)
    given = {"subdomain": subdomain, "email": email, "api_token": api_token, "oauth_token": oauth_token}
    credentials = {name: value for name, value in given.items() if value}
    connect_and_say("zendesk", credentials, json=json, server=server, api_key=api_key)


def _print_link(subdomain: str, *, json: bool, server: str, api_key: str) -> None:
    with in_words():
        made = Engine.of(server, api_key).post("installations/sign-in", {"platform": "zendesk", "account": subdomain})
    if json:
        showing.as_json(made)
        return
    typer.echo("Have an administrator of the account open this link within ten minutes, and sign in:")
    typer.echo(f"\n  {made['url']}\n")
    typer.echo("The page says whether it is connected then; so does: runllm connect list --check")
