"""Tags and categories. Of the categories of a pinned group a conversation has at most one as a tag."""

from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from gateways.wire import Call
from runllm.categories import with_examples
from runllm.operations import ApplyTag, Categorize, Categorized, Tag, Tagged
from store import effects, tags
from worker.activities.context import Context
from worker.activities.conversations import conversation
from worker.activities.ledger import close_entry, open_entry

_GROUP = "group"


class TaggingActivities:
    """What an agent decides, or is told, about tags."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @activity.defn(name=Categorize.name)
    async def categorize(self, call: Call[Categorize]) -> Categorized:
        """Chooses one of several categories. As a tag it takes the place of its group's other ones."""
        operation = call.operation
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, Categorize.name)
            turns = (await conversation(db, call.session_id)).turns
        if entry.is_done:
            return Categorized.model_validate(entry.result)
        category = await self._context.model.categorize(
            turns,
            with_examples(operation.categories, operation.examples),
            operation.default,
            operation.guidelines,
        )
        async with self._context.store.begin() as db:
            group = sorted({*operation.categories, operation.default}) if operation.apply_as_tag else []
            if group:
                await _apply(db, call.session_id, [category], "pinned", [group])
            result = Categorized(category=category, tags=await tags.of(db, call.session_id))
            await close_entry(db, entry, {**result.model_dump(mode="json"), _GROUP: group})
        return result

    @activity.defn(name=Tag.name)
    async def tag(self, call: Call[Tag]) -> Tagged:
        """Applies those of several tags that fit. Those on the conversation already are not looked at."""
        operation = call.operation
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, Tag.name)
            turns = (await conversation(db, call.session_id)).turns
            there = await tags.of(db, call.session_id)
        if entry.is_done:
            return Tagged.model_validate(entry.result)
        described = with_examples(operation.options, operation.examples)
        options = {name: about for name, about in described.items() if name not in there}
        fitting = await self._context.model.tag(turns, options, operation.guidelines) if options else []
        async with self._context.store.begin() as db:
            groups = await _pinned_groups(db, call.session_id)
            applied = await _apply(db, call.session_id, fitting, "model", groups)
            result = Tagged(applied=applied, tags=await tags.of(db, call.session_id))
            await close_entry(db, entry, result)
        return result

    @activity.defn(name=ApplyTag.name)
    async def apply_tag(self, call: Call[ApplyTag]) -> Tagged:
        """Applies one tag."""
        async with self._context.store.begin() as db:
            entry = await open_entry(db, call, ApplyTag.name)
            if entry.is_done:
                return Tagged.model_validate(entry.result)
            groups = await _pinned_groups(db, call.session_id)
            applied = await _apply(db, call.session_id, [call.operation.tag], "workflow", groups)
            result = Tagged(applied=applied, tags=await tags.of(db, call.session_id))
            await close_entry(db, entry, result)
        return result


async def _apply(
    db: AsyncSession, session_id: int, wanted: Sequence[str], origin: str, groups: Sequence[Sequence[str]]
) -> list[str]:
    """Applies tags; one of a pinned group takes the place of the group's others, whoever applied those."""
    applied: list[str] = []
    for tag in dict.fromkeys(wanted):
        mine = [group for group in groups if tag in group]
        if any(_taken(group, applied) for group in mine):
            continue  # the first of several of one group stands
        if mine:
            await tags.remove(db, session_id, sorted({name for group in mine for name in group} - {tag}))
        pinned_group = group_id(mine[-1]) if mine else None
        applied += await tags.apply(db, session_id, [tag], origin, pinned_group=pinned_group)
    return applied


def _taken(group: Sequence[str], applied: Sequence[str]) -> bool:
    return any(name in group for name in applied)


async def _pinned_groups(db: AsyncSession, session_id: int) -> list[list[str]]:
    """The groups of categories that this session pinned, oldest first: the ledger remembers them."""
    results = await effects.results_of(db, session_id, Categorize.name)
    return [result[_GROUP] for result in results if result.get(_GROUP)]


def group_id(group: Sequence[str]) -> str:
    """The name of a pinned group: the same for the same categories."""
    return sha256("\n".join(sorted(group)).encode()).hexdigest()[:16]
