import type { ContractInForce, EntityCache } from 'nestjs-cache-contract';
import { Products } from './catalog/product.contract.js';
import { ViewCounts } from './counters/view-count.contract.js';
import { Permissions } from './permissions/permission.contract.js';
import { Profiles } from './profiles/profile.contract.js';
import { Stock } from './stock/stock.contract.js';

/** Where entries are, as it follows from the contracts and from what this process was started with. */
export function keptIn(
  cache: Pick<EntityCache, 'contract'>,
  { REDIS_URL, DATABASE_FILE }: NodeJS.ProcessEnv,
): string {
  if (!REDIS_URL) return 'Entries are kept in this process.';
  const entities = [Profiles, Products, Stock, ViewCounts, Permissions];
  const namesOf = (place: ContractInForce['keptIn']) =>
    entities
      .filter((entity) => cache.contract(entity).keptIn === place)
      .map(({ name }) => name)
      .join(', ');
  const { host } = new URL(REDIS_URL);
  const shared = DATABASE_FILE
    ? 'all storefronts on this Redis with this database share them'
    : 'for this process alone, as its database is: DATABASE_FILE=shop.db makes both shared';
  return `Entries are kept in Redis at ${host} (${shared}).
In Redis: ${namesOf('store')}; there and in this process: ${namesOf('store and process')}; in this process: ${namesOf('process')}.`;
}
