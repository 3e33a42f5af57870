"""Sites are followed link by link, politely; what is unchanged costs nothing, what goes wrong is told."""

import statistics
from pathlib import Path

import pytest
from aiohttp import web

from runllm.errors import RateLimited, UsageError
from store import knowledge
from store.engine import Store
from store.models import KnowledgeSource
from tests.fakes.website import Website, page, sitemap
from tests.unit.knowledge.conftest import Shelf, Writes
from worker.answering.ingest import IndexingActivities
from worker.answering.parsing import Parser
from worker.knowledge.settings import KnowledgeSettings


def three_pages(site: Website) -> None:
    site.pages |= {
        "/docs/": page("Start", "Begin here.", "/docs/a", "b.html#more", "https://elsewhere.example/x", "/blog/"),
        "/docs/a": page("A", "Words of a.", "/docs/", "/docs/picture.png"),
        "/docs/b.html": page("B", "Words of b.", "c?utm_source=x&page=2", "mailto:x@example.com"),
        "/docs/c?page=2": page("C", "Words of c."),
        "/blog/": page("Blog", "Not documentation."),
    }


async def test_a_site_is_followed_from_its_first_page_and_no_further(shelf: Shelf, site: Website) -> None:
    three_pages(site)
    source = await shelf.add("site", f"{site.url}/docs")
    site.redirects["/docs"] = "/docs/"
    synced = await shelf.sync(source)
    assert synced.indexed.failed == 0
    assert await shelf.titles(source) == {
        f"{site.url}/docs/": "Start",
        f"{site.url}/docs/a": "A",
        f"{site.url}/docs/b.html": "B",
        f"{site.url}/docs/c?page=2": "C",
    }
    assert all("/blog" not in path and ".png" not in path for path in site.asked)
    assert site.agents == {KnowledgeSettings().user_agent}


async def test_a_second_sync_of_an_unchanged_site_fetches_nothing_and_writes_nothing(
    shelf: Shelf, site: Website, writes: Writes
) -> None:
    three_pages(site)
    source = await shelf.add("site", f"{site.url}/docs/")
    assert (await shelf.sync(source)).indexed.changed == 4
    before = await shelf.documents(source)
    site.forget()
    writes.tables.clear()
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.indexed.unchanged, synced.removed) == (0, 4, 0)
    assert {path for path, times in site.sent.items() if times} <= {"/docs/"}, (
        "the first page alone, to see that it is there"
    )
    assert set(writes.tables) == {"knowledge_sources"}
    after = await shelf.documents(source)
    assert {path: one.indexed_at for path, one in after.items()} == {
        path: one.indexed_at for path, one in before.items()
    }


async def test_pages_that_say_the_same_in_other_markup_are_not_written(
    shelf: Shelf, site: Website, writes: Writes
) -> None:
    site.has_etags = False
    site.pages["/"] = page("Start", "Begin here.", head="<script>nonce=1</script>")
    source = await shelf.add("site", site.url)
    await shelf.sync(source)
    site.pages["/"] = page("Start", "Begin here.", head="<script>nonce=2</script>")
    writes.tables.clear()
    assert (await shelf.sync(source)).indexed.unchanged == 1
    assert set(writes.tables) == {"knowledge_sources"}


async def test_changes_new_pages_and_pages_that_are_gone_are_followed(shelf: Shelf, site: Website) -> None:
    three_pages(site)
    source = await shelf.add("site", f"{site.url}/docs/")
    await shelf.sync(source)
    del site.pages["/docs/c?page=2"]
    site.pages["/docs/b.html"] = page("B", "Other words.", "/docs/new")
    site.pages["/docs/new"] = page("New", "Fresh.")
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.removed) == (2, 1)
    assert f"{site.url}/docs/new" in await shelf.documents(source)
    site.pages["/docs/b.html"] = page("B", "Other words.")
    synced = await shelf.sync(source)
    assert synced.removed == 1, "nothing leads to it any more, though it is still there"
    assert f"{site.url}/docs/new" not in await shelf.documents(source)


async def test_passages_keep_where_they_come_from(shelf: Shelf, site: Website, store: Store) -> None:
    head = '<meta property="article:modified_time" content="2025-03-04T05:06:07+01:00">'
    site.pages["/"] = page("Start", "Begin here.", head=head)
    source = await shelf.add("site", site.url)
    await shelf.sync(source)
    (document,) = (await shelf.documents(source)).values()
    assert (document.title, document.url) == ("Start", f"{site.url}/")
    assert document.dated_at is not None
    assert document.dated_at.isoformat() == "2025-03-04T04:06:07+00:00"


