"""Help centres: their public articles, by the API that lists them."""

from collections.abc import AsyncIterator

import pytest

from runllm.errors import UsageError
from tests.fakes.help_centre import HelpCentre
from tests.fakes.website import Website, website
from tests.unit.knowledge.conftest import Shelf, Writes


@pytest.fixture
async def centre() -> AsyncIterator[HelpCentre]:
    async with website(HelpCentre()) as served:
        assert isinstance(served, HelpCentre)
        for number in range(1, 6):
            served.put(number, f"Article {number}", f"<h2 id='x'>Steps</h2><p>Words of {number}.</p>")
        yield served


@pytest.mark.parametrize("has_cursors", [True, False])
async def test_articles_are_indexed_with_title_address_and_date(
    shelf: Shelf, centre: HelpCentre, has_cursors: bool
) -> None:
    centre.has_cursors = has_cursors
    centre.put(6, "Draft", "<p>Not yet.</p>", draft=True)
    source = await shelf.add("zendesk", f"{centre.url}/hc/en-us")
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.indexed.failed) == (5, 0)
    document = (await shelf.documents(source))["articles/3"]
    assert (document.title, document.url) == ("Article 3", "https://help.example.com/hc/en-us/articles/3")
    assert document.dated_at is not None
    assert document.dated_at.isoformat() == "2026-01-02T03:04:05+00:00"


async def test_only_articles_that_have_changed_are_asked_for(shelf: Shelf, centre: HelpCentre, writes: Writes) -> None:
    source = await shelf.add("zendesk", f"{centre.url}/hc/en-us/")
    await shelf.sync(source)
    centre.forget()
    writes.tables.clear()
    assert (await shelf.sync(source)).indexed.unchanged == 5
    assert all("articles.json" in path for path in centre.asked)
    assert set(writes.tables) == {"knowledge_sources"}
    centre.put(2, "Article two", "<p>Other words.</p>", changed="2026-02-02T03:04:05Z")
    del centre.articles[5]
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.removed) == (1, 1)
    assert (await shelf.titles(source))["articles/2"] == "Article two"


async def test_what_is_no_help_centre_is_told(shelf: Shelf, site: Website) -> None:
    with pytest.raises(
        UsageError, match="is no Zendesk help centre that everybody may read: its list of articles is not there"
    ):
        await shelf.sync(await shelf.add("zendesk", site.url))
    site.pages["/api/v2/help_center/articles.json?page[size]=100"] = "<html>Sign in</html>"
    with pytest.raises(UsageError, match="is not JSON"):
        await shelf.sync(await shelf.add("zendesk", site.url))


async def test_a_list_that_leads_to_another_host_is_not_followed(shelf: Shelf, site: Website) -> None:
    site.pages["/api/v2/help_center/articles.json?page[size]=100"] = (
        '{"articles": [], "meta": {"has_more": true}, "links": {"next": "http://169.254.169.254/"}}'
    )
    synced = await shelf.sync(await shelf.add("zendesk", site.url))
    assert synced.listed.notes == ["There are no articles in it that everybody may read"]
