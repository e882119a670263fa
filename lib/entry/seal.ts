import { types } from 'node:util';
import { copyBytes, setField } from './copy.js';
import * as estimate from './estimate.js';
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
    /** Empty for the value itself. Names that could be data are left out. */
    readonly path: string,
    readonly found: string,
    /** Whether an entity with `revive` could keep it. */
    readonly revivable = false,
  ) {
    super(`${found} at ${path || 'the value'}`);
  }
}

export const MAX_DEPTH = 200;

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
  const walk = new Walk(revives);
  const sealed = walk.seal(value, '', 0);
  const isObject = typeof value === 'object' && value !== null;
  return {
    value: sealed,
    handOut: revives && isObject ? 'revived' : walk.unfreezable ? 'copied' : 'shared',
    bytes: walk.bytes,
  };
}

class Walk {
  bytes = 0;
  unfreezable = false;
  /** What is copied already, and `undefined` for what contains the place where the walk stands. */
  private readonly copies = new Map<object, unknown>();

  constructor(private readonly revives: boolean) {}

  seal(value: unknown, path: string, depth: number): unknown {
    switch (typeof value) {
      case 'string':
        this.bytes += estimate.ofText(value);
        return value;
      case 'bigint':
        this.bytes += estimate.ofBigint(value);
        return value;
      case 'object':
        return value === null ? null : this.object(value, path, depth);
      case 'function':
      case 'symbol':
        throw new Unstorable(path, `a ${typeof value}`);
      default:
        this.bytes += estimate.SCALAR;
        return value;
    }
  }

  private object(value: object, path: string, depth: number): unknown {
    if (depth > MAX_DEPTH)
      throw new Unstorable(path, `data nested deeper than ${MAX_DEPTH} levels`);
    if (this.copies.has(value)) {
      const copied = this.copies.get(value);
      if (copied !== undefined) return copied;
      throw new Unstorable(path, 'a reference to an object that contains it');
    }
    this.copies.set(value, undefined);
    const copied = this.structure(value, path, depth + 1);
    this.copies.set(value, copied);
    return copied;
  }

  private structure(value: object, path: string, depth: number): unknown {
    this.bytes += estimate.OBJECT;
    if (isPlain(value)) return Object.freeze(this.fields(value, path, depth));
    const levels = prototypes(value);
    if (Array.isArray(value) && levels === 2) return Object.freeze(this.items(value, path, depth));
    const builtin = this.builtin(value, levels, path, depth);
    if (builtin !== undefined) {
      this.unfreezable = true;
      return builtin;
    }
    if (!this.revives || exotic(value)) {
      const found = `an instance of ${value.constructor?.name || 'an unnamed class'}`;
      throw new Unstorable(path, found, !exotic(value));
    }
    return Object.freeze(this.fields(value, path, depth));
  }

  private items(value: unknown[], path: string, depth: number): unknown[] {
    if (Object.keys(value).length > value.length) {
      throw new Unstorable(path, 'an array with named fields');
    }
    this.bytes += estimate.ITEM * value.length;
    return Array.from(value, (item, index) => this.seal(item, `${path}[${index}]`, depth));
  }

  /** Date, Map, Set and binary keep their content where `Object.freeze` does not reach. */
  private builtin(value: object, levels: number, path: string, depth: number): object | undefined {
    if (levels === 2 && types.isDate(value)) return new Date(value.getTime());
    if (levels === 2 && types.isMap(value)) {
      this.bytes += estimate.LOOKUP * value.size;
      return new Map(
        Array.from(value, ([key, item]) => [
          this.seal(key, `${path}<key>`, depth),
          this.seal(item, `${path}<value>`, depth),
        ]),
      );
    }
    if (levels === 2 && types.isSet(value)) {
      this.bytes += estimate.LOOKUP * value.size;
      return new Set(Array.from(value, (item) => this.seal(item, `${path}<item>`, depth)));
    }
    if (types.isUint8Array(value) && (levels === 3 || Buffer.isBuffer(value))) {
      this.bytes += estimate.ofBytes(value);
      return copyBytes(value);
    }
    return undefined;
  }

  private fields(value: object, path: string, depth: number): object {
    const enumerable = (key: symbol) => Object.prototype.propertyIsEnumerable.call(value, key);
    if (Object.getOwnPropertySymbols(value).some(enumerable)) {
      throw new Unstorable(path, 'a field whose name is a symbol');
    }
    const names = Object.keys(value);
    const copied = {};
    for (const name of names) {
      this.bytes += estimate.ofField(name, names.length);
      const item = (value as { [field: string]: unknown })[name];
      setField(copied, name, this.seal(item, inside(path, name), depth));
    }
    return copied;
  }
}

/** A field's name as a message may show it: one that is no identifier may be somebody's address. */
function inside(path: string, name: string): string {
  if (!/^[A-Za-z_$][\w$]{0,39}$/.test(name)) return `${path}[…]`;
  return path ? `${path}.${name}` : name;
}

/** Made by `{}`, in whatever realm, or without any prototype. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value) as object | null;
  if (prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'hasOwnProperty');
}

/** How many prototypes stand above an object. Unlike `instanceof`, right for objects of another realm as well. */
function prototypes(value: object): number {
  let count = 0;
  for (
    let prototype: unknown = Object.getPrototypeOf(value);
    prototype;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    count++;
  }
  return count;
}

/** Objects whose content does not lie in their fields: as fields they would be lost without a word. */
function exotic(value: object): boolean {
  return (
    Object.keys(value).length === 0 ||
    ArrayBuffer.isView(value) ||
    Array.isArray(value) ||
    types.isBoxedPrimitive(value) ||
    types.isNativeError(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isDate(value)
  );
}