async def test_robots_are_obeyed(shelf: Shelf, site: Website) -> None:
    three_pages(site)
    site.pages["/robots.txt"] = "User-agent: *\nDisallow: /docs/a\n"
    source = await shelf.add("site", f"{site.url}/docs/")
    await shelf.sync(source)
    assert "/docs/a" not in site.asked
    assert f"{site.url}/docs/b.html" in await shelf.documents(source)


async def test_robots_that_forbid_all_are_told(shelf: Shelf, site: Website) -> None:
    three_pages(site)
    site.pages["/robots.txt"] = "User-agent: *\nDisallow: /\n"
    source = await shelf.add("site", f"{site.url}/docs/")
    with pytest.raises(UsageError, match=r"robots\.txt of 127\.0\.0\.1:\d+ forbids"):
        await shelf.sync(source)
    assert site.asked == ["/robots.txt"]


async def test_pages_that_ask_not_to_be_found_are_not(shelf: Shelf, site: Website) -> None:
    site.pages |= {
        "/": page("Start", "Begin here.", "/hidden", "/twin"),
        "/hidden": page("Hidden", "Secret.", "/behind", head='<meta name="robots" content="noindex">'),
        "/behind": page("Behind", "Found all the same."),
        "/twin": page("Start again", "Begin here.", head='<link rel="canonical" href="/">'),
    }
    source = await shelf.add("site", site.url)
    await shelf.sync(source)
    assert sorted(await shelf.titles(source)) == [f"{site.url}/", f"{site.url}/behind"]


async def test_a_host_is_asked_no_faster_than_is_polite(
    store: Store, site: Website, settings: KnowledgeSettings, parser: Parser
) -> None:
    three_pages(site)
    slow = settings.model_copy(update={"requests_a_second": 25.0})
    shelf = Shelf(store, IndexingActivities(store, slow, parser))
    await shelf.sync(await shelf.add("site", f"{site.url}/docs/"))
    gaps = [later - earlier for earlier, later in zip(site.at, site.at[1:], strict=False)]
    assert statistics.median(gaps) >= 0.038


async def test_a_busy_server_is_waited_for_and_a_very_busy_one_is_left_alone(shelf: Shelf, site: Website) -> None:
    three_pages(site)
    waits = ["0", "0"]

    async def busy(request: web.Request) -> web.StreamResponse:
        if waits:
            return web.Response(status=429, headers={"Retry-After": waits.pop()})
        return web.Response(text=site.pages["/docs/a"], content_type="text/html")

    site.answers["/docs/a"] = busy
    source = await shelf.add("site", f"{site.url}/docs/")
    await shelf.sync(source)
    assert f"{site.url}/docs/a" in await shelf.documents(source)
    waits[:] = ["3600"]
    with pytest.raises(RateLimited) as limited:
        await shelf.sync(source)
    assert limited.value.retry_after == 3600


