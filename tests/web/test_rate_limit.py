"""TokenBucket: never more than the rate and its one second of credit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.web.rate_limit import TokenBucket


@given(st.floats(0.5, 100), st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_never_more_than_the_rate(rate, pauses):
    bucket = TokenBucket(rate)
    now, taken = 0.0, []
    for pause in pauses:
        now += pause
        if bucket.take(now) == 0.0:
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= max(1.0, rate) + (taken[last] - taken[first]) * rate + 1e-6


@given(st.floats(0.5, 100))
def test_after_the_told_wait_there_is_a_token(rate):
    bucket = TokenBucket(rate)
    while not (wait_s := bucket.take(0.0)):
        pass
    assert bucket.take(wait_s + 1e-9) == pytest.approx(0.0, abs=1e-6)
