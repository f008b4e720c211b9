// Made from phasenb/core/transitions.py by `make documents`. Do not edit.

import type { State, TaskEvent } from './protocol';

/** State ('' before the first event) -> event type -> the states that it may lead to. */
export const TRANSITIONS: Record<State | '', Partial<Record<TaskEvent['type'], readonly State[]>>> = {
  '': {
    task_created: ['queued']
  },
  queued: {
    task_recovered: ['queued'],
    cancel_requested: ['cancelling'],
    task_error: ['failed'],
    phase_started: ['running'],
    phase_failed: ['queued'],
    phase_fallback: ['queued'],
    phase_rolled_back: ['queued'],
    approval_requested: ['awaiting_approval'],
    task_paused: ['paused']
  },
  running: {
    task_recovered: ['queued'],
    cancel_requested: ['cancelling'],
    task_error: ['failed'],
    phase_started: ['running'],
    phase_complete: ['running'],
    phase_failed: ['running'],
    phase_retrying: ['retrying'],
    phase_rolled_back: ['running'],
    phase_fallback: ['running'],
    approval_requested: ['awaiting_approval'],
    task_paused: ['paused'],
    task_complete: ['completed']
  },
  retrying: {
    task_recovered: ['retrying'],
    cancel_requested: ['cancelling'],
    task_error: ['failed'],
    phase_started: ['running'],
    retry_given_up: ['queued'],
    task_paused: ['paused']
  },
  awaiting_approval: {
    task_recovered: ['awaiting_approval'],
    cancel_requested: ['cancelling'],
    task_error: ['failed'],
    approval_given: ['queued'],
    approval_denied: ['queued', 'cancelling'],
    task_paused: ['paused']
  },
  paused: {
    task_recovered: ['paused'],
    cancel_requested: ['cancelling'],
    task_error: ['failed'],
    phase_complete: ['paused'],
    phase_failed: ['paused'],
    phase_retrying: ['paused'],
    phase_fallback: ['paused'],
    task_resumed: ['running', 'retrying', 'awaiting_approval', 'queued'],
    task_complete: ['completed']
  },
  cancelling: {
    task_recovered: ['cancelling'],
    task_cancelled: ['cancelled'],
    task_error: ['failed']
  },
  completed: {
  },
  failed: {
    task_retried: ['queued']
  },
  cancelled: {
    task_retried: ['queued']
  }
};

/** What a person may ask for in each state. */
export const ACTIONS: Record<State, readonly string[]> = {
  queued: ['cancel', 'pause'],
  running: ['cancel', 'pause'],
  retrying: ['cancel', 'pause', 'give_up'],
  awaiting_approval: ['cancel', 'pause', 'approve', 'deny'],
  paused: ['cancel', 'resume'],
  cancelling: [],
  completed: [],
  failed: ['retry'],
  cancelled: ['retry']
};
