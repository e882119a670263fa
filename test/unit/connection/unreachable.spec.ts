import { inspect } from 'node:util';
import type { RedisOptions } from 'ioredis';
import { unreachable } from '../../../lib/connection/unreachable.js';

const failure = (code: string) => Object.assign(new Error(`connect ${code}`), { code });
const PLAIN: RedisOptions = { host: 'redis', port: 6_379, username: 'shop', password: 's3cret' };
const TLS: RedisOptions = { ...PLAIN, tls: {} };
const WATCHED: RedisOptions = {
  ...PLAIN,
  name: 'mymaster',
  sentinels: [{ host: 'one', port: 1 }, { host: 'two' }],
  sentinelPassword: 's3cret',
};
const WITH = 'if Redis talks TLS there, write rediss:// instead of redis://.';
const WITHOUT = 'if Redis talks no TLS there, write redis:// instead of rediss://.';

describe('why there is no connection is told', () => {
  it.each<[string, RedisOptions, Error | undefined, string]>([
    [
      'of a port that nobody listens at',
      PLAIN,
      failure('ECONNREFUSED'),
      'nothing listens at redis:6379 (ECONNREFUSED). Fix: see whether Redis runs there, and whether the address is right.',
    ],
    [
      'of a socket that is not there',
      { ...PLAIN, path: '/run/redis.sock' },
      failure('ENOENT'),
      `/run/redis.sock is out of reach (ENOENT). Fix: see whether Redis runs there, and whether this is its port; ${WITH}`,
    ],
    [
      'of a host that nobody knows',
      PLAIN,
      failure('ENOTFOUND'),
      'the host of redis:6379 is not known (ENOTFOUND). Fix: see whether its name is right, and whether this machine can resolve it.',
    ],
    [
      'of a server that talks something else',
      PLAIN,
      new Error('Unknown RESP type 72 "H"'),
      `what answers at redis:6379 is no Redis. Fix: see whether this is the port of Redis; ${WITH}`,
    ],
    [
      'of a server that talks TLS',
      PLAIN,
      new Error('Unknown RESP type 21 "\x15"'),
      'what answers at redis:6379 talks TLS. Fix: write rediss:// instead of redis://.',
    ],
    [
      'of a server that talks no TLS',
      TLS,
      failure('ERR_SSL_WRONG_VERSION_NUMBER'),
      `no TLS could be agreed upon with redis:6379 (ERR_SSL_WRONG_VERSION_NUMBER). Fix: ${WITHOUT}`,
    ],
    [
      'of a certificate that is not trusted',
      TLS,
      failure('DEPTH_ZERO_SELF_SIGNED_CERT'),
      'the certificate of redis:6379 is not trusted (DEPTH_ZERO_SELF_SIGNED_CERT). Fix: give a client with `tls: { ca }`, or NODE_EXTRA_CA_CERTS; the name in the certificate has to be that of the host.',
    ],
    [
      'of a server that waits for something else than TLS',
      TLS,
      failure('ETIMEDOUT'),
      `redis:6379 gave no answer in time (ETIMEDOUT). Fix: see whether a firewall is in between, and whether this is the port of Redis; ${WITHOUT}`,
    ],
    [
      'of a server that takes the connection and says nothing',
      PLAIN,
      new Error("Socket timeout. Expecting data, but didn't receive any in 5000ms."),
      `redis:6379 gave no answer in time (ETIMEDOUT). Fix: see whether a firewall is in between, and whether this is the port of Redis; ${WITH}`,
    ],
    [
      'of a server that hangs up',
      PLAIN,
      undefined,
      `redis:6379 is out of reach (it has ended the connection). Fix: see whether Redis runs there, and whether this is its port; ${WITH}`,
    ],
    [
      'of sentinels that know no primary',
      WATCHED,
      new Error(
        'All sentinels are unreachable and retry is disabled. Last error: Connection is closed.',
      ),
      "no primary 'mymaster' of the sentinels one:1, two:26379 was found (Connection is closed). Fix: see whether the sentinels run there, and whether they call the primary by this name.",
    ],
  ])('%s', (_, options, cause, message) => {
    const error = unreachable(cause, options);
    expect(error.message).toBe(message);
    expect(inspect(error)).not.toContain('s3cret');
  });
});

describe('of a node that only its cluster has told of', () => {
  it.each([
    ['nothing listens at', 'ECONNREFUSED'],
    ['the host of', 'ENOTFOUND'],
    ['', 'ETIMEDOUT'],
    ['', 'EHOSTUNREACH'],
  ])('that is said, and how its address can be translated (%s %s)', (begin, code) => {
    const { problem, fix } = unreachable(failure(code), PLAIN, true);
    const at = 'the node redis:6379 announced by the cluster';
    expect(problem).toMatch(new RegExp(`^${begin} ?${at} .*\\(${code}\\)$`));
    expect(fix).toContain('`client: new Cluster(…, { natMap })`');
  });
});
