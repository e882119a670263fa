import { types } from 'node:util';
import type { HandOut } from './record.js';

/** A value as the cache keeps it: the cache's own copy, which nobody else can change. */
export interface Sealed {
  readonly value: unknown;
  readonly handOut: HandOut;
  readonly bytes: number;
}

/** Why a value cannot be kept: where in it, and what stands there. */
export class Unstorable extends Error {
  constructor(
    readonly path: string,
    readonly found: string,
  ) {
    super(`${found} at ${path}`);
  }
}

const MAX_DEPTH = 200;

/**
 * Copies `value` and freezes the copy, so that neither the loader nor a caller can change what is cached.
 *
 * Accepted are plain data and Date, Map, Set, bigint and binary (Uint8Array, Buffer): what any store can keep.
 * A class instance would come back from a remote store without its methods, and without what its class hides; it
 * is accepted only where `revives` says that the entity makes instances again.
 *
 * @throws {Unstorable}
 */
export function seal(value: unknown, revives: boolean): Sealed {
  if (value === null || typeof value !== 'object') {
    const walk = new Walk(false, false);
    return { value: walk.copy(value, '', 0), handOut: 'shared', bytes: walk.bytes };
  }
  const walk = new Walk(true, revives);
  const copied = walk.copy(value, '', 0);
  return {
    value: copied,
    handOut: revives ? 'revived' : walk.unfreezable ? 'copied' : 'shared',
    bytes: walk.bytes,
  };
}

/** A copy that is the caller's to change. */
export function copy(sealed: unknown): unknown {
  return new Walk(false, false).copy(sealed, '', 0);
}

class Walk {
  bytes = 0;
  unfreezable = false;
  private readonly open = new Set<object>();

  constructor(
    private readonly freezes: boolean,
    private readonly revives: boolean,
  ) {}

  copy(value: unknown, path: string, depth: number): unknown {
    switch (typeof value) {
      case 'string':
        this.bytes += 16 + 2 * value.length;
        return value;
      case 'object':
        return value === null ? null : this.object(value, path, depth);
      case 'function':
      case 'symbol':
        throw new Unstorable(path || 'the value', `a ${typeof value}`);
      default:
        this.bytes += 8;
        return value;
    }
  }

  private object(value: object, path: string, depth: number): unknown {
    if (depth > MAX_DEPTH)
      throw new Unstorable(path, `data nested deeper than ${MAX_DEPTH} levels`);
    if (this.open.has(value))
      throw new Unstorable(path, 'a reference to an object that contains it');
    this.open.add(value);
    const copied = this.structure(value, path, depth + 1);
    this.open.delete(value);
    return copied;
  }

  private structure(value: object, path: string, depth: number): unknown {
    this.bytes += 48;
    const inherited = prototypes(value);
    if (Array.isArray(value) && inherited === 2) {
      this.bytes += 8 * value.length;
      return this.closed(
        Array.from(value, (item, index) => this.copy(item, `${path}[${index}]`, depth)),
      );
    }
    if (inherited <= 1) return this.closed(this.fields(value, path, depth));
    const builtin = this.builtin(value, inherited, path, depth);
    if (builtin !== undefined) return builtin;
    const found = `an instance of ${value.constructor?.name || 'an unnamed class'}`;
    if (!this.revives || exotic(value)) throw new Unstorable(path || 'the value', found);
    return this.closed(this.fields(value, path, depth));
  }

  /** Date, Map, Set and binary keep their content where `Object.freeze` does not reach. */
  private builtin(
    value: object,
    inherited: number,
    path: string,
    depth: number,
  ): object | undefined {
    let copied: object | undefined;
    if (inherited === 2 && types.isDate(value)) {
      copied = new Date(value.getTime());
    } else if (inherited === 2 && types.isMap(value)) {
      copied = new Map(
        Array.from(value, ([key, item]) => [
          this.copy(key, `${path}<key>`, depth),
          this.copy(item, `${path}<value>`, depth),
        ]),
      );
    } else if (inherited === 2 && types.isSet(value)) {
      copied = new Set(Array.from(value, (item) => this.copy(item, `${path}<item>`, depth)));
    } else if (Buffer.isBuffer(value)) {
      this.bytes += value.byteLength;
      copied = Buffer.from(value);
    } else if (inherited === 3 && types.isUint8Array(value)) {
      this.bytes += value.byteLength;
      copied = Uint8Array.from(value);
    }
    if (copied !== undefined) this.unfreezable = true;
    return copied;
  }

  private fields(value: object, path: string, depth: number): object {
    if (
      Object.getOwnPropertySymbols(value).some((key) =>
        Object.prototype.propertyIsEnumerable.call(value, key),
      )
    ) {
      throw new Unstorable(path || 'the value', 'a field whose name is a symbol');
    }
    const copied: { [field: string]: unknown } = {};
    for (const field of Object.keys(value)) {
      this.bytes += 8;
      const item = this.copy(
        (value as typeof copied)[field],
        path ? `${path}.${field}` : field,
        depth,
      );
      if (field === '__proto__') {
        // Assigning it would change the prototype; data that came from JSON may hold such a field.
        Object.defineProperty(copied, field, {
          value: item,
          enumerable: true,
          configurable: true,
          writable: true,
        });
      } else {
        copied[field] = item;
      }
    }
    return copied;
  }

  private closed(copied: object): object {
    return this.freezes ? Object.freeze(copied) : copied;
  }
}

/** How many prototypes stand above an object. Unlike `instanceof`, right for objects of another realm as well. */
function prototypes(value: object): number {
  let count = 0;
  for (
    let proto: unknown = Object.getPrototypeOf(value);
    proto;
    proto = Object.getPrototypeOf(proto)
  )
    count++;
  return count;
}

/** Objects whose content does not lie in their fields: as fields they would be lost without a word. */
function exotic(value: object): boolean {
  return (
    Object.keys(value).length === 0 ||
    ArrayBuffer.isView(value) ||
    types.isBoxedPrimitive(value) ||
    types.isNativeError(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isDate(value)
  );
}
