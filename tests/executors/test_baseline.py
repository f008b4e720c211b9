"""What an import changed is merged into what attempts begin with; specs and loaders look as without a watch."""

import importlib.util
import sys
import threading
from importlib.machinery import SourceFileLoader

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.executors.baseline import Baseline, ImportWatch
from phasenb.executors.probes import Entries, Probe, additions, merged, only_adds

SCALARS = st.integers(0, 3)
ENTRIES = st.lists(st.integers(0, 6), unique=True, max_size=4).map(Entries)
FIELDS = st.dictionaries(st.sampled_from("xy"), st.one_of(SCALARS, ENTRIES))
STATES = st.dictionaries(st.sampled_from("abc"), st.one_of(SCALARS, ENTRIES, FIELDS))
TRIPLES = st.one_of(*(st.tuples(kind, kind, kind) for kind in (SCALARS, ENTRIES, STATES)))


@given(TRIPLES)
def test_nothing_changed_and_nothing_else_changed(states):
    taken, before, after = states
    assert merged(taken, before, before) == taken
    assert merged(before, before, after) == after


@given(st.tuples(ENTRIES, ENTRIES, ENTRIES))
def test_what_was_added_is_there_and_what_was_removed_is_not(states):
    taken, before, after = states
    found = set(merged(taken, before, after))
    assert found == (set(taken) | (set(after) - set(before))) - (set(before) - set(after))
    assert only_adds(before, after) == (set(before) <= set(after))


def parts(state, path=()):
    """The leaves of a state, each with where it is; of entries each."""
    if isinstance(state, dict):
        return {part for name, inside in state.items() for part in parts(inside, (*path, name))}
    return {(path, "entry", entry) for entry in state} if isinstance(state, Entries) else {(path, state)}


@given(st.tuples(STATES, STATES, STATES))
def test_nothing_comes_in_that_was_there_before_an_import_and_is_not_the_baselines(states):
    taken, before, after = states
    assert parts(merged(taken, before, after)) - parts(taken) <= parts(after) - parts(before)


def test_what_a_phase_set_before_an_import_is_no_part_of_what_the_import_set():
    taken = {"invalid": "warn", "divide": "warn"}
    before, after = {"invalid": "warn", "divide": "ignore"}, {"invalid": "raise", "divide": "ignore"}
    assert merged(taken, before, after) == {"invalid": "raise", "divide": "warn"}
    assert not only_adds(before, after)


def test_entries_stay_where_an_import_put_them():
    taken, before = Entries("de"), Entries("pde")  # p: the phase's own
    assert merged(taken, before, Entries("npdel")) == Entries("ndel")


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A baseline of one setting, and a folder to import from."""
    setting = {"value": 0}
    monkeypatch.setattr(sys, "setting_of_a_test", setting, raising=False)

    def put_back(taken):
        setting.clear()
        setting.update(taken)

    probe = Probe("setting", lambda: dict(setting), put_back, may_stay=additions)
    baseline = Baseline([probe])
    baseline.take()
    threads = threading.active_count()
    watch = ImportWatch(baseline, lambda: threading.active_count() == threads, {})
    watch.install()
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    try:
        yield tmp_path, baseline, setting
    finally:
        sys.meta_path.remove(watch)
        for name in set(sys.modules) - before:
            del sys.modules[name]


def test_a_module_and_its_loader_look_as_without_a_watch(watched):
    folder, _, _ = watched
    (folder / "plainly.py").write_text("inside = __spec__.loader, __loader__\nvalue = 1\n")
    spec = importlib.util.find_spec("plainly")
    assert type(spec.loader) is SourceFileLoader
    module = importlib.import_module("plainly")
    assert module.inside == (module.__loader__, module.__loader__)
    assert vars(module.__loader__).keys() == vars(SourceFileLoader("plainly", "x")).keys()
    assert importlib.reload(module) is module


def test_an_import_that_fails_raises_its_own_error_and_keeps_what_it_loaded(watched):
    folder, baseline, setting = watched
    (folder / "inner.py").write_text("import sys\nsys.setting_of_a_test['inner'] = 1\n")
    (folder / "broken.py").write_text("import inner\n1 / 0\n")
    with pytest.raises(ZeroDivisionError) as told:
        importlib.import_module("broken")
    assert told.traceback[-1].path == folder / "broken.py"
    setting["own"] = 2
    baseline.put_back()
    assert setting == {"value": 0, "inner": 1}
    assert not baseline.stays


def test_an_import_that_changes_what_others_see_is_for_its_task_alone(watched):
    folder, baseline, setting = watched
    (folder / "changes_it.py").write_text("import sys\nsys.setting_of_a_test['value'] = 1\n")
    setting["value"] = 5
    importlib.import_module("changes_it")
    setting["value"] = 7
    baseline.put_back()
    assert setting == {"value": 1}
    assert baseline.stays == {"setting"}


def test_what_changed_while_another_thread_ran_is_put_back_and_in_doubt(watched):
    folder, baseline, setting = watched
    (folder / "adds_it.py").write_text("import sys\nsys.setting_of_a_test['inner'] = 1\n")
    (folder / "adds_nothing.py").write_text("")
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        importlib.import_module("adds_nothing")
        assert not baseline.stays
        importlib.import_module("adds_it")
    finally:
        over.set()
        thread.join()
    baseline.put_back()
    assert setting == {"value": 0}
    assert baseline.stays == {"setting"}
