/** The types that WebAssembly values have here, by their code in the binary format. */
export const VALUE_TYPE = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;
export type ValueType = keyof typeof VALUE_TYPE;

/** Unsigned LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit number; one of 2^31 and more is taken for its bits. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) {
      bytes.push(low);
      return bytes;
    }
    bytes.push(low | 128);
  }
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...unsigned(content.length), ...content];
}

function text(value: string): number[] {
  const bytes = new TextEncoder().encode(value);
  return [...unsigned(bytes.length), ...bytes];
}

/** One function of a module. */
export interface FunctionCode {
  readonly params: readonly ValueType[];
  readonly locals: readonly ValueType[];
  readonly body: readonly number[];
}

/** The largest memory, in pages of 64 KiB: 4 GiB. */
export const MAX_PAGES = 65536;

/**
 * A module in the binary format of the WebAssembly core specification (section 5): one function `run`, and an imported memory
 * `env.memory`, shared or not.
 */
export function encodeModule(run: FunctionCode, sharedMemory: boolean): Uint8Array<ArrayBuffer> {
  const type = [0x60, ...unsigned(run.params.length), ...run.params.map((t) => VALUE_TYPE[t]), 0];
  const limits = [sharedMemory ? 3 : 1, ...unsigned(1), ...unsigned(MAX_PAGES)];
  const locals: number[] = [];
  let groups = 0;
  for (let i = 0; i < run.locals.length; ) {
    let end = i;
    while (run.locals[end] === run.locals[i] && end < run.locals.length) end++;
    locals.push(...unsigned(end - i), VALUE_TYPE[run.locals[i]!]);
    groups++;
    i = end;
  }
  const head = [...unsigned(groups), ...locals];
  const size = head.length + run.body.length + 1;
  const code = [1, ...unsigned(size), ...head];
  const total = code.length + run.body.length + 1;
  const bytes: number[] = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  const append = (part: readonly number[]): void => {
    for (const byte of part) bytes.push(byte);
  };
  append(section(1, [1, ...type]));
  append(section(2, [1, ...text("env"), ...text("memory"), 2, ...limits]));
  append(section(3, [1, 0]));
  append(section(7, [1, ...text("run"), 0, 0]));
  append([10, ...unsigned(total), ...code]);
  append(run.body);
  append([0x0b]);
  return Uint8Array.from(bytes);
}

/** True where the engine takes relaxed SIMD: a function that is one fused multiply-add validates. */
export function hasRelaxedSimd(): boolean {
  const body = [0x20, 0, 0x20, 1, 0x20, 2, 0xfd, ...unsigned(0x105), 0x1a];
  return WebAssembly.validate(encodeModule({ params: ["v128", "v128", "v128"], locals: [], body }, false));
}

/**
 * True where a relaxed multiply-add rounds once: (1 + 2⁻¹²)² is 1 + 2⁻¹¹ + 2⁻²⁴, whose last term a product that is rounded by itself
 * loses.
 */
export function fuses(): boolean {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES });
  const numbers = new Float32Array(memory.buffer, 0, 12);
  numbers.fill(1 + 2 ** -12, 0, 4);
  numbers.fill(-1 - 2 ** -11, 4, 8);
  const load = (at: number): number[] => [0x41, ...signed(at), 0xfd, 0x00, 0, 0];
  const store = [0xfd, 0x0b, 0, 0];
  const body = [0x41, 32, ...load(0), ...load(0), ...load(16), 0xfd, ...unsigned(0x105), ...store];
  const module = new WebAssembly.Module(encodeModule({ params: [], locals: [], body }, false));
  const { run } = new WebAssembly.Instance(module, { env: { memory } }).exports as { run(): void };
  run();
  return numbers[8] === 2 ** -24;
}

/** True where the engine takes 128-bit SIMD at all. */
export function hasSimd(): boolean {
  const body = [0x20, 0, 0xfd, ...unsigned(0xe1), 0x1a];
  return WebAssembly.validate(encodeModule({ params: ["v128"], locals: [], body }, false));
}
