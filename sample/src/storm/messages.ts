/** What the process with the database tells an instance, and asks of it. */
export type ToInstance =
  | { readonly kind: 'read'; readonly readers: number }
  | { readonly kind: 'answer'; readonly query: number; readonly rows: readonly object[] }
  | { readonly kind: 'refusal'; readonly query: number; readonly message: string };

/** What an instance tells, and asks of the database. */
export type FromInstance =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'query';
      readonly query: number;
      readonly sql: string;
      readonly values: readonly (string | number)[];
    }
  | { readonly kind: 'served'; readonly failed: number };

/** How an instance is started: one argument, as JSON. */
export interface InstanceOptions {
  readonly namespace: string;
  /** Without it each instance has a cache of its own. */
  readonly redis?: string;
  readonly ttlMs: number;
}
