/** All connections were busy for too long. */
export class AcquireTimeoutError extends Error {
  constructor(timeoutMs: number) {
    super(`failed to acquire connection within ${timeoutMs} ms`);
    this.name = 'AcquireTimeoutError';
  }
}

/** So many queries at a time; the others wait in line, and are refused when that takes too long. */
export class ConnectionPool {
  busy = 0;
  refused = 0;
  private readonly line = new Set<() => void>();

  constructor(
    private readonly size: number,
    private readonly acquireTimeoutMs: number,
  ) {}

  /**
   * Runs `query` on a connection of its own.
   *
   * @throws {AcquireTimeoutError}
   */
  async use<T>(query: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.busy < this.size) this.busy++;
    else await this.turn(signal);
    try {
      return await query();
    } finally {
      this.release();
    }
  }

  private turn(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abandon);
        this.line.delete(enter);
      };
      const enter = () => {
        leave();
        resolve();
      };
      const abandon = () => {
        leave();
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(() => {
        leave();
        this.refused++;
        reject(new AcquireTimeoutError(this.acquireTimeoutMs));
      }, this.acquireTimeoutMs);
      signal?.addEventListener('abort', abandon);
      this.line.add(enter);
    });
  }

  /** The connection goes to whoever waits longest; it is free only if nobody does. */
  private release(): void {
    const [next] = this.line;
    if (next === undefined) this.busy--;
    else next();
  }
}
