// The page, touched only where it differs: reading what is there is cheap, writing what is there already is not.

type Child = Node | string | null;
type Properties = { [name: string]: string | boolean | number | ((event: Event) => void) };

/** An element; functions are listeners, `class` and the rest attributes. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') {
      element.addEventListener(name, value);
    } else if (value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(...children.filter(child => child !== null));
  return element;
}

export function setText(node: Node, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

export function setAttribute(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) {
    element.setAttribute(name, value);
  }
}

export function setHidden(element: HTMLElement, hidden: boolean): void {
  if (element.hidden !== hidden) {
    element.hidden = hidden;
  }
}

/** `text` in `element`, which is not there at all where there is nothing to say. */
export function setOptional(element: HTMLElement, text: string | null): void {
  setHidden(element, text === null);
  if (text !== null) {
    setText(element, text);
  }
}

export function setStyle(element: HTMLElement, name: string, value: string): void {
  if (element.style.getPropertyValue(name) !== value) {
    element.style.setProperty(name, value);
  }
}

/** Set an attribute, or take it away: `null`. */
export function setOptionalAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) {
    element.removeAttribute(name);
  } else {
    setAttribute(element, name, value);
  }
}

/** How much of its bar `fill` covers; it moves without a new layout of the page. */
export function setShare(fill: HTMLElement, percent: number): void {
  setStyle(fill, 'transform', `scaleX(${Math.min(100, percent) / 100})`);
}
