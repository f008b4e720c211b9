"""Opening a store: its database, and the folder of its objects."""

from __future__ import annotations

from phasenb.store.artifacts import Artifacts
from phasenb.store.database import Database
from phasenb.store.location import Location, check_links


def open_store(location: Location, artifacts: str | None, *, reading: bool) -> tuple[Database, Artifacts]:
    """Blocks; for ``artifacts`` and ``reading`` see MemorySaver. Raises StoreUnavailable."""
    database, path = Database.open(location, reading=reading), location.path
    beside = None if path is None else path.parent / "artifacts" / database.epoch
    try:
        if artifacts is None:
            if beside is not None:
                check_links(location, beside)
            return database, Artifacts(None if beside is None else str(beside))
        folders = Artifacts(artifacts)
        if not reading:
            folders.claim(database.epoch, location.shown)
    except BaseException:
        database.close()
        raise
    return database, folders
