"""The indexes over passages: what SQLAlchemy's models cannot say.

SQLite: `passages_fts` is searched (stemmed), `passages_words` knows which words there are (not stemmed); triggers keep
both in step with `passages`. PostgreSQL: the generated columns `search` (stemmed, weighted) and `words` (not stemmed).
What pgvector searches is made by store/vectors.py, where a server has it.
"""

from sqlalchemy.schema import SchemaItem

_COLUMNS = "title, heading_path, text"
_NEW = "new.title, new.heading_path, new.text"
_OLD = "old.title, old.heading_path, old.text"


def _index(name: str, options: str) -> list[str]:
    """One FTS5 table that reads its texts from `passages`, and the triggers that keep it in step."""
    forget = f"INSERT INTO {name}({name}, rowid, {_COLUMNS}) VALUES ('delete', old.id, {_OLD});"
    take = f"INSERT INTO {name}(rowid, {_COLUMNS}) VALUES (new.id, {_NEW});"
    return [
        f"CREATE VIRTUAL TABLE {name} USING fts5({_COLUMNS}, content='passages', content_rowid='id', {options})",
        f"CREATE TRIGGER {name}_insert AFTER INSERT ON passages BEGIN {take} END",
        f"CREATE TRIGGER {name}_delete AFTER DELETE ON passages BEGIN {forget} END",
        f"CREATE TRIGGER {name}_update AFTER UPDATE ON passages BEGIN {forget} {take} END",
    ]


SQLITE = [
    *_index("passages_fts", "tokenize='porter unicode61'"),
    *_index("passages_words", "tokenize='unicode61', detail=none, columnsize=0"),
    "CREATE VIRTUAL TABLE passages_vocabulary USING fts5vocab('passages_words', 'row')",
]


def _words(columns: str) -> str:
    """Only words: PostgreSQL would take a path, an address or a hyphenated word as one, which FTS5 does not."""
    between = "".join(chr(code) for code in range(33, 127) if not chr(code).isalnum())
    quoted = between.replace("'", "''")
    return f"translate({columns}, '{quoted}', repeat(' ', {len(between)}))"


_HEADINGS = _words("title || ' ' || heading_path")
_TEXT = _words("text")

POSTGRESQL = [
    f"""ALTER TABLE passages ADD COLUMN search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('english', {_HEADINGS}), 'A') || setweight(to_tsvector('english', {_TEXT}), 'D')
    ) STORED""",
    f"""ALTER TABLE passages ADD COLUMN words tsvector GENERATED ALWAYS AS (
        strip(to_tsvector('simple', {_HEADINGS} || ' ' || {_TEXT}))
    ) STORED""",
    "CREATE INDEX ix_passages_search ON passages USING gin (search)",
]

# PostgreSQL's `english` leaves out words such as "not", "before" and "more", and has other stems than FTS5. What it
# left out looked like words that no passage has, which count most of all: a question found less than on SQLite.
POSTGRESQL_LIKE_SQLITE = [
    "CREATE TEXT SEARCH DICTIONARY runllm_porter (TEMPLATE = snowball, LANGUAGE = porter)",
    "CREATE TEXT SEARCH CONFIGURATION runllm_porter (COPY = simple)",
    "ALTER TEXT SEARCH CONFIGURATION runllm_porter ALTER MAPPING REPLACE simple WITH runllm_porter",
    "ALTER TABLE passages DROP COLUMN search",
    f"""ALTER TABLE passages ADD COLUMN search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector('runllm_porter', {_HEADINGS}), 'A')
        || setweight(to_tsvector('runllm_porter', {_TEXT}), 'D')
    ) STORED""",
    "CREATE INDEX ix_passages_search ON passages USING gin (search)",
]


def is_part_of_models(item: SchemaItem, name: str | None, kind: str, is_reflected: bool, _: object) -> bool:
    """Whether something in the database is to be compared with the models: all but what is made here."""
    table = name if kind == "table" else getattr(getattr(item, "table", None), "name", None)
    if kind in ("column", "index") and table == "passages":
        return name not in ("search", "words", "ix_passages_search")
    if kind in ("column", "index") and table == "passage_vectors" and is_reflected:
        return name != "numbers" and not (name or "").startswith("ix_passage_vectors_hnsw_")
    return not (table or "").startswith(("passages_fts", "passages_words", "passages_vocabulary"))
