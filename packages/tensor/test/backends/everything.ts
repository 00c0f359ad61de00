import * as T from "../../src/index.ts";

/** One of everything whose sums several threads could split, forward and backward: large enough that they do. */
export async function everything(device: T.Device): Promise<Record<string, T.HostArray>> {
  const rng = new T.Rng(5);
  const draw = (...shape: number[]): T.Tensor => T.randn(device, shape, rng);
  const [a, b] = [T.requireGrad(draw(130, 1300)), T.requireGrad(draw(1300, 90))];
  const image = T.requireGrad(draw(2, 12, 61, 40));
  const weight = T.requireGrad(draw(24, 6, 3, 3));
  const depth = T.requireGrad(draw(12, 1, 3, 3));
  const product = T.softmax(T.layerNorm(T.matmul(a, b)), -1);
  const filtered = T.conv2d(T.conv2d(image, depth, { groups: 12, padding: 1 }), weight, { groups: 2, stride: [2, 1] });
  const loss = T.add(T.mean(T.square(product)), T.mean(T.tanh(filtered)));
  const gradients = T.backward(loss, { wrt: [a, b, image, weight, depth], retainGraph: true });
  const long = draw(300_000);
  const [tokens, bias] = [T.requireGrad(draw(9, 3, 50, 12)), T.requireGrad(draw(3, 50, 50))];
  const [queries, keys] = [T.requireGrad(draw(700, 10)), T.requireGrad(draw(300, 10))];
  const attended = [T.attention(tokens, tokens, tokens, { bias }), T.attention(queries, keys, keys)].map((x) =>
    T.sum(T.square(x)),
  );
  const wrt = [tokens, bias, queries, keys];
  const ofAttention = T.backward(T.add(attended[0]!, attended[1]!), { wrt });
  const results: Record<string, T.Tensor> = {
    loss,
    product,
    filtered,
    linear: T.linear(draw(54, 301), draw(430, 301)),
    attended: T.attention(draw(3, 200, 36), draw(3, 211, 36), draw(3, 211, 20)),
    probabilities: T.softmax(draw(1100, 93), -1),
    normalised: T.layerNorm(draw(1100, 93)),
    exponentials: T.exp(draw(130, 1301)),
    turned: T.gelu(draw(500, 700)).transpose(0, 1),
    total: T.sum(long),
    columns: T.sum(draw(9000, 37), { dim: 0 }),
    largest: T.amax(draw(4, 9000, 3), { dim: 1 }),
    poisson: T.poisson(T.mul(T.rand(device, [20_000], rng), 40), rng),
  };
  [a, b, image, weight, depth].forEach((x, i) => {
    results[`gradient ${i}`] = gradients.get(x)!;
  });
  wrt.forEach((x, i) => {
    results[`gradient ${i} of attention`] = ofAttention.get(x)!;
  });
  const entries = Object.entries(results).map(async ([name, x]) => [name, await x.data()] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** True where two arrays hold the same bits. */
export function sameBits(a: T.HostArray, b: T.HostArray): boolean {
  const bytes = (x: T.HostArray): Buffer => Buffer.from(x.buffer, x.byteOffset, x.byteLength);
  return bytes(a).equals(bytes(b));
}
