"""The retry decision as a table, and its delays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.core.recovery import Abort, Retry, decide, delay_before, without_effect
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.policies import PhasePolicy, RecoveryPolicy, RetryPolicy

TIMEOUT = ErrorInfo(type="TimeoutError", bases=("TimeoutError", "OSError", "Exception", "BaseException", "object"))
POLICY = PhasePolicy(retry=RetryPolicy(maximum_attempts=3, jitter=0))


@pytest.mark.parametrize(
    ("policy", "error", "failures", "expected"),
    [
        (POLICY, TIMEOUT, 1, Retry(8, 1.0, 3)),
        (POLICY, TIMEOUT, 2, Retry(8, 2.0, 3)),
        (POLICY, TIMEOUT, 3, Abort("all 3 attempts are used")),
        (POLICY, TIMEOUT.model_copy(update={"retryable": False}), 1, Abort("this error is not retryable")),
        (POLICY, TIMEOUT.model_copy(update={"retry_after_s": 30.0}), 1, Retry(8, 30.0, 3)),
        (
            PhasePolicy(retry=RetryPolicy(non_retryable=("builtins.OSError",))),
            TIMEOUT,
            1,
            Abort("builtins.OSError is non_retryable"),
        ),
        (PhasePolicy(retry=RetryPolicy(maximum_attempts=0, jitter=0)), TIMEOUT, 1000, Retry(8, 100.0, None)),
        (
            PhasePolicy.model_validate({"rules": [{"exception": "OSError", "action": "abort"}]}),
            TIMEOUT,
            1,
            Abort("a rule for OSError says abort"),
        ),
        (
            PhasePolicy.model_validate(
                {"rules": [{"exception": "OSError", "retry": {"maximum_attempts": 9, "jitter": 0}}]}
            ),
            TIMEOUT,
            8,
            Retry(8, 100.0, 9),
        ),
    ],
)
def test_the_decision(policy, error, failures, expected):
    assert decide(policy, error, attempt=7, failures=failures, roll=0.5) == expected


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0, 1), st.floats(1, 10))
def test_a_delay_is_never_negative_and_bounded(failures, roll, jitter, coefficient):
    retry = RetryPolicy(jitter=jitter, backoff_coefficient=coefficient, maximum_interval=60)
    assert 0 <= delay_before(retry, failures, TIMEOUT, roll) <= 120.0001


def test_what_has_no_effect_yet_is_named():
    policy = RecoveryPolicy.model_validate(
        {
            "defaults": {"timeouts": {"attempt": "5m"}},
            "phases": {"planning": {"fallback": "other"}},
            "thresholds": [{"errors": 3, "window": "1h", "action": "abort"}],
        }
    )
    assert without_effect(policy) == [
        "defaults.timeouts.attempt",
        "phases.planning.fallback",
        "phases.planning.timeouts.attempt",
        "thresholds",
    ]
