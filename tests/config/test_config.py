"""Configuration: later wins, and what is wrong is told with file, line and field."""

import json
import re

import pytest

from phasenb.config import load_policy, load_settings
from phasenb.config.jupyter_files import settings_here
from phasenb.config.settings import Settings, make_data_dir
from phasenb.errors import ConfigError, StoreUnavailable


def write(folder, name, text):
    path = folder / "phasenb" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_the_packaged_files_are_the_defaults_of_the_models():
    settings = load_settings(config_path=[], environ={})
    assert settings.model_dump() == Settings().model_dump()
    assert settings.policy.defaults.retry.maximum_attempts == 3


def test_later_wins_field_by_field(tmp_path):
    write(tmp_path, "server_config.json", '{"executor": {"workers": 3, "kill_grace_s": "2s"}, "lease_s": 20}')
    settings = load_settings(
        {"lease_s": 40}, [str(tmp_path)], {"PHASENB_EXECUTOR_WORKERS": "5", "PHASENB_STORE_URL": "/x/y.db"}
    )
    assert (settings.executor.workers, settings.executor.kill_grace_s, settings.lease_s) == (5, 2.0, 40)
    assert settings.store_url == "/x/y.db"


def test_the_strongest_folder_of_the_path_wins(tmp_path):
    strong, weak = tmp_path / "strong", tmp_path / "weak"
    for folder, workers in ((strong, 1), (weak, 2)):
        folder.mkdir()
        write(folder, "server_config.json", f'{{"executor": {{"workers": {workers}}}}}')
    assert load_settings(config_path=[str(strong), str(weak)], environ={}).executor.workers == 1


@pytest.mark.parametrize(
    ("name", "text", "line", "field"),
    [
        ("server_config.json", '{\n  "executor": {\n    "worker": 3\n  }\n}', 3, "executor.worker"),
        ("server_config.json", '{\n\n "lease_s": "soon"}', 3, "lease_s"),
        ("server_config.json", '{"a": 1,\n', 2, ""),
        ("server_config.json", "[1]", 1, ""),
        ("error_recovery.yaml", "defaults:\n  retry:\n    maximum_attempt: 3\n", 3, "defaults.retry.maximum_attempt"),
        ("error_recovery.yaml", "phases:\n  fit:\n    retry: {jitter: 7}\n", 3, "phases.fit.retry.jitter"),
        ("error_recovery.yaml", "defaults: [\n", 2, ""),
        ("error_recovery.yaml", "defaults:\n  retry:\n    jitter: true\n", 3, "defaults.retry.jitter"),
        ("server_config.json", '{"executor": {"workers": true}}', 1, "executor.workers"),
        ("error_recovery.yaml", "defaults:\n  timeouts:\n    heartbeat: 0s\n", 3, "defaults.timeouts.heartbeat"),
        (
            "error_recovery.yaml",
            "defaults:\n  rules:\n    - exception: OSError\n    - {exception: m.E, action: rollback}\n",
            4,
            "defaults.rules.1.action",
        ),
        (
            "error_recovery.yaml",
            "phases:\n  fit:\n    fallback: null\n    rules:\n    - exception: OSError\n      action: fallback\n",
            6,
            "phases.fit.rules.0.action",
        ),
    ],
)
def test_an_error_names_file_line_and_field(tmp_path, name, text, line, field):
    path = write(tmp_path, name, text)
    with pytest.raises(ConfigError) as error:
        load_settings(config_path=[str(tmp_path)], environ={})
    assert (error.value.file, error.value.line, error.value.field) == (str(path), line, field)


