"""docs/recovery.md: every field and default is the code's, every policy in it is valid, every example runs."""

import re
from pathlib import Path

import pytest
import yaml

from phasenb.config import load_policy
from phasenb.dto import policies
from phasenb.dto.policies import RecoveryPolicy

PAGE = (Path(__file__).parents[2] / "docs" / "recovery.md").read_text()
MODELS = {
    "The file": RecoveryPolicy,
    "A policy: `defaults`, and each of `phases`": policies.PhasePolicy,
    "`retry`": policies.RetryPolicy,
    "`timeouts`": policies.Timeouts,
    "`rules`, each": policies.Rule,
    "`rollback`": policies.Rollback,
    "`thresholds`, each": policies.Threshold,
}
REQUIRED = {"exception": "OSError", "to": "plan", "errors": 1, "window": 1, "action": "abort"}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def tables():
    """{heading: {field: default as the page says it}}."""
    found = {}
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        rows = re.findall(r"^\| `(\w+)` \| `?(.*?)`? \| .+ \|$", text.split("\n## ")[0], re.MULTILINE)
        found[heading] = dict(rows)
    return found


def default_of(model, field):
    """As configured: the packaged file says more than the models do."""
    return getattr(load_policy().defaults.retry, field) if model is policies.RetryPolicy else field_of(model, field, {})


def field_of(model, field, said):
    needed = {name: REQUIRED[name] for name, info in model.model_fields.items() if info.is_required()}
    return getattr(model.model_validate({**needed, **said}), field)


def test_every_model_has_its_table():
    assert set(tables()) == set(MODELS)
    of_policy = {
        each for each in vars(policies).values() if isinstance(each, type) and issubclass(each, policies.Policy)
    }
    assert of_policy - {policies.Policy, policies.PhaseOverride} == set(MODELS.values())
    assert list(policies.PhaseOverride.model_fields) == list(policies.PhasePolicy.model_fields)


@pytest.mark.parametrize("heading", MODELS)
def test_every_field_is_there_with_its_default(heading):
    model, told = MODELS[heading], tables()[heading]
    assert list(told) == list(model.model_fields)
    for field, info in model.model_fields.items():
        if info.is_required():
            assert told[field] == "required", field
        else:
            assert field_of(model, field, {field: yaml.safe_load(told[field])}) == default_of(model, field), field


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_policy_on_the_page_is_valid(tmp_path, text):
    (tmp_path / "error_recovery.yaml").write_text(text)
    assert load_policy(str(tmp_path / "error_recovery.yaml")) != load_policy()


def as_script():
    """The examples, one after the other; ``expression   # -> value`` is a claim to be checked."""
    code = "\n".join(blocks("python"))
    claim = re.compile(r"^( *)(\S.*?) +# -> (.+)$", re.MULTILINE)
    assert len(claim.findall(code)) > 10
    return claim.sub(r"\1found = \2\n\1assert found == \3, found", code)


def test_the_examples_run_and_give_what_they_say(script):
    script(as_script(), flow="", API_KEY="sk-of-the-examples")
