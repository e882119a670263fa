/* global module */

/** Who may import whom in lib/: a place imports from places above it in this list and from itself. */
const order = [
  'errors/',
  'time/',
  'events/',
  'contract/',
  'entry/',
  'connection/',
  'coordination/',
  'store/',
  'invalidation/',
  'read/',
  'write/',
  'nest/',
  'cache.module.ts',
  'index.ts',
  'redis.ts',
  'extras/',
  'cache-manager.ts',
];

const place = (...names) => `^lib/(${names.map((name) => name.replaceAll('.', '\\.')).join('|')})`;
/** Where Nest is known. */
const nest = place('nest/', 'extras/', 'cache.module.ts');
/** Where Redis is known. */
const redis = ['^lib/connection/', '^lib/redis\\.ts$', '^lib/[a-z/]+/redis/'];
/** What users import. */
const entries = '^lib/(index|redis|cache-manager)\\.ts$';
/** Where Keyv is known. */
const keyv = ['^lib/cache-manager\\.ts$', '^lib/store/keyv/'];

module.exports = {
  forbidden: [
    ...order.map((name, position) => ({
      name: `order: ${name}`,
      comment: `${name} may import only from: ${order.slice(0, position + 1).join(' ')}`,
      severity: 'error',
      from: { path: place(name) },
      to: { path: '^lib/', pathNot: place(...order.slice(0, position + 1)) },
    })),
    {
      name: 'order: unlisted',
      comment: 'a new folder of lib/ gets its place in the order first',
      severity: 'error',
      from: {},
      to: { path: '^lib/', pathNot: place(...order) },
    },
    {
      name: 'no circle',
      comment: 'also among types: files in a circle can be understood only together',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no barrel',
      comment: 'inside lib/ import from the file that declares it; the entries are for users',
      severity: 'error',
      from: {},
      to: { path: ['/index\\.ts$', entries], pathNot: 'node_modules/' },
    },
    {
      name: 'no dead file',
      comment: 'no entry of the package needs it: neither at run time nor as a type',
      severity: 'error',
      from: { path: entries },
      to: { path: '^lib/', pathNot: entries, reachable: false },
    },
    {
      name: 'Nest stays in nest/',
      comment: 'everything else works without Nest and RxJS',
      severity: 'error',
      from: { pathNot: nest },
      to: { path: 'node_modules/(@nestjs/|rxjs/|reflect-metadata/)' },
    },
    {
      name: 'ioredis stays with Redis',
      comment:
        'it is optional: without it everything but nestjs-cache-contract/redis works and is compiled',
      severity: 'error',
      from: { pathNot: redis },
      to: { path: ['node_modules/ioredis/', ...redis] },
    },
    {
      name: 'Keyv stays with Keyv',
      comment:
        'it is optional, and the caller’s own: what is used of it is declared in lib/store/keyv',
      severity: 'error',
      from: { pathNot: keyv },
      to: { path: ['node_modules/@?keyv/', ...keyv] },
    },
    {
      name: 'only declared packages',
      comment: 'a user installs dependencies and peerDependencies, nothing else',
      severity: 'error',
      from: {},
      to: { pathNot: '^lib/', dependencyTypesNot: ['core', 'npm', 'npm-peer', 'npm-optional'] },
    },
    {
      name: 'found',
      comment: 'the import leads nowhere',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types'] },
  },
};
