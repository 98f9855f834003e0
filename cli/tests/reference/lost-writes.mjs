// Several servers on one memory, all writing at once: how much of what was acknowledged is there afterwards?
//
//   node cli/tests/reference/lost-writes.mjs reference
//   node cli/tests/reference/lost-writes.mjs target/release/llmdb
//
// Every server adds observations of its own to one entity, one call after the other, as an agent would. With the program
// of ours, the same. Run by hand: how much the reference loses depends on the machine and on chance.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './client.mjs';

const SERVERS = 5;
const CALLS = 100;
const program = process.argv[2] ?? 'reference';
const folder = mkdtempSync(join(tmpdir(), 'lost-writes-'));

const first = await start(program, folder);
await first.call('create_entities', { entities: [{ name: 'Ada', entityType: 'person', observations: [] }] });
const servers = await Promise.all(Array.from({ length: SERVERS }, () => start(program, folder)));
const began = performance.now();
let acknowledged = 0;
await Promise.all(servers.map(async (server, number) => {
  for (let call = 0; call < CALLS; call++) {
    const observations = [{ entityName: 'Ada', contents: [`${number}/${call}`] }];
    const result = await server.call('add_observations', { observations });
    acknowledged += result && !result.isError ? 1 : 0;
  }
}));
const seconds = (performance.now() - began) / 1000;
const graph = (await first.call('read_graph', {})).structuredContent;
const kept = new Set(graph?.entities?.find((entity) => entity.name === 'Ada')?.observations ?? []).size;
console.log(`${program}: ${SERVERS} servers, ${SERVERS * CALLS} calls, ${acknowledged} acknowledged, ${kept} kept, ${acknowledged - kept} lost; ${seconds.toFixed(2)} s`);
await Promise.all([first, ...servers].map((server) => server.end()));
rmSync(folder, { recursive: true });
