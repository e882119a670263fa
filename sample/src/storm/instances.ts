import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Database } from '../database/database.js';
import type {
  FromInstance,
  InstanceOptions,
  Seen,
  ToInstance,
  WritingOptions,
} from './messages.js';

/** Several processes of one application, which have one database: that of this process. */
export class Instances {
  private constructor(private readonly processes: readonly ChildProcess[]) {}

  /** Resolves when all of them are ready. */
  static async start(
    count: number,
    options: InstanceOptions | WritingOptions,
    database: Database,
    script = './instance.js',
  ): Promise<Instances> {
    const file = new URL(script, import.meta.url);
    const processes = Array.from({ length: count }, () => fork(file, [JSON.stringify(options)]));
    const instances = new Instances(processes);
    try {
      await Promise.all(
        processes.map((one) => {
          one.on('message', (message: FromInstance) => {
            if (message.kind === 'query') void answer(one, message, database);
          });
          return heard(one, 'ready');
        }),
      );
    } catch (error) {
      await instances.end();
      throw error;
    }
    return instances;
  }

  /** So many readers in all of them together, at once; resolves to how many got nothing. */
  async read(readers: number): Promise<number> {
    const { length } = this.processes;
    const failed = await Promise.all(
      this.processes.map(async (one, index) => {
        const own = Math.floor((readers + index) / length);
        const served = heard(one, 'served');
        tell(one, { kind: 'read', readers: own });
        return (await served).failed;
      }),
    );
    return failed.reduce((sum, count) => sum + count, 0);
  }

  /** Each of them something of its own. */
  tellAll(message: (index: number) => ToInstance): void {
    for (const [index, one] of this.processes.entries()) tell(one, message(index));
  }

  /** What each of them has seen since it was asked before; `last`: and its readers end. */
  seen(last: boolean): Promise<Seen[]> {
    return Promise.all(
      this.processes.map((one) => {
        const seen = heard(one, 'seen');
        tell(one, { kind: 'tell', last });
        return seen;
      }),
    );
  }

  async end(): Promise<void> {
    const running = this.processes.filter(({ exitCode }) => exitCode === null);
    await Promise.all(
      running.map((one) => {
        const ended = once(one, 'exit');
        if (one.connected) one.disconnect();
        return ended;
      }),
    );
  }
}

type Heard<Kind> = Extract<FromInstance, { kind: Kind }>;

function heard<Kind extends FromInstance['kind']>(
  one: ChildProcess,
  kind: Kind,
): Promise<Heard<Kind>> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      one.off('message', hear);
      one.off('exit', fail);
    };
    const hear = (message: FromInstance) => {
      if (message.kind !== kind) return;
      settle();
      resolve(message as Heard<Kind>);
    };
    const fail = () => {
      settle();
      reject(new Error('an instance has ended'));
    };
    one.on('message', hear);
    one.on('exit', fail);
  });
}

async function answer(
  one: ChildProcess,
  { query, sql, values }: Heard<'query'>,
  database: Database,
): Promise<void> {
  try {
    const rows = await database.query<object>(sql, [...values]);
    tell(one, { kind: 'answer', query, rows });
  } catch (error) {
    tell(one, { kind: 'refusal', query, message: (error as Error).message });
  }
}

function tell(one: ChildProcess, message: ToInstance): void {
  if (one.connected) one.send(message);
}
