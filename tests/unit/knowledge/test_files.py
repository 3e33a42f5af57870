"""Single files: documents, PDFs, OpenAPI; also the ones that are broken, too large or hostile."""

import json
from pathlib import Path

import pytest
from aiohttp import web

from runllm.errors import UsageError
from store import facts, knowledge
from store.knowledge import NewPassage
from tests.fakes.paper import pdf
from tests.fakes.website import Website
from tests.unit.knowledge.conftest import Shelf, Writes

API = {
    "openapi": "3.1.0",
    "info": {"title": "Lantern", "description": "Flags over HTTP."},
    "paths": {
        "/flags": {
            "parameters": [
                {"name": "project", "in": "query", "description": "Which project", "schema": {"type": "string"}}
            ],
            "get": {
                "operationId": "listFlags",
                "summary": "List flags",
                "tags": ["Flags"],
                "responses": {
                    "200": {
                        "description": "The flags",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Flag"}}},
                    }
                },
            },
            "post": {
                "summary": "Create a flag",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Flag"}}}},
            },
        }
    },
    "components": {
        "schemas": {
            "Flag": {
                "type": "object",
                "required": ["key"],
                "properties": {
                    "key": {"type": "string", "description": "Its name"},
                    "state": {"enum": ["on", "off"], "type": "string"},
                    "parent": {"$ref": "#/components/schemas/Flag"},
                },
            }
        }
    },
}


async def test_each_operation_of_an_api_is_a_document(shelf: Shelf, tmp_path: Path, writes: Writes) -> None:
    file = tmp_path / "api.json"
    file.write_text(json.dumps(API))
    source = await shelf.add("openapi", str(file), "https://docs.example.com/api")
    assert (await shelf.sync(source)).indexed.changed == 3
    documents = await shelf.documents(source)
    assert {path: one.title for path, one in documents.items()} == {
        "introduction": "Lantern",
        "GET /flags": "Lantern › Flags › List flags (GET /flags)",
        "POST /flags": "Lantern › Create a flag (POST /flags)",
    }
    writes.tables.clear()
    assert (await shelf.sync(source)).indexed.unchanged == 3
    assert set(writes.tables) == {"knowledge_sources"}
    changed = json.loads(json.dumps(API))
    del changed["paths"]["/flags"]["post"]
    changed["paths"]["/flags"]["get"]["summary"] = "All flags"
    file.write_text(json.dumps(changed))
    synced = await shelf.sync(source)
    assert (synced.indexed.changed, synced.indexed.unchanged, synced.removed) == (1, 1, 1)


async def test_an_api_on_the_web_in_yaml(shelf: Shelf, site: Website) -> None:
    import yaml

    site.pages["/openapi.yaml"] = yaml.safe_dump(API)
    source = await shelf.add("openapi", f"{site.url}/openapi.yaml")
    await shelf.sync(source)
    assert (await shelf.documents(source))["GET /flags"].url == f"{site.url}/openapi.yaml"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is neither JSON nor YAML"),
        ("a: [", r"is neither JSON nor YAML \(line"),
        ("- a", "it is not an object"),
        ("{}", "it has no field `openapi` or `swagger`"),
        ('{"openapi": "4.0", "info": {"title": "x"}}', "versions 2.0 and 3.x are read"),
        ('{"openapi": "3.0", "info": {}}', "`info` has no `title`"),
        ('{"openapi": "3.0", "info": {"title": "x"}, "paths": []}', "`paths` has to be an object"),
        ("\0\0", "is not text"),
        ("a: &a [1,1]\nb: &b [*a,*a]\nc: &c [*b,*b]", "it has no field"),
    ],
)
async def test_what_is_no_openapi_is_told(shelf: Shelf, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "api.yaml").write_text(content)
    with pytest.raises(UsageError, match=said):
        await shelf.sync(await shelf.add("openapi", str(tmp_path / "api.yaml")))


async def test_references_in_circles_and_aliases_that_multiply_end(shelf: Shelf, tmp_path: Path) -> None:
    lines = ["a0: &a0 {type: object, properties: {x: {type: string}}}"]
    lines += [
        f"a{n}: &a{n} {{type: object, properties: {{{', '.join(f'p{m}: *a{n - 1}' for m in range(9))}}}}}"
        for n in range(1, 12)
    ]
    body = "{content: {application/json: {schema: *a11}}}"
    lines += ["openapi: '3.0'", "info: {title: Bomb}", f"paths: {{/x: {{post: {{summary: S, requestBody: {body}}}}}}}"]
    (tmp_path / "api.yaml").write_text("\n".join(lines))
    source = await shelf.add("openapi", str(tmp_path / "api.yaml"))
    assert (await shelf.sync(source)).indexed.changed == 1


