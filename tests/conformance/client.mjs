// A client of phasenb's protocol in plain Node: nothing of phasenb's own code, only protocol.md and the `ws` package.
// usage: URL=http://host:port/ TOKEN=... TRACE=file node client.mjs
// It walks every command, reply, event and error that a client can bring about; every frame is written to TRACE, as
// {"sent": ...} or {"received": ...}, for the test to hold against the AsyncAPI document. With LOST=task_id it only watches
// how that task, whose server was killed, is taken over by the next one.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import WebSocket from "ws";

const { URL: base, TOKEN: token, TRACE: trace, LOST: lost } = process.env;
const headers = { Authorization: `token ${token}` };

class Connection {
  static opened = 0;

  static async open(options = {}) {
    const connection = new Connection();
    Connection.opened += 1;
    connection.name = `c${Connection.opened}`;
    connection.socket = new WebSocket(`${base.replace("http", "ws")}phasenb/ws`, { headers, ...options });
    connection.frames = [];
    connection.seen = 0;
    connection.waiting = [];
    connection.number = 0;
    connection.closed = new Promise((resolve) => connection.socket.on("close", resolve));
    connection.socket.on("message", (data) => {
      const frame = JSON.parse(data);
      appendFileSync(trace, `${JSON.stringify({ received: frame })}\n`);
      connection.frames.push(frame);
      connection.waiting.splice(0).forEach((wake) => wake());
    });
    await new Promise((resolve, reject) => connection.socket.on("open", resolve).on("error", reject));
    return connection;
  }

  async next(wanted) {
    for (let from = 0; ; ) {
      for (; from < this.frames.length; from += 1) if (wanted(this.frames[from])) return this.frames[from];
      await new Promise((wake) => this.waiting.push(wake));
    }
  }

  async ask(type, fields = {}) {
    this.number += 1;
    const command = { type, id: `${this.name}.${this.number}`, ...fields };
    appendFileSync(trace, `${JSON.stringify({ sent: command })}\n`);
    this.socket.send(JSON.stringify(command));
    return this.next((frame) => frame.reply_to === command.id);
  }

  async refused(code, type, fields = {}) {
    const answer = await this.ask(type, fields);
    assert.equal(answer.type, "error", JSON.stringify(answer));
    assert.equal(answer.code, code, JSON.stringify(answer));
    return answer;
  }

  async hello(session = "node:conformance") {
    const welcome = await this.ask("hello", { protocol: 1, session, client: "node/1" });
    assert.equal(welcome.type, "welcome");
    assert.equal(welcome.session, session);
    return welcome;
  }

  async launch(agent, fields = {}) {
    const launched = await this.ask("launch", { agent, ...fields });
    assert.equal(launched.type, "launched", JSON.stringify(launched));
    return launched.task_id;
  }

  event(taskId, type, afterSeq = 0) {
    return this.next((frame) => frame.task_id === taskId && frame.type === type && !("reply_to" in frame) && !(frame.seq <= afterSeq));
  }

  log(taskId) {
    return this.frames.filter((frame) => frame.task_id === taskId && Number.isInteger(frame.seq) && !("reply_to" in frame));
  }

  assertWhole(taskId, first = 1) {
    const seqs = this.log(taskId).map((frame) => frame.seq);
    assert.deepEqual(seqs, seqs.map((_, index) => index + first), "no gap, no repeat");
  }

  close() {
    this.socket.close();
    return this.closed;
  }
}

