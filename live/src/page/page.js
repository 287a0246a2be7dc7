// What comes from a log gets into the document as text nodes only, and nothing in it is active. A place is a
// cursor or an offset: with it a lost connection loses nothing and repeats nothing.

const ROWS_MAX = 5000; // in the document, whatever the log holds
const PAGE = 300; // records asked for at once
const HELD_MAX = 1000; // while paused; beyond, the connection is given up until it goes on
const FOLD = 2000; // characters of a line that are shown before somebody asks for the rest
const BLOCK = 128 * 1024; // bytes of a stream asked for at once
const LINE_MAX = 1024 * 1024; // bytes after which a line is cut
const SILENCE = 40_000; // ms after which a connection is taken for lost; the server speaks every 15 s
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const $ = (id) => document.getElementById(id), all = (selector) => [...document.querySelectorAll(selector)];
const rows = $("rows"), view = $("view"), on = (target, type, act, options) => target.addEventListener(type, act, options);

/** An element with attributes and children; strings become text. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const sleep = (ms, signal) => new Promise((done) => {
  const timer = setTimeout(done, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); done(); }, { once: true });
});

// ---- Text from logs

const ACTIVE = /[\p{Cc}\p{Cs}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

/** Appends text, with invisible and moving characters spelled out. */
function inert(parent, text, lines = false) {
  if (!ACTIVE.test(text)) { parent.append(text); return parent; }
  let plain = "";
  for (const character of text) {
    if (!ACTIVE.test(character) || (lines && (character === "\n" || character === "\t"))) { plain += character; continue; }
    const name = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character] ?? `\\u{${character.codePointAt(0).toString(16)}}`;
    parent.append(plain, el("span", { class: "x" }, name));
    plain = "";
  }
  parent.append(plain);
  return parent;
}

/** The same, cut, and a button for more. */
function folded(parent, text, most = FOLD, lines = false) {
  if (text.length <= most) return inert(parent, text, lines);
  inert(parent, text.slice(0, most), lines);
  const more = el("button", { class: "fold", type: "button" }, `… ${size(text.length - most)} more`);
  on(more, "click", (event) => {
    event.stopPropagation();
    more.remove();
    folded(parent, text.slice(most), Math.max(most * 10, 100_000), lines);
  });
  parent.append(more);
  return parent;
}

function size(bytes) {
  let unit = 0;
  for (; bytes >= 1024 && unit < 3; unit++) bytes /= 1024;
  return `${unit ? bytes.toFixed(1) : bytes} ${["B", "KiB", "MiB", "GiB"][unit]}`;
}

const two = (number) => String(number).padStart(2, "0");
function clock(text) {
  const time = new Date(text);
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
function day(text) {
  const time = new Date(text);
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}
const shortly = (time) => clock(time).slice(0, 8);

// ---- The server

const state = () => $("status").dataset.state;

/** An error, with what the server says of it. */
class Refusal extends Error {
  constructor(status, text, wait) { super(text); this.status = status; this.wait = wait; }
}

let token = sessionStorage.getItem("logq-token") ?? "";

async function api(path, { accept = "application/json", signal, headers = {}, method = "GET" } = {}) {
  const all = { Accept: accept, ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  const response = await fetch(path, { method, headers: all, signal, cache: "no-store", credentials: "omit" });
  if (response.ok) return response;
  let text = "";
  try {
    const body = await response.text();
    text = body.startsWith("{") ? JSON.parse(body).error : body.trim();
  } catch { /* the status says enough */ }
  const wait = Number(response.headers.get("Retry-After")) * 1000 || 0;
  throw new Refusal(response.status, text || `status ${response.status}`, wait);
}

const json = async (path, options) => (await api(path, options)).json();

/** The chunks of a body. Where nothing comes for long, `probe` asks for the server. */
async function* chunks(body, probe) {
  const reader = body.getReader();
  try {
    for (let reading = reader.read(); ;) {
      let timer;
      const silence = new Promise((done) => { timer = setTimeout(done, SILENCE, null); });
      const got = await Promise.race([reading, silence]).finally(() => clearTimeout(timer));
      if (got?.done) return;
      if (!got) { await probe(); continue; }
      yield got.value;
      reading = reader.read();
    }
  } finally { reader.cancel().catch(() => {}); }
}

/** Server-sent events; comments have the type "comment". */
async function* events(body) {
  const decoder = new TextDecoder();
  let text = "", seen = 0, id = "", type = "", data = [];
  for await (const chunk of chunks(body, () => { throw new Error("silence"); })) {
    text += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end; (end = text.indexOf("\n", Math.max(start, seen))) >= 0; start = end + 1) {
      const line = text.slice(start, end);
      if (line === "") {
        if (data.length) yield { type: type || "message", id, data: data.join("\n") };
        type = ""; data = [];
      } else if (line.startsWith(":")) yield { type: "comment", data: line.slice(1).trim() };
      else if (line.startsWith("data: ")) data.push(line.slice(6));
      else if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("event: ")) type = line.slice(7);
    }
    text = text.slice(start);
    seen = text.length;
  }
}

// ---- What is shown

let source = null; // { kind: "store" | "stream", name }
let run = null; // the connection under way: { abort, signal, from, held, ... }
let following = true; // whether what comes is shown and scrolled to
let shown = 0; // how many rows were shown since the start
let sources = [];

const base = () => `v1/${source.kind}s/${encodeURIComponent(source.name)}`;

function status(state, text) {
  $("status").dataset.state = state;
  $("status-text").textContent = text;
  $("retry").hidden = state !== "reconnecting";
  document.title = `${source ? source.name : "logq"}${state === "live" ? "" : ` · ${text}`}`;
}

