import type { Action, Program } from "./program.ts";
import { sensible, World } from "./world.ts";

/** Every way to leave out a run of `length` actions, at any depth. */
function* without(actions: readonly Action[], length: number): Generator<readonly Action[]> {
  for (let i = 0; i < actions.length; i += Math.max(1, length >> 1)) {
    yield [...actions.slice(0, i), ...actions.slice(i + length)];
    const action = actions[i]!;
    if (action.kind !== "scope") continue;
    // What stands in a scope, without the scope, and smaller scopes.
    yield [...actions.slice(0, i), ...action.body, ...actions.slice(i + 1)];
    for (const body of without(action.body, length))
      yield [...actions.slice(0, i), { ...action, body }, ...actions.slice(i + 1)];
  }
}

function count(actions: readonly Action[]): number {
  return actions.reduce((sum, action) => sum + 1 + (action.kind === "scope" ? count(action.body) : 0), 0);
}

function* smaller(program: Program, length: number, exact: boolean): Generator<Program> {
  const { tasks } = program;
  if (tasks.length > 1) for (const task of tasks) yield { ...program, tasks: [task] };
  for (const [i, task] of tasks.entries()) {
    for (const some of without(task.actions, length)) {
      const actions = sensible(some, new World(exact));
      if (count(actions) < count(task.actions))
        yield { ...program, tasks: tasks.map((other, k) => (k === i ? { ...task, actions } : other)) };
    }
  }
}

/** Drops actions as long as the program still fails, for a limited time. */
export async function shrink(
  program: Program,
  exact: boolean,
  fails: (program: Program) => Promise<boolean>,
  milliseconds = 20_000,
): Promise<Program> {
  const end = Date.now() + milliseconds;
  let best = program;
  for (let length = 16; length >= 1; ) {
    let found: Program | undefined;
    for (const candidate of smaller(best, length, exact)) {
      if (Date.now() > end) return best;
      if (!(await fails(candidate))) continue;
      found = candidate;
      break;
    }
    if (found) best = found;
    else length >>= 1;
  }
  return best;
}
