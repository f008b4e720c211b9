"""The widget on a page that is neither JupyterLab nor VS Code: light and dark by the reader's own choice, readable."""

import pytest

from phasenb.display.surroundings import STATIC
from phasenb.display.widget import told
from tests.browser.test_panel import violations
from tests.display.conftest import Life

DRAW = """async ({ code, told, at }) => {
  const { default: widget } = await import(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  const model = { get: name => ({ told, at })[name], on() {}, off() {}, send() {} };
  widget.render({ model, el: document.querySelector('main') });
}"""
AT = "new Date().toISOString()"
VSCODE = ":root { --vscode-editor-background: #002b36; --vscode-editor-foreground: #93a1a1 }"


@pytest.fixture
def drawn(page):
    """``drawn(scheme, style="")``: a page with a running task, one that failed before."""

    def draw(scheme, style=""):
        page.emulate_media(color_scheme=scheme)
        css = (STATIC / "widget.css").read_text()
        ground = "light-dark(white, black)"
        look = f"<style>:root {{ color-scheme: light dark; background: {ground} }} {css}{style}</style>"
        page.set_content(f"<!doctype html><html lang=en><title>a page</title>{look}<main></main></html>")
        lived = Life().start("research").fail("research", then="retry").start("research", attempt=2)
        said = told(lived.updated(percent=42, message="chunk 3 of 7"), (), ["runs in this kernel and stops with it"])
        about = {"code": (STATIC / "widget.js").read_text(), "told": said, "at": page.evaluate(AT)}
        page.evaluate(DRAW, about)
        return page.locator(".phasenb-task")

    return draw


def colours(task):
    return task.evaluate("node => [getComputedStyle(node).backgroundColor, getComputedStyle(node).color]")


@pytest.mark.parametrize(
    ("scheme", "colours_"),
    [("light", ["rgb(255, 255, 255)", "rgb(31, 35, 40)"]), ("dark", ["rgb(22, 25, 29)", "rgb(230, 233, 238)"])],
)
def test_the_colours_are_the_readers(drawn, page, tmp_path, scheme, colours_):
    task = drawn(scheme)
    assert colours(task) == colours_
    assert "chunk 3 of 7" in task.inner_text()
    assert violations(page, "main") == []
    page.screenshot(path=tmp_path / f"{scheme}.png")


def test_the_colours_are_those_of_vscode_where_it_sets_them(drawn):
    assert colours(drawn("light", VSCODE)) == ["rgb(0, 43, 54)", "rgb(147, 161, 161)"]
