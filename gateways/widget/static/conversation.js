/* One conversation with a gateway: what was said, what is being said, and the line to it.
 *
 * The server's record is the truth. Durable events replace what we have; pieces of answers are a bonus.
 */

import { randomId, recall, remember } from "./memory.js";
import { eventsOf } from "./stream.js";

const SILENCE = 40_000; // the server says something every 15 s
const HIDDEN = 30_000; // browsers allow six connections to a server: tabs nobody looks at give theirs back
const PATIENCE = [300, 700, 1500, 3000]; // between attempts to send, before a person has to decide
const DRAFT_LIVES = 60_000;
const ANNOUNCED_AFTER = 100; // from the first letter
const ANNOUNCED_FOR = 500; // who goes on writing says so again
const REFRESH_BEFORE = 15 * 24 * 3600;

export class Conversation extends EventTarget {
  /** id -> what was said: an event's data, and `status` for what is not yet known to have arrived. */
  entries = new Map();
  /** id -> {text, attempt}: answers in the making. */
  drafts = new Map();
  stage = "";
  notice = "";
  isOnline = true;
  isAwaiting = false;
  isRestored = true;

  #base;
  #key;
  #opening; // body of the request for a conversation
  #grant = null;
  #granting = null;
  #last = "";
  #abort = null;
  #wake = () => {};
  #files = new Map();
  #announced = 0;
  #announcing = 0;
  #leaving = null; // the last message that is not yet delivered, while there is one
  #rating = Promise.resolve();
  #isRunning = false;
  #isAsleep = false;
  #page;

  constructor({ base, opening = {}, page = () => undefined }) {
    super();
    this.#base = base;
    this.#opening = opening;
    this.#page = page;
    this.#key = `runllm ${base} ${JSON.stringify(opening)}`;
  }

