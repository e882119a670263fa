import { entity, invalidate, readThrough, writeThrough } from 'nestjs-cache-contract';
import { fleet, settled } from './fleet.js';
import { MemoryLog } from './memory-store/memory-log.js';

export interface Thing {
  readonly n: number;
  readonly tags?: readonly string[];
}

/** With a copy in each process, which lives for longer than any test. */
export const contract = {
  maxStaleness: { normal: '5s', incident: '1h' },
  read: readThrough({ ttl: '1h', jitter: 0, loadTimeout: '2s' }),
  write: invalidate(),
} as const;
const tags = (thing: Thing) => thing.tags ?? [];
export const Things = entity<Thing>('thing', { ...contract, tags });
export const Written = entity<Thing>('written', { ...contract, write: writeThrough(), tags });
/** Tagged by its loaders, if at all. */
export const Pages = entity<number>('page', contract);
export const ALL = [Things, Written, Pages];

/** Processes that share things and hear what the others change. */
export async function linked(size = 2, log = new MemoryLog()) {
  const all = fleet(size, undefined, log);
  for (const { engine } of all.processes) for (const one of ALL) engine.entities.stateOf(one);
  await settled();
  return { ...all, log };
}

export type Process = Awaited<ReturnType<typeof linked>>['processes'][0];

/** A source of things with tags, each with the number of the load. */
export function tagged(...tags: string[]) {
  const load = async (): Promise<Thing> => ({ n: ++load.runs, tags });
  load.runs = 0;
  return load;
}

/** What is read next comes from the store. */
export function forgetCopies({ engine }: Process): void {
  for (const one of ALL) engine.entities.stateOf(one).table.clear();
}
