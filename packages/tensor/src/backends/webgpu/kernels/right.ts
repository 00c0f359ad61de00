import type { View } from "../../../backend.ts";
import type { UniformType } from "../gpu.ts";

/** How the right matrix of a product `(k, n)` lies in vectors of four: along its columns, or along k, as the weights of a linear layer do; or in none. */
export type Along = "columns" | "k" | "none";

/** Whether the elements of a batch of matrices along an axis lie side by side in whole vectors of four. */
export function inVectors({ layout: { shape, strides, offset } }: View, axis: 2 | 3): boolean {
  return (
    strides[axis] === 1 &&
    shape[axis]! % 4 === 0 &&
    offset % 4 === 0 &&
    // Of an axis of one element the stride is never used.
    strides.every((stride, other) => other === axis || shape[other] === 1 || stride % 4 === 0)
  );
}

/**
 * WGSL that reads four neighbouring columns of a right matrix, whose operand has the given name; its uniforms begin with that, and so do the variables.
 * A thread that is past the last column reads another one in its place.
 */
export class Right {
  readonly #name: string;
  readonly #along: Along;

  constructor(name: string, along: Along) {
    this.#name = name;
    this.#along = along;
  }

  get type(): "f32" | "vec4f" {
    return this.#along === "none" ? "f32" : "vec4f";
  }

  /** Strides of a step of k and of a column, in what is read at once. */
  get uniforms(): Readonly<Record<string, UniformType>> {
    return { [`${this.#name}Row`]: "u32", [`${this.#name}Col`]: "u32" };
  }

  values(row: number, col: number): Readonly<Record<string, number>> {
    const along = this.#along;
    return {
      [`${this.#name}Row`]: along === "k" ? 0 : row / this.unit,
      [`${this.#name}Col`]: along === "columns" ? 0 : col / this.unit,
    };
  }

  /** Elements that are read at once: what offsets and strides are divided by. */
  get unit(): 1 | 4 {
    return this.#along === "none" ? 1 : 4;
  }

  /** How many steps of k are read together. */
  get together(): 1 | 4 {
    return this.#along === "k" ? 4 : 1;
  }

  /** Where the thread of columns `4·col` … reads, of a matrix that begins at `base` and has `n` columns; to stand before the loops. */
  start(base: string, col: string, n: string): string {
    const name = this.#name;
    if (this.#along === "columns") return `var ${name}First = ${base} + min(${col}, (${n} + 3u) / 4u - 1u);`;
    // What lies past the last column is never stored.
    const starts = [0, 1, 2, 3].map(
      (j) => `let ${name}Column${j} = min(${col} * 4u + ${j}u, ${n} - 1u) * u.${name}Col;`,
    );
    return `var ${name}First = ${base};\n  ${starts.join("\n  ")}`;
  }

  /** Goes to step `k`, a multiple of those that are read together: `steps` reads from there on. */
  go(k: string): string {
    const place = this.#along === "k" ? `(${k}) / 4u` : `(${k}) * u.${this.#name}Row`;
    return `var ${this.#name}At = ${this.#name}First + ${place};`;
  }

  /** As many steps as are read together, after which it stands at the next: `multiply` uses the row `v` of a step. */
  steps(multiply: (step: number) => string): string {
    const name = this.#name;
    const apart = [0, 1, 2, 3].map((j) => `${name}[${name}At + ${name}Column${j}]`).join(", ");
    const row = this.#along === "none" ? `vec4f(${apart})` : `${name}[${name}At]`;
    if (this.#along !== "k") return `{ let v = ${row}; ${name}At += u.${name}Row;\n    ${multiply(0)} }`;
    const loads = [0, 1, 2, 3].map((j) => `let q${j} = ${name}[${name}At + ${name}Column${j}];`).join(" ");
    const rows = [0, 1, 2, 3].map(
      (i) => `{ let v = vec4f(q0[${i}], q1[${i}], q2[${i}], q3[${i}]);\n    ${multiply(i)} }`,
    );
    return `{ ${loads} ${name}At++;\n    ${rows.join("\n    ")} }`;
  }

  /** The row of one step, when it is read by itself. */
  at(k: string): string {
    const name = this.#name;
    if (this.#along === "columns") return `${name}[${name}First + ${k} * u.${name}Row]`;
    const part = (j: number): string =>
      this.#along === "k"
        ? `${name}[${name}First + ${k} / 4u + ${name}Column${j}][${k} % 4u]`
        : `${name}[${name}First + ${k} * u.${name}Row + ${name}Column${j}]`;
    return `vec4f(${[0, 1, 2, 3].map(part).join(", ")})`;
  }
}
