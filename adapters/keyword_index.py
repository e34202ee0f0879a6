"""The keyword half of the local index: BM25 over stemmed words, by tantivy, in memory.

It knows objects by the sequence number of the operation that wrote them; what they are, the object log says. It is
built from that log when the index is opened, 20,000 passages in under a second. On disk it would open faster, but each
write would wait for its files: five times as long in the middle, ten times whenever segments are merged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import tantivy

from processors.ports import IndexObject

__all__ = ["MAX_TERMS", "KeywordIndex", "stemmed"]

# One writer thread: more would make more and smaller segments of every batch, and there are two cores.
_HEAP_BYTES: Final = 64_000_000
# A question of more distinct words is a pasted document: its first ones say what it is about.
MAX_TERMS: Final = 128
# Longer words are binary or encoded data; terms of any length would bloat the dictionary.
_MAX_TERM_BYTES: Final = 64
# Deleted words wait for the next commit, since what is removed is hidden already; beyond this they get their own.
_MAX_PENDING: Final = 256


class KeywordIndex:
    """Finds objects by their words. Use it through LocalIndex, which serialises the writers.

    >>> keywords = KeywordIndex()
    >>> keywords.search("acme", "valve", 10, frozenset({"*"}))
    []
    """

    def __init__(self) -> None:
        self._analyzer = _analyzer()
        self._pending: list[int] = []
        self._index: Any = tantivy.Index(_schema())
        # By hand only: a reload of tantivy's own, after each commit, makes ours wait 100 ms for its lock now and then.
        self._index.config_reader(reload_policy="manual")
        self._index.register_tokenizer("words", self._analyzer)
        self._writer: Any = self._index.writer(heap_size=_HEAP_BYTES, num_threads=1)
        self._searcher: Any = self._index.searcher()

    def add(self, seq: int, found: IndexObject) -> None:
        """Adds an object's words; searchable after the next `commit`."""
        document = tantivy.Document()
        document.add_integer("seq", seq)
        for principal in found.access:
            document.add_text("reader", _reader(found.tenant, principal))
        document.add_text("text", "\n".join((found.title, *found.chunk.heading_path, found.chunk.text)))
        self._writer.add_document(document)

    def drop(self, seqs: Iterable[int]) -> bool:
        """Forgets objects at the next commit. True says that it is time for one."""
        self._pending.extend(seqs)
        return len(self._pending) >= _MAX_PENDING

    def commit(self) -> None:
        """Lets searches see everything since the last commit."""
        for dropped in self._pending:
            self._writer.delete_documents_by_term("seq", dropped)
        self._writer.commit()
        self._pending.clear()
        self._index.reload()
        self._searcher = self._index.searcher()

    def search(self, tenant: str, text: str, limit: int, access: frozenset[str]) -> list[tuple[int, float]]:
        """The best objects by their sequence number, with their BM25 scores; some may have been dropped since."""
        query = self._query(tenant, text, access)
        return [] if query is None else self._hits(query, limit)

    def best_of_all(self, text: str, limit: int) -> list[tuple[int, float]]:
        """The same whoever may read them, of every tenant: much faster where there are many, for without a filter whole
        blocks of objects that can't be among the best are passed over. The scores are those of `search`."""
        words = self._words(text)
        if words is None:
            return []
        return self._hits(words, limit)

    def _hits(self, query: Any, limit: int) -> list[tuple[int, float]]:
        searcher = self._searcher
        hits = searcher.search(query, limit + len(self._pending), count=False).hits
        seqs = searcher.fast_field_values("seq", [address for _, address in hits])
        return [(int(seq), float(score)) for seq, (score, _) in zip(seqs, hits, strict=True)]

    def _words(self, text: str) -> Any | None:
        """Built from words alone, so that no question is ever read as a query language."""
        words = Counter(self._analyzer.analyze(text.encode(errors="replace").decode())).items()
        if not words:
            return None
        should = tantivy.Occur.Should
        return tantivy.Query.boolean_query(
            [(should, self._boosted(word, count)) for word, count in list(words)[:MAX_TERMS]]
        )

    def _query(self, tenant: str, text: str, access: frozenset[str]) -> Any | None:
        words = self._words(text)
        if words is None or not access:
            return None
        must, should = tantivy.Occur.Must, tantivy.Occur.Should
        readers = [(should, self._term("reader", _reader(tenant, principal))) for principal in sorted(access)]
        admitted = tantivy.Query.const_score_query(tantivy.Query.boolean_query(readers), 0.0)
        return tantivy.Query.boolean_query([(must, admitted), (must, words)])

    def _boosted(self, word: str, count: int) -> Any:
        term = self._term("text", word, "freq")
        return term if count == 1 else tantivy.Query.boost_query(term, float(count))

    def _term(self, field: str, value: str, option: str = "basic") -> Any:
        return tantivy.Query.term_query(self._index.schema, field, value, option)


@lru_cache(maxsize=1)
def _shared_analyzer() -> Any:
    return _analyzer()


def stemmed(text: str) -> list[str]:
    """The words of a text as this index knows them: for an index elsewhere that is to find the same.

    >>> stemmed("Leaking valves")
    ['leak', 'valv']
    """
    return list(_shared_analyzer().analyze(text.encode(errors="replace").decode()))


def _reader(tenant: str, principal: str) -> str:
    """One term for both, since every filter of its own doubles the time of a search; unambiguous for any names."""
    return f"{len(tenant)}:{tenant}:{principal}"


def _analyzer() -> Any:
    filters = tantivy.Filter
    return (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(filters.remove_long(_MAX_TERM_BYTES))
        .filter(filters.ascii_fold())
        .filter(filters.lowercase())
        .filter(filters.stemmer("english"))
        .build()
    )


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    # Not unsigned: a delete by term takes a number for a signed one, and finds nothing in an unsigned field.
    builder.add_integer_field("seq", indexed=True, fast=True)
    builder.add_text_field("reader", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("text", tokenizer_name="words", index_option="freq")
    return builder.build()
