// A page for tests that run in Node, where sockets and requests are real ones.

import { JSDOM } from 'jsdom';

const dom = new JSDOM('<!doctype html><body></body>', { pretendToBeVisual: true });
const { window } = dom;

Object.assign(globalThis, {
  window,
  document: window.document,
  HTMLElement: window.HTMLElement,
  Element: window.Element,
  Node: window.Node,
  MouseEvent: window.MouseEvent,
  DragEvent: class extends window.MouseEvent {}, // jsdom has none, and Lumino derives its own from it
  requestAnimationFrame: window.requestAnimationFrame
});

afterAll(() => window.close());

export const { document } = window;

/** Type into a field as a person does. */
export function type(field: Element | null | undefined, text: string): void {
  (field as HTMLTextAreaElement).value = text;
  field?.dispatchEvent(new window.Event('input', { bubbles: true }));
}
