"""Shared by the tier outside: its environments, and the servers and pages of the other tests."""

import pytest

from tests.browser.conftest import browser, page  # noqa: F401
from tests.conftest import cutting_proxy, jupyter_process  # noqa: F401
from tests_outside.environments import CannotInstall, Environment, NoHistory


@pytest.fixture
def environment():
    """``environment("beside")``: the Environment of that folder, made if it is not there."""

    def made(name):
        wanted = Environment(name)
        try:
            wanted.make()
        except CannotInstall as error:
            pytest.fail(str(error))
        except NoHistory as error:
            pytest.skip(str(error))
        return wanted

    return made
