import { meaningOf, NoAnswerError } from '../../../lib/connection/redis.error.js';
import { reasonOf } from '../../../lib/connection/unreachable.js';

describe('a right that was taken away while the application runs', () => {
  it.each([
    ["NOPERM this user has no permissions to run the 'evalsha' command"],
    ["ERR The user executing the script can't run this command or subcommand script: 0342"],
    ["ERR The user executing the script can't access at least one of the keys mentioned"],
    ["ERR ACL failure in script: User shop has no permissions to run the 'xadd' command"],
  ])('is told as one, whoever says it: %s', (message) => {
    const reply = Object.assign(new Error(message), { name: 'ReplyError' });
    expect(meaningOf(reply, 'run append-log').message).toBe(
      `Redis refused to run append-log: ${message}. Fix: allow this user EVALSHA, EVAL, SUBSCRIBE, PUBLISH, INFO and the commands of the script, on the keys and channels of the namespace: docs/redis.md lists them.`,
    );
  });
});

it('says of a server that is not ready what may be the matter, not what the client says', () => {
  const cause = new Error("Stream isn't writeable and enableOfflineQueue options is false");
  expect(reasonOf(new NoAnswerError('Redis did not answer', { cause }))).toEqual({
    problem: 'it is there, and not ready',
    fix: 'see whether it is still loading its data, or is a replica that has lost its primary.',
  });
});
