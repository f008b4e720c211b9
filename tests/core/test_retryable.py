"""Which errors are tried again: a table of kinds, what a policy says of them, and what holds for every error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from phasenb.config.loading import load_policy
from phasenb.core.launching import plan_of, policy_of
from phasenb.core.recovery import (
    LONGEST_RETRY_AFTER_S,
    NEVER_TRANSIENT,
    TRANSIENT_STATUS,
    Abort,
    Failure,
    Fallback,
    Retry,
    decide,
    delay_before,
    is_transient,
    retries,
)
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.phase_result import ErrorInfo
from phasenb.dto.policies import PhasePolicy, RecoveryPolicy, RetryPolicy
from phasenb.errors import LaunchError

SHIPPED = load_policy()
DEFAULT = SHIPPED.defaults
LIBRARIES = DEFAULT.retry.transient


def error(*classes, **more):
    """An error of the first class, with all of them as bases, as a worker tells it."""
    return ErrorInfo(type=classes[0], bases=(*classes, "Exception", "BaseException"), **more)


PASSES = [
    error("ConnectionRefusedError", "ConnectionError", "OSError"),
    error("TimeoutError", "OSError"),
    error("phasenb.WorkerLost", "phasenb.errors.base.PhasenbError"),
    error("__main__.Busy", retry_after_s=2.0),
    error("__main__.Busy", retry_after_s=0.0),
    *[error("requests.exceptions.HTTPError", "requests.exceptions.RequestException", http_status=status)
      for status in sorted(TRANSIENT_STATUS)],
    error("requests.exceptions.ReadTimeout", "requests.exceptions.Timeout", "OSError"),
    error("httpx.ConnectError", "httpx.NetworkError", "httpx.TransportError"),
    error("httpx.RemoteProtocolError", "httpx.ProtocolError"),
    error("urllib3.exceptions.MaxRetryError", "urllib3.exceptions.RequestError"),
    error("urllib.error.URLError", "OSError"),
    error("openai.APITimeoutError", "openai.APIConnectionError", "openai.APIError"),
    error("openai.InternalServerError", "openai.APIStatusError", http_status=520),
    error("anthropic.OverloadedError", "anthropic.InternalServerError", http_status=529),
    error("botocore.exceptions.EndpointConnectionError", "botocore.exceptions.ConnectionError"),
    error("botocore.errorfactory.ThrottlingException", "botocore.exceptions.ClientError", http_status=429),
]  # fmt: skip
STAYS = [
    error("KeyError", "LookupError"),
    error("ValueError"),
    error("ZeroDivisionError", "ArithmeticError"),
    error("FileNotFoundError", "OSError"),
    error("MemoryError"),
    error("phasenb.AttemptTimeout", "TimeoutError"),
    error("phasenb.HeartbeatTimeout", "TimeoutError"),
    error("phasenb.OutOfMemory", "phasenb.WorkerLost"),
    error("requests.exceptions.HTTPError", http_status=404),
    error("urllib.error.HTTPError", "urllib.error.URLError", "OSError", http_status=403),
    error("openai.AuthenticationError", "openai.APIStatusError", http_status=401),
    error("httpx.UnsupportedProtocol", "httpx.TransportError"),
    error("requests.exceptions.InvalidURL", "requests.exceptions.RequestException", "ValueError"),
    ErrorInfo(type="ValueError"),  # as a release wrote it that kept no bases
]


@pytest.mark.parametrize("known", PASSES, ids=lambda known: f"{known.type}-{known.http_status}")
def test_what_can_pass_is_tried_three_times_by_default(known):
    assert [type(decide(DEFAULT, Failure(known, n, n))) for n in (1, 2, 3)] == [Retry, Retry, Abort]


@pytest.mark.parametrize("known", STAYS, ids=lambda known: f"{known.type}-{known.http_status}")
def test_what_cant_pass_fails_at_once_by_default(known):
    assert decide(DEFAULT, Failure(known, 1, 1)) == Abort(
        f"{known.type} is not retryable: it is none of the transient errors"
    )
    assert decide(PhasePolicy(fallback="other"), Failure(known, 1, 1)) == Fallback("other"), "what follows, follows now"


@pytest.mark.parametrize(
    ("said", "tried"),
    [
        ({"maximum_attempts": 5}, {"KeyError", "ConnectionError"}),
        ({"retryable": "any"}, {"KeyError", "ConnectionError"}),
        ({"retryable": "any", "non_retryable": ["LookupError"]}, {"ConnectionError"}),
        ({"initial_interval": "5s"}, {"ConnectionError"}),
        ({"maximum_attempts": 5, "retryable": "transient"}, {"ConnectionError"}),
        ({"retryable": ["KeyError"]}, {"KeyError"}),
        ({"retryable": "KeyError"}, {"KeyError"}),
        ({"retryable": ["builtins.LookupError"]}, {"KeyError"}),
        ({"retryable": ["KeyError", "transient"]}, {"KeyError", "ConnectionError"}),
        ({"retryable": []}, set()),
        ({"transient": ["KeyError"]}, {"KeyError", "ConnectionError"}),
    ],
)
def test_a_policy_says_which_errors_are_tried_again_wherever_it_stands(said, tried):
    at_launch = SHIPPED.overridden({"defaults": {"retry": said}}).for_phase("fit")
    of_a_phase = SHIPPED.overridden({"phases": {"fit": {"retry": said}}}).for_phase("fit")
    alone = PhasePolicy.model_validate({"retry": said})
    for policy in (at_launch, of_a_phase, alone):
        known = [error("KeyError", "LookupError"), error("ConnectionError")]
        assert {each.type for each in known if isinstance(decide(policy, Failure(each, 1, 1)), Retry)} == tried


def test_a_rule_that_says_retry_is_for_its_exception_whatever_is_retryable():
    for rule in ({"action": "retry"}, {"retry": {"initial_interval": 1}}, {"retry": {"maximum_attempts": 2}}):
        policy = PhasePolicy.model_validate({"rules": [{"exception": "KeyError", **rule}]})
        assert isinstance(decide(policy, Failure(error("KeyError"), 1, 1)), Retry)
        assert isinstance(decide(policy, Failure(error("ValueError"), 1, 1)), Abort)
    picky = PhasePolicy.model_validate({"rules": [{"exception": "OSError", "retry": {"retryable": "transient"}}]})
    assert isinstance(decide(picky, Failure(error("FileNotFoundError", "OSError"), 1, 1)), Abort)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("transiant", "did you mean `transient`"),
        (["ConectionError"], "did you mean `ConnectionError`"),
        (["Busy"], "`__main__.Busy`"),
        (["any"], "no exception's name"),
    ],
)
def test_a_name_that_nothing_has_is_refused_with_the_nearest(said, told):
    with pytest.raises(ValidationError, match=told):
        RetryPolicy.model_validate({"retryable": said})
    with pytest.raises(LaunchError, match=rf"defaults\.retry\.retryable: .*{told}"):
        policy_of(launch(recovery={"defaults": {"retry": {"retryable": said}}}), SHIPPED, ())


# --- the options of a launch -----------------------------------------------------------------------------------------


def launch(**options):
    return Launch(code="eA==", options=LaunchOptions(phases=("look", "fit"), **options))


def attempts(policy, phase, known):
    """How often a phase that always fails with ``known`` runs."""
    held = policy.for_phase(phase)
    return next(n for n in range(1, 100) if not isinstance(decide(held, Failure(known, n, n)), Retry))


@pytest.mark.parametrize(
    ("retry", "expected"),
    [(None, (1, 1)), (1, (1, 1)), (3, (3, 3)), ({"fit": 5}, (1, 5)), ({"fit": 2, "look": 4}, (4, 2))],
)
def test_retry_is_how_often_any_error_is_tried(retry, expected):
    policy = policy_of(launch(retry=retry), SHIPPED, ())
    assert tuple(attempts(policy, phase, error("NameError")) for phase in ("look", "fit")) == expected


def test_a_value_for_all_holds_for_phases_that_the_hosts_file_speaks_of():
    base = SHIPPED.overridden({"phases": {"fit": {"retry": {"maximum_attempts": 9}, "timeouts": {"attempt": 5}}}})
    policy = policy_of(launch(retry=2, timeout="1m"), base, ())
    assert attempts(policy, "fit", error("KeyError")) == 2
    assert [policy.for_phase(phase).timeouts.attempt for phase in ("look", "fit")] == [60, 60]
    one = policy_of(launch(timeout={"look": 7}, timeouts={"heartbeat": 3}), base, ())
    assert [one.for_phase(phase).timeouts.attempt for phase in ("look", "fit")] == [7, 5]
    assert one.for_phase("look").timeouts.heartbeat == 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"retry": 0}, "0 is no number of attempts"),
        ({"retry": True}, "True is no number of attempts"),
        ({"retry": "three"}, "retry=3, or retry={phase: 3}"),
        ({"retry": {"fit": -1}}, "-1 is no number of attempts"),
        ({"timeout": 0}, "0 is no time limit"),
        ({"timeout": {"fit": True}}, "a number is meant"),
        ({"timeout": "soon"}, "is not a duration"),
    ],
)
def test_an_option_that_cant_be_meant_says_what_to_write(options, told):
    with pytest.raises(ValidationError, match=told):
        LaunchOptions(**options)


def test_a_phase_that_there_is_not_is_told_with_the_nearest():
    for option in ("retry", "timeout"):
        with pytest.raises(LaunchError, match=f"the option `{option}` names 'fitt'.*Did you mean `fit`"):
            plan_of(launch(**{option: {"fitt": 3}}), SHIPPED, ("look", "fit"))


# --- what holds for every error --------------------------------------------------------------------------------------

OTHERS = ("KeyError", "OSError", "ConnectionError", "TimeoutError", "__main__.Busy")
NAMES = st.sampled_from([*OTHERS, *NEVER_TRANSIENT, *LIBRARIES])
ERRORS = st.builds(
    lambda names, status, wait: error(*names, http_status=status, retry_after_s=wait),
    st.lists(NAMES, min_size=1, max_size=4),
    st.none() | st.integers(100, 599),
    st.none() | st.floats(0, 1e7),
)


@given(ERRORS)
def test_more_is_tried_under_any_than_under_transient_and_less_under_none(known):
    assert retries(RetryPolicy(retryable="any"), known)
    assert not retries(RetryPolicy(retryable=()), known)
    assert retries(RetryPolicy(transient=LIBRARIES), known) >= retries(RetryPolicy(), known)
    assert retries(RetryPolicy(retryable=(known.type,)), known)


@given(ERRORS)
def test_our_own_limits_never_pass_and_a_refused_request_only_with_a_time_to_come_back(known):
    transient = is_transient(known, LIBRARIES)
    if {known.type, *known.bases} & set(NEVER_TRANSIENT):
        assert not transient
    elif known.retry_after_s is not None or known.http_status in TRANSIENT_STATUS:
        assert transient
    elif known.http_status is not None and 400 <= known.http_status < 500:
        assert not transient


@given(ERRORS, st.integers(1, 50), st.floats(0, 1))
def test_a_server_that_asks_for_a_wait_gets_it_up_to_a_day(known, failures, roll):
    policy = RetryPolicy()
    delay = delay_before(policy, failures, known, roll)
    without = delay_before(policy, failures, known.changed(retry_after_s=None), roll)
    assert delay == max(without, min(known.retry_after_s or 0, LONGEST_RETRY_AFTER_S))


@given(ERRORS)
def test_a_record_that_an_earlier_release_kept_is_read_as_it_was(known):
    old = known.model_dump(exclude={"http_status"})
    assert ErrorInfo.model_validate(old).http_status is None


def test_a_policy_file_of_an_earlier_release_is_read_and_means_what_it_says():
    said = {"defaults": {"retry": {"initial_interval": 2, "maximum_attempts": 5, "non_retryable": ["TypeError"]}}}
    policy = RecoveryPolicy.model_validate(said)
    assert [attempts(policy, "fit", error(name)) for name in ("ValueError", "TypeError")] == [5, 1]
