// Made from phasenb's pydantic models by `make documents`. Do not edit.
/* eslint-disable */

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** `inputs`: the JSON schema of what a launch takes, an object; one without types where annotations tell none. */
export interface AgentDescription {
  name: string;
  phases: string[];
  inputs: { [name: string]: Json };
}

/** What a launch may name. */
export interface AgentList {
  agents: RegisteredAgent[];
}

/** The open gate: answer it with this `seq` as `if_seq`. */
export interface Approval {
  phase: string;
  revision: number;
  seq: number;
  output: Json;
}

export interface ApprovalDenied {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'approval_denied';
  phase: string;
  reason: string;
  redo: string | null;
  by: string;
}

/** `revision`: of the last phase's output that `edited` is; None where it was approved as it was. */
export interface ApprovalGiven {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'approval_given';
  phase: string;
  edited: Json;
  revision: number | null;
  note: string | null;
  by: string;
}

/** A gate before `phase`; `output` is the last phase's, in its `revision`. */
export interface ApprovalRequested {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'approval_requested';
  kind: 'gate';
  phase: string;
  output: Json;
  revision: number;
}

/** `if_seq`: the gate that was seen. `edit` replaces the last output where it is given; `null` is a value. */
export interface Approve {
  id: string;
  type: 'approve';
  task_id: string;
  phase: string;
  if_seq: number;
  edit?: Json;
  note?: string | null;
}

/** A named object that a phase kept with `ctx.artifact(name, value)`. */
export interface Artifact {
  $object: string;
  codec: string;
  type: string;
  bytes: number;
  shape: number[] | null;
  preview: string;
  head: Head | null;
  name: string;
}

export interface Cancel {
  id: string;
  type: 'cancel';
  task_id: string;
}

export interface CancelRequested {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  by: string;
  type: 'cancel_requested';
}

export interface Deny {
  id: string;
  type: 'deny';
  task_id: string;
  phase: string;
  if_seq: number;
  reason: string;
  redo?: string | null;
}

/**
 * A failure as data. `type` is the qualified class name (`builtins.ValueError` is `ValueError`).
 *
 * `bases` are the qualified names of its classes, most derived first: rules match subclasses without unpickling.
 * `retry_after_s` is the exception's own `retry_after`, where it had one, or that of the response it carries;
 * `http_status` the status of that response.
 */
export interface ErrorInfo {
  type: string;
  message: string;
  traceback: string;
  retryable: boolean;
  bases: string[];
  retry_after_s: number | null;
  http_status: number | null;
}

/** `reply_to` is null where the frame had no readable `id`. */
export interface ErrorMessage {
  type: 'error';
  reply_to: string | null;
  code: string;
  message: string;
  details: { [name: string]: Json };
}

/** In order; `next` is the `after_seq` of the next page. */
export interface EventPage {
  events: TaskEvent[];
  next: number | null;
}

/** One failed attempt in short; the whole error is in `results` and in the log. */
export interface FailureNote {
  phase: string;
  attempt: number;
  type: string;
  message: string;
  at: string;
}

/** The failed attempts of a task since it was launched, or retried by a person. */
export interface Failures {
  count: number;
  first: FailureNote;
  newest: FailureNote;
}

export interface Feed {
  reply_to: string;
  type: 'feed';
  tasks: TaskState[];
  cursor: string;
  next: string | null;
}

/**
 * Don't make the attempt that a task in state `retrying` waits for: what follows the last one follows now.
 * `if_seq`: the snapshot that was seen.
 */
export interface GiveUp {
  id: string;
  type: 'give_up';
  task_id: string;
  if_seq?: number | null;
}

/** The first rows of a frame as short texts, its index first: what a page draws as a table. */
export interface Head {
  columns: string[];
  rows: string[][];
}

/**
 * `tasks`: how many of the caller's this host carries. `problem`: why its store can't be written to, as it
 * found at its newest beat (four in `lease_s`). `store`: told to who may run code here, and asks as `machine`,
 * which must be the server's own. `anywidget`: whether the pages of this server can draw an anywidget.
 */
export interface Health {
  status: 'ok' | 'store_unavailable';
  problem: string | null;
  version: string;
  protocol: number;
  epoch: string;
  host: string;
  tasks: number;
  store: StorePlace | null;
  anywidget: boolean;
}

