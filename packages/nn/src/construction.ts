/**
 * Who makes what: the modules and marked tensors that come into being while a module's constructor runs. JavaScript says nowhere that a
 * constructor has ended, but its frame is on the stack as long as it runs, and V8's frames tell constructors from other functions.
 * Elsewhere (Firefox, Safari) nothing is noted.
 */

interface Construction {
  readonly module: object;
  /** How many frames lie below that of the module's constructor, and the name on that one. */
  readonly depth: number;
  readonly name: string | null;
}

/** The constructors that were running when the last thing was made, the outermost first. */
const running: Construction[] = [];

const made = new WeakMap<object, object[]>();

/** The frames of the caller, the outermost first; none where there are no such frames. */
function frames(): NodeJS.CallSite[] {
  if (!Error.captureStackTrace || Object.isFrozen(Error)) return [];
  const { prepareStackTrace, stackTraceLimit } = Error;
  const holder: { stack?: unknown } = {};
  try {
    Error.stackTraceLimit = Number.POSITIVE_INFINITY;
    Error.prepareStackTrace = (_, sites) => sites; // also spares the look-up of source maps
    Error.captureStackTrace(holder, frames);
    return Array.isArray(holder.stack) ? holder.stack.reverse() : [];
  } finally {
    Object.assign(Error, { prepareStackTrace, stackTraceLimit });
  }
}

function keepRunning(stack: readonly NodeJS.CallSite[]): void {
  const ended = running.findIndex(({ depth, name }) => {
    const frame = stack[depth];
    return !frame?.isConstructor() || frame.getFunctionName() !== name;
  });
  if (ended >= 0) running.length = ended;
}

/** A class, for its name and text. */
type Class = abstract new (...args: never[]) => object;

/** The classes of an object, its own first, up to and with `base`. */
function classes(object: object, base: Class): Class[] {
  const found: Class[] = [];
  for (let prototype = Object.getPrototypeOf(object); prototype; prototype = Object.getPrototypeOf(prototype)) {
    found.push(prototype.constructor);
    if (prototype === base.prototype) break;
  }
  return found;
}

/** To be called by the constructor of `base`, which all modules have: what is made from now on, until theirs ends, is the module's. */
export function noteModule(module: object, base: Class): void {
  const stack = frames().slice(0, -1); // without noteModule
  let depth = stack.length;
  for (const { name } of classes(module, base).reverse()) {
    const below = stack[depth - 1];
    if (below?.isConstructor() && (below.getFunctionName() ?? "") === name) depth -= 1; // V8 leaves out constructors that only call super
  }
  const frame = stack[depth];
  if (!frame) return;
  keepRunning(stack.slice(0, depth));
  note(module);
  if (running.length === 0) queueMicrotask(forget);
  running.push({ module, depth, name: frame.getFunctionName() });
}

/** No constructor outlives its turn, and what is finished is not to be kept alive here. */
function forget(): void {
  running.length = 0;
}

/** To be called for every marked tensor. */
export function noteTensor(tensor: object): void {
  if (running.length === 0) return;
  keepRunning(frames());
  note(tensor);
}

function note(thing: object): void {
  const maker = running.at(-1)?.module;
  if (!maker) return;
  const things = made.get(maker);
  if (things) things.push(thing);
  else made.set(maker, [thing]);
}

/** Whether the module's constructor is still running. */
export function isUnderConstruction(module: object): boolean {
  if (running.length > 0) keepRunning(frames());
  return running.some((construction) => construction.module === module);
}

/** What the module's constructor made, in order; the note is given up. */
export function takeMade(module: object): readonly object[] {
  const things = made.get(module) ?? [];
  made.delete(module);
  return things;
}

/** A field's declaration in the text of a class: not behind a dot, and not followed by the parameters of a method. */
const PRIVATE_FIELD = /(?<!\.|\bstatic\s+)#[\p{ID_Start}$_][\p{ID_Continue}$]*(?=\s*[=;\n}])/gu;

/** The private fields that the classes of an object declare, up to `base`, as their texts tell. */
export function privateFields(object: object, base: Class): string[] {
  const texts = classes(object, base).map((each) => Function.prototype.toString.call(each));
  return [...new Set(texts.flatMap((text) => text.match(PRIVATE_FIELD) ?? []))];
}