@pytest.mark.parametrize(
    "text",
    [
        "defaults: {rules: [{exception: MemoryError, action: fallback}]}",  # a workflow may have one of its own
        "defaults: {rules: [{exception: OSError, action: rollback}]}\nphases: {fit: {rollback: {to: plan}}}",
        "defaults: {rules: [{exception: OSError, action: rollback, rollback: {to: plan}}]}\nphases: {fit: {rules: []}}",
    ],
)
def test_a_rule_that_may_do_what_it_says_is_taken(tmp_path, text, caplog):
    write(tmp_path, "error_recovery.yaml", text)
    assert load_settings(config_path=[str(tmp_path)], environ={}).policy.defaults.rules
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rules: [{exception: Busy}]", "line 1: defaults.rules.0.exception: `Busy` matches nothing.*`__main__.Busy`"),
        ("retry: {non_retryable: [ValueEror]}", "non_retryable: `ValueEror` matches .*did you mean `ValueError`"),
        ("fallback: cheap", "defaults.fallback: the fallback 'cheap' is an agent that this host does not know"),
    ],
)
def test_a_name_that_nothing_has_is_warned_of(tmp_path, caplog, text, told):
    write(tmp_path, "error_recovery.yaml", f"defaults: {{{text}}}")
    load_settings(config_path=[str(tmp_path)], environ={})
    assert re.search(told, caplog.text), caplog.text


def test_a_misspelt_variable_is_told_with_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean PHASENB_LIMITS_LOG_BYTES"):
        load_settings(config_path=[], environ={"PHASENB_LIMITS_LOGBYTES": "1"})
    with pytest.raises(ConfigError, match="PHASENB_LEASES: there is no such setting: did you mean PHASENB_LEASE_S"):
        load_settings(config_path=[], environ={"PHASENB_LEASES": "1"})
    with pytest.raises(ConfigError, match="did you mean PHASENB_TOKEN"):
        load_settings(config_path=[], environ={"PHASENB_TOKN": "1"})
    with pytest.raises(ConfigError, match="did you mean PHASENB_EXECUTOR_WORKERS"):
        load_settings(config_path=[], environ={"PHASENB_WORKERS": "1"})
    with pytest.raises(ConfigError, match=r"PHASENB_STORE_QQQ: there is no such setting \(known: agents, "):
        load_settings(config_path=[], environ={"PHASENB_STORE_QQQ": "1"})
    with pytest.raises(ConfigError, match="no such setting"):
        load_settings(config_path=[], environ={"PHASENB_STORE": "{}"})


def test_a_variable_that_does_not_look_like_a_setting_is_somebody_elses():
    clients = {"PHASENB_URL": "x", "PHASENB_TOKEN": "y", "PHASENB_SESSION": "z"}
    others = {"PHASENBX": "no prefix of ours", "PHASENB_QQQ": "1", "PHASENB_DEPLOYMENT": "blue"}
    words = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8888_TCP", "PORT_8888_TCP_ADDR")
    kubernetes = {f"{service}_{word}": "1" for service in ("PHASENB", "PHASENB_STORE") for word in words}
    plain = load_settings(config_path=[], environ={**clients, **others, **kubernetes})
    assert plain.model_dump() == Settings().model_dump()


@pytest.mark.parametrize(
    ("section", "field", "value", "truth"),
    [
        ("store", "retention_days", 30, "kept until the store is deleted"),
        ("executor", "address", "tcp://scheduler:8786", "on this machine only"),
    ],
)
def test_what_is_still_to_come_is_refused_and_not_taken_in_silence(tmp_path, section, field, value, truth):
    write(tmp_path, "server_config.json", json.dumps({section: {field: value}}))
    with pytest.raises(ConfigError, match=f"{section}.{field}: this release does not have it yet .*{truth}"):
        load_settings(config_path=[str(tmp_path)], environ={})
    assert getattr(load_settings({section: {field: None}}, [], {}), section)


def test_a_recovery_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="can't be read"):
        load_policy(str(tmp_path / "gone.yaml"))


