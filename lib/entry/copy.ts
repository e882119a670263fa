import { types } from 'node:util';

/** A copy of something {@link seal} made, for its receiver to change as it likes. */
export function copy(sealed: unknown): unknown {
  if (typeof sealed !== 'object' || sealed === null) return sealed;
  if (Array.isArray(sealed)) return sealed.map(copy);
  if (types.isDate(sealed)) return new Date(sealed.getTime());
  if (types.isMap(sealed)) {
    return new Map(Array.from(sealed, ([key, value]) => [copy(key), copy(value)]));
  }
  if (types.isSet(sealed)) return new Set(Array.from(sealed, copy));
  if (types.isUint8Array(sealed)) return copyBytes(sealed);
  const copied = {};
  for (const [field, value] of Object.entries(sealed)) setField(copied, field, copy(value));
  return copied;
}

/** In memory of its own: a small Buffer is otherwise a window into a slab that others can reach through it. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  const copied = Buffer.isBuffer(bytes)
    ? Buffer.allocUnsafeSlow(bytes.byteLength)
    : new Uint8Array(bytes.byteLength);
  copied.set(bytes);
  return copied;
}

export function setField(target: object, field: string, value: unknown): void {
  if (field === '__proto__') {
    // Assigning it would change the prototype; data that came from JSON may hold such a field.
    const own = { value, enumerable: true, configurable: true, writable: true };
    Object.defineProperty(target, field, own);
  } else {
    (target as { [field: string]: unknown })[field] = value;
  }
}