/** The session: one of its own choice, else the notebook's, whose name `welcome` says. At least one is given. */
export interface Hello {
  id: string;
  type: 'hello';
  protocol: number;
  session?: string | null;
  notebook?: NotebookPlace | null;
  client?: string | null;
}

/** `hash` is `sha256:` + hex, `bytes` the size. */
export interface KeptObject {
  hash: string;
  bytes: number;
}

/** A launch in a session of the user's; see the socket's `launch`. */
export interface LaunchBody {
  agent?: string | null;
  code?: Json;
  source?: { [name: string]: string };
  phase_options?: RecoveryOptions;
  inputs?: { [name: string]: Json };
  options?: LaunchOptions;
  runtime?: Runtime | null;
  idempotency_key?: string | null;
  traceparent?: string | null;
  secret_values?: { [name: string]: string };
  session?: string;
}

/** A launch in the connection's session; its connection follows the task. */
export interface LaunchCommand {
  id: string;
  agent?: string | null;
  code?: Json;
  source?: { [name: string]: string };
  phase_options?: RecoveryOptions;
  inputs?: { [name: string]: Json };
  options?: LaunchOptions;
  runtime?: Runtime | null;
  idempotency_key?: string | null;
  traceparent?: string | null;
  secret_values?: { [name: string]: string };
  type: 'launch';
}

/**
 * Options of a launch. `name` is the run's (else the agent's), `agent` that of the agent which comes as code.
 *
 * `key` names the work: launched twice, it is one task, unless `if_exists` says else.
 *
 * `env`: variables to be set for the task's phases. `secrets`: variable -> where it is found, `env:NAME` or
 * `file:PATH` of the host's, or `launcher`: its value comes beside the options. Only that is stored, never the
 * secret. `fresh_worker`: a worker that ran nothing before, and that runs nothing after this task. `retry`: how
 * often a phase is tried at most, the first attempt included, whatever it raises; `timeout`: how long an attempt may
 * take. Both: one value for all phases, or {phase: value}.
 */
export interface LaunchOptions {
  name?: string | null;
  agent?: string | null;
  key?: string | null;
  if_exists?: 'attach' | 'new' | 'error';
  phases?: string[] | null;
  approve_before?: string[];
  executor?: 'inline' | 'process' | null;
  recovery?: RecoveryPolicy | null;
  timeouts?: Timeouts | null;
  retry?: number | { [name: string]: number } | null;
  timeout?: number | string | { [name: string]: number | string } | null;
  env?: { [name: string]: string };
  secrets?: { [name: string]: string };
  labels?: { [name: string]: string };
  priority?: number;
  fresh_worker?: boolean;
}

export interface Launched {
  reply_to: string;
  type: 'launched';
  task_id: string;
  seq: number;
  duplicate: boolean;
}

/** `duplicate`: the launch was known already, by its key or idempotency key, and this is its task. */
export interface LaunchedTask {
  task_id: string;
  seq: number;
  duplicate: boolean;
}

/** The session that launches again. */
export interface LaunchingSession {
  session: string;
}

export interface Limits {
  max_message_bytes: number;
  max_frame_bytes: number;
  commands_per_second: number;
  updates_per_second: number;
  replay_max_events: number;
}

/** In order; `next` is the `after` of the next page, null where there are no more lines for now. */
export interface LinePage {
  lines: StoredLine[];
  next: number | null;
}

export interface ListTasks {
  id: string;
  type: 'list';
  scope?: 'session' | 'user';
  state?: State | null;
  limit?: number;
  before?: string | null;
}

/** One line of an attempt's output. `stream`: stdout, stderr, log (ctx.log, logging, warnings). */
export interface LogLine {
  stream: 'stdout' | 'stderr' | 'log';
  text: string;
  at: string;
}

/**
 * A notebook that a client runs in: its absolute `path` on the `machine` of its kernel (named as `welcome`
 * names the host's), and the id that its Jupyter server gave the `kernel`.
 */
export interface NotebookPlace {
  path: string;
  kernel?: string | null;
  machine?: string | null;
}

/**
 * Bytes in the artifacts folder, named by content.
 *
 * `hash` is `sha256:` + hex; `codec` one of `json, parquet, npy, png, pickle, text, bytes`; `type` the
 * Python type's qualified name; `bytes` the stored size; `shape` of arrays and frames; `preview` at most
 * 2,000 characters for people; `head` of frames.
 */
export interface ObjectRef {
  $object: string;
  codec: string;
  type: string;
  bytes: number;
  shape: number[] | null;
  preview: string;
  head: Head | null;
}

