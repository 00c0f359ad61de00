import { freeze, keep, type Rng, requireGrad, Tensor } from "@deplsr/tensor";
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
  roles.set(tensor, role);
  return keep(tensor);
}

/** Marks a field's tensor as a trained parameter: saved, and gradients flow to it. Returns the same tensor. */
export function parameter(tensor: Tensor): Tensor {
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
 * those of its parent; `null` to leave the field out.
 */
export type FieldNames = Readonly<Record<string, string | null>>;

/**
 * A part of a network: an object whose fields hold parameters, buffers and other modules, alone or in arrays.
 *
 * Tensors are found by walking the fields, those of a module itself before those of its children, each tensor once. Their
 * names are the paths of the reference implementations: `layers.0.attn.qkv.weight`, with field names turned from camelCase
 * into snake_case unless `fieldNames` says otherwise.
 */
export abstract class Module {
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
  const found = new Map<string, Tensor>();
  const seen = new Set<object>();
  const visit = (module: Module, prefix: string): void => {
    const children: [string, Module][] = [];
    const place = (value: unknown, path: string): void => {
      if (value instanceof Tensor) add(value, path);
      else if (value instanceof Module && path === prefix) placeFields(value);
      else if (value instanceof Module) children.push([path, value]);
      else if (Array.isArray(value)) value.forEach((item, index) => void place(item, join(path, String(index))));
    };
    const placeFields = (owner: Module): void => {
      if (seen.has(owner)) return;
      seen.add(owner);
      const names = owner.fieldNames();
      for (const [field, value] of Object.entries(owner)) {
        const name = Object.hasOwn(names, field) ? names[field] : snakeCase(field);
        if (typeof name === "string") place(value, join(prefix, name));
      }
    };
    placeFields(module);
    for (const [path, child] of children) visit(child, path);
  };
  const add = (tensor: Tensor, path: string): void => {
    const role = roles.get(tensor);
    if (role === undefined || !wanted(role) || seen.has(tensor)) return;
    seen.add(tensor);
    if (found.has(path)) throw new Error(`internal: two tensors of ${root.constructor.name} are named ${path}`);
    found.set(path, tensor);
  };
  visit(root, "");
  return found;
}

function join(prefix: string, name: string): string {
  return prefix === "" || name === "" ? prefix + name : `${prefix}.${name}`;
}
