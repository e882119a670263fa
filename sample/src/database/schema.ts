import { ledgerSchema } from 'nestjs-cache-contract';

/** The tables, and what is in them when the application starts. */
export const SCHEMA = `
  CREATE TABLE profiles (
    number INTEGER PRIMARY KEY,
    id     TEXT AS ('u' || number) STORED UNIQUE,
    name   TEXT NOT NULL
  );
  INSERT INTO profiles (name) VALUES ('Ada'), ('Barbara');

  CREATE TABLE products (
    id       INTEGER PRIMARY KEY,
    category TEXT NOT NULL,
    title    TEXT NOT NULL,
    cents    INTEGER NOT NULL,
    stock    INTEGER NOT NULL,
    views    INTEGER NOT NULL DEFAULT 0
  );
  INSERT INTO products (category, title, cents, stock, views) VALUES
    ('tea', 'Assam', 690, 5, 12),
    ('tea', 'Sencha', 1250, 0, 40),
    ('coffee', 'Yirgacheffe', 1490, 30, 7);

  CREATE TABLE permissions (
    tenant     TEXT NOT NULL,
    user       TEXT NOT NULL,
    permission TEXT NOT NULL,
    PRIMARY KEY (tenant, user, permission)
  );
  INSERT INTO permissions VALUES
    ('acme', 'ada', 'catalog:edit'),
    ('acme', 'ada', 'permissions:grant');

  ${ledgerSchema('sqlite').join(';\n')};
`;