export interface Ok {
  reply_to: string;
  type: 'ok';
}

/** `connection` is known to its client alone; `wait_s`: how long an answer without frames takes at most. */
export interface OpenedConnection {
  connection: string;
  wait_s: number;
}

export interface Pause {
  id: string;
  type: 'pause';
  task_id: string;
}

/**
 * One stage of a task: the newest attempt counts. `percent` 0..100; `attempt` 0 before the first;
 * `fallback` is what runs in the place of the phase's own function, where something does. Attempts up to number
 * `set_aside` count no longer: they came before a rollback over the phase, a denial or a manual retry.
 */
export interface Phase {
  name: string;
  status: PhaseStatus;
  attempt: number;
  maximum_attempts: number | null;
  percent: number;
  started_at: string | null;
  ended_at: string | null;
  output_preview: string | null;
  fallback: string | null;
  set_aside: number;
}

export interface PhaseComplete {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  phase: string;
  attempt: number;
  kind: 'phase' | 'compensation';
  type: 'phase_complete';
  result: PhaseResult;
}

/**
 * An attempt failed; `given_up`: it had failed before, and what is next now takes the place of its retry.
 *
 * With `next: rollback`: `to` is the phase that is run again after what came since is undone, and
 * `compensations` are the phases whose compensations do that, in their order.
 */
export interface PhaseFailed {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  phase: string;
  attempt: number;
  kind: 'phase' | 'compensation';
  type: 'phase_failed';
  error: ErrorInfo;
  next: 'retry' | 'fallback' | 'rollback' | 'abort';
  to: string | null;
  compensations: string[];
  given_up: boolean;
}

export interface PhaseFallback {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'phase_fallback';
  phase: string;
  agent: string;
}

/**
 * Log lines as they come; `first_line` is the number of `lines[0]` in the attempt, from 1. Before it there were
 * `dropped`, which nobody kept, and `skipped`, which a slow connection was not sent and the store has.
 */
export interface PhaseLog {
  type: 'phase_log';
  task_id: string;
  phase: string;
  attempt: number;
  first_line: number;
  dropped: number;
  skipped: number;
  lines: LogLine[];
}

/** A phase's own policy: what it does not say comes from `defaults`; null is a word: none here. */
export interface PhaseOverride {
  retry?: RetryPolicy | null;
  timeouts?: Timeouts | null;
  rules?: Rule[] | null;
  fallback?: string | null;
  rollback?: Rollback | null;
}

/** What happens when an attempt fails: retry, then fallback, then rollback, else abort. */
export interface PhasePolicy {
  retry?: RetryPolicy;
  timeouts?: Timeouts;
  rules?: Rule[];
  fallback?: string | null;
  rollback?: Rollback | null;
}

/**
 * The outcome of one attempt. `output`: inline JSON or an object reference (dto.values). `revision`: counted
 * from 1, one more for each time that a person edited the output. `code`: which code ran (dto.launch.code_id).
 */
export interface PhaseResult {
  phase: string;
  attempt: number;
  kind: 'phase' | 'compensation';
  revision: number;
  status: ResultStatus;
  started_at: string;
  ended_at: string;
  duration_s: number;
  output: Json;
  output_type: string | null;
  output_bytes: number | null;
  error: ErrorInfo | null;
  worker: string | null;
  metrics: { [name: string]: number | null };
  artifacts: Artifact[];
  fallback: string | null;
  code: string | null;
}

/** `attempt` is the next one; it starts at `due_at`. */
export interface PhaseRetrying {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'phase_retrying';
  phase: string;
  attempt: number;
  maximum_attempts: number | null;
  delay_s: number;
  due_at: string;
}

export interface PhaseRolledBack {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'phase_rolled_back';
  phase: string;
  to: string;
  compensated: string[];
  not_undone: string[];
}

/**
 * The text of a phase's function. `attempt` None: the phase has not been run. `text` None: it is not kept, as
 * of a registered agent, or of a function whose text Python could not tell. `code`: which code it is of.
 */
export interface PhaseSource {
  phase: string;
  attempt: number | null;
  code: string | null;
  text: string | null;
}

export interface PhaseStarted {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  phase: string;
  attempt: number;
  kind: 'phase' | 'compensation';
  type: 'phase_started';
  worker: string | null;
}

export type PhaseStatus = 'pending' | 'running' | 'retrying' | 'complete' | 'failed' | 'rolled_back';

