"""Which variables of a launcher go along, and what is told of those that stay behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.core.variables import at_start, carried, environment_of, looks_secret, note_of, of_worker, travels

NAMES = st.sampled_from(
    ["HOME", "REGION", "TZ", "OMP_NUM_THREADS", "LD_LIBRARY_PATH", "PWD", "SSH_AUTH_SOCK", "JPY_PARENT_PID",
     "JUPYTER_PATH", "PHASENB_URL", "MPLBACKEND", "FORCE_COLOR", "OPENAI_API_KEY", "DB_PASSWORD",
     "my_token", "BASH_FUNC_x%%"]
) | st.text(st.characters(exclude_characters="=\0"), min_size=1, max_size=12)  # fmt: skip
ENVIRONMENTS = st.dictionaries(NAMES, st.text(max_size=20) | st.just("postgresql://ada:pw@db/x"), max_size=12)


def nowhere(text):
    return False


@pytest.mark.parametrize(
    "name",
    ["DB_PASS", "MYSQL_PWD", "CLIENT_SECRET", "GITHUB_TOKEN", "APIKEY", "MyApiKey", "PRIVATE_PEM", "COOKIE",
     "HTTP_AUTH", "OPENAI_API_KEY", "KEY", "GH_PAT", "AWS_CREDENTIALS", "CREDENTIAL", "openai_api_key",
     "SLACK_WEBHOOK", "OAUTH_TOKEN", "PASSPHRASE"],
)  # fmt: skip
def test_a_name_looks_like_a_secrets(name):
    assert looks_secret(name, "sk-something", nowhere)
    assert not looks_secret(name, "/etc/hostname", lambda text: text == "/etc/hostname")


@pytest.mark.parametrize(
    "name",
    ["PATH", "KEYBOARD", "MONKEY", "HOME", "PATTERN", "DONKEY_KONG", "CREDENTIALED", "REGION",
     "TOKENIZERS_PARALLELISM", "AUTHOR", "BYPASS_CACHE", "MODEL_PASSTHROUGH", "PASSENGERS"],
)  # fmt: skip
def test_a_name_does_not(name):
    assert not looks_secret(name, "value", nowhere)


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("postgresql+psycopg://ada:pw@db:5432/x", True),
        ("http://ada:pw@proxy:3128", True),
        ("redis://:pw@cache", True),
        ("https://ada@host/x", False),
        ("http://host:8080/a@b", False),
        ("https://host/?x=a:b@c", False),
        ("/usr/lib", False),
        ("host=db user=ada password=owls", True),
        ("AccountName=x;AccountKey=b2xz==;EndpointSuffix=x", True),
        ("Server=db;Pwd=owls;", True),
        ("password=", False),
    ],
)
def test_what_has_a_password_in_it_is_a_secret(value, secret):
    assert looks_secret("DATABASE", value, nowhere) is secret


@pytest.mark.parametrize("part", ["abcdefgh", "a.b-c+d", "a://", "://a", ":a", "password ", " ", "password=;"])
def test_a_long_value_is_searched_in_a_moment(part):
    """A search that reads on from each of its characters would take hours."""
    assert not looks_secret("KUBECONFIG_B64", part * (1_000_000 // len(part)), nowhere)


@pytest.mark.parametrize(("name", "value"), [("MAX_TOKENS", "512"), ("USE_AUTH", "false"), ("API_KEY", "")])
def test_a_switch_or_a_count_is_no_secret(name, value):
    assert not looks_secret(name, value, nowhere)
    assert looks_secret(name, "512x", nowhere)


@given(ENVIRONMENTS)
def test_every_variable_goes_along_or_stays_behind_for_a_reason(environment):
    found = carried(environment, nowhere)
    for name, value in environment.items():
        if name in found.variables:
            assert found.variables[name] == value
            assert travels(name)
            assert not looks_secret(name, value, nowhere)
        else:
            assert (name in found.secret) == travels(name)
    assert found.variables.keys() <= environment.keys()
    assert set(found.short) == {name for name in found.secret if len(environment[name]) < 6}


@given(ENVIRONMENTS, ENVIRONMENTS)
def test_a_phase_has_the_launchers_variables_and_of_its_host_the_place_alone(own, launcher):
    going = carried(launcher, nowhere).variables
    has = environment_of(own, going)
    assert has == going | {name: value for name, value in own.items() if of_worker(name)}
    assert set(at_start(going)) <= set(has.items())


@given(ENVIRONMENTS, st.sets(NAMES, max_size=3))
def test_a_named_secret_goes_nowhere_nor_does_what_holds_it(environment, secrets):
    found = carried(environment, nowhere, secrets)
    assert not secrets & found.variables.keys()
    assert not secrets & set(found.secret)
    long = [environment[name] for name in secrets if len(environment.get(name, "")) >= 6]
    assert not any(secret in value for secret in long for value in found.variables.values())


def test_what_is_read_at_a_start_is_a_workers_key_whatever_its_order():
    soft = {"REGION": "north", "GDAL_DATA": "/usr/share/gdal"}
    hard = {"TZ": "UTC", "LD_LIBRARY_PATH": "/opt/lib", "OMP_NUM_THREADS": "4", "LC_ALL": "C", "PYTHONHASHSEED": "0"}
    assert at_start(soft) == ()
    assert at_start({**soft, **hard}) == at_start(dict(reversed(hard.items()))) == tuple(sorted(hard.items()))


def test_the_note_gives_the_line_to_write():
    assert note_of(["OPENAI_API_KEY"], ()) == (
        "OPENAI_API_KEY looks like a secret and stays behind: "
        'phases that need it have it by with_options(secrets=["OPENAI_API_KEY"])'
    )
    assert note_of(["A_KEY", "B_KEY", "TOKENIZERS_PARALLELISM"], {"TOKENIZERS_PARALLELISM"}) == (
        "A_KEY, B_KEY, TOKENIZERS_PARALLELISM look like secrets and stay behind: phases that need them have them by "
        'with_options(secrets=["A_KEY", "B_KEY"], env=["TOKENIZERS_PARALLELISM"])'
    )