const steps = {
  async "the first frame is hello, in a protocol that is spoken"() {
    const early = await Connection.open();
    await early.refused("hello_required", "ping");
    early.socket.send("{");
    assert.equal((await early.next((frame) => frame.code === "bad_message")).reply_to, null);
    await early.refused("unsupported_protocol", "hello", { protocol: 2, session: "x" });
    assert.equal(await early.closed, 4002);
  },

  async "a launch is followed from its first event to its end"() {
    const client = await Connection.open();
    const welcome = await client.hello();
    assert.deepEqual(welcome.agents, ["careful", "fragile", "slow", "three"]);
    assert.ok(welcome.limits.max_message_bytes > 0);
    assert.equal((await client.ask("ping")).type, "pong");
    const id = await client.launch("three", { inputs: { path: "a.csv" }, options: { labels: { from: "node" } } });
    const complete = await client.event(id, "task_complete");
    client.assertWhole(id);
    assert.ok(complete.duration_s >= 0);
    const created = client.log(id)[0];
    assert.deepEqual([created.type, created.phases.length, created.inputs.path], ["task_created", 3, "a.csv"]);
    const results = client.log(id).filter((frame) => frame.type === "phase_complete").map((frame) => frame.result.output);
    assert.deepEqual(results, [{ rows: 3 }, 6, 7]);
    const update = await client.event(id, "phase_update");
    assert.ok(update.percent >= 0 && update.percent <= 100);
    const lines = await client.event(id, "phase_log");
    assert.equal(lines.lines[0].text, "looked at a.csv");
    await client.close();
  },

  async "a launch under a known key is the task that it made"() {
    const client = await Connection.open();
    await client.hello();
    const options = { key: "node-week", labels: {} };
    const first = await client.launch("three", { inputs: { path: "a" }, options });
    const again = await client.ask("launch", { agent: "three", inputs: { path: "a" }, options });
    assert.deepEqual([again.task_id, again.duplicate], [first, true]);
    await client.event(first, "task_complete");
    await client.refused("conflict", "launch", { agent: "three", inputs: { path: "a" }, options: { ...options, if_exists: "error" } });
    const sent = await client.launch("three", { inputs: { path: "b" }, idempotency_key: "node-1" });
    const twice = await client.ask("launch", { agent: "three", inputs: { path: "b" }, idempotency_key: "node-1" });
    assert.deepEqual([twice.task_id, twice.duplicate], [sent, true]);
    await client.close();
  },

  async "a lost connection is taken up without a gap, or with a snapshot that says so"() {
    const first = await Connection.open();
    const { epoch } = await first.hello();
    const id = await first.launch("three", { inputs: { path: "a" }, options: { approve_before: ["implementation"] } });
    const gate = await first.event(id, "approval_requested");
    first.socket.terminate();
    const second = await Connection.open();
    await second.hello();
    const recovered = await second.ask("subscribe", { task_id: id, after_seq: 2, epoch });
    assert.deepEqual([recovered.recovered, recovered.snapshot, recovered.seq], [true, null, 2]);
    await second.event(id, "approval_requested");
    second.assertWhole(id, 3);
    const other = await Connection.open();
    await other.hello();
    const fresh = await other.ask("subscribe", { task_id: id, after_seq: 2, epoch: "another-store" });
    assert.deepEqual([fresh.recovered, fresh.seq, fresh.snapshot.state], [false, gate.seq, "awaiting_approval"]);
    assert.deepEqual(fresh.snapshot.actions.toSorted(), ["approve", "cancel", "deny", "pause"]);
    assert.equal((await second.ask("unsubscribe", { task_id: id })).type, "ok");
    const seen = second.log(id).length;
    const answer = { task_id: id, phase: "implementation", if_seq: gate.seq };
    await other.refused("conflict", "approve", { ...answer, if_seq: gate.seq - 1 });
    assert.equal((await other.ask("approve", { ...answer, edit: 41, note: "from node" })).type, "ok");
    const given = await other.event(id, "approval_given");
    assert.deepEqual([given.edited, given.note], [41, "from node"]);
    assert.equal((await other.event(id, "phase_complete", gate.seq)).result.output, 42);
    await other.event(id, "task_complete");
    await second.ask("ping");
    assert.equal(second.log(id).length, seen, "nothing more after unsubscribe");
    await Promise.all([second.close(), other.close()]);
  },

  async "a denied gate runs a phase again, or ends the task"() {
    const client = await Connection.open();
    await client.hello();
    const options = { approve_before: ["planning"] };
    const again = await client.launch("three", { inputs: { path: "a" }, options });
    const gate = await client.event(again, "approval_requested");
    const answer = { task_id: again, phase: "planning", reason: "look closer" };
    assert.equal((await client.ask("deny", { ...answer, if_seq: gate.seq, redo: "research" })).type, "ok");
    const denied = await client.event(again, "approval_denied");
    assert.deepEqual([denied.redo, denied.reason], ["research", "look closer"]);
    const second = await client.event(again, "approval_requested", gate.seq);
    assert.equal((await client.ask("deny", { ...answer, if_seq: second.seq })).type, "ok");
    await client.event(again, "task_cancelled");
    client.assertWhole(again);
    await client.close();
  },

  async "a task is paused, resumed, cancelled and retried"() {
    const client = await Connection.open();
    await client.hello();
    const id = await client.launch("slow", { inputs: { seconds: 60 } });
    await client.event(id, "phase_started");
    assert.equal((await client.ask("pause", { task_id: id })).type, "ok");
    assert.equal((await client.ask("pause", { task_id: id })).type, "ok", "idempotent");
    await client.event(id, "task_paused");
    assert.equal((await client.ask("resume", { task_id: id })).type, "ok");
    await client.event(id, "task_resumed");
    assert.equal((await client.ask("cancel", { task_id: id })).type, "ok");
    await client.event(id, "cancel_requested");
    const cancelled = await client.event(id, "task_cancelled");
    assert.equal((await client.ask("cancel", { task_id: id })).type, "ok");
    const refused = await client.refused("illegal_transition", "pause", { task_id: id });
    assert.deepEqual([refused.details.state, refused.details.command], ["cancelled", "pause"]);
    await client.refused("conflict", "retry", { task_id: id, if_seq: 1 });
    assert.equal((await client.ask("retry", { task_id: id, if_seq: cancelled.seq })).type, "ok");
    await client.event(id, "task_retried");
    await client.event(id, "phase_started", cancelled.seq);
    await client.ask("cancel", { task_id: id });
    await client.event(id, "task_cancelled", cancelled.seq);
    client.assertWhole(id);
    await client.close();
  },

  async "a failure is told with what follows from it"() {
    const client = await Connection.open();
    await client.hello();
    const recovery = {
      defaults: { retry: { maximum_attempts: 2, initial_interval: 0.01, jitter: 0 } },
      phases: { act: { rollback: { to: "prepare", maximum_times: 1 } } },
    };
    const id = await client.launch("fragile", { options: { recovery } });
    await client.event(id, "task_error");
    client.assertWhole(id);
    const nexts = client.log(id).filter((frame) => frame.type === "phase_failed").map((frame) => frame.next);
    assert.deepEqual(nexts, ["retry", "rollback", "retry", "abort"]);
    const failed = await client.event(id, "phase_failed");
    assert.deepEqual([failed.error.type, failed.error.message], ["ValueError", "it never works"]);
    const retrying = await client.event(id, "phase_retrying");
    assert.deepEqual([retrying.attempt, retrying.maximum_attempts], [2, 2]);
    const back = await client.event(id, "phase_rolled_back");
    assert.deepEqual([back.to, back.compensated], ["prepare", ["prepare"]]);
    await client.close();
  },

  async "a retry that waits is given up, and the failure stands"() {
    const client = await Connection.open();
    await client.hello();
    const retry = { maximum_attempts: 3, initial_interval: 60, retryable: "any" };
    const id = await client.launch("fragile", { options: { recovery: { defaults: { retry } } } });
    const retrying = await client.event(id, "phase_retrying");
    await client.refused("conflict", "give_up", { task_id: id, if_seq: retrying.seq - 1 });
    assert.equal((await client.ask("give_up", { task_id: id, if_seq: retrying.seq })).type, "ok");
    assert.equal((await client.event(id, "retry_given_up")).phase, "act");
    const ended = await client.event(id, "task_error");
    assert.deepEqual([ended.phase, ended.error.message.split("\n")[0]], ["act", "it never works"]);
    client.assertWhole(id);
    await client.refused("illegal_transition", "give_up", { task_id: id });
    await client.close();
  },

  async "what fails for good is done by its fallback"() {
    const client = await Connection.open();
    await client.hello();
    const id = await client.launch("careful", { options: { recovery: { defaults: { retry: { maximum_attempts: 1 } } } } });
    const fallback = await client.event(id, "phase_fallback");
    assert.equal(fallback.phase, "act");
    await client.event(id, "task_complete");
    client.assertWhole(id);
    await client.close();
  },

  async "a feed holds every task of the session, new ones included"() {
    const watcher = await Connection.open();
    await watcher.hello("node:feed");
    const feed = await watcher.ask("subscribe_feed", { scope: "session" });
    assert.deepEqual([feed.tasks, feed.next], [[], null]);
    const launcher = await Connection.open();
    await launcher.hello("node:feed");
    const id = await launcher.launch("three", { inputs: { path: "a" } });
    await watcher.event(id, "task_complete");
    watcher.assertWhole(id);
    const again = await watcher.ask("subscribe_feed", { scope: "user", after: feed.cursor });
    assert.ok(again.tasks.some((task) => task.task_id === id && task.state === "completed"));
    assert.equal((await watcher.ask("unsubscribe", { feed: true })).type, "ok");
    const pages = [];
    for (let before = null; ; ) {
      const page = await watcher.ask("list", { scope: "user", limit: 2, ...(before ? { before } : {}) });
      pages.push(...page.tasks.map((task) => task.task_id));
      before = page.next;
      if (before === null) break;
    }
    assert.deepEqual(pages, [...new Set(pages)].toSorted().toReversed(), "newest first, each once");
    assert.ok(pages.includes(id));
    await Promise.all([watcher.close(), launcher.close()]);
  },

  async "an input too big for a message is uploaded by its hash"() {
    const body = Buffer.from(JSON.stringify("x".repeat(300_000)));
    const hash = createHash("sha256").update(body).digest("hex");
    const client = await Connection.open();
    await client.hello();
    const path = { $object: `sha256:${hash}`, codec: "json", type: "str", bytes: body.length };
    await client.refused("unknown_object", "launch", { agent: "three", inputs: { path } });
    const answer = await fetch(`${base}phasenb/api/objects/${hash}`, { method: "PUT", headers, body });
    assert.equal(answer.status, 201, await answer.text());
    const id = await client.launch("three", { inputs: { path } });
    await client.event(id, "task_complete");
    await client.close();
  },

  async "what is wrong with a command is said under its id"() {
    const client = await Connection.open();
    await client.hello();
    const nobodys = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    await client.refused("unknown_type", "dance");
    const bad = await client.refused("bad_message", "subscribe", { after_seq: -1, loud: true });
    assert.deepEqual(Object.keys(bad.details.fields).toSorted(), ["after_seq", "loud", "task_id"]);
    await client.refused("unknown_agent", "launch", { agent: "nobody" });
    await client.refused("invalid_launch", "launch", { agent: "three", inputs: { paht: 1 } });
    for (const type of ["subscribe", "cancel", "pause", "resume", "retry", "give_up"]) await client.refused("unknown_task", type, { task_id: nobodys });
    const gate = { task_id: nobodys, phase: "planning", if_seq: 1 };
    await client.refused("unknown_task", "approve", gate);
    await client.refused("unknown_task", "deny", { ...gate, reason: "no" });
    client.socket.send(JSON.stringify({ type: "list", id: "big", before: "x".repeat(5_000_000) }));
    assert.equal((await client.next((frame) => frame.code === "too_large")).reply_to, null, "it was not read");
    assert.equal((await client.ask("ping")).type, "pong", "the connection is kept");
    await client.close();
  },
};

const afterwards = {
  async "a task that lost its host is taken over"() {
    const client = await Connection.open();
    await client.hello();
    await client.ask("subscribe", { task_id: lost });
    const recovered = await client.event(lost, "task_recovered");
    assert.equal(recovered.lost_attempt, 1);
    await client.ask("cancel", { task_id: lost });
    await client.event(lost, "task_cancelled");
    client.assertWhole(lost);
    await client.close();
  },
};

for (const [name, step] of Object.entries(lost ? afterwards : steps)) {
  const late = setTimeout(() => {
    console.error(`no end of: ${name}`);
    process.exit(1);
  }, 30_000);
  await step();
  clearTimeout(late);
  console.log(`ok ${name}`);
}
