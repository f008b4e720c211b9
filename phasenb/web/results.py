"""Results as the bytes of an HTTP answer: JSON, or an Arrow IPC stream.

Rules: rows are encoded in the thread that reads them, page by page, into a file that stays in memory while it is small;
so the loop never stands still, memory is bounded, and no reader of the store waits for a slow client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO, Protocol

import orjson

from phasenb.codecs.result_tables import ArrowResults
from phasenb.core.ports import Store
from phasenb.dto.phase_result import PhaseResult

_IN_MEMORY_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
Page = Sequence[tuple[str, str]]


class Encoder(Protocol):
    def add(self, page: Page) -> None:
        """Encode rows: (task_id, a PhaseResult's stored JSON)."""
        ...

    def finish(self) -> None: ...


class JsonResults:
    """``{"results": [{"task_id", ...PhaseResult}]}``."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._between = b'{"results":['

    def add(self, page: Page) -> None:
        for task_id, body in page:
            # Through the model: what an older release stored has every field of today's.
            result = PhaseResult.model_validate(orjson.loads(body))
            self._file.write(self._between + b'{"task_id":"%s",' % task_id.encode())
            self._file.write(result.model_dump_json(by_alias=True).encode()[1:])
            self._between = b","

    def finish(self) -> None:
        self._file.write((self._between if self._between != b"," else b"") + b"]}")


async def encoded_results(
    store: Store, owner: str, *, session: str | None, task_id: str | None, arrow: bool
) -> AsyncIterator[bytes]:
    """The answer in chunks. Everything that can go wrong has gone wrong before this returns."""
    file: IO[bytes] = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - _chunks closes it
    try:
        encoder: Encoder = ArrowResults(file) if arrow else JsonResults(file)
        await store.scan_results(owner, encoder.add, session=session, task_id=task_id)
        await asyncio.to_thread(_rewound, encoder.finish, file)
    except BaseException:
        file.close()
        raise
    return _chunks(file)


def _rewound(finish: Callable[[], None], file: IO[bytes]) -> None:
    finish()
    file.seek(0)


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
