"""Which documents are committed, and where."""

from __future__ import annotations

from phasenb.web.documents.typescript import typescript


def documents() -> dict[str, str]:
    """Each committed document's text by its path in the repository."""
    return {"labextension/src/protocol.ts": typescript()}
