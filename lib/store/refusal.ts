/** What a store rejects with that is there, and refuses: as `CacheStore` says it. */
export interface Refusal {
  readonly answered: true;
}

/** Says of an error that the store did answer. */
export function refusal<E extends Error>(error: E): E & Refusal {
  return Object.assign(error, { answered: true } as const);
}

/** A store of somebody else may reject with anything. */
export function isRefusal(error: unknown): error is Refusal {
  return (error as Partial<Refusal> | null | undefined)?.answered === true;
}
