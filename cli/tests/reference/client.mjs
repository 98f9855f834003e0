// Starts the reference server or ours, and calls its tools.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('node_modules/@modelcontextprotocol/server-memory/dist/index.js', import.meta.url));

// `program` is "reference" or the path of llmdb; the memory is in `folder`.
export async function start(program, folder) {
  const stdio = ['pipe', 'pipe', 'ignore'];
  const began = performance.now();
  const child = program === 'reference'
    ? spawn('node', [script], { env: { ...process.env, MEMORY_FILE_PATH: join(folder, 'memory.jsonl') }, stdio })
    : spawn(program, ['mcp', join(folder, 'memory.llmdb')], { stdio });
  const waiting = new Map();
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line);
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  let id = 0;
  const request = (method, params) => new Promise((resolve) => {
    waiting.set(++id, resolve);
    child.stdin.write(JSON.stringify({ jsonrpc: '2.0', id, method, params }) + '\n');
  });
  const call = async (name, args) => (await request('tools/call', { name, arguments: args })).result;
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const end = () => { child.stdin.end(); return ended; };
  const clientInfo = { name: 'measure', version: '1' };
  await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
  const started = performance.now() - began;
  return { call, end, pid: child.pid, started };
}