async def test_one_broken_page_is_told_and_its_document_stays(shelf: Shelf, site: Website) -> None:
    three_pages(site)
    source = await shelf.add("site", f"{site.url}/docs/")
    await shelf.sync(source)

    async def forbidden(request: web.Request) -> web.StreamResponse:
        return web.Response(status=403)

    async def huge(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x", headers={"Content-Type": "text/html", "X": "y"}, status=200)

    site.answers["/docs/a"] = forbidden
    site.pages["/docs/b.html"] = page("B", "x" * 5_000_001)
    synced = await shelf.sync(source)
    assert synced.indexed.failed == 2
    assert await shelf.problems(source) == {
        f"{site.url}/docs/a": "is refused by its server (403)",
        f"{site.url}/docs/b.html": "has more than 5 MB",
    }
    assert len(await shelf.documents(source)) == 4


async def test_a_site_that_dies_in_the_middle_is_given_up_and_forgets_nothing(
    shelf: Shelf, site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.knowledge.fetching._TRIES", 1)
    numbers = range(20)
    site.pages["/"] = page("Start", "Begin.", *(f"/{n}" for n in numbers))
    site.pages |= {f"/{n}": page(f"Page {n}", "Words.") for n in numbers}
    source = await shelf.add("site", site.url)
    await shelf.sync(source)

    async def down(request: web.Request) -> web.StreamResponse:
        return web.Response(status=502)

    site.answers |= {f"/{n}": down for n in numbers}
    with pytest.raises(UsageError, match="has stopped answering"):
        await shelf.sync(source)
    assert len(await shelf.documents(source)) == 21


@pytest.mark.parametrize(
    "leads_to", ["http://127.0.0.2:9/", "http://169.254.169.254/latest/meta-data/", "http://[::1]:9/"]
)
async def test_redirects_to_private_addresses_are_not_followed(
    store: Store, site: Website, settings: KnowledgeSettings, leads_to: str
) -> None:
    one_address = settings.model_copy(update={"allowed_networks": ["127.0.0.1/32"]})
    one_address = KnowledgeSettings.model_validate(one_address.model_dump())
    shelf = Shelf(store, IndexingActivities(store, one_address))
    site.redirects["/docs/"] = leads_to
    source = await shelf.add("site", f"{site.url}/docs/")
    with pytest.raises(UsageError, match="which is not an address of the internet"):
        await shelf.sync(source)


async def test_this_machine_is_not_read_unless_that_is_allowed(store: Store, site: Website, tmp_path: Path) -> None:
    shelf = Shelf(store, IndexingActivities(store, KnowledgeSettings(cache=tmp_path)))
    for address in (site.url, site.url.replace("127.0.0.1", "localhost")):
        with pytest.raises(UsageError, match="RUNLLM_ALLOWED_NETWORKS"):
            await shelf.sync(await shelf.add("site", address))
    assert site.asked == []


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("http://127.0.0.1:9/", "cannot be reached"),
        ("ftp://example.com/", "is no address of a page"),
        ("https://user:secret@example.com/", "is no address of a page"),
    ],
)
async def test_a_site_that_is_not_there_is_told(shelf: Shelf, location: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        await shelf.sync(await shelf.add("site", location))


async def test_a_site_that_leads_to_another_one_says_which(shelf: Shelf, site: Website) -> None:
    site.redirects["/docs/"] = "/manual/"
    site.pages["/manual/"] = page("Manual", "Words.")
    with pytest.raises(UsageError, match=r"leads to .*/manual/. If that is what you want, add that address"):
        await shelf.sync(await shelf.add("site", f"{site.url}/docs/"))


async def test_circles_of_redirects_end(shelf: Shelf, site: Website) -> None:
    site.pages["/"] = page("Start", "Words.", "/x")
    site.redirects |= {"/x": "/y", "/y": "/x"}
    source = await shelf.add("site", site.url)
    await shelf.sync(source)
    assert await shelf.problems(source) == {f"{site.url}/x": "is redirected more than 5 times"}


async def test_an_endless_site_has_an_end(
    store: Store, site: Website, settings: KnowledgeSettings, parser: Parser
) -> None:
    async def calendar(request: web.Request) -> web.StreamResponse:
        day = int(request.query.get("day", 0))
        return web.Response(text=page(f"Day {day}", "Words.", f"/?day={day + 1}"), content_type="text/html")

    site.answers = {f"/?day={day}": calendar for day in range(100)} | {"/": calendar}
    few = settings.model_copy(update={"site_pages": 10})
    shelf = Shelf(store, IndexingActivities(store, few, parser))
    source = await shelf.add("site", site.url)
    assert (await shelf.sync(source)).indexed.changed == 10


async def test_a_page_that_unpacks_to_much_more_is_not_unpacked(shelf: Shelf, site: Website) -> None:
    import zlib

    packing = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packing.compress(b" " * 1_000_000) for _ in range(30)) + packing.flush()

    async def explode(request: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})

    site.pages["/"] = page("Start", "Words.", "/bomb")
    site.answers["/bomb"] = explode
    source = await shelf.add("site", site.url)
    await shelf.sync(source)
    assert await shelf.problems(source) == {f"{site.url}/bomb": "has more than 5 MB"}


