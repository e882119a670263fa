// Installs the peers if they are missing or older than their lock, then measures all subjects, one program after
// another. A subject that cannot be measured is a line of the report; nothing here fails.
import { execFileSync, execSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import bytes from './bytes.mjs';
import codec from './codec.mjs';
import hit from './hit.mjs';
import redisHit from './redis-hit.mjs';
import redisMiss from './redis-miss.mjs';
import { report as reportBus } from './redis-bus.mjs';
import { report as reportOutages } from './redis-outage.mjs';
import { report as reportStampedes } from './redis-stampede.mjs';
import stampede from './stampede.mjs';
import { subjects } from './subjects.mjs';
import { Child, supportFor } from './support.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const changedAt = (file) => statSync(here + file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

// npm writes this file last, so it also tells an installation that was broken off.
if (changedAt('node_modules/.package-lock.json') < changedAt('package-lock.json')) {
  try {
    execSync('npm ci --no-audit --no-fund --loglevel=error', { cwd: here, stdio: 'inherit' });
  } catch {
    console.log('The peers could not be installed; those that are missing are reported as such.');
  }
}

const { packages } = JSON.parse(readFileSync(here + 'package-lock.json', 'utf8'));
const peers = Object.keys(packages[''].dependencies);
console.log(`node ${process.version}; numbers of this machine now: read the ratios, as rough ones`);
console.log(peers.map((name) => `${name} ${packages[`node_modules/${name}`].version}`).join(', '));

const programs = { hit, bytes, stampede, codec };
const wanted = process.argv.slice(2);
const isWanted = (name) => wanted.length === 0 || wanted.includes(name);
for (const [file, program] of Object.entries(programs)) {
  if (isWanted(file)) await run(file, program);
}

const inRedis = Object.entries({ 'redis-hit': redisHit, 'redis-miss': redisMiss }).filter(
  ([file]) => isWanted(file),
);
const reports = Object.entries({
  'redis-stampede': reportStampedes,
  'redis-bus': reportBus,
  // The last one: it kills the server.
  'redis-outage': reportOutages,
}).filter(([file]) => isWanted(file));
if (inRedis.length + reports.length > 0) {
  const { startRedis } = await supportFor('redis-server', 'redis-binaries');
  const redis = await startRedis();
  if (redis === undefined) {
    console.log('\nRedis\n  not measured: there is no redis-server');
  } else {
    process.env.BENCH_REDIS_URL = redis.url;
    for (const [file, program] of inRedis) await run(file, program);
    for (const [, report] of reports) await report(redis);
    await redis.stop();
  }
}

if (isWanted('write-behind')) {
  console.log('\nWrite-behind');
  try {
    const program = `${here}write-behind.mjs`;
    execFileSync(process.execPath, ['--expose-gc', program], { stdio: 'inherit' });
  } catch {
    console.log('  not measured');
  }
}

async function run(file, { title, tasks, rounds, unit, row, base = 'Map', ...own }) {
  console.log(`\n${title}`);
  const children = new Map(
    Object.keys(own.subjects ?? subjects).map((name) => [name, new Child(file, name)]),
  );
  for (const task of tasks) {
    const results = new Map([...children.keys()].map((name) => [name, []]));
    const failures = new Map();
    // In turns, so that a slow moment of the machine meets all of them.
    for (let round = 0; round < rounds; round++) {
      for (const [name, child] of children) {
        try {
          results.get(name).push(await child.ask(task));
        } catch (error) {
          failures.set(name, error.message);
          children.delete(name);
          child.stop();
        }
      }
    }
    console.log(`\n  ${task}`);
    const perBase = children.has(base) ? row(results.get(base)).number : undefined;
    for (const [name, result] of results) {
      const outcome = failures.has(name)
        ? `   not measured: ${failures.get(name)}`
        : columns(row(result), unit, base, perBase);
      console.log(`  ${name.padEnd(40)}${outcome}`);
    }
  }
  for (const child of children.values()) child.stop();
}

function columns({ number, text = '' }, unit, base, perBase) {
  const share =
    perBase === undefined ? '' : `${(number / perBase).toFixed(2).padStart(7)} × ${base}`;
  return `${number.toFixed(0).padStart(8)} ${unit}${share}${text}`;
}
