import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const read = (name: string) => readFileSync(join(__dirname, '..', 'style', name), 'utf8');
const names = (text: string, pattern: RegExp) =>
  [...new Set([...text.matchAll(pattern)].map(match => match[1]))].sort();

describe('the style of a page without the extension', () => {
  const used = names(read('base.css'), /var\(--jp-([\w-]+)/g);
  const [light, dark] = read('widget.css').split('@media (prefers-color-scheme: dark)') as [string, string];

  it('has a fallback for each variable of JupyterLab, and each colour in light and dark', () => {
    expect(used.length).toBeGreaterThan(10);
    expect(names(light, /--phasenb-([\w-]+):/g)).toEqual(used);
    expect(names(dark, /--phasenb-([\w-]+):/g)).toEqual(used.filter(name => /color/.test(name as string)));
  });
});
