/** A command that names more keys makes others wait for too long. */
const MOST_KEYS = 500;

interface Batch<Value> {
  readonly places: Map<string, number>;
  readonly values: Promise<readonly Value[]>;
}

/**
 * Keys that are asked for in one turn of the event loop travel as one command, each key once. What was sent before in the
 * same turn travels before it, and nobody is answered with what was asked for before his call.
 */
export class BatchedReads<Value> {
  private batch: Batch<Value> | undefined;

  constructor(
    private readonly read: (keys: readonly [string, ...string[]]) => Promise<readonly Value[]>,
  ) {}

  get(key: string): Promise<Value> {
    if (this.batch === undefined || this.batch.places.size === MOST_KEYS) this.batch = this.begin();
    const { places, values } = this.batch;
    const place = places.get(key) ?? places.size;
    places.set(key, place);
    return values.then((all) => all[place]!);
  }

  private begin(): Batch<Value> {
    const places = new Map<string, number>();
    // Not at the end of the tick: then requests that came on several sockets would each send a command of their own, and a
    // lone key is answered no sooner.
    const values = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      if (this.batch?.places === places) this.batch = undefined;
      return this.read([...places.keys()] as [string, ...string[]]);
    });
    return { places, values };
  }
}
