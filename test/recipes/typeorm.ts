import { Injectable } from '@nestjs/common';
import { SqlLedger } from 'nestjs-cache-contract';
import { DataSource, type EntityManager } from 'typeorm';

/** A flushing method gets the manager of its transaction: `tx.insert(…)`, `tx.getRepository(…)`. */
@Injectable()
export class ShopLedger extends SqlLedger<EntityManager> {
  constructor(private readonly dataSource: DataSource) {
    super('postgres');
  }

  override transaction<T>(work: (tx: EntityManager) => Promise<T>): Promise<T> {
    return this.dataSource.transaction(work);
  }

  override async query(tx: EntityManager, sql: string, values: readonly (string | number)[]) {
    // tx.query() would give rows for a SELECT, but [rows, count] for an UPDATE or DELETE.
    const { records } = await tx.queryRunner!.query(sql, [...values], true);
    return records as object[];
  }
}