function asOf(time) {
  const lag = Date.now() - Date.parse(time);
  const ago = lag > 90_000 ? `, ${Math.round(lag / 60_000)} min ago` : lag > 2500 ? `, ${Math.round(lag / 1000)} s ago` : "";
  $("as-of").textContent = time ? `as of ${lag > 86_400_000 ? `${day(time)} ${shortly(time)}` : shortly(time) + ago}` : "";
}

function filters() {
  const level = document.querySelector("input[name=level]:checked").value;
  const value = (id) => $(id).value.trim();
  return { level, text: value("text"), where: value("where"), since: value("since"), until: value("until") };
}

/** The address of records; empty values are left out. */
function records(more) {
  const { text, ...others } = filters();
  const pattern = text.match(/^\/(.+)\/$/);
  const wanted = { ...others, tz: ZONE, grep: pattern ? pattern[1] : text, fixed: text && !pattern ? "1" : "", ...more };
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value !== "" && value !== undefined));
  return `${base()}/records?${query}`;
}

/** Which lines are wanted. */
function matcher() {
  const { text } = filters();
  const pattern = text.match(/^\/(.+)\/$/);
  if (!text) return () => true;
  if (pattern) {
    try { const regex = new RegExp(pattern[1], "iu"); return (line) => regex.test(line); } catch { $("text").setAttribute("aria-invalid", "true"); }
  }
  const wanted = text.toLowerCase();
  return (line) => line.toLowerCase().includes(wanted);
}

/** Begins anew with what is set; at a time, if one is given. */
function start(at) {
  leave();
  rows.replaceChildren();
  keys.clear();
  shown = 0;
  partial = null;
  for (const edge of ["edge-top", "edge-bottom"]) $(edge).hidden = true;
  for (const input of all("[aria-invalid]")) input.removeAttribute("aria-invalid");
  asOf(null);
  if (!at) $("jump-time").value = "";
  remember();
  if (!source) return status("ended", "nothing to show: no store, no stream");
  const isStream = source.kind === "stream";
  document.body.classList.toggle("stream", isStream);
  rows.className = isStream ? "plain-text" : rows.className.replace("plain-text", "");
  $("download").href = isStream ? `${base()}?follow=0` : records({ format: "text" });
  begin(isStream ? { offset: null } : at ? { since: at, past: true } : { lines: PAGE }, true);
  graph.start();
}

function leave() {
  run?.abort.abort();
  run?.wake?.();
}

/** Connects, from a place on. */
function begin(from, follow) {
  leave();
  const abort = new AbortController();
  run = { abort, signal: abort.signal, from, held: [], wake: null, isFull: false, top: run && rows.firstChild ? run.top : { more: true } };
  setFollowing(follow);
  const mine = run;
  const show = source.kind === "stream" ? followStream : from.past ? showPast : from.lines ? showNewest : followStore;
  const work = show(mine);
  work.catch((error) => { if (!mine.signal.aborted) failed(error); });
}

function failed(error) {
  if (!(error instanceof Refusal)) { console.error(error); return status("failed", "the page has failed: reload it"); }
  if (error.status === 401 || error.status === 403) { status("failed", "no access"); return login(); }
  const name = error.message.match(/^(since|until|where|grep)\b/)?.[1];
  if (name) $(run?.from.past && name === "since" ? "jump-time" : name === "grep" ? "text" : name).setAttribute("aria-invalid", "true");
  status("failed", error.message);
}

/** Calls `connect` until it says that this was the end. */
async function persist(mine, connect) {
  for (let backoff = 500; !mine.signal.aborted;) {
    const began = performance.now();
    let wait = 0;
    try {
      if (await connect()) return;
    } catch (error) {
      if (mine.signal.aborted) return;
      if (error instanceof Refusal && error.status < 500 && error.status !== 404 && error.status !== 429) throw error;
      wait = error.wait ?? 0;
      if (error.status === 404) { status("waiting", source.kind === "stream" ? "waiting for the stream" : error.message); wait ||= 2000; }
    }
    if (mine.signal.aborted) return;
    if (performance.now() - began > 5000) backoff = 500;
    const delay = Math.max(wait, backoff * (0.5 + Math.random()));
    backoff = Math.min(backoff * 2, 10_000);
    if (state() !== "waiting" || !wait) status("reconnecting", delay < 1000 ? "connection lost" : `lost, again in ${Math.ceil(delay / 1000)} s`);
    await new Promise((done) => {
      mine.retry = done;
      sleep(delay, mine.signal).then(done);
    });
  }
}

// ---- A store

/** Shows the newest records, and goes on with what comes. */
async function showNewest(mine) {
  await persist(mine, async () => {
    status("waiting", "connecting");
    append(await page(mine, mine.from));
    toEnd();
    mine.from = { after: mine.cursor };
    return true;
  });
  if (!mine.signal.aborted) await followStore(mine);
}

async function followStore(mine) {
  await persist(mine, async () => {
    const response = await api(records({ follow: "1", ...mine.from }), { accept: "text/event-stream", signal: mine.signal });
    if (following) status("catching", "catching up");
    let end = null;
    for await (const event of events(response.body)) {
      if (mine.signal.aborted) return true;
      if (event.type === "message") {
        await take(mine, { id: event.id, record: JSON.parse(event.data) });
        mine.from = { after: event.id };
      } else if (event.type === "comment") heard(event.data);
      else if (event.type === "end") end = JSON.parse(event.data);
    }
    if (end) status("ended", "complete: nothing more can come");
    return end !== null;
  });
}

