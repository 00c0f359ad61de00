/**
 * What 64-bit addresses cost: the inner loops of a sum and of a product over one memory with 32-bit and one with 64-bit addresses, in turn,
 * and whether the latter grows beyond 4 GiB. Node 24 and later: `npm run bench:memory64`.
 */

type Bytes = readonly number[];

function unsigned(value: number): Bytes {
  const bytes: number[] = [];
  let left = value;
  do {
    const low = left % 128;
    left = Math.floor(left / 128);
    bytes.push(left > 0 ? low + 128 : low);
  } while (left > 0);
  return bytes;
}

/** A signed constant of 0 to 8191. */
const signed = (value: number): Bytes => (value < 64 ? [value] : [(value % 128) + 128, Math.floor(value / 128)]);
const vector = (items: readonly Bytes[]): Bytes => [...unsigned(items.length), ...items.flat()];
const section = (id: number, body: Bytes): Bytes => [id, ...unsigned(body.length), ...body];
const name = (text: string): Bytes => vector([...Buffer.from(text)].map((byte) => [byte]));

const SUMS = 8;
const F32X4_ADD = [0xfd, ...unsigned(0xe4)];
const F32X4_MUL = [0xfd, ...unsigned(0xe6)];
const get = (local: number): Bytes => [0x20, ...unsigned(local)];
const set = (local: number): Bytes => [0x21, ...unsigned(local)];
const load = (offset: number): Bytes => [0xfd, 0x00, 4, ...unsigned(offset)];
const splat = (offset: number): Bytes => [0xfd, 0x09, 2, ...unsigned(offset)];

/** `f(a, b, end)`: a goes to `end`. `sum` adds vectors up; `product` is a tile of 4 rows and 2 vectors, as in a matrix product. */
function moduleOf(wide: boolean, loop: "sum" | "product"): Uint8Array<ArrayBuffer> {
  const [address, add, below, constant] = wide ? [0x7e, 0x7c, 0x54, 0x42] : [0x7f, 0x6a, 0x49, 0x41];
  const forward = (local: number, bytes: number): Bytes => [
    ...get(local),
    constant,
    ...signed(bytes),
    add,
    ...set(local),
  ];
  const accumulate = (sum: number): Bytes => [...get(3 + sum), ...F32X4_ADD, ...set(3 + sum)];
  const body: number[] = [0x03, 0x40];
  if (loop === "sum") {
    for (let k = 0; k < SUMS; k++) body.push(...get(0), ...load(16 * k), ...accumulate(k));
    body.push(...forward(0, 16 * SUMS));
  } else {
    for (const h of [0, 1]) body.push(...get(0), ...load(16 * h), ...set(11 + h));
    for (let r = 0; r < 4; r++) {
      body.push(...get(1), ...splat(4 * r), ...set(13));
      for (const h of [0, 1]) body.push(...get(13), ...get(11 + h), ...F32X4_MUL, ...accumulate(2 * r + h));
    }
    body.push(...forward(0, 32), ...forward(1, 16));
  }
  body.push(...get(0), ...get(2), below, 0x0d, 0x00, 0x0b, ...get(3));
  for (let k = 1; k < SUMS; k++) body.push(...get(3 + k), ...F32X4_ADD);
  body.push(0xfd, 0x1f, 0x00, 0x0b);
  const code = [...vector([[...unsigned(11), 0x7b]]), ...body];
  // A shared memory with a largest size, and 64-bit addresses where wanted.
  const limits = [wide ? 0x07 : 0x03, ...unsigned(1), ...unsigned(wide ? WIDE_PAGES : NARROW_PAGES)];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, ...vector([[address], [address], [address]]), ...vector([[0x7d]])]])),
    ...section(2, vector([[...name("m"), ...name("m"), 0x02, ...limits]])),
    ...section(3, vector([[0]])),
    ...section(7, vector([[...name("f"), 0x00, 0x00]])),
    ...section(10, vector([[...unsigned(code.length), ...code]])),
  ]);
}

const NARROW_PAGES = 65_536;
const WIDE_PAGES = 262_144;
const PAGES = 64;
const GIB = 2 ** 30;

interface Loop {
  readonly memory: WebAssembly.Memory;
  run(): number;
}

function loopOf(wide: boolean, loop: "sum" | "product"): Loop {
  const sizes = wide
    ? { address: "i64", initial: BigInt(PAGES), maximum: BigInt(WIDE_PAGES), shared: true }
    : { initial: PAGES, maximum: NARROW_PAGES, shared: true };
  const memory = new WebAssembly.Memory(sizes as unknown as WebAssembly.MemoryDescriptor);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(moduleOf(wide, loop)), { m: { m: memory } });
  const f = instance.exports.f as (...addresses: (number | bigint)[]) => number;
  new Float32Array(memory.buffer).fill(0.5);
  const [a, b, end] = [0, 2 ** 21, 2 ** 20].map((address) => (wide ? BigInt(address) : address));
  return { memory, run: () => f(a!, b!, end!) };
}

function milliseconds({ run }: Loop): number {
  const start = performance.now();
  for (let i = 0; i < 400; i++) run();
  return performance.now() - start;
}

for (const loop of ["sum", "product"] as const) {
  const [narrow, wide] = [loopOf(false, loop), loopOf(true, loop)];
  if (narrow.run() !== wide.run()) throw new Error(`${loop}: the two memories give different sums`);
  for (let i = 0; i < 5; i++) milliseconds(narrow) + milliseconds(wide);
  const ratios = Array.from({ length: 21 }, () => milliseconds(wide) / milliseconds(narrow)).sort((x, y) => x - y);
  const [low, middle, high] = [5, 10, 15].map((i) => ratios[i]!.toFixed(3));
  console.log(`${loop}: 64-bit addresses take ${middle} times as long (half of the rounds between ${low} and ${high})`);
  wide.memory.grow(BigInt((8 * GIB) / 65_536) as unknown as number);
  const far = new Float32Array(wide.memory.buffer, 7 * GIB, 4).fill(2);
  console.log(`grown to ${(wide.memory.buffer.byteLength / GIB).toFixed(1)} GiB, and ${far[3]} is read at 7 GiB`);
}
