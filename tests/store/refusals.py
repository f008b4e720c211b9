"""Stores of other versions, and what a store that can't be opened says."""

from pathlib import Path

import pytest

from phasenb.errors import StoreUnavailable
from phasenb.store.saver import MemorySaver

DATA = Path(__file__).parent / "data"
VERSION_1 = DATA / "version_1.sql"


def refused(url) -> str:
    with pytest.raises(StoreUnavailable) as told:
        MemorySaver.open(url)
    assert told.value.store in str(told.value)
    return told.value.problem
