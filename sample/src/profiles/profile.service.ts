import { Injectable } from '@nestjs/common';
import { Cached, Invalidates } from 'nestjs-cache-contract';
import { Database } from '../database/database.js';
import { Profiles, type Profile } from './profile.contract.js';

@Injectable()
export class ProfileService {
  constructor(private readonly database: Database) {}

  @Cached(Profiles)
  async find(id: string): Promise<Profile | null> {
    const sql = 'SELECT id, name FROM profiles WHERE id = ?';
    const [profile] = await this.database.query<Profile>(sql, [id]);
    return profile ?? null;
  }

  /** Resolves to whether there was somebody to rename. */
  @Invalidates(Profiles, (id: string) => id)
  async rename(id: string, name: string): Promise<boolean> {
    const sql = 'UPDATE profiles SET name = ? WHERE id = ? RETURNING id';
    return (await this.database.query(sql, [name, id])).length > 0;
  }

  // Somebody may have asked for this id before it existed, and "there is nobody" is remembered too.
  @Invalidates(Profiles, { keysOf: (created: Profile) => [created.id] })
  async create(name: string): Promise<Profile> {
    const sql = 'INSERT INTO profiles (name) VALUES (?) RETURNING id, name';
    const [created] = await this.database.query<Profile>(sql, [name]);
    return created!;
  }
}
