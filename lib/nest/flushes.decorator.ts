import type { AnyEntity } from '../contract/entity.js';
import { show } from '../errors/wording.js';
import { Ledger } from '../write/behind/ledger.js';
import type { FlushBatch, Flushed } from '../write/behind/flush-batch.js';
import type { LedgerToken } from './binding.js';
import { decorate } from './decorate.js';
import type { Descriptor, Host } from './fit.js';

/** A method that writes one batch, in a transaction where there is a ledger. */
export interface FlushesDecorator<Args extends unknown[]> {
  <Method extends (...args: Args) => Promise<Flushed>>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method>,
  ): void;
}

/**
 * The method writes one batch of what `@WriteBehind` methods of this entity said. Each write-behind entity has exactly
 * one such method, on a provider that exists once.
 *
 * With a `ledger` it gets the transaction as its second argument, in which the ledger remembers the batch: however often
 * the batch is tried, it takes effect once. Without one it may be written again after a failure or a crash ("at least
 * once"): fine where `set` and `remove` are written by key; sums would count twice, so an entity that merges by summing
 * takes no other option than a ledger or `{ atLeastOnce: true }`.
 *
 * What it throws is tried again, unchanged. What can never be written it returns as `{ rejected: [{ key, reason }] }`.
 */
export function Flushes<E extends AnyEntity>(
  entity: E,
  options?: { readonly atLeastOnce: true },
): FlushesDecorator<[batch: FlushBatch<E>]>;
export function Flushes<E extends AnyEntity, Tx>(
  entity: E,
  options: { readonly ledger: LedgerToken<Tx> },
): FlushesDecorator<[batch: FlushBatch<E>, tx: Tx]>;
export function Flushes(entity: AnyEntity, options: unknown = {}): MethodDecorator {
  return decorate('Flushes', entity, (fault) => {
    const { ledger, atLeastOnce, ...rest } = (options ?? {}) as { [name: string]: unknown };
    const token = ledger as LedgerToken<unknown> | undefined;
    // Named and undefined: a class after a circle of imports.
    const named = Object.hasOwn(options ?? {}, 'ledger');
    const isLedger =
      (token === undefined && !named) ||
      (typeof token === 'function' && token.prototype instanceof Ledger);
    if (
      !isLedger ||
      Object.keys(rest).length > 0 ||
      ![undefined, true].includes(atLeastOnce as never) ||
      (named && atLeastOnce === true)
    ) {
      fault(
        `@Flushes expected { ledger } with a class that extends Ledger, or { atLeastOnce: true }, got ${isLedger ? show(options) : show(ledger)}.`,
        'write @Flushes(entity, { ledger: ShopLedger }); if the class is undefined here, two files import each other.',
      );
    }
    return { flushes: { ledger: token, atLeastOnce: atLeastOnce === true } };
  });
}
