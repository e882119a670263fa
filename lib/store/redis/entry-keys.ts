import type { EntryName } from '../cache-store.js';
import { PROTOCOL } from './stored-record.js';

/**
 * What entries are called in Redis. The braces put all keys of an entry on one node of a cluster, so names can have none
 * of their own; and a lone surrogate, which the id of a tuple begins with, has no form in UTF-8.
 */
export class EntryKeys {
  private readonly prefix: string;

  constructor(namespace: string) {
    this.prefix = `${namespace}:${PROTOCOL}`;
  }

  record(entry: EntryName): string {
    return `${this.prefix}:v:${tagOf(entry)}`;
  }

  lease(entry: EntryName): string {
    return `${this.prefix}:l:${tagOf(entry)}`;
  }

  floor(entry: EntryName): string {
    return `${this.prefix}:f:${tagOf(entry)}`;
  }

  /** What the channels begin with on which processes are woken. */
  get wakes(): string {
    return `${this.prefix}:l`;
  }

  /** What is known of the log; the braces put it on one node of a cluster together with its messages. */
  get log(): string {
    return `${this.prefix}:log:{log}`;
  }

  get logMessages(): string {
    return `${this.log}:m`;
  }

  /** On the node of the log. */
  tag(name: string): string {
    return `${this.log}:t:${escaped(name, IN_ID)}`;
  }

  get logChannel(): string {
    return `${this.prefix}:log`;
  }

  /** Of no entry. */
  probe(token: string): string {
    return `${this.prefix}:probe:{${token}}`;
  }
}

/** As most ids and all names are. */
const AS_IT_IS = /^[\w.@/-]*$/;
const IN_ID = /[{}%\p{Surrogate}]/gu;
const IN_ENTITY = /[{}%:\p{Surrogate}]/gu;

function tagOf({ entity, id }: EntryName): string {
  return `{${escaped(entity, IN_ENTITY)}:${escaped(id, IN_ID)}}`;
}

function escaped(name: string, signs: RegExp): string {
  if (AS_IT_IS.test(name)) return name;
  return name.replace(signs, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
