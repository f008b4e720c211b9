"""Secrets whose values come with a launch: what a host takes, and when it forgets them."""

import asyncio

import pytest

from phasenb.core.secrets import NoSecrets, check_given, given_names, located
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.errors import LaunchError

OPTIONS = LaunchOptions(secrets={"B": "launcher", "A": "launcher", "C": "env:C", "D": "file:/launcher"})


class Places(NoSecrets):
    def place(self, task_id, name):
        return f"/run/{task_id}/{name}"


def test_a_launch_is_carried_with_the_places_of_what_its_launcher_gave():
    assert given_names(OPTIONS) == ("A", "B")
    launch = Launch(code="x", options=OPTIONS)
    carried = located(launch, "T", Places())
    assert carried.options.secrets == {
        "A": "launcher:/run/T/A",
        "B": "launcher:/run/T/B",
        "C": "env:C",
        "D": "file:/launcher",
    }
    assert given_names(carried.options) == ("A", "B")
    assert launch.options.secrets["A"] == "launcher"
    plain = Launch(code="x")
    assert located(plain, "T", Places()) is plain


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"A": "sk-secret"}, "takes B from the launcher, and `secret_values` has no value"),
        ({"A": "sk-secret", "B": "short"}, r'B, whose value is no text of at least 6.*env=\["B"\]'),
        ({"A": "sk-secret", "B": "sk-\0ecret"}, "B, whose value is no text"),
        ({"A": "sk-secret", "B": "sk-secret", "C": "sk-secret"}, "a value for C, which `secrets` does not take"),
    ],
)
def test_what_is_no_launchers_secret_is_refused_without_its_value(values, told):
    with pytest.raises(LaunchError, match=told) as refused:
        check_given(("A", "B"), values, all_of_them=True)
    assert not any(value in f"{refused.value} {refused.value.details}" for value in values.values())


def test_a_retry_may_give_some():
    check_given(("A", "B"), {"B": "sk-secret"}, all_of_them=False)


def test_a_host_that_keeps_none_says_so():
    with pytest.raises(LaunchError, match="keeps no secrets"):
        asyncio.run(NoSecrets().keep("T", {"A": "sk-secret"}))
