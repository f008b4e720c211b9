// Why something that was asked of the server was not done.

const IN_TROUBLE = new Set(['store_unavailable', 'config_error', 'internal']);

/** What the server answered instead of doing it. `code` is one of the protocol's. */
export class ServerError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly details: { [name: string]: unknown } = {}
  ) {
    super(message);
    this.name = 'ServerError';
  }
}

/** There was no connection, or it was lost before the answer came. `sent`: the server may have done it. */
export class ConnectionLost extends Error {
  constructor(readonly sent: boolean) {
    super(sent ? 'the connection was lost before the server answered' : 'there is no connection to the server');
    this.name = 'ConnectionLost';
  }
}

/** Whether the server could not do it for the moment: to ask again, later, is of use. */
export function inTrouble(error: ServerError): boolean {
  return IN_TROUBLE.has(error.code);
}
