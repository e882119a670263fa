import { Injectable } from '@nestjs/common';
import { Cached, currentLoad, Invalidates } from 'nestjs-cache-contract';
import { Database } from '../database/database.js';
import { Permissions, type Permission } from './permission.contract.js';

@Injectable()
export class PermissionService {
  constructor(private readonly database: Database) {}

  @Cached(Permissions, (tenant: string, user: string) => [tenant, user])
  async of(tenant: string, user: string): Promise<readonly Permission[]> {
    const sql = 'SELECT permission FROM permissions WHERE tenant = ? AND user = ?';
    const { signal } = currentLoad();
    const rows = await this.database.query<{ permission: Permission }>(sql, [tenant, user], signal);
    return rows.map(({ permission }) => permission);
  }

  @Invalidates(Permissions, (tenant: string, user: string) => [tenant, user])
  async grant(tenant: string, user: string, permission: Permission): Promise<void> {
    const sql = 'INSERT OR IGNORE INTO permissions VALUES (?, ?, ?)';
    await this.database.query(sql, [tenant, user, permission]);
  }

  @Invalidates(Permissions, (tenant: string, user: string) => [tenant, user])
  async revoke(tenant: string, user: string, permission: Permission): Promise<void> {
    const sql = 'DELETE FROM permissions WHERE tenant = ? AND user = ? AND permission = ?';
    await this.database.query(sql, [tenant, user, permission]);
  }
}
