/** One load under way. */
export interface Flight {
  /** True once the key was invalidated after the load began: its value goes to those who wait, nowhere else. */
  readonly poisoned: boolean;
}

/**
 * One load per key at a time, whatever the number of callers. Replace it by your own provider to coordinate
 * differently; the conditions below are what the rest of the package relies on.
 *
 * `fly` calls `load` before it returns, or not at all. A flight lasts from the call of `load` until its promise settles; when a caller sees the outcome, the key is free
 * again. `poison` takes effect before it returns: a call of `fly` after it never joins a flight that began before it.
 */
export abstract class Singleflight {
  /** Joins the flight of `id` within `family`, or starts it with `load`. */
  abstract fly<T>(family: string, id: string, load: (flight: Flight) => Promise<T>): Promise<T>;
  /** Poisons the flight of `id`, or without an `id` every flight of `family`. */
  abstract poison(family: string, id?: string): void;
}

class OwnFlight<T = any> implements Flight {
  poisoned = false;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

/** Coordinates the callers of this process. */
export class ProcessSingleflight extends Singleflight {
  private readonly families = new Map<string, Map<string, OwnFlight>>();

  override fly<T>(family: string, id: string, load: (flight: Flight) => Promise<T>): Promise<T> {
    let flights = this.families.get(family);
    if (flights === undefined) {
      flights = new Map<string, OwnFlight>();
      this.families.set(family, flights);
    }
    const joined = flights.get(id) as OwnFlight<T> | undefined;
    if (joined !== undefined) return joined.promise;
    const flight = new OwnFlight<T>();
    flights.set(id, flight);
    // Complete before the load begins: what it calls may come back for the same key at once.
    this.land(flights, id, flight, load).then(flight.resolve, flight.reject);
    return flight.promise;
  }

  override poison(family: string, id?: string): void {
    const flights = this.families.get(family);
    if (flights === undefined) return;
    if (id === undefined) {
      for (const flight of flights.values()) flight.poisoned = true;
      flights.clear();
    } else {
      const flight = flights.get(id);
      if (flight !== undefined) flight.poisoned = true;
      flights.delete(id);
    }
  }

  private async land<T>(
    flights: Map<string, OwnFlight>,
    id: string,
    flight: OwnFlight<T>,
    load: (flight: Flight) => Promise<T>,
  ): Promise<T> {
    try {
      return await load(flight);
    } finally {
      // A poisoned flight has left its place, perhaps to another one.
      if (flights.get(id) === flight) flights.delete(id);
    }
  }
}
