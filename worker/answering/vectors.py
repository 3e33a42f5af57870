"""Vectors in memory and in the record: 388 bytes each, searched by their signs, judged by their numbers.

A vector is kept as one scale and 384 int8; a cosine is then off by about 0.001. To search, the signs of all numbers (48
bytes a vector) give the few hundred passages that are worth computing. Measured over 100,000 passages: 3 ms of
processor time, and of the ten nearest passages 9.9 are found.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from store.vectors import Kept

Floats = NDArray[np.float32]

_EXACT_UP_TO = 3_000
"""So many vectors are all computed; with more, the signs choose first."""

_CHOSEN_BY_SIGNS = 600


def encode(vector: Floats) -> bytes:
    """A vector as it is kept."""
    scale = np.float32(np.abs(vector).max() / 127 or 1.0)
    kept: bytes = scale.tobytes() + np.rint(vector / scale).astype(np.int8).tobytes()
    return kept


def decode(kept: Sequence[bytes]) -> tuple[NDArray[np.int8], Floats]:
    """The numbers and the scales of vectors, row by row."""
    if not kept:
        return np.empty((0, 0), np.int8), np.empty(0, np.float32)
    rows = np.frombuffer(b"".join(kept), np.uint8).reshape(len(kept), -1)
    return rows[:, 4:].view(np.int8), np.ascontiguousarray(rows[:, :4]).view(np.float32)[:, 0]


def as_literal(vector: Floats) -> str:
    """A vector as PostgreSQL reads it."""
    return f"[{','.join(f'{number:.5g}' for number in vector)}]"


def _signs(numbers: NDArray[np.int8] | Floats) -> NDArray[np.uint64]:
    packed = np.packbits(numbers > 0, axis=-1)
    spare = -packed.shape[-1] % 8
    return np.pad(packed, [(0, 0)] * (packed.ndim - 1) + [(0, spare)]).view(np.uint64)


@dataclass(frozen=True)
class VectorIndex:
    """The vectors of one agent. Never changed: `with_more` and `without` return another one."""

    ids: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Of the rows in the record, ascending."""
    passages: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    sources: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    scales: Floats = field(default_factory=lambda: np.empty(0, np.float32))
    numbers: NDArray[np.int8] = field(default_factory=lambda: np.empty((0, 0), np.int8))
    signs: NDArray[np.uint64] = field(default_factory=lambda: np.empty((0, 0), np.uint64))
    """64 numbers a row here, and a column for each vector: whole rows are compared at once."""
    by_passage: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """The rows in the order of their passages."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return sum(
            one.nbytes
            for one in (
                self.ids, self.passages, self.sources, self.scales, self.numbers, self.signs, self.by_passage
            )
        )  # fmt: skip

    def with_more(self, batches: Sequence[Sequence["Kept"]]) -> "VectorIndex":
        """With vectors that are newer than all of these."""
        rows = [one for batch in batches for one in batch]
        if not rows:
            return self
        numbers, scales = decode([one.vector for one in rows])
        passages = np.concatenate([self.passages, np.array([one.passage_id for one in rows], np.int64)])
        return VectorIndex(
            ids=np.concatenate([self.ids, np.array([one.id for one in rows], np.int64)]),
            passages=passages,
            sources=np.concatenate([self.sources, np.array([one.source_id for one in rows], np.int32)]),
            scales=np.concatenate([self.scales, scales]),
            numbers=np.concatenate([self.numbers.reshape(-1, numbers.shape[1]), numbers]),
            signs=np.concatenate([self.signs.reshape(-(-numbers.shape[1] // 64), -1), _signs(numbers).T], axis=1),
            by_passage=np.argsort(passages, kind="stable"),
        )

    def only(self, ids: Collection[int]) -> "VectorIndex":
        """Without the vectors that are no longer in the record."""
        stay = np.isin(self.ids, np.fromiter(ids, np.int64, len(ids)))
        if stay.all():
            return self
        passages = self.passages[stay]
        return VectorIndex(
            ids=self.ids[stay],
            passages=passages,
            sources=self.sources[stay],
            scales=self.scales[stay],
            numbers=self.numbers[stay],
            signs=self.signs[:, stay],
            by_passage=np.argsort(passages, kind="stable"),
        )

    def nearest(self, vector: Floats, limit: int, hidden: Collection[int] = ()) -> list[int]:
        """The passages nearest to `vector`, the nearest first, without those of the sources in `hidden`."""
        if not len(self):
            return []
        rows = self._likely(vector, max(_CHOSEN_BY_SIGNS, 2 * limit), hidden)
        cosines = self._cosines(vector, rows)
        best = np.argsort(-cosines, kind="stable")[:limit]
        return [int(one) for one in self.passages[rows[best]]]

    def cosines(self, vectors: Floats, passages: Sequence[int]) -> Floats:
        """The cosine of each vector (rows) with each passage (columns); NaN where a passage has no vector."""
        wanted = np.asarray(passages, np.int64)
        made = np.full((len(vectors), len(wanted)), np.nan, np.float32)
        if not len(self) or not len(wanted):
            return made
        places = np.searchsorted(self.passages, wanted, sorter=self.by_passage)
        rows = self.by_passage[np.minimum(places, len(self) - 1)]
        there = self.passages[rows] == wanted
        for row, vector in enumerate(vectors):
            made[row, there] = self._cosines(vector, rows[there])
        return made

    def _likely(self, vector: Floats, many: int, hidden: Collection[int]) -> NDArray[np.int64]:
        rows = np.arange(len(self))
        shown = ~np.isin(self.sources, list(hidden)) if hidden else None
        if len(self) > _EXACT_UP_TO:
            distance = np.zeros(len(self), np.uint16)
            for column, signs in zip(self.signs, _signs(vector), strict=True):
                distance += np.bitwise_count(column ^ signs)
            if shown is not None:
                distance[~shown] = np.iinfo(np.uint16).max
            rows = np.argpartition(distance, many)[:many]
        return rows if shown is None else rows[shown[rows]]

    def _cosines(self, vector: Floats, rows: NDArray[np.int64]) -> Floats:
        made: Floats = (self.numbers[rows].astype(np.float32) @ vector) * self.scales[rows]
        return made
