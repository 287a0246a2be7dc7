// Writes `logs/` and `expected.jsonl` beside this file: a small directory in version 4 of the format of
// the Node package super-server-logs, and the events in it as that package would print them.
//
//     node write.mjs          (the files here are from Node 20.20.2)
//
// This is not the package, which is not in the npm registry: it is an encoder of its own, made from the
// description of the format. What it adds to tests in Rust is another implementation of zlib, of JSON
// and of strings, those of Node.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { deflateSync } from 'node:zlib';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT'];
const LEVELS = { CRITICAL: 2, ERROR: 4, WARN: 5, INFO: 6 };
const STEPS = {
	WORKER_STARTED: 20, WORKER_GOING_ONLINE: 21, WORKER_ONLINE: 22, WORKER_GOING_OFFLINE: 23,
	WORKER_OFFLINE: 24, WORKER_DONE: 25, STARTING_UP: 40, STARTING_UP_COMPLETED: 41,
	SHUTTING_DOWN: 42, SHUTTING_DOWN_COMPLETED: 43,
};

// Fields.
const big = (value, len) => {
	const bytes = Buffer.alloc(len);
	bytes.writeUIntBE(value, 0, len);
	return bytes;
};
const u8 = (value) => big(value, 1);
const int = (value) =>
	value <= 0xfd ? u8(value)
	: value <= 0xffff ? Buffer.concat([u8(0xfe), big(value, 2)])
	: Buffer.concat([u8(0xff), big(value, 4)]);
const str = (text) => Buffer.concat([int(Buffer.byteLength(text)), Buffer.from(text)]);
const json = (value) => str(JSON.stringify(value));
const id = (uuid) => Buffer.from(uuid.replaceAll('-', ''), 'hex');
const ip = (address) => {
	if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
	const [front, back = ''] = address.split('::');
	const words = (part) => part.split(':').filter(Boolean).map((word) => parseInt(word, 16));
	const zeros = Array(8 - words(front).length - words(back).length).fill(0);
	return Buffer.concat([...words(front), ...zeros, ...words(back)].map((word) => big(word, 2)));
};

const expected = [];
let nextProcess = 0;

/** A process that counts its records and keeps them until it flushes. */
class Process {
	constructor(worker) {
		Object.assign(this, { worker, process: nextProcess++, nonce: 0, rows: [] });
	}

	row(kind, time, fields, event) {
		const { worker, process, nonce } = this;
		this.rows.push(Buffer.concat([u8(kind), big(time, 6), big(nonce, 2), ...fields]));
		this.nonce = (nonce + 1) & 0xffff;
		// What JSON leaves out, readers do not see.
		const told = { timestamp: time, nonce, workerId: worker, process, ...event };
		if (event) expected.push(JSON.stringify(told));
		return this;
	}

	get who() {
		return this.worker === null ? [] : [int(this.worker)];
	}

	ping(time, workers) {
		return this.row(workers ? 47 : 27, time, workers ? [int(workers.length), ...workers.map(int)] : this.who);
	}

	step(time, name) {
		return this.row(STEPS[name], time, this.who, { level: 'INFO', type: 'LIFECYCLE', event: name });
	}

	spawned(time, workerId) {
		return this.row(44, time, [int(workerId)], { level: 'INFO', type: 'LIFECYCLE', workerId, event: 'WORKER_SPAWNED' });
	}

	exited(time, workerId, exitCode, signal) {
		const fields = [int(workerId), u8(exitCode === null ? 0 : 1), ...(exitCode === null ? [] : [int(exitCode)]), str(signal ?? '')];
		const level = exitCode === 0 || ['SIGTERM', 'SIGINT'].includes(signal) ? 'INFO' : 'WARN';
		return this.row(45, time, fields, { level, type: 'LIFECYCLE', workerId, event: 'WORKER_EXITED', exitCode, signal });
	}

	exception(time, [kind, text, properties, debug]) {
		const error = { [kind ? 'stack' : 'value']: text, properties, debug: debug.map(([timestamp, data]) => ({ timestamp, data })) };
		const fields = [...this.who, json([kind, text, properties, debug])];
		return this.row(this.worker === null ? 46 : 26, time, fields, { level: 'CRITICAL', type: 'UNCAUGHT_EXCEPTION', error });
	}

	log(time, level, data, requestId = null) {
		const base = requestId ? 10 : this.worker === null ? 50 : 30;
		const fields = [...this.who, ...(requestId ? [id(requestId)] : []), json(data)];
		return this.row(base + LEVELS[level], time, fields, { level, type: 'LOG', requestId, data });
	}

	request(time, requestId, ipAddress, httpVersion, method, url) {
		const [major, minor] = httpVersion.split('.').map(Number);
		const known = METHODS.indexOf(method) + 1;
		const flags = (major << 3) | minor | (isIPv6(ipAddress) ? 0x40 : 0) | (known ? 0 : 0x80);
		const fields = [int(this.worker), id(requestId), u8(flags), ip(ipAddress), known ? u8(known) : str(method), str(url)];
		return this.row(1, time, fields, { level: 'INFO', type: 'REQUEST', requestId, ipAddress, httpVersion, method, url });
	}

	meta(time, requestId, data) {
		return this.row(2, time, [int(this.worker), id(requestId), json(data)], { level: 'INFO', type: 'REQUEST_META', requestId, data });
	}

	response(time, requestId, statusCode, told = null, isExpected = false) {
		const fields = [int(this.worker), id(requestId), told ? json(told) : str(''), u8(isExpected ? 1 : 0), int(statusCode)];
		const level = told && !isExpected ? 'ERROR' : 'INFO';
		return this.row(3, time, fields, { level, type: 'RESPONSE', requestId, statusCode, error: error(told) });
	}

