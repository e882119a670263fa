const MOST_OBJECTS = 1_000;

/**
 * About how many bytes an error keeps alive, whatever its class: an error of an HTTP client holds on to its request,
 * its response and their sockets. `Infinity` once there is no end in sight.
 */
export function weightOf(error: unknown): number {
  const seen = new Set<object>();
  const open: unknown[] = [error];
  let bytes = 0;
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === 'string') bytes += 24 + 2 * value.length;
    if (typeof value === 'function' || typeof value !== 'object' || value === null) continue;
    if (seen.has(value)) continue;
    seen.add(value);
    if (seen.size > MOST_OBJECTS) return Infinity;
    bytes += 64 + (ArrayBuffer.isView(value) ? value.byteLength : 0);
    if (!ArrayBuffer.isView(value)) open.push(...contents(value));
  }
  return bytes;
}

function contents(value: object): unknown[] {
  const own = Object.entries(Object.getOwnPropertyDescriptors(value)).map(
    ([, property]) => property.value as unknown,
  );
  if (value instanceof Map) return [...own, ...value.keys(), ...value.values()];
  return value instanceof Set ? [...own, ...value] : own;
}
