import type { StoreDefinition } from 'nestjs-cache-contract';

const OF_STORE = ['readAll', 'lease', 'claim', 'fill', 'fail', 'invalidate'];
const OF_LOG = ['append', 'poll'];

/** The same store; `count` is called for each command that is sent to it. */
export function countedStore(definition: StoreDefinition, count: () => void): StoreDefinition {
  return {
    ...definition,
    open: (parts) => {
      const store = definition.open(parts);
      countCalls(store, OF_STORE, count);
      countCalls(store.log!, OF_LOG, count);
      return store;
    },
  };
}

function countCalls(of: object, names: readonly string[], count: () => void): void {
  const methods = of as Record<string, (...args: unknown[]) => unknown>;
  for (const name of names) {
    const method = methods[name]!.bind(of);
    methods[name] = (...args) => {
      count();
      return method(...args);
    };
  }
}