	finished(time, requestId, told = null) {
		const fields = [int(this.worker), id(requestId), told ? json(told) : str('')];
		return this.row(4, time, fields, { level: told ? 'ERROR' : 'INFO', type: 'RESPONSE_FINISHED', requestId, error: error(told) });
	}

	/** The records as a block: deflated if there are several or many bytes, as the package does it. */
	flush(compression = true) {
		const { rows } = this;
		this.rows = [];
		let block = Buffer.concat(rows);
		if (compression && (rows.length > 1 || block.length >= 400)) {
			block = deflateSync(block);
			block[0] = (block[0] >> 4) | ((block[0] & 0xf) << 4);
		}
		const escaped = [...block].flatMap((byte) => (byte === 0xf8 ? [0xf8, 1] : byte === 0xfa ? [0xf8, 2] : [byte]));
		return Buffer.from([...escaped, 0xfa]);
	}
}

const error = (told) => {
	if (!told) return null;
	const [kind, text, properties, debug] = told;
	return { [kind ? 'stack' : 'value']: text, properties, debug: debug.map(([timestamp, data]) => ({ timestamp, data })) };
};

const T = 1697612631377;
const A = '607ef6cc-e059-4dd3-995a-fb4b9db1273b';
const B = 'f8faf8fa-0102-4003-8001-fafafafaf8f8';
const stack = new Error('no stock');
stack.stack = 'Error: no stock "7"\n    at order (shop.js:7:11)\n    at main (shop.js:1:1)';

const master = new Process(null);
const one = new Process(1);
const many = new Process(300);
const first = [
	Buffer.from([0xf8, 3]),
	master.step(T, 'STARTING_UP').flush(),
	master.spawned(T + 5, 1).flush(),
	master.spawned(T + 6, 300).flush(),
	one.step(T + 40, 'WORKER_STARTED').flush(),
	one.step(T + 41, 'WORKER_GOING_ONLINE').flush(),
	one.step(T + 42, 'WORKER_ONLINE').flush(),
	many.step(T + 43, 'WORKER_STARTED').step(T + 50, 'WORKER_ONLINE').flush(false),
	master.step(T + 60, 'STARTING_UP_COMPLETED').log(T + 61, 'INFO', 'ready').flush(),
	one.request(T + 100, A, '192.0.2.7', '1.1', 'GET', '/cart?item=7&name=caf\u00e9')
		.meta(T + 101, A, { user: 'ann', nested: { list: [1, 2.5, -0, 1e21, null, true] } })
		.log(T + 102, 'WARN', { message: 'slow \u001b[31mdisk\u0000', emoji: '\u{1f600}', half: '\ud83d' }, A)
		.response(T + 150, A, 500, [1, stack.stack, { sku: 7, code: 'E_STOCK' }, [[T + 120, { sql: 'SELECT 1' }], [T + 121, 'text']]])
		.finished(T + 151, A)
		.flush(),
	many.request(T + 110, B, '2001:db8::ab:1', '2.0', 'PURGE', '/\u00fa\u00f8').flush(false),
	many.response(T + 115, B, 404, [1, 'NotFound: no such page', {}, []], true).flush(),
	many.finished(T + 116, B, [0, 'socket \ud83d closed', { why: [] }, []]).flush(),
];
for (const [index, level] of Object.keys(LEVELS).entries()) {
	const time = T + 200 + 10 * index;
	first.push(one.log(time, level, { level }, A).log(time + 1, level, [level]).flush());
	first.push(master.log(time + 2, level, level.toLowerCase()).flush());
}
first.push(one.log(T + 59900, 'INFO', 'x'.repeat(700)).flush());

// Rotation: everybody pings first. Then worker 300 dies, is spawned again, and the clock goes back.
const again = new Process(300);
const second = [
	master.ping(T + 60000, [1, 300]).flush(),
	one.ping(T + 60001).flush(),
	many.ping(T + 60002).flush(),
	many.exception(T + 60100, [0, 'undefined', {}, [[T + 60099, null]]]).flush(),
	master.exited(T + 60200, 300, null, 'SIGKILL').spawned(T + 60201, 300).flush(),
	again.step(T + 60230, 'WORKER_STARTED').step(T + 60231, 'WORKER_ONLINE').flush(),
	one.log(T + 59000, 'INFO', 'the clock went back').log(T + 59001, 'INFO', 'and on').flush(),
	master.exception(T + 60300, [1, stack.stack, { errno: -2 }, []]).step(T + 60400, 'SHUTTING_DOWN').flush(),
	again.step(T + 60410, 'WORKER_GOING_OFFLINE').step(T + 60411, 'WORKER_OFFLINE').step(T + 60412, 'WORKER_DONE').flush(),
	master.exited(T + 60500, 300, 0, null).exited(T + 60501, 1, 1, null).exited(T + 60502, 2, null, 'SIGTERM')
		.exited(T + 60503, 3, 4294967295, null).step(T + 60600, 'SHUTTING_DOWN_COMPLETED').flush(),
];

const here = new URL('.', import.meta.url);
rmSync(new URL('logs', here), { recursive: true, force: true });
mkdirSync(new URL('logs', here));
const name = (time) => new URL(`logs/${String(time).padStart(14, '0')}.log`, here);
writeFileSync(name(T - 3), Buffer.concat(first));
writeFileSync(name(T + 59998), Buffer.concat(second));
writeFileSync(new URL('expected.jsonl', here), expected.join('\n') + '\n');
