"""What the proofs of crash safety have to tell, at the end of the run: nobody reads what passed tests print."""

import pytest

_TOLD = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[_TOLD] = []


@pytest.fixture
def proof(request):
    """``proof(headline, rows)``: told at the end, ``rows`` as {name: [cells]}."""

    def tell(headline, rows=None):
        request.config.stash[_TOLD].append((headline, rows or {}))

    return tell


def pytest_terminal_summary(terminalreporter, config):
    for headline, rows in config.stash.get(_TOLD, []):
        terminalreporter.section(headline, sep="-")
        width = max(map(len, rows), default=0)
        for name, cells in rows.items():
            terminalreporter.write_line(f"{name:<{width}}  {'  '.join(cells)}")