/**
 * Live progress of the running attempt: not numbered, coalesced, newest wins. `percent` 0..100; it never falls
 * within a `bar`. `bar` and `line` as in Step.
 */
export interface PhaseUpdate {
  type: 'phase_update';
  task_id: string;
  phase: string;
  attempt: number;
  percent: number;
  done: number | null;
  total: number | null;
  message: string | null;
  metrics: { [name: string]: number | null };
  eta_s: number | null;
  bar: number;
  line: string | null;
}

export interface Ping {
  id: string;
  type: 'ping';
}

export interface Pong {
  reply_to: string;
  type: 'pong';
}

/** Any error: `code` is stable, `message` a sentence, `details` its facts. */
export interface Problem {
  code: string;
  message: string;
  details: { [name: string]: Json };
}

/** Why a queued task waits; `position` from 1. */
export interface Queue {
  position: number;
  reason: string;
}

/**
 * How often phases are tried and how long, where it is said apart from a launch's options: by the phases of its
 * code themselves, which a launch's own options lie over, or by a retry, whose options replace the launch's.
 */
export interface RecoveryOptions {
  retry?: number | { [name: string]: number } | null;
  timeout?: number | string | { [name: string]: number | string } | null;
}

/** The whole of error_recovery.yaml. `for_phase(name)` is the policy that holds for one phase. */
export interface RecoveryPolicy {
  defaults?: PhasePolicy;
  phases?: { [name: string]: PhaseOverride };
  thresholds?: Threshold[];
  maximum_recoveries?: number;
}

export interface RegisteredAgent {
  name: string;
}

/** Every attempt that ended, oldest first. */
export interface ResultList {
  results: TaskResult[];
}

export type ResultStatus = 'complete' | 'failed' | 'cancelled' | 'lost';

/**
 * One of `task_id` and `launches: true`: let the session launch again before its threshold's window is over.
 *
 * `secret_values`: of secrets that the launcher gave, where a task waits for them.
 */
export interface Resume {
  id: string;
  type: 'resume';
  task_id?: string | null;
  launches?: true | null;
  secret_values?: { [name: string]: string };
}

/** The attempt of `phase` that was waited for is not made: what follows its last attempt follows now. */
export interface RetryGivenUp {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  by: string;
  type: 'retry_given_up';
  phase: string;
}

/**
 * When a failed attempt is tried again. `maximum_attempts` counts the first one too; 0 means without limit.
 *
 * The delay before attempt n+1 is `initial_interval * backoff_coefficient ** (n - 1)`, at most
 * `maximum_interval` (an `initial_interval` over it stays what it is), spread by `+- jitter` of itself.
 *
 * `retryable`: which errors are tried again: `transient` ones (core.recovery; `transient` adds classes to them),
 * `any`, or those of the named classes, `transient` among the names included. A policy that says
 * `maximum_attempts` and not which means any.
 */
export interface RetryPolicy {
  initial_interval?: number | string;
  backoff_coefficient?: number;
  maximum_interval?: number | string;
  maximum_attempts?: number;
  jitter?: number;
  retryable?: 'transient' | 'any' | string[];
  transient?: string[];
  non_retryable?: string[];
}

/** `code`, `runtime` and `secret_values` as in `launch`: they replace the launch's, as `options` do. */
export interface RetryTask {
  id: string;
  type: 'retry';
  task_id: string;
  from_phase?: string | null;
  if_seq?: number | null;
  code?: Json;
  source?: { [name: string]: string };
  runtime?: Runtime | null;
  secret_values?: { [name: string]: string };
  options?: RecoveryOptions;
}

export interface Rollback {
  to: string;
  maximum_times?: number;
}

/**
 * For exceptions of class `exception` (fully qualified; subclasses match): replaces what it names.
 *
 * A rule's `retry` is laid over the phase's, field by field, and so is tried again what is `non_retryable`
 * otherwise; `action` leaves no other option.
 */
export interface Rule {
  exception: string;
  retry?: RetryPolicy | null;
  fallback?: string | null;
  rollback?: Rollback | null;
  action?: 'retry' | 'fallback' | 'rollback' | 'abort' | null;
}

/**
 * Where a launch comes from. `python` is `"3.11.7"`; `host` identifies the machine (core of `is it ours`).
 *
 * `sys_path` are the launcher's additions, to be put before the interpreter's own entries, in this order.
 * `notebook` is the absolute path of the notebook that launches, where it is one. `variables` names the object (of
 * the launcher's owner) that has the environment variables which go along, as a JSON object; for this machine only.
 */
