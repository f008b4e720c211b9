import type { Json, PhaseResult, TaskState } from '../src/protocol';
import { TASK_ID, until } from './server';
import { buttons, open, phase, server, shown, text, view } from './viewed';

describe('the view of a task that has ended', () => {
  const ended: Partial<TaskState> = {
    ...{ state: 'completed', percent: 100, ended_at: '2026-01-01T00:00:13.500000Z', actions: [] },
    phases: [phase({ name: 'fit', status: 'complete', percent: 100, output_preview: '[{"a":1}]' })]
  };
  const result = (change: Partial<PhaseResult>) => ({
    ...{ phase: 'fit', attempt: 1, kind: 'phase', revision: 1, status: 'complete', output: null, artifacts: [] },
    ...change
  });

  const png = {
    $object: `sha256:${'a'.repeat(64)}`,
    codec: 'png',
    type: 'Figure',
    bytes: 9,
    shape: null,
    preview: '',
    head: null
  };

  it('shows rows as a table', async () => {
    const output: Json = [
      { species: 'Adelie', n: 152 },
      { species: '<i>Gentoo</i>', n: 124, extra: null }
    ];
    server.http = path => [200, path.endsWith('/results') ? { results: [result({ output })] } : { lines: [] }];
    await open(ended);
    await until(() => shown('table'));
    const cells = [...view.node.querySelectorAll('tr')].map(row => [...row.children].map(cell => cell.textContent));
    expect(cells).toEqual([
      ['species', 'n', 'extra'],
      ['Adelie', '152', ''],
      ['<i>Gentoo</i>', '124', 'null']
    ]);
    expect(text('.phasenb-facts')).toMatch(/^12 s · \d{4}-\d\d-\d\d \d\d:\d\d$/);
    expect(view.node.querySelector('.phasenb-facts')?.getAttribute('title')).toMatch(
      /ended \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/
    );
    expect(buttons()).toEqual([]);
  });

  it('shows all of a long text', async () => {
    const output = { text: 'long '.repeat(5000) };
    server.http = path => [200, path.endsWith('/results') ? { results: [result({ output })] } : { lines: [] }];
    await open(ended);
    await until(() => (text('.phasenb-output pre')?.length ?? 0) > 25_000);
    expect(text('.phasenb-output pre')).toBe(JSON.stringify(output, null, 2));
  });

  it('shows figures as images, and other artifacts as something to save', async () => {
    const artifacts = [
      { ...png, name: 'fit.png' },
      { ...png, codec: 'pickle', type: 'Model', name: 'model' }
    ];
    const paths: string[] = [];
    server.http = path => {
      paths.push(path);
      return [200, path.endsWith('/results') ? { results: [result({ output: png, artifacts })] } : { lines: [] }];
    };
    await open(ended);
    await until(() => view.node.querySelectorAll('img').length === 2);
    expect(paths).toEqual(
      expect.arrayContaining([`objects/${'a'.repeat(64)}`, `tasks/${TASK_ID}/artifacts/fit/1/fit.png`])
    );
    expect([...view.node.querySelectorAll('img')].map(image => image.alt)).toEqual(['Figure', 'fit.png']);
    expect(text('.phasenb-artifact')).toBe('model Model · 9 bytes');
  });

  it('shows of a figure that was returned its picture alone', async () => {
    const kept = { $object: `sha256:${'a'.repeat(64)}`, codec: 'pickle', type: 'Figure', bytes: 9, shape: null };
    const output = { ...kept, preview: '<Figure size 640x480>' };
    const artifacts = [{ ...kept, codec: 'png', name: 'output', preview: '', head: null }];
    server.http = path => [
      200,
      path.endsWith('/results') ? { results: [result({ output, artifacts })] } : { lines: [] }
    ];
    await open(ended);
    await until(() => shown('figure'));
    expect(text('.phasenb-output')).toBe('Result');
  });

  it('shows the head of a frame as a table', async () => {
    const head = {
      columns: ['', 'species', 'mass'],
      rows: [
        ['0', 'Adelie', '3750.5'],
        ['1', '<b>Gentoo</b>', 'nan']
      ]
    };
    const kept = { $object: `sha256:${'a'.repeat(64)}`, codec: 'parquet', type: 'DataFrame', bytes: 9 };
    const output = { ...kept, shape: [344, 2], preview: 'in text', head };
    server.http = path => [200, path.endsWith('/results') ? { results: [result({ output })] } : { lines: [] }];
    await open(ended);
    await until(() => shown('table'));
    const cells = [...view.node.querySelectorAll('tr')].map(row => [...row.children].map(cell => cell.textContent));
    expect(cells).toEqual([head.columns, ...head.rows]);
    const numbers = [...view.node.querySelectorAll('td.phasenb-number')].map(cell => cell.textContent);
    expect(numbers).toEqual(['3750.5', 'nan']);
    expect(text('.phasenb-output')).not.toContain('in text');
    expect(text('.phasenb-output .phasenb-sub')).toBe('DataFrame 344 × 2');
  });

  it('keeps the columns of a frame in line', async () => {
    const kept = {
      $object: `sha256:${'a'.repeat(64)}`,
      codec: 'parquet',
      type: 'DataFrame',
      bytes: 9,
      shape: [50, 31]
    };
    const output = { ...kept, preview: '  a  b\n0 1  2' };
    server.http = path => [200, path.endsWith('/results') ? { results: [result({ output })] } : { lines: [] }];
    await open(ended);
    await until(() => text('.phasenb-columns') === output.preview);
    expect(text('.phasenb-output .phasenb-sub')).toBe('DataFrame 50 × 31');
  });

  it('makes no page of what people write, whatever type it claims, and shows what can be had', async () => {
    const artifacts = ['../../../logout', 'gone'].map(name => ({ ...png, name }));
    const paths: string[] = [];
    server.http = path => {
      paths.push(path);
      const body = path.endsWith('/results') ? { results: [result({ artifacts })] } : { lines: [] };
      return path.endsWith('gone') ? [404, { message: 'it was collected' }] : [200, body];
    };
    const blobs: Blob[] = [];
    const make = jest.spyOn(URL, 'createObjectURL').mockImplementation(blob => `blob:${blobs.push(blob as Blob)}`);
    await open(ended);
    await until(() => shown('figure'));
    make.mockRestore();
    expect(blobs.map(blob => blob.type)).toEqual(['image/png']);
    expect(paths).toContain(`tasks/${TASK_ID}/artifacts/fit/1/..%2F..%2F..%2Flogout`);
    expect(text('.phasenb-output > p:not(.phasenb-well)')).toBe('gone can not be shown: it was collected');
  });

  it('has the line that the snapshot has, until the server has told more', async () => {
    server.http = () => [503, { code: 'store_unavailable', message: 'gone', details: {} }];
    const warn = jest.spyOn(console, 'warn').mockImplementation();
    await open(ended);
    await until(() => warn.mock.calls.length === 1);
    warn.mockRestore();
    expect(text('.phasenb-output pre')).toBe('[{"a":1}]');
  });
});