/** How far the answer is final, and who holds it back. */
function heard(comment) {
  const [word, time, ...rest] = comment.split(" ");
  if (word !== "watermark") return;
  if (following) status(rest.length ? "waiting" : "live", rest.length ? rest.join(" ") : "live");
  asOf(time === "unknown" || time === "end" ? null : time);
}

/** Shows records from a time on, page by page, then live. */
async function showPast(mine) {
  status("catching", "looking");
  const isThere = await loadNewer(mine, { since: mine.from.since });
  setFollowing(false);
  view.scrollTop = 1;
  rows.querySelector(".row")?.classList.add("hit");
  if (isThere) status("paused", "at a time in the past");
}

let loading = false;

/** One page of records behind a place; whether there are more. */
async function loadNewer(mine, from) {
  loading = true;
  try {
    const found = await page(mine, { limit: PAGE, ...from });
    if (mine.signal.aborted) return false;
    append(found.filter(({ record }) => !isShown(record)));
    const last = found.at(-1);
    const place = last ? { after: last.id } : from;
    mine.isPast = found.length === PAGE;
    if (mine.isPast) mine.from = { ...place, past: true };
    else begin(place, following);
    return mine.isPast;
  } finally { loading = false; }
}

/** One page of records before the first. */
async function loadOlder(mine) {
  const first = firstRow();
  if (!first || loading || !mine.top.more) return;
  loading = true;
  $("edge-top").hidden = false;
  $("edge-top").textContent = "looking for earlier ones";
  try {
    if (source.kind === "stream") await olderLines(mine, first);
    else {
      const limit = mine.top.limit ?? PAGE;
      const until = micros(first.item.record.timestamp, 1);
      const found = await page(mine, { limit, order: "desc", ...(mine.top.after ? { after: mine.top.after } : { until }) });
      if (mine.signal.aborted) return;
      const fresh = found.filter(({ record }) => !isShown(record));
      for (const item of fresh) item.isOld = true; // its cursor leads backwards
      mine.top.more = found.length === limit;
      mine.top.after = found.at(-1)?.id ?? mine.top.after;
      prepend(fresh.reverse());
    }
    $("edge-top").hidden = mine.top.more;
    $("edge-top").textContent = source.kind === "stream" ? "the stream begins here" : "no earlier records";
  } catch (error) {
    if (!mine.signal.aborted) $("edge-top").textContent = "could not be loaded; scroll to try again";
  } finally { loading = false; }
}

async function page(mine, more) {
  const response = await api(records(more), { accept: "text/event-stream", signal: mine.signal });
  const found = [];
  for await (const event of events(response.body)) {
    if (event.type === "message") found.push({ id: event.id, record: JSON.parse(event.data) });
    else if (event.type === "trailer") {
      const { trailer } = JSON.parse(event.data);
      mine.cursor = trailer.cursor;
      incomplete(trailer);
    }
  }
  return found;
}

function incomplete(trailer) {
  const missing = trailer.missing + trailer.gaps.length + trailer.gapsOmitted;
  if (!missing || document.querySelector(".note")) return;
  const note = `${trailer.missing} records are missing or damaged in ${trailer.gaps.length + trailer.gapsOmitted} places`;
  rows.prepend(el("li", { class: "note" }, note));
}

/** A timestamp so many microseconds later, beyond what numbers reach. */
function micros(timestamp, more) {
  const match = timestamp.match(/^(.*)\.(\d{6})Z$/);
  if (!match) return timestamp;
  const sum = Number(match[2]) + more;
  if (sum < 1_000_000) return `${match[1]}.${String(sum).padStart(6, "0")}Z`;
  return new Date(Date.parse(`${match[1]}Z`) + 1000).toISOString().replace(/\.\d+Z$/, ".000000Z");
}

const key = (record) => `${record.writer}/${record.seq}`;
const keys = new Map(); // of the rows shown
const isShown = (record) => keys.has(key(record));

// ---- A stream

