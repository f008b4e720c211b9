"""Which documents are committed, and where; and those that a server sends."""

from __future__ import annotations

import asyncio
import json
from functools import cache

from phasenb.web.documents.asyncapi import asyncapi
from phasenb.web.documents.openapi import openapi
from phasenb.web.documents.tables import tables
from phasenb.web.documents.typescript import typescript


def documents() -> dict[str, str]:
    """Each committed document's text by its path in the repository."""
    return {
        "docs/asyncapi.json": _asyncapi(),
        "docs/openapi.json": _openapi(),
        "labextension/src/protocol.ts": typescript(),
        "labextension/src/transitions.ts": tables(),
    }


async def asyncapi_text() -> bytes:
    return (await asyncio.to_thread(_asyncapi)).encode()


async def openapi_text() -> bytes:
    return (await asyncio.to_thread(_openapi)).encode()


@cache
def _asyncapi() -> str:
    return json.dumps(asyncapi(), indent=2, ensure_ascii=False) + "\n"


@cache
def _openapi() -> str:
    return json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n"
