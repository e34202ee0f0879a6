"""How our names become Weaviate's: it takes few characters in tenants and collections, and UUIDs for objects only."""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Final

__all__ = ["alias_name", "collection_name", "object_uuid", "tenant_name"]

_NAMESPACE: Final = uuid.UUID("6d2b6a2e-6f0e-5d0a-9a5e-0c7f1d0a4b11")
_PLAIN: Final = re.compile(r"[A-Za-z0-9-]")
_CORPUS: Final = re.compile(r"[A-Za-z0-9_]{1,80}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST: Final = 64


def tenant_name(tenant: str) -> str:
    """The tenant of Weaviate for one of ours: 1 to 64 letters, digits, hyphens and underscores; never two for one.

    >>> tenant_name("acme-1"), tenant_name("a b"), tenant_name("")
    ('acme-1', 'a_20b', '_')
    """
    name = _escaped(tenant) or "_"
    if len(name) <= _LONGEST:
        return name
    # Two underscores begin no escaped name, so that this can't be one.
    return "__" + hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()[: _LONGEST - 2]


def collection_name(corpus: str, generation: str) -> str:
    """The collection of one generation of a corpus.

    >>> collection_name("handbook", "g1")
    'RagChunk_handbook_g1'
    """
    return f"{alias_name(corpus)}_{_escaped(generation)}"


def alias_name(corpus: str) -> str:
    """The alias that names the serving generation of a corpus. Raises ValueError for a name it can't be."""
    if _CORPUS.fullmatch(corpus) is None:
        raise ValueError(
            f"wanted a corpus of letters, digits and underscores (index.corpus), got {corpus!r}; rename it"
        )
    return f"RagChunk_{corpus}"


def object_uuid(object_id: str) -> str:
    """The object's own id where it is a UUID already, else one made of it.

    >>> object_uuid("00000000-0000-5000-8000-000000000001")
    '00000000-0000-5000-8000-000000000001'
    """
    if _UUID.fullmatch(object_id):
        return object_id
    return str(uuid.uuid5(_NAMESPACE, object_id))


def _escaped(name: str) -> str:
    """Each other byte as an underscore and two digits: what is apart stays apart."""
    return "".join(
        mark if _PLAIN.fullmatch(mark) else "".join(f"_{byte:02x}" for byte in mark.encode("utf-8", "surrogatepass"))
        for mark in name
    )