export interface Runtime {
  python: string;
  executable: string;
  cwd: string;
  sys_path?: string[];
  host: string;
  notebook?: string | null;
  variables?: string | null;
}

export type State =
  | 'queued'
  | 'running'
  | 'retrying'
  | 'awaiting_approval'
  | 'paused'
  | 'cancelling'
  | 'completed'
  | 'failed'
  | 'cancelled';

/** Who paused or cancelled a task; with `phase` and `reason`, who denied it at the gate before that phase. */
export interface Stopped {
  by: string;
  phase: string | null;
  reason: string | null;
}

/** A store as a process of its machine opens it: the path of its file, and where its objects are. */
export interface StorePlace {
  url: string;
  artifacts: string;
}

/** A line of an attempt's output; `line` counts in the attempt, `cursor` is its place in the log. */
export interface StoredLine {
  cursor: number;
  phase: string;
  attempt: number;
  line: number;
  stream: 'stdout' | 'stderr' | 'log';
  at: string;
  text: string;
}

export interface Subscribe {
  id: string;
  type: 'subscribe';
  task_id: string;
  after_seq?: number;
  epoch?: string | null;
}

export interface SubscribeFeed {
  id: string;
  type: 'subscribe_feed';
  scope?: 'session' | 'user';
  after?: string | null;
}

export interface Subscribed {
  reply_to: string;
  type: 'subscribed';
  task_id: string;
  epoch: string;
  seq: number;
  recovered: boolean;
  snapshot: TaskState | null;
}

/** `error`: where it ends in the middle of a rollback, the failure that opened it and what stays undone. */
export interface TaskCancelled {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  by: string;
  type: 'task_cancelled';
  error: ErrorInfo | null;
}

export interface TaskComplete {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'task_complete';
  duration_s: number;
}

/**
 * `notebook`: the path of the notebook that launched it, on the machine of its kernel. `secrets`: the variables
 * whose values the launcher gave, which are stored nowhere. `parent`: the task in whose phase it was launched.
 * `code`: which code it is (dto.launch.code_id), where it came with the launch.
 */
export interface TaskCreated {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'task_created';
  name: string;
  agent: string;
  phases: string[];
  inputs: { [name: string]: Json };
  labels: { [name: string]: string };
  key: string | null;
  notebook: string | null;
  secrets: string[];
  parent: string | null;
  code: string | null;
}

export interface TaskError {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'task_error';
  error: ErrorInfo;
  phase: string | null;
}

/** Why a task failed, and in which phase. */
export interface TaskFailure {
  phase: string | null;
  attempt: number | null;
  error: ErrorInfo;
}

/** Newest first; `next` is the `before` of the next page. */
export interface TaskPage {
  tasks: TaskState[];
  next: string | null;
}

export interface TaskPaused {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  by: string;
  type: 'task_paused';
}

/**
 * `lost_attempt`: the attempt that the dead host was running, which is run again; null where none was.
 * `reason`: `frozen` where `host` had it all the time, and was frozen with all that it ran; else null.
 */
export interface TaskRecovered {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  type: 'task_recovered';
  host: string;
  lost_attempt: number | null;
  reason: 'frozen' | null;
}

export interface TaskResult {
  phase: string;
  attempt: number;
  kind: 'phase' | 'compensation';
  revision: number;
  status: ResultStatus;
  started_at: string;
  ended_at: string;
  duration_s: number;
  output: Json;
  output_type: string | null;
  output_bytes: number | null;
  error: ErrorInfo | null;
  worker: string | null;
  metrics: { [name: string]: number | null };
  artifacts: Artifact[];
  fallback: string | null;
  code: string | null;
  task_id: string;
}

export interface TaskResumed {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  by: string;
  type: 'task_resumed';
}

export interface TaskRetried {
  task_id: string;
  session: string;
  seq: number;
  at: string;
  by: string;
  type: 'task_retried';
  from_phase: string;
  new_code: boolean;
  code: string | null;
}