async function followStream(mine) {
  const decoder = new TextDecoder(), matches = matcher();
  const head = () => api(`${base()}?follow=0`, { method: "HEAD", accept: "text/plain", signal: mine.signal });
  let carry = new Uint8Array(0), tag = null;
  await persist(mine, async () => {
    const { offset } = mine.from;
    const headers = { Range: offset === null ? `bytes=-${BLOCK}` : `bytes=${offset}-` };
    if (tag && offset) headers["If-Range"] = tag;
    if (!shown) status("waiting", "connecting");
    let response;
    try { response = await api(base(), { accept: "text/plain", signal: mine.signal, headers }); }
    catch (error) { if (error.status === 416) return ended(await head()); throw error; }
    const from = Number(response.headers.get("Content-Range")?.match(/bytes (\d+)-/)?.[1] ?? 0);
    const length = Number(response.headers.get("Logq-Length") ?? 0);
    if (offset !== null && from !== offset) {
      append([{ note: "the stream has begun anew" }]);
      carry = new Uint8Array(0);
    }
    tag = response.headers.get("ETag")?.replace(/-\d+"$/, '"') ?? null;
    let isCut = offset === null && from > 0; // the first line came without its beginning
    let at = offset === null || from !== offset ? from : offset;
    mine.top.more = mine.top.more && (rows.firstChild ? true : from > 0);
    if (at >= length) status("live", "live");
    for await (const chunk of chunks(response.body, head)) {
      if (mine.signal.aborted) return true;
      let bytes = chunk;
      if (carry.length) { bytes = new Uint8Array(carry.length + chunk.length); bytes.set(carry); bytes.set(chunk, carry.length); }
      let start = 0, first = at - carry.length;
      for (let end; (end = bytes.indexOf(10, start)) >= 0 || bytes.length - start > LINE_MAX; start = end) {
        end = end >= 0 && end - start <= LINE_MAX ? end + 1 : start + LINE_MAX;
        const line = text(decoder, bytes.subarray(start, end));
        if (isCut) isCut = false;
        else if (matches(line)) await take(mine, { offset: first + start, line });
      }
      at += chunk.length;
      carry = bytes.slice(start);
      mine.from = { offset: at };
      if (following) status(at < length ? "catching" : "live", at < length ? `catching up, ${size(length - at)} behind` : "live");
      mine.partial = !isCut && carry.length ? { offset: at - carry.length, line: text(decoder, carry) } : null;
      if (following) frame();
    }
    return ended(await head());
  });
}

function text(decoder, bytes) {
  // Colours are left out; other controls are spelled out later.
  return decoder.decode(bytes).replace(/\r?\n$/, "").replace(/\x1b\[[\d;]*m/g, "");
}

/** Whether the stream is over, and how, as the server tells. */
function ended({ headers }) {
  const reasons = { complete: "complete", truncated: "ended: cut off at a limit", aborted: "ended: the writer was lost" };
  const reason = reasons[headers.get("Logq-State")];
  if (reason) status("ended", reason);
  return Boolean(reason);
}

async function olderLines(mine, first) {
  const decoder = new TextDecoder(), matches = matcher();
  let top = mine.top.offset ?? first.item.offset, found = [];
  for (let block = BLOCK; top > 0 && found.length < PAGE / 2; block *= 2) {
    const from = Math.max(0, top - block);
    const response = await api(`${base()}?follow=0`, { accept: "text/plain", signal: mine.signal, headers: { Range: `bytes=${from}-${top - 1}` } });
    const bytes = new Uint8Array(await response.arrayBuffer());
    let start = from > 0 ? bytes.indexOf(10) + 1 : 0;
    if (start === 0 && from > 0 && block < 4 * LINE_MAX) continue;
    const edge = from + start;
    const lines = [];
    for (let end; start < bytes.length; start = end) {
      end = bytes.indexOf(10, start) + 1 || bytes.length;
      const line = text(decoder, bytes.subarray(start, end));
      if (matches(line)) lines.push({ offset: from + start, line });
    }
    found = lines.concat(found);
    top = edge;
    if (found.length > ROWS_MAX / 2 || block > 8 * LINE_MAX) break;
  }
  mine.top.offset = top;
  mine.top.more = top > 0;
  prepend(found.slice(-ROWS_MAX));
}

// ---- Rows

/** Takes a record or line; waits where they come faster than they can be shown. */
async function take(mine, item) {
  mine.held.push(item);
  if (following) {
    frame();
    if (mine.held.length >= 2 * PAGE) await new Promise((done) => { mine.wake = done; });
  } else {
    counted(mine);
    if (mine.held.length >= HELD_MAX) {
      // The server keeps the rest.
      mine.isFull = true;
      mine.from = item.id ? { after: item.id } : { offset: null };
      status("paused", "paused");
      mine.abort.abort();
    }
  }
}

let partial = null; // the row of a line without its end

let isFrame = false;
function frame() {
  if (isFrame) return;
  isFrame = true;
  const show = () => { isFrame = false; if (following) flush(run); };
  if (document.hidden) setTimeout(show, 200); else requestAnimationFrame(show);
}

function flush(mine) {
  const held = mine.held.splice(0);
  partial?.remove();
  partial = null;
  if (held.length) append(held.length > ROWS_MAX ? held.slice(-ROWS_MAX) : held);
  if (mine.partial) { partial = row(mine.partial); rows.append(partial); }
  const last = held.findLast((item) => item.record);
  if (last) asOf(last.record.timestamp);
  mine.wake?.();
  toEnd();
  $("edge-bottom").hidden = shown > 0;
  counted(mine);
}

function counted(mine) {
  const held = mine.held.length;
  $("follow").textContent = following ? "Pause" : held ? `Follow · ${held}${mine.isFull ? "+" : ""} new` : "Follow";
  $("count").textContent = shown ? `${rows.childElementCount.toLocaleString("en")} shown` : "";
}

const isSameDay = (one, other) => one && day(one.record.timestamp) === day(other.record.timestamp);

/** Rows, with a line for each day that begins. */
function rendered(items, before) {
  const fragment = document.createDocumentFragment();
  for (const item of items) {
    if (item.record && !isSameDay(before, item)) fragment.append(separator(item));
    fragment.append(row(item));
    before = item.record && item;
  }
  shown += items.length;
  return fragment;
}

function append(items) {
  rows.append(rendered(items, lastRow()?.item));
  while (rows.childElementCount > ROWS_MAX) forget(rows.firstElementChild, true);
  capped();
  $("edge-bottom").hidden = true;
}

function prepend(items) {
  if (!items.length) return;
  const height = view.scrollHeight, top = view.scrollTop;
  const old = rows.firstElementChild, first = firstRow();
  if (old?.className === "day" && isSameDay(items.at(-1), first.item)) old.remove();
  rows.prepend(rendered(items));
  view.scrollTop = top + (view.scrollHeight - height);
  let dropped = false;
  while (rows.childElementCount > ROWS_MAX) { forget(rows.lastElementChild, false); dropped = true; }
  // What was dropped comes again when somebody scrolls there.
  if (dropped && source.kind === "store") resumeBehindLast();
  else if (dropped) { leave(); run.isPast = true; setFollowing(false); }
  counted(run);
}

/** Gives up the connection: what comes next is behind the last row. */
function resumeBehindLast() {
  const last = lastRow().item;
  leave();
  const abort = new AbortController();
  const from = last.isOld ? { since: last.record.timestamp } : { after: last.id };
  run = { ...run, abort, signal: abort.signal, held: [], partial: null, isPast: true, from };
  setFollowing(false);
}

function forget(element, isTop) {
  if (element.item?.record) keys.delete(key(element.item.record));
  element.remove();
  if (isTop && run) run.top = { more: true };
}

/** Puts its day above the first row. */
function capped() {
  const first = rows.firstElementChild;
  if (first?.item?.record) rows.prepend(separator(first.item));
  else if (rows.querySelector(".day + .day")) first.remove();
}

function walk(element, next) {
  while (element && !element.item) element = element[next];
  return element;
}
const firstRow = () => walk(rows.firstElementChild, "nextElementSibling");
const lastRow = () => walk(rows.lastElementChild, "previousElementSibling");
const separator = (item) => el("li", { class: "day" }, new Date(item.record.timestamp).toLocaleDateString(undefined, { weekday: "long", year: "numeric", month: "long", day: "numeric" }));

function row(item) {
  if (item.note) return el("li", { class: "note" }, item.note);
  const element = el("li", { class: "row", tabindex: "-1" });
  element.item = item;
  const line = el("div", { class: "line" });
  element.append(line);
  if (item.line !== undefined) { line.append(folded(el("span", { class: "message" }), item.line)); return element; }
  const record = item.record;
  keys.set(key(record), element);
  element.classList.add(record.level.toLowerCase());
  const worker = record.workerId === null ? "master" : `w${record.workerId}`;
  line.append(
    el("time", { class: "time", title: record.timestamp }, clock(record.timestamp)),
    el("span", { class: "level" }, record.level === "CRITICAL" ? "CRIT" : record.level),
    el("span", { class: "worker" }, worker),
    record.requestId ? el("button", { class: "id", tabindex: "-1", title: "Open the request" }, record.requestId.slice(0, 8)) : el("span", { class: "id" }),
    message(record),
  );
  return element;
}

/** What a record says, in one line. */
function message(record, most = FOLD) {
  const out = el("span", { class: "message" });
  const soft = (text) => out.append(inert(el("span", { class: "fields" }), text));
  if (record.type === "REQUEST") {
    folded(out, `${record.method} ${record.url}`, most);
    if (record.ipAddress) soft(`  ${record.ipAddress}`);
  } else if (record.type === "RESPONSE" || record.type === "RESPONSE_FINISHED") {
    const code = record.statusCode;
    out.append(el("span", { class: code >= 500 ? "bad" : "" }, code === undefined ? "finished" : String(code)));
    if (record.durationMs !== undefined) soft(`  ${record.durationMs} ms`);
    if (record.bytes !== undefined) soft(`  ${size(record.bytes)}`);
  } else if (record.event) {
    out.append(record.event);
    if (record.exitCode !== undefined) soft(`  code ${record.exitCode}`);
    if (record.signal !== undefined) soft(`  ${record.signal}`);
  } else if (record.data !== undefined) data(out, record.data, soft, most);
  if (record.error) folded(out.appendChild(el("span")), `  ${firstLine(record.error.stack ?? record.error.value ?? "")}`, most);
  return out;
}

const firstLine = (text) => String(text).split("\n", 1)[0];

function data(out, value, soft, most) {
  const name = value && typeof value === "object" ? ["message", "msg"].find((name) => typeof value[name] === "string") : undefined;
  if (name === undefined) { folded(out, typeof value === "string" ? value : JSON.stringify(value), most); return; }
  folded(out, value[name], most);
  const rest = Object.entries(value).filter(([other]) => other !== name);
  const fields = rest.map(([other, field]) => `${other}=${typeof field === "string" ? field : JSON.stringify(field)}`).join(" ");
  if (fields) soft(`  ${fields.length > most ? `${fields.slice(0, most)}…` : fields}`);
}

/** All fields of a record, below its line. */
function detail(record) {
  const list = el("dl");
  const add = (name, value, isDeep) => {
    if (value && typeof value === "object" && !isDeep) return Object.entries(value).forEach(([inner, field]) => add(`${name}.${inner}`, field, true));
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    list.append(inert(el("dt"), name), folded(el("dd"), text, 10 * FOLD, true));
  };
  Object.entries(record).forEach(([name, value]) => add(name, value, false));
  return el("div", { class: "detail" }, list);
}

function toggle(element) {
  const open = element.querySelector(".detail");
  if (open) open.remove();
  else if (element.item.record) { element.append(detail(element.item.record)); element.scrollIntoView({ block: "nearest" }); }
  else element.querySelector(".fold")?.click();
}

let current = null;
function select(element) {
  if (!element) return;
  current?.removeAttribute("aria-current");
  current = element;
  current.setAttribute("aria-current", "true");
  current.focus({ preventScroll: true });
  current.scrollIntoView({ block: "nearest" });
}
function step(forward) {
  if (!current?.isConnected) return select(forward ? firstRow() : rows.lastElementChild);
  const way = forward ? "nextElementSibling" : "previousElementSibling", next = walk(current[way], way);
  if (!forward && !next) view.scrollTop = 0;
  select(next);
  if (following && !forward) setFollowing(false);
}

// ---- Following and scrolling

function setFollowing(on) {
  following = on;
  $("follow").setAttribute("aria-pressed", String(on));
  if (run) counted(run);
  if (!on && ["live", "catching", "waiting"].includes(state())) status("paused", "paused");
}

function goOn() {
  if (!run || following) return;
  if (run.isPast) return start();
  const mine = run;
  setFollowing(true);
  flush(mine);
  if (mine.isFull || mine.signal.aborted) {
    if (mine.from.offset === null) start();
    else begin(mine.from, true);
  } else if (state() === "paused") status("live", "live");
  toEnd();
}

let scrolled = 0, range = 0, touched = 0;
const reach = () => view.scrollHeight - view.clientHeight;
function toEnd() {
  if (following) view.scrollTop = range = reach();
}
new ResizeObserver(toEnd).observe(view);
for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
  on(window, kind, () => { touched = Date.now(); }, { passive: true, capture: true });
}

on(view, "scroll", () => {
  const top = view.scrollTop, up = top < scrolled, max = reach(), rest = max - top;
  // Rows that are drawn turn out higher: nobody looks back.
  const isMeant = Date.now() - touched < 1000 || Math.abs(max - range) < 5;
  scrolled = top;
  range = max;
  if (!run) return;
  if (following && up && rest > 40) isMeant ? setFollowing(false) : toEnd();
  else if (!following && !up && rest < 4 && !loading) atBottom();
  if (top < 200 && up) loadOlder(run);
}, { passive: true });

function atBottom() {
  const { past, ...place } = run.from;
  if (run.isPast && source.kind === "stream") start();
  else if (run.isPast) loadNewer(run, place).catch(failed);
  else if (state() === "paused") goOn();
}
on(view, "wheel", (event) => { if (event.deltaY < 0 && view.scrollTop < 2 && run) loadOlder(run); }, { passive: true });

on(rows, "click", (event) => {
  const element = event.target.closest(".row");
  if (!element) return;
  if (event.target.closest("button.id")) { select(element); openRequest(element.item.record.requestId); return; }
  if (event.target.closest(".detail, .fold") || String(getSelection())) return;
  if (following) setFollowing(false);
  select(element);
  toggle(element);
});

// ---- One request

async function openRequest(id) {
  const dialog = $("request");
  $("request-title").textContent = id;
  $("request-sum").textContent = "looking for its records";
  $("steps").replaceChildren();
  if (!dialog.open) dialog.showModal();
  try {
    const answer = await json(`${base()}/requests/${encodeURIComponent(id)}`);
    const status = answer.steps.find((step) => step.statusCode !== undefined)?.statusCode;
    const parts = [`${answer.steps.length} steps in ${answer.durationMs} ms`, status && `status ${status}`, answer.first && `${day(answer.first)} ${clock(answer.first)}`];
    $("request-sum").textContent = parts.filter(Boolean).join(" · ") + (answer.trailer.complete ? "" : " · some of its records are missing");
    let before = 0;
    for (const step of answer.steps) {
      $("steps").append(timelineStep(step, step.offsetMs - before, answer.durationMs));
      before = step.offsetMs;
    }
  } catch (error) { $("request-sum").textContent = `cannot be shown: ${error.message}`; }
}

function timelineStep(record, gone, total) {
  const head = message(record, 20_000);
  head.className = "head";
  const what = el("div", { class: "what" }, head);
  const error = record.error;
  const stack = typeof error?.stack === "string" ? error.stack.split("\n").slice(1).join("\n") : "";
  if (stack) what.append(folded(el("pre", { class: "stack" }), stack, 4000, true));
  const share = total > 0 ? (100 * Math.max(gone, 0)) / total : 0;
  const bar = el("span", { class: "gone", title: `${gone.toFixed(3)} ms after the step before` });
  bar.style.width = `${share}%`;
  const at = el("div", { class: "at" }, `+${record.offsetMs.toFixed(record.offsetMs < 100 ? 3 : 1)} ms`, bar);
  return el("li", { class: `step ${record.level.toLowerCase()}` }, at, what);
}

// ---- The graph

/** Requests per second, or the records of the store over its time. */
const graph = {
  bars: [], spans: [], lines: [], at: null, timer: 0, isMonitor: true, version: 0,

  async start() {
    clearTimeout(this.timer);
    this.bars = []; this.spans = []; this.lines = [];
    const version = ++this.version;
    let isShown = false;
    try { isShown = await this.load(); } catch { /* there is none, or it comes with the next look */ }
    if (version !== this.version) return;
    $("graph").hidden = !isShown;
    if (isShown) this.draw();
    const wait = isShown && this.isMonitor ? 1000 : 15_000;
    if (!document.hidden) this.timer = setTimeout(() => this.again(version), wait);
  },

  async again(version) {
    try { if (await this.load()) { $("graph").hidden = false; this.draw(); } } catch { /* the connection's light tells */ }
    if (version !== this.version || document.hidden) return;
    this.timer = setTimeout(() => this.again(version), this.isMonitor ? 1000 : 15_000);
  },

  async load() {
    if (this.isMonitor && (await this.monitor())) return true;
    return source?.kind === "store" && this.histogram();
  },

  async monitor() {
    try {
      const since = (from) => json(`v1/monitor/series?since=${new Date(from).toISOString()}&step=1s`);
      // The last seconds may still change.
      let from = (this.bars.at(-1)?.time ?? Date.now() - 585_000) - 15_000;
      let answer = await since(from);
      if (!this.bars.length && !answer.points.length && answer.asOf) {
        // Nobody watches any more: the last minutes of when somebody did.
        from = Date.parse(answer.asOf) - 599_000;
        answer = await since(from);
      }
      const kept = this.bars.filter((bar) => bar.time < from);
      const point = (point) => ({ time: Date.parse(point.time), count: point.requests, bad: point.status?.["5xx"] ?? 0 });
      this.bars = kept.concat(answer.points.map(point)).slice(-600);
      const told = await json(`v1/monitor/events?since=${new Date(from - 86_400_000).toISOString()}`);
      this.spans = told.alerts.map((alert) => ({ from: Date.parse(alert.firedAt), to: alert.recoveredAt ? Date.parse(alert.recoveredAt) : Infinity, rule: alert.rule }));
      this.lines = told.rules.filter((rule) => rule.measure === "rate").map((rule) => rule.threshold);
      this.title = `Requests per second${answer.asOf ? `, as of ${shortly(answer.asOf)}` : ""}`;
      return this.bars.length > 0;
    } catch (error) {
      if (error.status === 404) this.isMonitor = false;
      return false;
    }
  },

  async histogram() {
    const answer = await json(records({ by: "level" }).replace("/records?", "/histogram?"));
    const bad = ({ counts: { ERROR = 0, CRITICAL = 0 } }) => ERROR + CRITICAL;
    this.bars = answer.buckets.map((bucket) => ({ time: Date.parse(bucket.time), count: bucket.count, bad: bad(bucket) }));
    this.title = `Records per ${answer.step}`;
    return this.bars.length > 1;
  },

  /** Where a bar is: the monitor's have a place each second, those of a store one each. */
  layout(width) {
    const count = this.isMonitor ? 600 : this.bars.length;
    const end = this.isMonitor ? this.bars.at(-1).time + 1000 : 0;
    const each = width / count;
    const x = (bar, index) => (this.isMonitor ? width - ((end - bar.time) / 1000) * each : index * each);
    return { each, x, end };
  },

  draw() {
    const canvas = $("canvas"), ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !this.bars.length) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const c = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);
    c.scale(ratio, ratio);
    const { each, x, end } = this.layout(width);
    const most = Math.max(1, ...this.bars.map((bar) => bar.count ?? 0), ...this.lines);
    const y = (count) => (count / most) * (height - 3);
    c.fillStyle = colour("--span");
    for (const span of this.isMonitor ? this.spans : []) {
      const from = width - ((end - Math.max(span.from, end - 600_000)) / 1000) * each;
      const to = width - ((end - Math.min(span.to, end)) / 1000) * each;
      if (to > from) c.fillRect(from, 0, to - from, height);
    }
    const gap = each > 3 ? 1 : 0;
    this.bars.forEach((bar, index) => {
      if (bar.count === null) return; // nothing is known: a gap, and no zero
      const left = x(bar, index), all = bar.count ? Math.max(y(bar.count), 1) : 0, bad = bar.bad ? Math.max(y(bar.bad), 1) : 0;
      c.fillStyle = index === this.at ? colour("--accent") : colour("--bar");
      c.fillRect(left, height - all, Math.max(each - gap, 0.6), all);
      c.fillStyle = colour("--error");
      c.fillRect(left, height - bad, Math.max(each - gap, 0.6), bad);
    });
    c.strokeStyle = colour("--line");
    c.beginPath(); c.moveTo(0, height - 0.5); c.lineTo(width, height - 0.5); c.stroke();
    c.strokeStyle = colour("--error");
    c.setLineDash([4, 4]);
    for (const line of this.lines) { c.beginPath(); c.moveTo(0, height - y(line)); c.lineTo(width, height - y(line)); c.stroke(); }
    this.tell();
  },

  tell() {
    const bar = this.at === null ? this.bars.at(-1) : this.bars[this.at];
    $("graph-title").textContent = this.title;
    const firing = this.spans.filter((span) => span.to === Infinity).map((span) => span.rule);
    const when = ({ time }) => `${day(time) === day(Date.now()) ? "" : `${day(time)} `}${shortly(time)}`;
    const count = ({ count }) => (count === null ? "nothing known" : count.toLocaleString("en"));
    const share = bar?.count ? `${((100 * bar.bad) / bar.count).toFixed(bar.bad ? 1 : 0)} % ${this.isMonitor ? "5xx" : "errors"}` : "";
    const parts = bar ? [when(bar), count(bar), share, firing.length && `alert: ${firing.join(", ")}`].filter(Boolean) : [];
    $("graph-value").textContent = parts.join(" · ");
    $("graph").classList.toggle("firing", firing.length > 0);
    $("canvas").setAttribute("aria-label", `${this.title}: ${parts.join(", ")}`);
    const cells = (bar) => el("tr", {}, ...[when(bar), count(bar), String(bar.bad)].map((text) => el("td", {}, text)));
    const table = this.bars.slice(-20).map(cells);
    $("graph-table").tBodies[0].replaceChildren(...table);
  },

  point(event) {
    const width = $("canvas").clientWidth, { each, x } = this.layout(width), place = event.offsetX;
    const index = this.bars.findIndex((bar, index) => place >= x(bar, index) && place < x(bar, index) + each);
    this.at = index < 0 ? null : index;
    this.draw();
  },

  go() {
    const bar = this.at === null ? null : this.bars[this.at];
    if (bar && source?.kind === "store") start(new Date(bar.time).toISOString());
  },
};
on($("canvas"), "pointermove", (event) => graph.bars.length && graph.point(event));
on($("canvas"), "pointerleave", () => { graph.at = null; graph.draw(); });
on($("canvas"), "click", () => graph.go());
on($("canvas"), "keydown", (event) => {
  const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!move) { if (event.key === "Enter") graph.go(); return; }
  event.preventDefault();
  event.stopPropagation();
  graph.at = Math.min(Math.max((graph.at ?? graph.bars.length) + move, 0), graph.bars.length - 1);
  graph.draw();
});
new ResizeObserver(() => graph.draw()).observe($("canvas"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => graph.draw());

// ---- Controls

on($("filters"), "submit", (event) => { event.preventDefault(); start(); });
let typing = 0;
for (const id of ["text", "where", "since", "until"]) {
  on($(id), "input", () => {
    clearTimeout(typing);
    // Expressions and times are read when complete.
    if (id === "text" || !$(id).value) typing = setTimeout(() => start(), 300);
  });
  on($(id), "keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); view.focus(); } });
  on($(id), "change", () => { clearTimeout(typing); if (id !== "text") start(); });
}
on($("levels"), "change", () => start());
on($("source"), "change", () => { choose(sources[$("source").selectedIndex]); });
on($("follow"), "click", () => (following ? setFollowing(false) : goOn()));
on($("retry"), "click", () => run?.retry?.());
on($("wrap"), "click", () => wrap());
on($("more"), "click", () => $("more").setAttribute("aria-expanded", String($("filters").classList.toggle("open"))));
on($("jump"), "submit", (event) => { event.preventDefault(); const at = $("jump-time").value.trim(); start(at || undefined); view.focus(); });
on($("help-open"), "click", () => $("help").showModal());
for (const close of all(".close")) on(close, "click", () => close.closest("dialog").close());
for (const dialog of [$("request"), $("help")]) on(dialog, "click", (event) => { if (event.target === dialog) dialog.close(); });
on($("download"), "click", async (event) => {
  if (!token) return; // a plain link; else the token must not get into the address
  event.preventDefault();
  const blob = await (await api($("download").getAttribute("href"), { accept: "text/plain" })).blob();
  const link = el("a", { download: `${source.name}.log`, href: URL.createObjectURL(blob) });
  link.click();
  URL.revokeObjectURL(link.href);
});

function wrap() {
  $("wrap").setAttribute("aria-pressed", String(view.classList.toggle("wrap")));
  toEnd();
}

on(document, "keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input:not([type=radio]), select")) return;
  const levels = all("input[name=level]");
  const actions = {
    " ": () => (following ? setFollowing(false) : goOn()),
    "/": () => $("text").focus(), w: () => $("where").focus(), t: () => $("jump-time").focus(), "?": () => $("help").showModal(),
    e: () => { levels[(levels.findIndex((level) => level.checked) + 1) % levels.length].checked = true; start(); },
    j: () => step(true), ArrowDown: () => step(true), k: () => step(false), ArrowUp: () => step(false),
    Enter: () => current && toggle(current), r: () => current?.item.record?.requestId && openRequest(current.item.record.requestId),
    g: () => { setFollowing(false); view.scrollTop = 0; select(firstRow()); }, G: () => (run?.isPast ? start() : goOn()), z: wrap,
    Escape: () => { current?.removeAttribute("aria-current"); current = null; },
  };
  const isButton = event.target.matches("button, a, canvas, input") && (event.key === " " || event.key === "Enter");
  if (!Object.hasOwn(actions, event.key) || isButton) return;
  event.preventDefault();
  actions[event.key]();
});

