import type { FromInstance, ToInstance } from './messages.js';

type Answer = Extract<ToInstance, { kind: 'answer' | 'refusal' }>;

/** The database as an instance sees it: in another process, and the same for all instances. */
export class DistantDatabase {
  private readonly asked = new Map<number, PromiseWithResolvers>();
  private last = 0;

  constructor(private readonly send: (message: FromInstance) => void) {}

  query<Row>(sql: string, values: (string | number)[] = []): Promise<Row[]> {
    const query = ++this.last;
    return new Promise((resolve, reject) => {
      this.asked.set(query, { resolve: (rows) => resolve(rows as Row[]), reject });
      this.send({ kind: 'query', query, sql, values });
    });
  }

  answered(answer: Answer): void {
    const asked = this.asked.get(answer.query)!;
    this.asked.delete(answer.query);
    if (answer.kind === 'answer') asked.resolve(answer.rows);
    else asked.reject(new Error(answer.message));
  }
}

interface PromiseWithResolvers {
  resolve(rows: readonly object[]): void;
  reject(reason: Error): void;
}
