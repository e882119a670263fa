import { createHash } from 'node:crypto';
import {
  channels,
  type AbsorbedFault,
  type CacheEvent,
  type CacheEventName,
  type CacheEvents,
} from './events.js';

/** Where a call came from, as far as the request's context knows. */
export interface Trace {
  readonly request?: number;
  readonly handler?: string;
}

/** Publishes the events of one application. */
export class EventSource {
  private readonly warned = new Set<string>();

  constructor(
    private readonly namespace: string,
    private readonly warn: (message: string) => void,
  ) {}

  publish<Name extends CacheEventName>(name: Name, event: CacheEvents[Name]): void {
    channels[name].publish(event);
  }

  ofEntity(entity: string, trace: Trace | undefined): CacheEvent {
    return {
      namespace: this.namespace,
      entity,
      ...(trace?.request !== undefined && { request: trace.request }),
      ...(trace?.handler !== undefined && { handler: trace.handler }),
    };
  }

  ofEntry(entity: string, id: string, trace: Trace | undefined): CacheEvent & { entry: string } {
    const hash = createHash('sha256').update(`${entity}/${id}`, 'utf16le').digest('hex');
    return { ...this.ofEntity(entity, trace), entry: hash.slice(0, 16) };
  }

  /** A fault the cache deals with. Each kind is also logged, once per entity: it repeats with every call. */
  fault(code: AbsorbedFault, entity: string, message: string, trace: Trace | undefined): void {
    this.publishFault(code, entity, message, trace);
    const kind = `${code} ${entity}`;
    if (this.warned.has(kind)) return;
    this.warned.add(kind);
    this.warn(`[${code}] ${message} Further ones are only told as 'fault' events.`);
  }

  /** One that is told at the end of the application, and logged whatever was logged before: nothing comes after it. */
  lastFault(code: AbsorbedFault, entity: string, message: string): void {
    this.publishFault(code, entity, message, undefined);
    this.warn(`[${code}] ${message}`);
  }

  private publishFault(
    code: AbsorbedFault,
    entity: string,
    message: string,
    trace: Trace | undefined,
  ): void {
    if (!channels.fault.hasSubscribers) return;
    this.publish('fault', { ...this.ofEntity(entity, trace), code, message });
  }
}
