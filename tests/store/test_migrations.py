import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from store import migrations
from store.engine import Store, StoreError
from store.migrations import full_text
from store.migrations.full_text import is_part_of_models
from store.models import Row
from tests.store.rivals import Rival

pytestmark = pytest.mark.store


def _differences(connection: Connection) -> list[object]:
    options = {"include_object": is_part_of_models, "compare_type": True, "target_metadata": Row.metadata}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), Row.metadata))


@pytest.mark.filterwarnings("ignore:Did not recognize type 'halfvec'")  # of a server where vectors were searched before
async def test_the_migrations_make_what_the_models_say(store: Store) -> None:
    async with store.read() as db:
        assert await (await db.connection()).run_sync(_differences) == []


async def test_a_difference_would_be_seen(empty_database: str) -> None:
    store = await Store.open(empty_database)
    async with store.begin() as db:
        await db.execute(text("ALTER TABLE leases ADD COLUMN color VARCHAR(5)"))
    async with store.read() as db:
        differences = await (await db.connection()).run_sync(_differences)
    await store.close()
    assert "color" in str(differences)


def test_the_newest_revision_is_the_one_that_alembic_calls_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.HERE))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.newest()]


async def test_a_second_start_changes_nothing(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await Store.open(empty_database)).close()
    monkeypatch.setattr(migrations, "upgrade", lambda connection: pytest.fail("there was nothing to upgrade"))
    await (await Store.open(empty_database)).close()


async def test_processes_that_start_together_migrate_once(empty_database: str) -> None:
    rivals = [await Rival.start("migrate", empty_database) for _ in range(3)]
    assert await asyncio.gather(*(rival.go() for rival in rivals)) == ["migrated"] * 3
    store = await Store.open(empty_database)
    async with store.read() as db:
        assert list(await db.scalars(text("SELECT version_num FROM alembic_version"))) == [migrations.newest()]
    await store.close()


async def test_a_database_of_a_newer_release_is_left_alone(empty_database: str) -> None:
    store = await Store.open(empty_database)
    async with store.begin() as db:
        await db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await store.close()
    with pytest.raises(migrations.NewerDatabaseError, match="revision 9999"):
        await Store.open(empty_database)


async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for statements in ("SQLITE", "POSTGRESQL"):
        monkeypatch.setattr(
            full_text, statements, [*getattr(full_text, statements), "CREATE TABLE agents (id INTEGER)"]
        )
    with pytest.raises(StoreError, match=r"agents.* already exists"):
        await Store.open(empty_database)
    store = await Store.open(empty_database, migrate=False)
    async with store.read() as db:
        assert await (await db.connection()).run_sync(lambda connection: inspect(connection).get_table_names()) == []
    await store.close()
    monkeypatch.undo()
    await (await Store.open(empty_database)).close()