// A hidden page reads nothing; it goes on where it was.
let hiding = 0, wasHidden = false;
on(document, "visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => { wasHidden = true; clearTimeout(graph.timer); if (run && following) { flush(run); run.abort.abort(); } }, 10_000);
  else {
    if (wasHidden && run && following && !run.from.past) begin(run.from, true);
    if (wasHidden) graph.start();
    wasHidden = false;
  }
});
on(window, "online", () => run?.retry?.());

// ---- Where one is

/** Keeps what is shown in the address, never the token. */
function remember() {
  const kept = { [source?.kind ?? "store"]: source?.name, ...filters() };
  const hash = new URLSearchParams(Object.entries(kept).filter(([, value]) => value));
  history.replaceState(null, "", `#${hash}`);
}

function recall() {
  const hash = new URLSearchParams(location.hash.slice(1));
  if (hash.has("token")) {
    token = hash.get("token");
    sessionStorage.setItem("logq-token", token);
    hash.delete("token");
    history.replaceState(null, "", hash.size ? `#${hash}` : location.pathname);
  }
  for (const id of ["text", "where", "since", "until"]) $(id).value = hash.get(id) ?? "";
  const level = all("input[name=level]").find((level) => level.value === (hash.get("level") ?? ""));
  if (level) level.checked = true;
  const kind = hash.has("stream") ? "stream" : "store";
  return { kind, name: hash.get(kind) };
}

