"""What a page says to another user than the kernel's, to one whose login has expired, and of a renamed notebook."""

from tests.browser.test_task_in_a_cell import (
    CELL,
    CONNECTED,
    RUN_ALL,
    lab_with,
    notebook,
    open_notebook,
    progress,
    start,
)

__all__ = ["lab_with", "notebook", "progress"]  # fixtures
TASK = ".jp-OutputArea-output .phasenb-task"
# As a shared server of a hub: the server's own token is its owner's, a guest comes with a cookie.
SHARED = """
from jupyter_server.auth.identity import IdentityProvider, User

class Hub(IdentityProvider):
    async def get_user(self, handler):
        if "Mozilla" in handler.request.headers.get("User-Agent", ""):  # a page has its cookie, and nothing else
            guest = handler.get_cookie("guest")
            return User(guest) if guest else None
        return User("hub-owner") if self.is_token_authenticated(handler) else None

    def is_token_authenticated(self, handler):
        return self.get_token(handler) == self.token

c.ServerApp.identity_provider_class = Hub
"""


def shared(jupyter_process, tmp_path, options=()):
    config = tmp_path / "shared.py"
    config.write_text(SHARED)
    return start(jupyter_process, tmp_path, CELL, "jupyterlab", [f"--config={config}", *options])


def open_as_guest(lab, page):
    page.context.add_cookies([{"name": "guest", "value": "grace", "url": lab.url}])
    page.goto(f"{lab.url}lab/tree/cell.ipynb")
    page.wait_for_function(f"() => ({CONNECTED})() === 'connected'", timeout=90_000)


def test_a_guest_of_a_shared_server_is_told_whose_the_task_is_and_that_the_login_expired(
    jupyter_process, tmp_path, progress, page
):
    lab = shared(jupyter_process, tmp_path)
    open_as_guest(lab, page)
    page.evaluate(RUN_ALL)
    says = page.locator(f"{TASK} .phasenb-connection")
    says.get_by_text("This task is of the user hub-owner, and you are grace here.").wait_for()
    assert "c.PhaseNB.owner" in says.inner_text()
    works = page.locator(TASK).get_by_role("button", disabled=False).all()
    assert [button.get_attribute("class") for button in works] == ["phasenb-id"]  # it is copied
    assert len(lab.request("phasenb/api/tasks")["tasks"]) == 1  # the owner's, whose token the kernel has

    page.context.clear_cookies()
    lab.process.kill()  # a hub that starts it again forgets the logins of its pages
    lab.process.wait()
    jupyter_process("jupyterlab", options=["--expose-app-in-browser", f"--config={tmp_path / 'shared.py'}"], like=lab)
    says.get_by_text("Your login has expired: reload the page.").wait_for()


def test_with_one_owner_for_all_a_guest_sees_the_task_in_the_cell(jupyter_process, tmp_path, progress, page):
    lab = shared(jupyter_process, tmp_path, ["--PhaseNB.owner=team"])
    open_as_guest(lab, page)
    page.evaluate(RUN_ALL)
    progress.set(0.24)
    page.locator(TASK).get_by_text("24% of the eggs counted").wait_for()
    page.locator(TASK).get_by_role("button", name="Cancel").click()
    page.locator(f"{TASK}[data-state=cancelled]").wait_for()


def test_the_panel_opens_a_renamed_notebook(notebook, progress, page):
    open_notebook(notebook, page)
    page.evaluate(RUN_ALL)
    page.locator(TASK).wait_for()
    progress.set(1)
    page.locator(f"{TASK}[data-state=completed]").wait_for()
    page.evaluate("() => window.jupyterapp.serviceManager.contents.rename('cell.ipynb', 'counted.ipynb')")
    page.evaluate("() => window.jupyterapp.commands.execute('phasenb:open')")
    panel = page.locator("#phasenb-panel")
    panel.get_by_text("penguins").first.click()
    panel.get_by_role("button", name="Open counted.ipynb").wait_for()
