"""The committed documents are what the models say now."""

from pathlib import Path

import pytest

from phasenb.web.documents.files import documents

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", documents())
def test_the_committed_document_is_the_generated_one(path):
    assert (ROOT / path).read_text() == documents()[path], f"{path} is old: run `make documents`"