function choose(next) {
  source = next ?? null;
  graph.isMonitor = true;
  start();
}

function login() {
  if (!$("login").open) $("login").showModal();
}
on($("login-form"), "submit", () => {
  token = $("token").value.trim();
  sessionStorage.setItem("logq-token", token);
  $("token").value = "";
  open();
});

async function open() {
  const wanted = recall();
  const list = async (kind) => {
    try { return (await json(`v1/${kind}s`))[`${kind}s`].map(({ name, state }) => ({ kind, name, state })); }
    catch (error) { if (error.status === 404) return []; throw error; }
  };
  try { sources = (await Promise.all([list("store"), list("stream")])).flat(); }
  catch (error) {
    if (error instanceof Refusal) return failed(error);
    status("reconnecting", "no connection");
    await Promise.race([sleep(2000), new Promise((done) => { run = { retry: done, abort: new AbortController(), held: [], top: {} }; })]);
    return open();
  }
  const group = (kind, label) => {
    const own = sources.filter((source) => source.kind === kind);
    const option = (source) => el("option", {}, source.name);
    return own.length ? [el("optgroup", { label }, ...own.map(option))] : [];
  };
  $("source").replaceChildren(...group("store", "Stores"), ...group("stream", "Streams"));
  const found = sources.findIndex(({ kind, name }) => kind === wanted.kind && name === wanted.name);
  $("source").selectedIndex = Math.max(found, 0);
  $("edge-bottom").textContent = "Nothing yet.";
  choose(sources[Math.max(found, 0)]);
}

open();
