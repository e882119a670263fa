export interface OriginOptions {
  /**
   * Most loads that may ask it at a time.
   *
   * @range 1 … 10,000
   */
  maxConcurrent: number;
  /**
   * Most loads that may wait for their turn. One more is turned away: it gets something stale where its contract
   * allows that, else CACHE_ORIGIN_BUSY with the time after which to try again.
   *
   * @default 100
   * @range 0 … 100,000
   */
  maxQueued?: number;
}

/**
 * A source of truth that can be overrun. Entities that name the same one share its limits.
 *
 * A load keeps its place until its loader settles, also after its timeout: hand `currentLoad().signal` to what the loader
 * waits for. A load inside another one of the same origin runs in that one's place.
 */
export interface Origin {
  readonly name: string;
  readonly options: Readonly<OriginOptions>;
}

/** Declares a source of truth that can be overrun: one constant, named by every entity that is loaded from it. */
export function origin(name: string, options: OriginOptions): Origin {
  return Object.freeze({ name, options: Object.freeze({ ...options }) });
}
