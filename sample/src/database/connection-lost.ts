/** The connection was lost, and with it the answer: what was asked for may be done, or not. */
export class ConnectionLostError extends Error {
  constructor() {
    super('the connection to the database was lost');
    this.name = 'ConnectionLostError';
  }
}
