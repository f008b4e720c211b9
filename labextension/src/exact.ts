// JSON as it was written. JavaScript has one kind of number: 1.0 comes out of it as 1, so that Python's next phase would
// get another type, and 12345678901234567 as another number. What a person is to approve is therefore shown, edited and
// sent as text, and no number in it goes through JavaScript.

import { findNodeAtLocation, format, type JSONPath, parseTree } from 'jsonc-parser';
import type { Approval, ApprovalRequested, TaskState } from './protocol';

// Where a gate came from; both carry its output. Forgotten with the gate itself.
const texts = new WeakMap<Approval | ApprovalRequested, string>();
// What is drawn as nothing, or turns the text around. In JSON they stand in strings only, where \u says the same.
const UNSEEN = /[\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** What the client hears: an event, or an answer with snapshots. */
interface Heard {
  type: string;
  snapshot?: TaskState | null;
  tasks?: TaskState[];
}

/** Note how the outputs of the gates in `message` stand in its `frame`. */
export function noteGates(message: Heard, frame: string): void {
  const gates: [Approval | ApprovalRequested, JSONPath][] = [];
  if (message.type === 'approval_requested') {
    gates.push([message as unknown as ApprovalRequested, ['output']]);
  }
  if (message.snapshot?.approval) {
    gates.push([message.snapshot.approval, ['snapshot', 'approval', 'output']]);
  }
  message.tasks?.forEach((task, index) => {
    if (task.approval !== null) {
      gates.push([task.approval, ['tasks', index, 'approval', 'output']]);
    }
  });
  const root = gates.length > 0 ? parseTree(frame) : undefined;
  for (const [gate, path] of gates) {
    const node = root && findNodeAtLocation(root, path);
    if (node !== undefined) {
      texts.set(gate, frame.slice(node.offset, node.offset + node.length));
    }
  }
}

/** `gate` came of `event`. */
export function noteGate(gate: Approval, event: ApprovalRequested): void {
  const text = texts.get(event);
  if (text !== undefined) {
    texts.set(gate, text);
  }
}

/** A gate's output as JSON on several lines, as the server wrote it; null where only JavaScript's reading is left. */
export function exactText(gate: Approval): string | null {
  const text = texts.get(gate);
  return text === undefined ? null : indented(text);
}

/** JSON on several lines, every value as it was; what can't be seen in a string is written as its number. */
export function indented(text: string): string {
  const edits = format(text, undefined, { tabSize: 2, insertSpaces: true, eol: '\n' });
  const parts: string[] = [];
  let done = 0;
  for (const { offset, length, content } of edits) {
    parts.push(text.slice(done, offset), content);
    done = offset + length;
  }
  return [...parts, text.slice(done)].join('').replace(UNSEEN, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The JSON of `fields` and, after them, of fields whose JSON is given and stays as it is. Throws SyntaxError. */
export function spliced(fields: object, given: { [field: string]: string }): string {
  const more = Object.entries(given).map(([field, text]) => {
    JSON.parse(text); // or it would be told as something else than one value
    return `,${JSON.stringify(field)}:${text}`;
  });
  return `${JSON.stringify(fields).slice(0, -1)}${more.join('')}}`;
}
