"""The verdict on a failed attempt as a table that walks every branch, its delays, and a session's thresholds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from phasenb.core.recovery import (
    OWN,
    Abort,
    Failure,
    Fallback,
    Retry,
    RollBack,
    decide,
    decide_undo,
    delay_before,
    reached,
)
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.policies import LONGEST_S, PhasePolicy, RetryPolicy, Threshold

TIMEOUT = ErrorInfo(type="TimeoutError", bases=("TimeoutError", "OSError", "Exception", "BaseException", "object"))
START = datetime(2026, 1, 1, tzinfo=UTC)


def policy(**fields):
    fields.setdefault("retry", {"maximum_attempts": 3, "jitter": 0})
    return PhasePolicy.model_validate(fields)


def failure(failures=1, error=TIMEOUT, **more):
    return Failure(error, attempt=7, failures=failures, before=("research", "planning"), **more)


def for_os_error(**rule):
    return [{"exception": "OSError", **rule}]


BACK = {"to": "planning"}
USED = Abort("all 3 attempts are used")


@pytest.mark.parametrize(
    ("policy", "failure", "expected"),
    [
        # retry
        (policy(), failure(1), Retry(8, 1.0, 9)),
        (policy(), failure(2), Retry(8, 2.0, 8)),
        (policy(), failure(3), USED),
        (policy(), failure(1, TIMEOUT.changed(retryable=False)), Abort("this error is not retryable")),
        (policy(), failure(1, TIMEOUT.changed(retry_after_s=30.0)), Retry(8, 30.0, 9)),
        (policy(), failure(1, TIMEOUT.changed(retry_after_s=1.7e12)), Retry(8, 1.0, 9)),
        (policy(retry={"maximum_attempts": 0, "jitter": 0}), failure(1000), Retry(8, 100.0, None)),
        (policy(retry={"initial_interval": "5m", "jitter": 0}), failure(2), Retry(8, 300.0, 8)),
        (policy(retry={"non_retryable": ["builtins.OSError"]}), failure(), Abort("builtins.OSError is non_retryable")),
        # rules
        (policy(rules=for_os_error(action="abort")), failure(), Abort("a rule for OSError says abort")),
        (policy(rules=for_os_error(retry={"maximum_attempts": 9, "jitter": 0})), failure(8), Retry(8, 100.0, 8)),
        (policy(rules=[{"exception": "KeyError", "action": "abort"}]), failure(), Retry(8, 1.0, 9)),
        (
            policy(
                retry={"initial_interval": 7, "jitter": 0, "non_retryable": ["OSError"]},
                rules=for_os_error(retry={"maximum_attempts": 2}),
            ),
            failure(1),
            Retry(8, 7.0, 8),
        ),
        (
            policy(retry={"non_retryable": ["OSError"], "jitter": 0}, rules=for_os_error(action="retry")),
            failure(),
            Retry(8, 1.0, 9),
        ),
        (policy(fallback="other", rules=for_os_error(action="retry")), failure(3), USED),
        # fallback
        (policy(fallback="other"), failure(1), Retry(8, 1.0, 9)),
        (policy(fallback="other"), failure(3), Fallback("other")),
        (policy(fallback="other"), failure(3, fallback_runs=True), USED),
        (policy(), failure(3, own_fallback=True), Fallback(OWN)),
        (policy(fallback="other"), failure(3, own_fallback=True), Fallback("other")),
        (policy(rules=for_os_error(fallback="third")), failure(3, own_fallback=True), Fallback("third")),
        (policy(fallback="other", rules=for_os_error(action="fallback")), failure(1), Fallback("other")),
        (policy(rules=for_os_error(action="fallback")), failure(1), Abort("there is no fallback left")),
        (policy(fallback="other"), failure(1, TIMEOUT.changed(retryable=False)), Fallback("other")),
        (policy(fallback=None), failure(3, own_fallback=True), USED),
        (policy(fallback="other", rules=for_os_error(fallback=None)), failure(3, own_fallback=True), USED),
        (policy(fallback=None, rules=for_os_error(fallback="third")), failure(3), Fallback("third")),
        # rollback
        (policy(rollback=BACK), failure(3), RollBack("planning")),
        (policy(rollback=BACK), failure(3, rollbacks=1), USED),
        (policy(rollback={**BACK, "maximum_times": 2}), failure(3, rollbacks=1), RollBack("planning")),
        (policy(rollback={"to": "implementation"}), failure(3), USED),
        (policy(rollback=BACK, fallback="other"), failure(3), Fallback("other")),
        (policy(rollback=BACK, fallback="other"), failure(3, fallback_runs=True), RollBack("planning")),
        (policy(rollback=BACK, rules=for_os_error(action="rollback")), failure(1), RollBack("planning")),
        (policy(rules=for_os_error(rollback={"to": "research"})), failure(3), RollBack("research")),
        (policy(rollback=BACK, rules=for_os_error(rollback=None)), failure(3), USED),
        (policy(rules=for_os_error(action="rollback")), failure(1), Abort("there is no rollback left")),
    ],
)
def test_the_verdict(policy, failure, expected):
    assert decide(policy, failure) == expected


def test_a_compensation_is_tried_again_or_left():
    rolled = policy(rollback=BACK, fallback="other")
    assert decide_undo(rolled, failure(1)) == Retry(8, 1.0, 9)
    assert decide_undo(rolled, failure(3)) == USED


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1), st.floats(1, 1000), st.floats(0, LONGEST_S))
def test_a_delay_is_never_negative_and_bounded(failures, roll, jitter, coefficient, initial):
    retry = RetryPolicy(
        initial_interval=initial, jitter=jitter, backoff_coefficient=coefficient, maximum_interval=max(initial, 60)
    )
    assert 0 <= delay_before(retry, failures, TIMEOUT, roll) <= 2.0001 * retry.maximum_interval


@pytest.mark.parametrize("said", [{"initial_interval": "100000000d"}, {"backoff_coefficient": 1e300}])
def test_what_no_date_has_room_for_is_refused(said):
    with pytest.raises(ValidationError, match="less than or equal"):
        RetryPolicy.model_validate(said)


def at(seconds):
    return START + timedelta(seconds=seconds)


def test_a_threshold_holds_until_enough_failures_are_old():
    thresholds = [
        Threshold(errors=2, window=60, action="pause_launches"),
        Threshold(errors=9, window=60, action="abort"),
    ]
    failures = [at(0), at(50), at(55)]
    assert reached(thresholds, failures, at(58), "pause_launches").until == at(110)
    assert reached(thresholds, failures, at(109), "pause_launches").until == at(110)
    assert reached(thresholds, failures, at(110), "pause_launches") is None
    assert reached(thresholds, failures, at(58), "abort") is None
