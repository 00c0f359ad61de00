import { describe, freeze, keep, type Rng, requireGrad, Tensor } from "@deplsr/tensor";
import { isUnderConstruction, noteModule, noteTensor, privateFields, takeMade } from "./construction.ts";
import { type LoadOptions, type LoadReport, loadTensors, type StateDict } from "./state-dict.ts";

/** How a forward pass runs. `training` switches dropout, drop path and batch statistics; `rng` draws what they need. */
export interface Mode {
  readonly training: boolean;
  readonly rng?: Rng;
}

/** The default mode of every `forward`: nothing random, running statistics. */
export const inference: Mode = { training: false };

type Role = "parameter" | "buffer" | "constant";

const roles = new WeakMap<Tensor, Role>();

function mark(tensor: Tensor, role: Role): Tensor {
  const before = roles.get(tensor) ?? role;
  if (before !== role) throw new Error(`${role}: ${describe(tensor)} is a ${before} already`);
  roles.set(tensor, role);
  if (role !== "constant") {
    // Optimizers and checkpoints write to it.
    tensor.checkWritable(role);
    noteTensor(tensor);
  }
  return keep(tensor);
}

/**
 * Marks a field's tensor as a trained parameter: saved, and gradients flow to it. Returns the same tensor.
 * @throws Error for a tensor that is computed from others that require a gradient: it would get none itself
 */
export function parameter(tensor: Tensor): Tensor {
  if (tensor.hasGraph)
    throw new Error(`parameter: ${describe(tensor)} is computed from other parameters: take clone(detach(x))`);
  return requireGrad(mark(tensor, "parameter"));
}

/** Marks a field's tensor as a persistent buffer: saved, not trained (running statistics). Returns the same tensor. */
export function buffer(tensor: Tensor): Tensor {
  return mark(tensor, "buffer");
}

/** Marks a field's tensor as derived from the configuration: lives with the module, neither saved nor trained. */
export function constant(tensor: Tensor): Tensor {
  return mark(tensor, "constant");
}

/**
 * Replacements for field names: another name; `""` to leave the name out of the path, so that a child's fields stand among
 * those of its parent; `null` to leave the field out. `null` for a private field (`"#teacher": null`) says that what it holds is left out on
 * purpose.
 */
export type FieldNames = Readonly<Record<string, string | null>>;

/**
 * A part of a network: an object whose fields hold parameters, buffers and other modules, alone or in arrays, plain objects, `Map`s with
 * strings or numbers for keys, and `Set`s, which may hold each other.
 *
 * Tensors are found by walking the fields, those of a module itself before those of its children, each tensor once. Their
 * names are the paths of the reference implementations: `layers.0.attn.qkv.weight`, with field names turned from camelCase
 * into snake_case unless `fieldNames` says otherwise. Keys of plain objects and `Map`s stay as they are, members of arrays and `Set`s are
 * numbered.
 *
 * What cannot be found is neither trained nor saved nor frozen. When a module is first walked, one line on the console for each class tells
 * of tensors that require a gradient and were not marked by `parameter`, and of parameters and buffers, its own or of modules, that are
 *
 * - in a field of an object of another class (not looked into: let it extend `Module`), or
 * - made while the constructor ran, and not found, and not disposed, where the class or one below it has private fields (`#weight`), which
 *   nobody can look into: `private` of TypeScript can be found.
 *
 * `null` in `fieldNames` keeps that quiet. Nothing is said of what is hidden in another way (a closure, a `WeakMap`, a private field that a
 * compiler turned into one), nor of what was made before or after the constructor ran, nor in engines other than V8. A module that was
 * replaced before the first walk and not disposed may be taken for a hidden one.
 */
export abstract class Module {
  constructor() {
    noteModule(this, Module);
  }

  /** Names of fields that differ from the snake_case of the field; a model takes them from its `keys.ts`. */
  fieldNames(): FieldNames {
    return {};
  }

  /** Trained tensors by name. */
  parameters(): Map<string, Tensor> {
    return collect(this, (role) => role === "parameter");
  }

  /** Persistent tensors that are not trained, by name. */
  buffers(): Map<string, Tensor> {
    return collect(this, (role) => role === "buffer");
  }