/**
 * One task, folded from its whole log by core.task_schema.
 *
 * `phase` is the current phase (the last one when terminal); `percent` 0..100 of the whole task; `by_host` the
 * host that runs it. `message, eta_s, percent, done, total, bar, line, queue` carry the newest live progress where a
 * host knows it: of the running phase `done` of `total` steps, or without a total so far; `line` is what it has
 * written that is no line of its log yet, such as a bar that is being drawn.
 * `secrets` are the variables whose values the launcher gave: a retry and a resume may give them again.
 * `given_up`: the phase whose retry a person gave up, until what follows is decided.
 * `code`: which code its next attempt runs (dto.launch.code_id).
 * `recent` are the last five events as `"seq type"`: an error names them.
 */
export interface TaskState {
  task_id: string;
  session: string;
  name: string;
  agent: string;
  state: State;
  phase: string | null;
  percent: number;
  message: string | null;
  eta_s: number | null;
  done: number | null;
  total: number | null;
  bar: number;
  line: string | null;
  phases: Phase[];
  seq: number;
  created_at: string;
  updated_at: string;
  started_at: string | null;
  ended_at: string | null;
  inputs: { [name: string]: Json };
  labels: { [name: string]: string };
  key: string | null;
  notebook: string | null;
  secrets: string[];
  parent: string | null;
  code: string | null;
  retry_at: string | null;
  given_up: string | null;
  failures: Failures | null;
  queue: Queue | null;
  approval: Approval | null;
  rolling_back: string | null;
  error: TaskFailure | null;
  stopped: Stopped | null;
  actions: string[];
  by_host: string | null;
  recent: string[];
}

export interface Tasks {
  reply_to: string;
  type: 'tasks';
  tasks: TaskState[];
  next: string | null;
}

/** Per session: `errors` failures within `window` abort the task, or pause new launches. */
export interface Threshold {
  errors: number;
  window: number | string;
  action: 'abort' | 'pause_launches';
}

/** `attempt` and `task` are wall times, `heartbeat` the longest silence of a phase; null means none. */
export interface Timeouts {
  attempt?: number | string | null;
  heartbeat?: number | string | null;
  task?: number | string | null;
}

/** One of `task_id` and `feed: true`. */
export interface Unsubscribe {
  id: string;
  type: 'unsubscribe';
  task_id?: string | null;
  feed?: true | null;
}

/** `machine`: the host's, as config.machine.machine_digest says it. A client of the same one has its paths. */
export interface Welcome {
  reply_to: string;
  type: 'welcome';
  protocol: number;
  epoch: string;
  server: string;
  session: string;
  owner: string;
  machine: string | null;
  agents: string[];
  limits: Limits;
}

/** What a client sends. */
export type Command =
  | Hello
  | LaunchCommand
  | Subscribe
  | SubscribeFeed
  | Unsubscribe
  | Cancel
  | Pause
  | Resume
  | Approve
  | Deny
  | RetryTask
  | GiveUp
  | ListTasks
  | Ping;

/** Durable, numbered facts of a task's log. */
export type TaskEvent =
  | TaskCreated
  | PhaseStarted
  | PhaseComplete
  | PhaseFailed
  | PhaseRetrying
  | PhaseRolledBack
  | PhaseFallback
  | ApprovalRequested
  | ApprovalGiven
  | ApprovalDenied
  | TaskPaused
  | TaskResumed
  | TaskRecovered
  | CancelRequested
  | TaskCancelled
  | TaskComplete
  | TaskError
  | TaskRetried
  | RetryGivenUp;

/** Progress and log lines: not numbered. */
export type LiveMessage =
  | PhaseUpdate
  | PhaseLog;

/** Answers to commands; `reply_to` is the command's `id`. */
export type Reply =
  | Welcome
  | Launched
  | Subscribed
  | Feed
  | Tasks
  | Ok
  | Pong
  | ErrorMessage;

/** What a server sends. A client ignores types that it does not know. */
export type ServerMessage = Reply | TaskEvent | LiveMessage;

export const PROTOCOL = 1;

export const EVENT_TYPES: readonly (TaskEvent['type'])[] = [
  'task_created',
  'phase_started',
  'phase_complete',
  'phase_failed',
  'phase_retrying',
  'phase_rolled_back',
  'phase_fallback',
  'approval_requested',
  'approval_given',
  'approval_denied',
  'task_paused',
  'task_resumed',
  'task_recovered',
  'cancel_requested',
  'task_cancelled',
  'task_complete',
  'task_error',
  'task_retried',
  'retry_given_up'
];

export const TERMINAL_STATES: readonly (State)[] = [
  'completed',
  'failed',
  'cancelled'
];
