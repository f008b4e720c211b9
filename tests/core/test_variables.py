"""Which variables of a launcher go along, and what is told of those that stay behind."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.core import variables
from phasenb.core.variables import (
    at_start,
    carried,
    environment_of,
    looks_secret,
    note_of,
    of_worker,
    stays_set,
    travels,
)

NAMES = st.sampled_from(
    ["HOME", "REGION", "TZ", "OMP_NUM_THREADS", "LD_LIBRARY_PATH", "PWD", "SSH_AUTH_SOCK", "JPY_PARENT_PID",
     "JUPYTER_PATH", "PHASENB_URL", "MPLBACKEND", "FORCE_COLOR", "OPENAI_API_KEY", "DB_PASSWORD",
     "my_token", "BASH_FUNC_x%%"]
) | st.text(st.characters(exclude_characters="=\0"), min_size=1, max_size=12)  # fmt: skip
PAGE = (Path(__file__).parents[2] / "docs/recovery.md").read_text()
ENVIRONMENTS = st.dictionaries(NAMES, st.text(max_size=20) | st.just("postgresql://ada:pw@db/x"), max_size=12)


def nowhere(text):
    return False


@pytest.mark.parametrize(
    "name",
    ["DB_PASS", "MYSQL_PWD", "CLIENT_SECRET", "GITHUB_TOKEN", "APIKEY", "MyApiKey", "PRIVATE_PEM", "COOKIE",
     "HTTP_AUTH", "OPENAI_API_KEY", "KEY", "GH_PAT", "AWS_CREDENTIALS", "CREDENTIAL", "openai_api_key",
     "SLACK_WEBHOOK", "OAUTH_TOKEN", "PASSPHRASE", "AccountKey", "accesskey", "AWS_KEY1", "API_KEYS", "SASKey", "sig",
     "AUTHOR_TOKEN", "client.secret"],
)  # fmt: skip
def test_a_name_looks_like_a_secrets(name):
    assert looks_secret(name, "sk-something", nowhere)
    assert not looks_secret(name, "/etc/hostname", lambda text: text == "/etc/hostname")


@pytest.mark.parametrize(
    "name",
    ["PATH", "KEYBOARD", "MONKEY", "HOME", "PATTERN", "DONKEY_KONG", "CREDENTIALED", "REGION",
     "TOKENIZERS_PARALLELISM", "AUTHOR", "BYPASS_CACHE", "MODEL_PASSTHROUGH", "PASSENGERS",
     "AZURE_AUTHORITY_HOST", "Author", "SIGNAL", "TESTS_PASSED"],
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
        ("password=;user=ada", False),
        ("host=db;db_password=owls1234", True),
        ("Server=db;User Password=owls1234", True),
        ("password == owls", True),
        ('{"password": "owls1234"}', True),
        ('{"a": [{"client_secret" : 5}]}', True),
        (r"{\"password\": \"owls\"}", True),
        ("{'apiKey': 'owls'}", True),
        ('{"password": null, "max_tokens": 512, "auth": false}', False),
        ('{"tokens": 938475923874592}', True),
        ('{"author": "ada", "tokenizer": "gpt2"}', False),
        ("user: ada\npassword: owls", True),
        ("DefaultEndpointsProtocol=https;SharedAccessSignature=sv=2022&sig=abc", True),
        ("BlobEndpoint=https://x;accountkey=b2xz==", True),
        ("https://x.blob.core.windows.net/c?sv=2022&sig=AbCdEf", True),
        ("https://x/c?author=ada&page=1", False),
        ("-Djavax.net.ssl.trustStorePassword=owls", True),
        ("sslmode=require sslkey=/etc/hostname sslpassword=1", False),
        ("/opt/auth:/opt/token:/usr/lib", False),
        ("-----BEGIN RSA PRIVATE KEY-----\nb2xz", True),
    ],
)
def test_what_has_a_secret_in_it_is_one(value, secret):
    assert looks_secret("DATABASE", value, lambda text: text == "/etc/hostname") is secret


@pytest.mark.parametrize(
    "part",
    ["abcdefgh", "a.b-c+d", "a://", "://a", ":a", " ", "Aa", "a=", "a: ", '"a', "a\\", "password ", "password=;",
     "max_tokens=1=", "token=null;", 'a="', "author="],
)  # fmt: skip
def test_a_long_text_is_searched_in_a_moment(part):
    """A search that reads on from each of its characters would take hours."""
    text = part * (500_000 // len(part))
    looks_secret("KUBECONFIG_B64", text, nowhere)
    looks_secret(text, "owls", nowhere)


SETTINGS = [("MAX_TOKENS", "512"), ("TOKENS", "9999999"), ("USE_AUTH", "false"), ("USE_AUTH", "On"), ("API_KEY", "")]


@pytest.mark.parametrize(("name", "value"), SETTINGS)
def test_a_switch_or_a_count_is_no_secret(name, value):
    assert not looks_secret(name, value, nowhere)
    assert looks_secret(name, "512x", nowhere)


@pytest.mark.parametrize(("name", "value"), [("API_TOKENS", "938475923874592"), ("TOKEN", "512"), ("PASSWORD", "2")])
def test_a_long_number_and_one_that_counts_no_tokens_are(name, value):
    assert looks_secret(name, value, nowhere)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("part of a word", variables.SECRET_PARTS),
        ("a whole word", variables.SECRET_WORDS),
        ("words that don't count", variables.OTHER_WORDS),
        ("values that are settings", variables.SWITCHES - {""}),
    ],
)
def test_the_page_has_the_rule_as_it_is(row, words):
    [line] = re.findall(rf"^\| {row} \| (.*) \|$", PAGE, re.MULTILINE)
    assert {word.strip("`") for word in line.split(", ")} == set(words)
    assert f"a number of at most {variables.MOST_DIGITS} digits" in PAGE


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


@pytest.mark.parametrize(
    ("name", "value", "stays"),
    [
        ("KMP_INIT_AT_FORK", "FALSE", True),
        ("OMP_NUM_THREADS", "8", True),
        ("OMP_NUM_THREADS", "3", False),  # the launcher's COUNT
        ("OMP_PLACES", "for owls1234 alone", False),
        ("DATABASE_URL", "postgres://prod", False),
        ("ANY_SWITCH", "1", False),
    ],
)
def test_a_variable_that_an_import_set_stays_only_where_it_is_read_at_a_start_and_holds_nothing_of_a_task(
    name, value, stays
):
    assert stays_set(name, value, ["owls1234", "3", "FALSE"]) is stays


def test_the_note_gives_the_line_to_write():
    assert note_of(["OPENAI_API_KEY"], ()) == (
        "OPENAI_API_KEY looks like a secret and stays behind: "
        'phases that need it have it by with_options(secrets=["OPENAI_API_KEY"])'
    )
    assert note_of(["A_KEY", "B_KEY", "TOKENIZERS_PARALLELISM"], {"TOKENIZERS_PARALLELISM"}) == (
        "A_KEY, B_KEY, TOKENIZERS_PARALLELISM look like secrets and stay behind: phases that need them have them by "
        'with_options(secrets=["A_KEY", "B_KEY"], env=["TOKENIZERS_PARALLELISM"])'
    )