  /** Everything that a checkpoint holds, by name: parameters and buffers. */
  stateDict(): Map<string, Tensor> {
    return collect(this, (role) => role !== "constant");
  }

  /** Number of values in all parameters, a shared one counted once. */
  parameterCount(): number {
    let count = 0;
    for (const tensor of this.parameters().values()) count += tensor.size;
    return count;
  }

  /** No gradients flow to the parameters any more. */
  freeze(): void {
    for (const tensor of this.parameters().values()) freeze(tensor);
  }

  /** Gradients flow to the parameters again. */
  unfreeze(): void {
    for (const tensor of this.parameters().values()) requireGrad(tensor);
  }

  /** Gives back the memory of every tensor of the module. */
  dispose(): void {
    for (const tensor of collect(this, () => true).values()) tensor.dispose();
  }

  /**
   * Copies `entries` into the tensors of the same names and shapes; all are checked before any is written.
   *
   * @throws StateDictError naming every missing, unexpected and mis-shaped entry that `options` does not allow.
   */
  loadStateDict(entries: StateDict, options: LoadOptions = {}): LoadReport {
    return loadTensors(`${this.constructor.name}.loadStateDict`, this.stateDict(), entries, options);
  }
}

/** `inProjWeight` → `in_proj_weight`. */
export function snakeCase(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Tensors of the wanted roles by name; own tensors first, then the children's, in the order of the fields. */
function collect(root: Module, wanted: (role: Role) => boolean): Map<string, Tensor> {
  const found = walk(root);
  tellLost(root, found);
  const named = new Map<string, Tensor>();
  for (const [tensor, path] of found.tensors) {
    if (!wanted(roles.get(tensor)!)) continue;
    if (named.has(path)) throw new Error(`${root.constructor.name}: two tensors are named ${path}`);
    named.set(path, tensor);
  }
  return named;
}

/** What there is in the fields of modules and the containers there. */
interface Walk {
  /** Marked tensors and their paths. */
  readonly tensors: Map<Tensor, string>;
  readonly modules: Set<Module>;
  /** Tensors that require a gradient and are not marked, and the field in which they were met. */
  readonly unmarked: Map<Tensor, Meeting>;
  /** What stands in fields that are left out. */
  readonly leftOut: unknown[];
  /** Objects that are not looked into, and the field in which they were met. */
  readonly others: Map<object, Meeting>;
}

interface Meeting {
  readonly owner: Module;
  readonly field: string;
}

/** Walks a module, or a container of modules and tensors. */
function walk(root: object): Walk {
  const found: Walk = { tensors: new Map(), modules: new Set(), unmarked: new Map(), leftOut: [], others: new Map() };
  const visit = (start: object, prefix: string): void => {
    const children: [string, Module][] = [];
    const around = new Set<object>(); // the containers that the present one is in
    let met: Meeting | undefined;
    const place = (value: unknown, path: string): void => {
      if (typeof value !== "object" || value === null || around.has(value)) return;
      const items = value instanceof Tensor || value instanceof Module ? null : contents(value);
      if (value instanceof Tensor) {
        if (!roles.has(value)) {
          if (met && value.requiresGrad && !value.hasGraph) found.unmarked.set(value, met);
        } else if (!found.tensors.has(value)) found.tensors.set(value, path);
      } else if (value instanceof Module && path === prefix) placeFields(value);
      else if (value instanceof Module) children.push([path, value]);
      else if (items) {
        around.add(value);
        for (const [key, item] of items) place(item, join(path, String(key)));
        around.delete(value);
      } else if (met) found.others.set(value, met);
    };
    const placeFields = (owner: Module): void => {
      if (found.modules.has(owner)) return;
      found.modules.add(owner);
      const names = owner.fieldNames();
      for (const [field, value] of Object.entries(owner)) {
        const name = Object.hasOwn(names, field) ? names[field] : snakeCase(field);
        met = { owner, field };
        if (typeof name === "string") place(value, join(prefix, name));
        else found.leftOut.push(value);
      }
    };
    place(start, prefix);
    for (const [path, child] of children) visit(child, path);
  };
  visit(root, "");
  return found;
}

/** What a container holds, by the parts that stand in paths; null for an object that is none. */
function contents(value: object): Iterable<readonly [string | number, unknown]> | null {
  if (Array.isArray(value)) return value.entries();
  if (value instanceof Set) return [...value].entries();
  if (value instanceof Map) return [...value.keys()].every(isKey) ? value : null;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? Object.entries(value) : null;
}

function isKey(key: unknown): boolean {
  return typeof key === "string" || typeof key === "number";
}

/** Modules that were looked through for what cannot be found. */
const checked = new WeakSet<Module>();
/** Classes of which that was told, by its kind. */
const told = { unmarked: new WeakSet<object>(), object: new WeakSet<object>(), private: new WeakSet<object>() };

function tell(kind: keyof typeof told, { constructor }: Module, line: string): void {
  if (!told[kind].has(constructor)) console.warn(`deplsr: ${constructor.name}${line}`);
  told[kind].add(constructor);
}

/** Tells of parameters and buffers that a walk cannot find; see `Module`. */
function tellLost(root: Module, { tensors, modules, unmarked, leftOut, others }: Walk): void {
  if (checked.has(root) || isUnderConstruction(root)) return;
  for (const [tensor, { owner, field }] of unmarked) {
    tell(
      "unmarked",
      owner,
      `.${field}: ${describe(tensor)} requires a gradient and is neither trained nor saved: mark it with parameter(), ` +
        "or leave the field out with null in fieldNames()",
    );
  }
  const onPurpose = walk(leftOut);
  const known = new Set([...tensors.keys(), ...onPurpose.tensors.keys()]);
  const lost = (all: Iterable<Tensor>): Tensor[] =>
    Array.from(all).filter((tensor) => roles.get(tensor) !== "constant" && !tensor.disposed && !known.has(tensor));

  for (const [object, { owner, field }] of others) {
    if (ArrayBuffer.isView(object)) continue; // each value would be a field
    const inside = walk(object instanceof Map ? [...object.values()] : Object.values(object));
    const hidden = inside.modules.has(root) ? [] : lost(inside.tensors.keys()); // not those of a module around this one
    if (hidden.length === 0) continue;
    for (const tensor of hidden) known.add(tensor);
    tell(
      "object",
      owner,
      `.${field}: an object of class ${object.constructor.name} holds ${list(hidden)}: ` +
        "let it extend Module, or leave the field out with null in fieldNames()",
    );
  }

  for (const module of modules) {
    checked.add(module);
    const made = [...takeMade(module)];
    for (const thing of made) {
      if (thing instanceof Module && !modules.has(thing) && !onPurpose.modules.has(thing))
        made.push(...takeMade(thing));
    }
    const hidden = lost(made.filter((thing) => thing instanceof Tensor));
    const fields = hidden.length > 0 ? hiding(module, modules) : [];
    if (fields.length === 0) continue;
    tell(
      "private",
      module,
      `: its constructor made ${list(hidden)}: look in ${fields.join(", ")}: ` +
        "use private of TypeScript instead of #, or leave the field out with null in fieldNames()",
    );
  }
}

/** The private fields in which what a module made may be: its own, else those of the modules below it. */
function hiding(module: Module, modules: ReadonlySet<Module>): string[] {
  const fieldsOf = (owner: Module): string[] => privateFields(owner, Module);
  const named = (owner: Module): string[] => {
    const names = owner.fieldNames();
    return fieldsOf(owner)
      .filter((field) => names[field] !== null)
      .map((field) => `${owner.constructor.name}.${field}`);
  };
  if (fieldsOf(module).length > 0) return named(module);
  const classes = new Map(Array.from(modules, (each) => [each.constructor, each]));
  return [...classes.values()].flatMap(named);
}

function list(tensors: readonly Tensor[]): string {
  const shapes = tensors.slice(0, 3).map(({ shape }) => `[${shape.join(", ")}]`);
  const more = tensors.length > 3 ? ", ..." : "";
  const what = tensors.length === 1 ? "a tensor" : `${tensors.length} tensors`;
  return `${what} that parameters() and stateDict() cannot find (${shapes.join(", ")}${more})`;
}

function join(prefix: string, name: string): string {
  return prefix === "" || name === "" ? prefix + name : `${prefix}.${name}`;
}