  /** Brings back the conversation that this browser had, if it had one. */
  restore() {
    const saved = recall(this.#key);
    for (const { id, text } of saved?.pending ?? []) this.#put({ id, text, author: "user", status: "failed" });
    if (!saved?.token) return;
    this.#grant = saved;
    this.isRestored = false;
    this.#run();
  }

  /** Somebody writes: the server gets ready meanwhile, so that the message need not wait. It is told nothing of it. */
  prepare() {
    if (this.#grant) return this.#announce(this.#grant);
    if (!this.#granting) {
      const asked = (this.#granting = this.#opened());
      asked.catch(() => this.#granting === asked && (this.#granting = null)); // the message asks again
    }
    this.#granting.then((grant) => this.#announce(grant), () => {});
  }

  /** In a moment, unless the message itself comes first: it would be in its way. */
  #announce({ token }) {
    if (this.#announcing || this.#leaving) return;
    const wait = Math.max(ANNOUNCED_AFTER, this.#announced + ANNOUNCED_FOR - Date.now());
    this.#announcing = setTimeout(() => this.#announceNow(token), wait);
  }

  #announceNow(token) {
    this.#announced = Date.now();
    this.#announcing = 0;
    // A page of another site learns from this whether it may send messages, unless the cache is told to stay out of it.
    this.#get("messages", token).catch(() => {});
  }

  #keepQuiet() {
    clearTimeout(this.#announcing);
    this.#announcing = 0;
  }

  /** Says something. It leaves before all else; it is shown at once, and marked until the server has it. */
  async send(text) {
    this.#keepQuiet();
    const id = randomId();
    this.#put({ id, text, author: "user", status: "sending" });
    const delivered = this.#deliver(id);
    this.notice = "";
    this.#savePending();
    await delivered;
  }

  /** Sends again what did not arrive, under the same id: if it did arrive, nothing happens. */
  async retry(id) {
    const entry = this.entries.get(id);
    if (!entry || entry.status !== "failed") return;
    this.#put({ ...entry, status: "sending", problem: "" });
    await this.#deliver(id);
  }

  /** Clicks a button. The answer says whether it counted. */
  async click(entry, button) {
    const answer = await this.#call("clicks", { wait_id: entry.wait.id, button_id: button.id });
    if (answer.result === "won") this.isAwaiting = true;
    else this.notice = answer.message;
    this.#changed();
  }

  /** Says whether an answer helped. Opinions leave in the order in which they were given: the last one stands. */
  rate(entry, helpful, comment = "") {
    this.#put({ ...entry, helpful });
    const said = this.#rating.then(() => this.#call("feedback", { chat_id: entry.chat_id, helpful, comment }));
    this.#rating = said.catch(() => {});
    return said;
  }

  /** The content of a file of a message. It is asked for once, with the conversation's token in a header. */
  file(entry, number) {
    const key = `${entry.chat_id}/${number}`;
    if (!this.#files.has(key)) {
      const asked = this.#fileNow(key);
      asked.catch(() => this.#files.delete(key)); // another attempt may succeed
      this.#files.set(key, asked);
    }
    return this.#files.get(key);
  }

  async #fileNow(key) {
    const grant = await this.#granted();
    const response = await this.#get(`files/${key}`, grant.token);
    if (!response.ok) throw await problemOf(response);
    return response.blob();
  }

  /** Forgets the conversation; the next message begins another one. */
  reset() {
    this.#isRunning = false;
    this.#abort?.abort();
    this.#wake();
    this.entries.clear();
    this.drafts.clear();
    this.#files.clear();
    this.#grant = this.#granting = null;
    this.#last = this.stage = this.notice = "";
    this.#keepQuiet();
    this.isAwaiting = false;
    remember(this.#key, null);
    this.#changed();
  }

  /** Messages leave in the order in which they were written: one at a time, and at once where none is under way. */
  #deliver(id) {
    const sent = this.#leaving ? this.#leaving.then(() => this.#deliverNow(id)) : this.#deliverNow(id);
    const last = (this.#leaving = sent.finally(() => this.#leaving === last && (this.#leaving = null)));
    return last;
  }

  async #deliverNow(id) {
    const text = this.entries.get(id)?.text;
    if (text === undefined) return; // the conversation was left meanwhile
    const said = { id, text, context: this.#page() };
    // Who leaves the page now has still said it: a request that outlives the page takes a slower way, so only then.
    const leave = () => this.#grant && this.#post("messages", said, this.#grant.token, { keepalive: true }).catch(() => {});
    addEventListener("pagehide", leave);
    try {
      const answer = await this.#insist(() => this.#call("messages", said));
      this.notice = answer.note ?? "";
      this.isAwaiting = !answer.note;
      const now = this.entries.get(id);
      if (now?.status) this.#set({ ...now, status: "sent", chat_id: answer.chat_id });
    } catch (error) {
      const now = this.entries.get(id);
      if (now?.status) this.#set({ ...now, status: "failed", problem: error.sentence ?? "" });
    } finally {
      removeEventListener("pagehide", leave);
    }
    this.#savePending();
    if (this.#grant) this.#run();
    this.#changed(null, this.entries.get(id)?.status !== "sent" || Boolean(this.notice));
  }

  /** Tries again for a while where no answer came: what is sent twice under one id is taken once. */
  async #insist(send) {
    for (const pause of PATIENCE) {
      try {
        return await send();
      } catch (error) {
        if (error.status && error.status < 500) throw error;
        await new Promise((resolve) => setTimeout(resolve, pause * (0.75 + Math.random() / 2)));
      }
    }
    return send();
  }

  /** Calls the server; with a conversation that it no longer knows, once more with a new one. */
  async #call(what, body, isSecond = false) {
    const grant = this.#grant ?? (await this.#granted());
    const response = await this.#post(what, body, grant.token);
    if (response.status === 401 && !isSecond && what === "messages") {
      this.#grant = null;
      this.#last = "";
      return this.#call(what, body, true);
    }
    return read(response);
  }

  async #granted() {
    if (this.#grant) return this.#grant;
    this.#granting ??= this.#opened();
    try {
      this.#grant = await this.#granting;
    } finally {
      this.#granting = null;
    }
    this.#savePending();
    return this.#grant;
  }

  #opened() {
    return this.#post("conversations", this.#opening).then(read);
  }

  #get(what, token) {
    return fetch(`${this.#base}/${what}`, { headers: bearer(token), credentials: "same-origin" });
  }

  #post(what, body, token, more = {}) {
    return fetch(`${this.#base}/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...bearer(token) },
      body: JSON.stringify(body),
      credentials: "same-origin",
      ...more,
    });
  }

  /** Follows the stream for as long as there is a conversation, and resumes where a connection broke. */
  async #run() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    const stopListening = this.#listenToThePage();
    let pause = 500;
    while (this.#isRunning && this.#grant) {
      const began = Date.now();
      const goesOn = await this.#follow().catch(() => true);
      this.isOnline = !this.#isRunning;
      this.#changed();
      if (!goesOn) break;
      pause = Date.now() - began > 5_000 ? 500 : Math.min(pause * 2, 8_000);
      if (this.#isRunning) await this.#rest(pause * (0.5 + Math.random()));
    }
    this.#isRunning = false;
    stopListening();
  }

  /** One connection. False where there is no use in another one. */
  async #follow() {
    await this.#refresh();
    const abort = (this.#abort = new AbortController());
    let watchdog = 0;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE);
    };
    alive();
    try {
      const response = await fetch(`${this.#base}/stream`, {
        headers: { ...bearer(this.#grant.token), ...(this.#last ? { "Last-Event-ID": this.#last } : {}) },
        cache: "no-store",
        credentials: "same-origin",
        signal: abort.signal,
      });
      if (response.status === 401 || response.status === 403) return this.#isOver(await problemOf(response));
      if (response.status === 400) this.#last = "";
      if (!response.ok) return true;
      this.isOnline = true;
      this.#changed();
      for await (const event of eventsOf(response, alive)) this.#take(event);
      return true;
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
  }

  #take({ id, event, data }) {
    if (id) this.#last = id;
    const isEcho = event === "message" && this.entries.get(data.id)?.status === "sent" && !data.attachments?.length;
    if (event === "message") this.#takeMessage(data);
    else if (event === "delta") this.#takePiece(data);
    else if (event === "stage") this.stage = data.text;
    else if (event === "ready") this.isRestored = true;
    this.#changed(event === "message" ? data : null, !isEcho);
  }

  #takeMessage(data) {
    this.drafts.delete(data.id);
    if (data.author === "assistant") {
      this.isAwaiting = false;
      this.stage = "";
    }
    const isMine = this.entries.get(data.id)?.status;
    this.entries.set(data.id, data);
    if (isMine) this.#savePending();
  }

  #takePiece({ message, attempt, offset, text }) {
    if (this.entries.has(message)) return; // we have all of it already
    let draft = this.drafts.get(message);
    if (!draft || draft.attempt < attempt) draft = { id: message, attempt, text: "", timer: 0 };
    // A gap or a late piece: what is shown stays, and the finished message replaces it.
    if (draft.attempt > attempt || offset > draft.text.length) return;
    draft.text = draft.text.slice(0, offset) + text;
    clearTimeout(draft.timer);
    draft.timer = setTimeout(() => {
      this.drafts.delete(message);
      this.#changed();
    }, DRAFT_LIVES);
    this.drafts.set(message, draft);
    this.isAwaiting = false;
  }

