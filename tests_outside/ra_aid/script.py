"""RA.Aid's own CiaynAgent with a scripted chat model, launched as a person would; prints what came of it as JSON."""

import json
import time

import phasenb as pn

SCRIPTS = {
    "research": ["look('attic')", "no call at all", "look('cellar')", "task_completed('an owl in the cellar')"],
    "planning": ["", "plan_implementation_completed('open the window')"],
    "implementation": ["task_completed('it flew away')", "look('again')"],
}


def agent_of(replies):
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.tools import tool
    from ra_aid.agent_backends.ciayn_agent import CiaynAgent
    from ra_aid.tools.memory import plan_implementation_completed, task_completed

    @tool
    def look(where: str) -> str:
        """Look somewhere."""
        return f"nothing but {where}"

    @tool
    def wait() -> str:
        """Wait for long."""
        print("in the tool", flush=True)
        try:
            time.sleep(600)
        finally:
            print("left the tool", flush=True)
        return "waited"

    model = GenericFakeChatModel(messages=iter([AIMessage(reply) for reply in replies]))
    return CiaynAgent(model, [look, wait, task_completed, plan_implementation_completed])


def scripted(phase):
    return agent_of(SCRIPTS[phase])


def failure_of(agent):
    """The failure of a task, and the lines of its log."""
    task = agent.launch(goal="find the owl")
    try:
        task.result()
    except pn.TaskFailed as failed:
        return str(failed), list(task.logs()["text"])
    return None


def cancelled():
    task = pn.adapters.ra_aid(lambda: agent_of(["wait()"])).launch(goal="find the owl")
    while "in the tool" not in list(task.logs()["text"]):
        time.sleep(0.05)  # for the tool, which tells of itself by a line of the log
    asked = time.monotonic()
    task.cancel()
    task.wait()
    return {
        "state": task.state,
        "seconds": time.monotonic() - asked,
        "left": "left the tool" in list(task.logs()["text"]),
    }


def main():
    task = pn.adapters.ra_aid(scripted).launch(goal="find the owl")
    result = task.result()
    told = {
        "result": result,
        "phases": list(task.results()["phase"]),
        "outputs": [task.output(phase) for phase in SCRIPTS],
        "lines": list(task.logs()["text"]),
        "limited": failure_of(pn.adapters.ra_aid(lambda: agent_of(["look('a')", "look('b')"] * 50), max_steps=9)),
        "crashed": failure_of(pn.adapters.ra_aid(lambda: agent_of([""] * 9))),
        "cancelled": cancelled(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