async def test_a_sitemap_is_read_with_what_it_lists_and_what_has_not_changed_is_not_asked_for(
    shelf: Shelf, site: Website, writes: Writes
) -> None:
    three_pages(site)
    pages = [(f"{site.url}/docs/a", "2025-01-01"), (f"{site.url}/docs/b.html", "2025-01-01T10:00:00Z")]
    other = (f"{site.url}/docs/", "")
    parts = "".join(f"<sitemap><loc>{site.url}/{name}</loc></sitemap>" for name in ("one.xml", "two.xml.gz"))
    index = f"<sitemapindex>{parts}</sitemapindex>"
    import gzip

    site.pages |= {
        "/sitemap.xml": index,
        "/one.xml": sitemap(*pages),
        "/two.xml.gz": gzip.compress(sitemap(other, ("https://elsewhere.example/", "")).encode()),
    }
    source = await shelf.add("sitemap", f"{site.url}/sitemap.xml")
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.listed.total) == (3, 3)
    assert synced.listed.notes == ["1 pages are on other hosts, or robots.txt forbids them"]
    site.forget()
    writes.tables.clear()
    assert (await shelf.sync(source)).indexed.unchanged == 3
    assert "/docs/a" not in site.asked
    assert site.sent["/docs/"] == 0
    assert set(writes.tables) == {"knowledge_sources"}
    site.pages["/one.xml"] = sitemap((pages[0][0], "2025-06-01"))
    site.pages["/docs/a"] = page("A", "New words.")
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.removed) == (1, 1)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    "<urlset><url><loc>&b;</loc></url></urlset>"
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "has a document type"),
        ("<html></html>", "is no sitemap: it is XML with <html>"),
        ("not a sitemap", "is no sitemap"),
        ("<urlset></urlset>", "lists no pages"),
        ("<urlset><url><loc>https://elsewhere.example/</loc></url></urlset>", "lists no page that may be read"),
    ],
)
async def test_a_sitemap_that_is_none_is_told(shelf: Shelf, site: Website, content: str, said: str) -> None:
    site.pages["/sitemap.xml"] = content
    with pytest.raises(UsageError, match=said):
        await shelf.sync(await shelf.add("sitemap", f"{site.url}/sitemap.xml"))


async def test_a_site_uses_its_sitemap_too(shelf: Shelf, site: Website) -> None:
    site.pages |= {
        "/": page("Start", "Words."),
        "/lonely": page("Lonely", "Nothing leads here."),
        "/robots.txt": f"Sitemap: {site.url}/pages.xml",
    }
    site.pages["/pages.xml"] = sitemap((f"{site.url}/lonely", ""))
    source = await shelf.add("site", site.url)
    await shelf.sync(source)
    assert sorted((await shelf.titles(source)).values()) == ["Lonely", "Start"]
    del site.pages["/pages.xml"]

    async def down(request: web.Request) -> web.StreamResponse:
        return web.Response(status=403)

    site.answers["/pages.xml"] = down
    assert (await shelf.sync(source)).removed == 0, "a sitemap that cannot be read just now is no reason to forget"


async def held(shelf: Shelf, source: KnowledgeSource) -> int:
    async with shelf.store.read() as db:
        found = await knowledge.get_source(db, source.id)
    assert found is not None
    return found.kept_back


async def test_a_site_that_asks_everybody_to_sign_in_for_a_while_is_not_forgotten(shelf: Shelf, site: Website) -> None:
    names = [f"/docs/{number}" for number in range(20)]
    site.pages |= {name: page(name, f"Words of {name}.") for name in names}
    site.pages["/docs/"] = page("Start", "Begin here.", *names)
    source = await shelf.add("site", f"{site.url}/docs/")
    await shelf.sync(source)
    before = await shelf.titles(source)
    assert len(before) == 21
    site.pages["/docs/sign-in"] = page("Sign in", "Who are you?")
    site.redirects |= dict.fromkeys([*names, "/docs/"], "/docs/sign-in")
    for _ in range(2):
        assert (await shelf.sync(source)).removed == 0
        assert await shelf.titles(source) == before | {f"{site.url}/docs/sign-in": "Sign in"}
        assert await held(shelf, source) == 21
    site.redirects.clear()
    del site.pages["/docs/sign-in"]
    assert (await shelf.sync(source)).removed == 1
    assert await shelf.titles(source) == before
    assert await held(shelf, source) == 0


async def test_pages_that_are_gone_for_good_are_forgotten_when_somebody_says_so(shelf: Shelf, site: Website) -> None:
    names = [f"/docs/{number}" for number in range(20)]
    site.pages |= {name: page(name, f"Words of {name}.") for name in names}
    site.pages["/docs/"] = page("Start", "Begin here.", *names)
    source = await shelf.add("site", f"{site.url}/docs/")
    await shelf.sync(source)
    for name in names:
        del site.pages[name]
    site.pages["/docs/"] = page("Start", "Begin here.")
    assert (await shelf.sync(source)).removed == 0
    async with shelf.store.begin() as db:
        await knowledge.accept_removals(db, source.id)
    assert (await shelf.sync(source)).removed == 20
    assert await shelf.titles(source) == {f"{site.url}/docs/": "Start"}
