"""The look of a task's card: one style sheet, carried by each card, since an output can't rely on anything around it.

Rules: every colour is JupyterLab's own variable, then VS Code's, then a fallback for a plain page, light or dark; the
card sets ink and ground together, so it can be read on whatever it is pasted into; without the sheet (a sanitised
notebook) the same HTML is still a heading, a list and text.
"""

from __future__ import annotations


def _colour(jupyter: str, vscode: str, fallback: str) -> str:
    return f"var(--jp-{jupyter},var(--vscode-{vscode},{fallback}))"


_ROLES = {  # role: (JupyterLab, VS Code, light, dark)
    "ink": ("content-font-color1", "editor-foreground", "#1f2328", "#e6e9ee"),
    "dim": ("content-font-color2", "descriptionForeground", "#59636e", "#9aa4af"),
    "ground": ("layout-color1", "editor-background", "#ffffff", "#16191d"),
    "well": ("layout-color2", "textCodeBlock-background", "#f0f2f4", "#23272d"),
    "line": ("border-color2", "widget-border", "#d8dde2", "#343a41"),
    "go": ("brand-color1", "progressBar-background", "#1769d6", "#5aa2f5"),
    "good": ("success-color1", "testing-iconPassed", "#2e7d4f", "#57b87f"),
    "bad": ("error-color1", "errorForeground", "#c62f36", "#ef6b70"),
    "warn": ("warn-color1", "editorWarning-foreground", "#a86008", "#e0a04a"),
}


def _roles(fallback: int) -> str:
    return "".join(
        f"--pnb-{role}:{_colour(values[0], values[1], values[fallback])};" for role, values in _ROLES.items()
    )


STYLE = f"""<style>
.pnb{{{_roles(2)}}}
@media (prefers-color-scheme:dark){{.pnb{{{_roles(3)}}}}}
.pnb{{box-sizing:border-box;margin:2px 0;padding:12px 16px 13px;border:1px solid var(--pnb-line);
border-radius:8px;background:var(--pnb-ground);color:var(--pnb-ink);line-height:1.45;
font:13px/1.45 var(--jp-ui-font-family,system-ui,-apple-system,"Segoe UI",sans-serif);
font-variant-numeric:tabular-nums}}
.pnb *{{box-sizing:border-box}}
.pnb-head{{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 10px;margin:0 0 10px}}
.pnb-name{{font-size:15px;font-weight:600;margin:0!important;padding:0;color:var(--pnb-ink)}}
.pnb-state{{font-weight:600;color:var(--pnb-tone)}}
.pnb-state::before{{content:"";display:inline-block;width:8px;height:8px;margin-right:6px;border-radius:50%;
background:var(--pnb-tone);vertical-align:1px}}
.pnb-facts{{margin-left:auto;color:var(--pnb-dim)}}
.pnb-steps{{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:10px 14px;
list-style:none!important;margin:0!important;padding:0!important}}
.pnb-step{{margin:0!important;padding:0;min-width:0}}
.pnb-step::marker{{content:""}}
.pnb-label{{display:flex;align-items:baseline;gap:6px;margin-bottom:5px}}
.pnb-mark{{flex:none;color:var(--pnb-tone);font-weight:700;width:1em;text-align:center}}
.pnb-phase{{font-weight:600;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}}
.pnb-took{{margin-left:auto;color:var(--pnb-dim);white-space:nowrap}}
.pnb-bar{{height:6px;border-radius:3px;background:var(--pnb-well);overflow:hidden}}
.pnb-fill{{height:100%;border-radius:3px;background:var(--pnb-tone)}}
.pnb-counts .pnb-fill{{width:100%!important;opacity:.55;
background:repeating-linear-gradient(115deg,var(--pnb-tone) 0 8px,transparent 8px 16px)}}
.pnb-failed .pnb-bar{{background:color-mix(in srgb,var(--pnb-tone) 60%,var(--pnb-well))}}
.pnb-inputs,.pnb-well{{color:var(--pnb-dim);font-size:12px}}
.pnb p.pnb-inputs,.pnb details.pnb-inputs{{margin:-6px 0 10px!important;overflow-wrap:anywhere}}
.pnb-inputs p{{white-space:pre-line}}
.pnb p.pnb-well{{margin:9px 0 -5px!important}}
.pnb-sub{{margin-top:3px;color:var(--pnb-dim);font-size:12px}}
.pnb-pending .pnb-phase,.pnb-pending.pnb-idle .pnb-mark{{color:var(--pnb-dim);font-weight:500}}
.pnb-go{{--pnb-tone:var(--pnb-go)}}.pnb-good{{--pnb-tone:var(--pnb-good)}}.pnb-bad{{--pnb-tone:var(--pnb-bad)}}
.pnb-warn{{--pnb-tone:var(--pnb-warn)}}.pnb-idle{{--pnb-tone:var(--pnb-dim)}}
.pnb p{{max-width:52rem;margin:7px 0 0!important}}
.pnb-says{{overflow-wrap:anywhere}}
.pnb pre{{margin:8px 0 0!important;padding:7px 10px!important;border:0;border-radius:6px;
background:var(--pnb-well)!important;color:var(--pnb-ink)!important;max-height:13.5em;overflow:auto;
white-space:pre-wrap;overflow-wrap:anywhere;font:12px/1.5 var(--jp-code-font-family,ui-monospace,Menlo,monospace)}}
.pnb-error{{margin-top:10px;padding:1px 0 2px 12px;border-left:3px solid var(--pnb-bad)}}
.pnb-error b{{color:var(--pnb-bad)}}
.pnb-error p:first-child{{max-height:5.8em;margin-top:0!important;overflow:auto;overflow-wrap:anywhere;
white-space:pre-line}}
.pnb details{{margin-top:8px}}
.pnb summary{{cursor:pointer;color:var(--pnb-dim)}}
.pnb-foot{{display:flex;flex-wrap:wrap;gap:2px 12px;margin-top:8px;color:var(--pnb-dim);font-size:12px}}
.pnb-foot code{{background:none!important;color:inherit!important;padding:0!important;font-size:11.5px}}
.pnb-hidden{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}}
</style>"""