async def test_a_pdf_is_read_page_by_page(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "manual.pdf").write_bytes(pdf("Press the button.", "Wait a minute.", title="Manual", outline="Start"))
    source = await shelf.add("file", str(tmp_path / "manual.pdf"), "https://docs.example.com/manual.pdf")
    await shelf.sync(source)
    (document,) = (await shelf.documents(source)).values()
    assert (document.title, document.url) == ("Manual", "https://docs.example.com/manual.pdf")
    assert document.dated_at is not None
    assert document.dated_at.year == 2025


async def test_a_folder_with_broken_and_huge_files_tells_each_and_indexes_the_rest(
    shelf: Shelf, tmp_path: Path
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    with (folder / "huge.pdf").open("wb") as huge:
        huge.truncate(200_000_000)
    (folder / "good.pdf").write_bytes(pdf("Fine."))
    (folder / "scan.pdf").write_bytes(pdf(""))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing")
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "deep.html").write_text("<div>" * 3_000 + "x" + "</div>" * 3_000)
    (folder / "quotes.md").write_text(">" * 20_000 + " x")
    (folder / "utf.md").write_bytes("# Größe\n\nÜber äöü".encode() + b"\xff\xfe bad")
    (folder / "utf16.md").write_bytes("# Wide".encode("utf-16"))
    (folder / "guide.rst").write_text("Guide\n=====\n\n.. include:: /etc/passwd\n\nWords.\n")
    (folder / "app.mdx").write_text("import X from 'x'\n\n# App\n\n<X>Words</X>")
    source = await shelf.add("folder", str(folder))
    synced = await shelf.sync(source)
    problems = await shelf.problems(source)
    titles = await shelf.titles(source)
    assert problems["huge.pdf"] == "has more than 50 MB"
    assert problems["scan.pdf"] == "has no words in it; a scan needs text recognition first"
    assert str(problems["broken.pdf"]).startswith(("is no PDF that can be read", "cannot be parsed"))
    assert str(problems["empty.pdf"]).startswith(("is no PDF that can be read", "cannot be parsed"))
    assert problems["utf.md"] == "has broken UTF-8; what could not be read is marked"
    assert titles["utf.md"] == "Größe"
    assert titles["utf16.md"] == "Wide"
    assert titles["guide.rst"] == "Guide"
    assert titles["app.mdx"] == "App"
    assert "good.pdf" in titles
    assert {"huge.pdf", "scan.pdf", "broken.pdf", "empty.pdf"}.isdisjoint(titles)
    assert synced.indexed.failed >= 4


async def test_a_pdf_on_the_web_that_is_too_large_is_not_downloaded(shelf: Shelf, site: Website) -> None:
    async def huge(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/pdf", "Content-Length": "200000000"})
        await response.prepare(request)
        return response

    site.answers["/huge.pdf"] = huge
    with pytest.raises(UsageError, match="has more than 50 MB"):
        await shelf.sync(await shelf.add("file", f"{site.url}/huge.pdf"))
    site.pages["/small.pdf"] = pdf("Words.", title="Small")
    source = await shelf.add("file", f"{site.url}/small.pdf")
    await shelf.sync(source)
    assert list((await shelf.titles(source)).values()) == ["Small"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.md", "There is no file"), ("code.py", "is no document. Files with these endings are read")],
)
async def test_a_file_that_cannot_be_one_is_told(shelf: Shelf, tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "code.py").write_text("print()")
    with pytest.raises(UsageError, match=said):
        await shelf.sync(await shelf.add("file", str(tmp_path / name)))


async def test_facts_that_somebody_took_back_are_forgotten_however_many_they_are(shelf: Shelf) -> None:
    source = await shelf.add("facts", facts.LOCATION)
    async with shelf.store.begin() as db:
        for number in range(20):
            passages = [NewPassage(text=f"Fact {number}.")]
            await knowledge.put_document(db, source, facts.path_of(number), None, "A fact", "x", passages)
    assert (await shelf.sync(source)).removed == 20
    assert await shelf.titles(source) == {}