def test_a_phase_has_its_own_policy_over_the_defaults(tmp_path):
    write(tmp_path, "error_recovery.yaml", "phases:\n  fit:\n    retry: {maximum_attempts: 9, initial_interval: 2m}\n")
    policy = load_settings(config_path=[str(tmp_path)], environ={}).policy
    retry = policy.for_phase("fit").retry
    assert (retry.maximum_attempts, retry.initial_interval, retry.backoff_coefficient) == (9, 120.0, 2.0)
    assert policy.for_phase("plan").retry.maximum_attempts == 3
    assert (
        policy.overridden({"defaults": {"retry": {"maximum_attempts": 1}}}).for_phase("plan").retry.maximum_attempts
        == 1
    )


def test_null_in_a_phase_takes_back_what_the_defaults_say(tmp_path):
    defaults = "defaults: {timeouts: {attempt: 5m, heartbeat: 10s}, fallback: other, rollback: {to: plan}}\n"
    phase = "phases:\n  fit: {timeouts: {attempt: null}, fallback: null, rollback: null, rules: null}\n"
    write(tmp_path, "error_recovery.yaml", defaults + phase)
    policy = load_settings(config_path=[str(tmp_path)], environ={}).policy
    fit, plan = policy.for_phase("fit"), policy.for_phase("plan")
    assert (fit.timeouts.attempt, fit.timeouts.heartbeat, fit.fallback, fit.rollback) == (None, 10.0, None, None)
    assert (plan.timeouts.attempt, plan.fallback, plan.rollback.to) == (300.0, "other", "plan")


def test_a_rule_says_only_what_differs_also_for_a_phase_of_its_own_policy(tmp_path):
    rule = "{exception: OSError, retry: {maximum_attempts: 9}}"
    text = f"defaults:\n  retry: {{initial_interval: 7s}}\n  rules: [{rule}]\nphases:\n  fit: {{fallback: other}}\n"
    write(tmp_path, "error_recovery.yaml", text)
    fit = load_settings(config_path=[str(tmp_path)], environ={}).policy.for_phase("fit")
    retry = fit.retry.overlaid(fit.rules[0].retry)
    assert (retry.maximum_attempts, retry.initial_interval) == (9, 7.0)


def test_a_default_folder_that_cannot_be_made_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "file" / "data"))
    with pytest.raises(
        StoreUnavailable, match=r"can't be made \(Not a directory\): set store\.url \(PHASENB_STORE_URL\)"
    ):
        make_data_dir(Settings())
    make_data_dir(Settings.model_validate({"store": {"url": "elsewhere.db"}}))


def test_the_default_folder_is_its_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    make_data_dir(Settings())
    assert (tmp_path / "data" / "phasenb").stat().st_mode & 0o777 == 0o700
    (tmp_path / "data" / "phasenb").chmod(0o750)
    make_data_dir(Settings())
    assert (tmp_path / "data" / "phasenb").stat().st_mode & 0o777 == 0o750


def test_jupyters_own_files_count_as_traitlets_reads_them(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("PHASENB_LEASE_S", "7")
    (tmp_path / "jupyter_config.py").write_text(
        "c.PhaseNB.store = {'url': '/a.db', 'artifacts': '/a'}\nc.PhaseNB.lease_s = 20\nc.PhaseNB.owner = 'ada'\n"
    )
    (tmp_path / "jupyter_server_config.py").write_text("c.PhaseNB.store.update({'url': '/b.db'})\n")
    (tmp_path / "jupyter_server_config.json").write_text('{"PhaseNB": {"executor": {"workers": 3}}}')
    settings = settings_here()
    assert (settings.store_url, settings.store.artifacts) == ("/b.db", None), "a later file's trait, whole"
    assert (settings.lease_s, settings.executor.workers) == (20, 3)


def test_a_file_of_jupyters_that_fails_counts_where_it_speaks_of_phasenb(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    file = tmp_path / "jupyter_server_config.py"
    file.write_text("import only_in_the_servers_environment\n")
    assert settings_here().store.url is None
    file.write_text("c.PhaseNB.store = {'url': '/b.db'}\nimport only_in_the_servers_environment\n")
    with pytest.raises(ConfigError, match="No module named"):
        settings_here()
