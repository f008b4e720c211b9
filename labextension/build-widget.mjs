// Builds src/widget.ts and its style into phasenb/display/static: what phasenb/display/widget.py gives to anywidget.
//
// The style is JupyterLab's variables throughout. Elsewhere nobody sets them, so each gets a fallback of the same name,
// which style/widget.css sets.

import { readFile, writeFile } from 'node:fs/promises';
import { build, transform } from 'esbuild';

const OUTPUT = '../phasenb/display/static';

await build({
  entryPoints: ['src/widget.ts'],
  outfile: `${OUTPUT}/widget.js`,
  bundle: true,
  format: 'esm',
  mainFields: ['module', 'main'], // Lumino's other build can't be taken apart
  minify: true,
  target: 'es2022'
});
const [elsewhere, base] = await Promise.all(['widget', 'base'].map(name => readFile(`style/${name}.css`, 'utf8')));
const style = elsewhere + base.replaceAll(/var\(--jp-([\w-]+)\)/g, 'var(--jp-$1, var(--phasenb-$1))');
const { code } = await transform(style, { loader: 'css', minify: true });
await writeFile(`${OUTPUT}/widget.css`, code);
