// An agent's input schema as a form's, and what was filled in as a launch's inputs. Pure.
//
// Rules: what the schema says nothing of is a text field: JSON, or else text as it stands; what is left empty is left
// out, so that the function's own default holds.

import type { Json } from '../protocol';

export type Schema = { [name: string]: Json };

const SAYS_WHAT = ['type', '$ref', 'enum', 'const', 'anyOf', 'allOf', 'oneOf'];

function isSchema(value: Json | undefined): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function properties(inputs: Schema): [string, Schema][] {
  const found = inputs.properties;
  return isSchema(found) ? Object.entries(found).filter((entry): entry is [string, Schema] => isSchema(entry[1])) : [];
}

function isFree(schema: Schema): boolean {
  return !SAYS_WHAT.some(name => name in schema);
}

/** The schema of the form; `free`: what a field of no type is told to be. */
export function formSchema(inputs: Schema, free: string): Schema {
  const shown = properties(inputs).map(([name, schema]) => [name, field(schema, free)]);
  const { title: _, description: __, ...rest } = inputs;
  const more = inputs.additionalProperties === true ? { type: 'string', description: free } : false;
  return { ...rest, properties: Object.fromEntries(shown), additionalProperties: more };
}

function field(schema: Schema, free: string): Schema {
  const { default: given, ...rest } = schema;
  if (isFree(schema)) {
    return withDefault({ ...rest, type: 'string', description: free }, given === undefined ? null : asText(given));
  }
  // `X | None` is `X` that may be left empty: its default is None, or the launch says so.
  const others = Array.isArray(rest.anyOf) ? rest.anyOf.filter(each => !isSchema(each) || each.type !== 'null') : [];
  const { anyOf: _, ...apart } = rest;
  if (others.length === 1 && isSchema(others[0])) {
    return withDefault({ ...others[0], ...apart }, given);
  }
  return withDefault(others.length > 0 ? { ...apart, anyOf: others } : rest, given);
}

function withDefault(schema: Schema, value: Json | undefined): Schema {
  return value === undefined || value === null ? schema : { ...schema, default: value };
}

function asText(value: Json): Json {
  return value === null || typeof value === 'string' ? value : JSON.stringify(value);
}

/** The inputs of a launch, as JSON; what was typed as JSON stands as it was typed (exact.ts says why). */
export function launchInputs(inputs: Schema, filled: Schema): string {
  const known = new Map(properties(inputs));
  const given: string[] = [];
  for (const [name, value] of Object.entries(filled)) {
    const schema = known.get(name);
    const free = schema === undefined || isFree(schema);
    if (value !== undefined && !(free && value === '')) {
      const text = free && typeof value === 'string' && isJson(value) ? value : JSON.stringify(value);
      given.push(`${JSON.stringify(name)}:${text}`);
    }
  }
  return `{${given.join(',')}}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
