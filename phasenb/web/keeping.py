"""Values that a client sent inline and that are too large for the log: they are kept as objects, before it names them.

A client of ours uploads such values by itself; one that speaks JSON only (curl, a browser, another language) sends them
as they are. Either way events, snapshots and lists hold a reference, so they stay small.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import orjson

from phasenb.codecs import json_object
from phasenb.core.ports import Store
from phasenb.dto.values import OBJECT_KEY, Json, is_reference


async def kept(store: Store, owner: str, values: Mapping[str, Json], inline_bytes: int) -> dict[str, Json]:
    """``values``, of which those that are inline have ``inline_bytes`` of JSON together: the largest are objects of
    ``owner`` now. Raises StoreUnavailable.
    """
    if len(orjson.dumps(values)) <= inline_bytes:
        return dict(values)
    objects = await asyncio.to_thread(_too_large, values, inline_bytes)
    for reference, data in objects.values():
        await store.put_object(owner, _chunk(data), reference[OBJECT_KEY])
    return {name: objects[name][0] if name in objects else value for name, value in values.items()}


def _too_large(values: Mapping[str, Json], inline_bytes: int) -> dict[str, tuple[Json, bytes]]:
    """(reference, bytes) of the values that have no place; the smallest ones have it first."""
    sizes = {name: len(orjson.dumps(value)) for name, value in values.items() if not is_reference(value)}
    left, found = inline_bytes, {}
    for name in sorted(sizes, key=sizes.__getitem__):
        left -= sizes[name]
        if left < 0:
            encoded, data = json_object(values[name])
            found[name] = (encoded.value, data)
    return found


async def _chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data
