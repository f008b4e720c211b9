"""Which code an attempt ran: the text of its phase's function, and what tells one code from another."""

import pytest

FLOW = """
    import phasenb as pn

    flow = pn.Workflow("fit")
    flow = flow.with_options(executor="{executor}")

    @flow.phase("look")
    def look(n):
        return n

    @flow.phase("fit")
    def fit(look):
        raise ValueError("not yet")
"""
RETRY = """
    import pytest
    from phasenb.errors import NotThere, TaskFailed

    task = flow.launch(n=1)
    with pytest.raises(TaskFailed):
        task.result()
    before = task.snapshot.code

    @flow.phase("fit")
    def fit(look):
        return look + 1

    task.retry(agent=flow)
    assert task.result() == 2
    assert "not yet" in task.source("fit", 1)
    assert "return look + 1" in task.source("fit") == task.source("fit", 2)
    assert task.source("look").startswith("@flow.phase(")
    frame = task.results()
    assert list(frame["phase"]) == ["look", "fit", "fit"]
    assert list(frame["code"]) == [before, before, task.snapshot.code]
    assert before != task.snapshot.code
    for wrong in (("plan", None), ("fit", 7)):
        with pytest.raises(NotThere):
            task.source(*wrong)
    print("done")
"""


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_each_attempt_has_the_code_that_it_ran(script, executor):
    done = script(RETRY, flow=FLOW.format(executor=executor))
    assert done.stdout == "done\n"


def test_a_registered_agent_and_a_prompt_have_no_source_that_is_kept(script):
    done = script(
        """
        from phasenb.errors import NotThere

        exec(compile("def typed(n): return n", "<prompt>", "exec"))
        task = pn.launch(typed, n=1)
        task.wait()
        try:
            task.source("implementation")
        except NotThere as error:
            print("no source" in str(error))
        """
    )
    assert done.stdout == "True\n"
