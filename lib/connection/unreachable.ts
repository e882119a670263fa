import type { RedisOptions } from 'ioredis';
import { NoAnswerError } from './redis.error.js';
import { SLOTS } from './slots.js';

/** There is no connection, and this is why. Never says a user or a password. */
export class UnreachableError extends NoAnswerError {
  constructor(
    readonly problem: string,
    readonly fix: string,
    options?: ErrorOptions,
  ) {
    super(`${problem}. Fix: ${fix}`, options);
  }
}

export interface Reason {
  readonly problem: string;
  readonly fix: string;
}

/** What is told of who gives no answer. */
export function reasonOf(error: NoAnswerError): Reason {
  if (error instanceof UnreachableError) return error;
  const { message } = (error.cause ?? error) as Error;
  if (message.startsWith("Stream isn't writeable")) {
    return {
      problem: 'it is there, and not ready',
      fix: 'see whether it is still loading its data, or is a replica that has lost its primary.',
    };
  }
  return { problem: message, fix: 'see whether Redis runs, and what it says in its log.' };
}

/** Nobody has so many slots of a cluster, as its nodes say. */
export function withoutNode(slots: number): UnreachableError {
  return new UnreachableError(
    `no node of the cluster has ${slots === SLOTS ? 'any slot' : `${slots} of its ${SLOTS} slots`}`,
    'see what `redis-cli --cluster check` says of one of its nodes, and give all slots to nodes.',
  );
}

const TRY_WITH_TLS = 'if Redis talks TLS there, write rediss:// instead of redis://';
const TRY_WITHOUT_TLS = 'if Redis talks no TLS there, write redis:// instead of rediss://';
const TRANSLATE =
  'see whether this node runs, and whether its address leads there from here; where it does not, as with containers, ' +
  'translate it: `client: new Cluster(…, { natMap })`.';
/** How a server that talks TLS refuses what is none. */
const TLS_ALERT = 21;

/** What a connection to where `options` lead has failed with, as a person can use it. */
export function unreachable(
  failure: Error | undefined,
  options: RedisOptions,
  /** Nobody has written its address: a cluster says that it has a node there. */
  isAnnounced = false,
): UnreachableError {
  const place = placeOf(options);
  const at = isAnnounced ? `the node ${place} announced by the cluster` : place;
  // The client adds what was sent: a password.
  delete (failure as { command?: unknown } | undefined)?.command;
  const told = (problem: string, fix: string) =>
    new UnreachableError(problem, fix, { cause: failure });
  const { code, message = 'it has ended the connection' } = (failure ??
    {}) as Partial<NodeJS.ErrnoException>;
  const reason = code ?? message;
  const other = options.tls === undefined ? TRY_WITH_TLS : TRY_WITHOUT_TLS;
  if (message.startsWith('All sentinels are unreachable')) {
    const last = /Last error: (.*)$/.exec(message)?.[1] ?? 'none of them knows it';
    return told(
      `no primary ${at} was found (${last.replace(/\.$/, '')})`,
      'see whether the sentinels run there, and whether they call the primary by this name.',
    );
  }
  if (code === 'ECONNREFUSED') {
    return told(
      `nothing listens at ${at} (${code})`,
      isAnnounced ? TRANSLATE : 'see whether Redis runs there, and whether the address is right.',
    );
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return told(
      `the host of ${at} is not known (${code})`,
      isAnnounced
        ? TRANSLATE
        : 'see whether its name is right, and whether this machine can resolve it.',
    );
  }
  const [, type] = /^Unknown RESP type (\d+)/.exec(message) ?? [];
  if (Number(type) === TLS_ALERT) {
    return told(`what answers at ${at} talks TLS`, 'write rediss:// instead of redis://.');
  }
  if (type !== undefined) {
    return told(
      `what answers at ${at} is no Redis`,
      `see whether this is the port of Redis; ${other}.`,
    );
  }
  if (/CERT|SIGNATURE/.test(code ?? '')) {
    return told(
      `the certificate of ${at} is not trusted (${code})`,
      'give a client with `tls: { ca }`, or NODE_EXTRA_CA_CERTS; the name in the certificate has to be that of the host.',
    );
  }
  if (code === 'EPROTO' || code?.startsWith('ERR_SSL') === true) {
    return told(`no TLS could be agreed upon with ${at} (${code})`, `${TRY_WITHOUT_TLS}.`);
  }
  if (
    code === 'ETIMEDOUT' ||
    message.includes('ETIMEDOUT') ||
    message.startsWith('Socket timeout')
  ) {
    return told(
      `${at} gave no answer in time (ETIMEDOUT)`,
      isAnnounced
        ? TRANSLATE
        : `see whether a firewall is in between, and whether this is the port of Redis; ${other}.`,
    );
  }
  return told(
    `${at} is out of reach (${reason})`,
    isAnnounced
      ? TRANSLATE
      : `see whether Redis runs there, and whether this is its port; ${other}.`,
  );
}

function placeOf({ sentinels, name, path, host, port }: RedisOptions): string {
  if (sentinels != null && sentinels.length > 0) {
    const at = sentinels.map((sentinel) => `${sentinel.host}:${sentinel.port ?? 26_379}`);
    return `'${name}' of the sentinels ${at.join(', ')}`;
  }
  return path ?? `${host}:${port}`;
}