  #isOver(problem) {
    remember(this.#key, null);
    this.#grant = null;
    this.#last = "";
    this.isRestored = true;
    this.notice = problem.sentence;
    return false;
  }

  async #refresh() {
    if (!this.#grant.expires_at || this.#grant.expires_at - Date.now() / 1000 > REFRESH_BEFORE) return;
    const response = await this.#post("token", {}, this.#grant.token);
    if (response.ok) {
      this.#grant = await response.json();
      this.#savePending();
    }
  }

  #rest(time) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (!this.#isAsleep) setTimeout(resolve, time);
    });
  }

  /** A tab that nobody looks at lets go of its connection; one that comes back resumes at once. */
  #listenToThePage() {
    let hiding = 0;
    const back = () => {
      this.#isAsleep = false;
      this.#wake();
    };
    const visibility = () => {
      clearTimeout(hiding);
      if (document.visibilityState === "visible") return back();
      hiding = setTimeout(() => {
        this.#isAsleep = true;
        this.#abort?.abort();
      }, HIDDEN);
    };
    addEventListener("online", back);
    addEventListener("pageshow", back);
    document.addEventListener("visibilitychange", visibility);
    return () => {
      clearTimeout(hiding);
      removeEventListener("online", back);
      removeEventListener("pageshow", back);
      document.removeEventListener("visibilitychange", visibility);
    };
  }

  #put(entry) {
    this.#set(entry);
    this.#changed();
  }

  #set(entry) {
    this.entries.set(entry.id, { at: new Date().toISOString(), sources: [], buttons: [], ...entry });
  }

  #savePending() {
    const pending = [...this.entries.values()].filter((entry) => entry.status && entry.status !== "sent");
    remember(this.#key, { ...this.#grant, pending: pending.map(({ id, text }) => ({ id, text })) });
  }

  /** `arrived` is a durable event that is new to us. Nobody waits to see what is not urgent. */
  #changed(arrived = null, isUrgent = true) {
    this.dispatchEvent(new CustomEvent("change", { detail: { arrived, isUrgent } }));
  }
}

const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

async function read(response) {
  if (response.ok) return response.json();
  throw await problemOf(response);
}

async function problemOf(response) {
  const body = await response.json().catch(() => null);
  const sentence = body?.error?.message ?? "The server does not answer as it should. Try again.";
  return Object.assign(new Error(sentence), { sentence, status: response.status });
}
