import { Adam, crossEntropy } from "@deplsr/nn";
import { backward, detach, linear, relu, requireGrad, scope, type Tensor } from "@deplsr/tensor";
import { permute, uniform } from "../arrays.ts";
import type { Ours } from "../ours.ts";
import type { Jax, JaxArray, JaxTree } from "../peers/jax-js.ts";
import { type Tf, type TfTensor, waitForTf } from "../peers/tfjs.ts";
import { type Torch, torchTraining } from "../peers/torch.ts";
import type { Row } from "../row.ts";
import type { Task } from "../task.ts";
import { trainingTask } from "../training.ts";
import { trainReference } from "./mlp-reference.ts";

const WIDTHS = [784, 512, 512, 10];
const BATCH = 128;
const ADAM = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
/** Steps whose losses are compared. */
const CHECKED = 3;

const layers = WIDTHS.slice(1).map((outputs, index) => ({ inputs: WIDTHS[index]!, outputs }));
const labels = Array.from(uniform(BATCH, 100), (value) => Math.floor((value + 1) * 5));

/** The batch and the parameters to start from: weights (in, out), uniform in ±1/√in, as PyTorch's. */
function start(): { x: Float32Array; weights: Float32Array[]; biases: Float32Array[] } {
  const draw = (count: number, seed: number, inputs: number): Float32Array =>
    uniform(count, seed).map((value) => value / Math.sqrt(inputs));
  return {
    x: uniform(BATCH * WIDTHS[0]!, 0),
    weights: layers.map(({ inputs, outputs }, index) => draw(inputs * outputs, 1 + index, inputs)),
    biases: layers.map(({ inputs, outputs }, index) => draw(outputs, 11 + index, inputs)),
  };
}

/** One row for each label, with a 1 in its column. */
function oneHot(): Float32Array {
  const classes = WIDTHS.at(-1)!;
  return Float32Array.from({ length: BATCH * classes }, (_, i) => (i % classes === labels[(i / classes) | 0] ? 1 : 0));
}

async function ours({ device, wait }: Ours): Promise<Task> {
  const { x: values, weights, biases } = start();
  const x = device.tensor(values, [BATCH, WIDTHS[0]!]);
  const target = device.tensor(Int32Array.from(labels));
  const params = layers.map(({ inputs, outputs }, index) => ({
    weight: requireGrad(device.tensor(permute(weights[index]!, [inputs, outputs], [1, 0]), [outputs, inputs])),
    bias: requireGrad(device.tensor(biases[index]!)),
  }));
  const { lr, beta1, beta2, eps } = ADAM;
  const all = params.flatMap(({ weight, bias }) => [weight, bias]);
  const optimizer = new Adam([{ params: all, lr, betas: [beta1, beta2], eps }]);
  const forward = (): Tensor =>
    params.reduce((h, { weight, bias }, index) => linear(index === 0 ? h : relu(h), weight, bias), x);
  const step = (): Tensor =>
    scope(() => {
      const loss = crossEntropy(forward(), target);
      optimizer.step(backward(loss));
      return detach(loss);
    });
  const dispose = (): void => {
    optimizer.dispose();
    for (const tensor of [x, target, ...all]) tensor.dispose();
  };
  return trainingTask({ step, wait, dispose }, CHECKED);
}

async function jax(jax: Jax): Promise<Task> {
  const { numpy, nn, tree } = jax;
  const { x: values, weights, biases } = start();
  const x = numpy.array(values, { shape: [BATCH, WIDTHS[0]!] });
  const target = numpy.array(oneHot(), { shape: [BATCH, WIDTHS.at(-1)!] });
  const named = layers.flatMap(({ inputs, outputs }, index) => [
    [`weight${index}`, numpy.array(weights[index]!, { shape: [inputs, outputs] })] as const,
    [`bias${index}`, numpy.array(biases[index]!, { shape: [outputs] })] as const,
  ]);
  const zeros = (): JaxTree => Object.fromEntries(named.map(([name, param]) => [name, param.ref.mul(0)]));
  let state: JaxState = { params: Object.fromEntries(named), m: zeros(), v: zeros() };
  const loss = (params: JaxTree, x: JaxArray, target: JaxArray): JaxArray => {
    const logits = layers.reduce(
      (h, _, index) =>
        numpy.matmul(index === 0 ? h : nn.relu(h), params[`weight${index}`]!).add(params[`bias${index}`]!),
      x,
    );
    return numpy.sum(nn.logSoftmax(logits, -1).mul(target)).mul(-1 / BATCH);
  };
  // One program: forward, backward and Adam (its optimizers are not on npm). The corrections for the start at 0 change every step.
  const update = jax.jit((state: JaxState, x: JaxArray, target: JaxArray, correct1: JaxArray, correct2: JaxArray) => {
    const [value, grads] = jax.valueAndGrad(loss)(tree.ref(state.params), x, target);
    const next: Record<"params" | "m" | "v", Record<string, JaxArray>> = { params: {}, m: {}, v: {} };
    for (const [name, param] of Object.entries(state.params)) {
      const grad = grads[name]!;
      const m = state.m[name]!.mul(ADAM.beta1).add(grad.ref.mul(1 - ADAM.beta1));
      const v = state.v[name]!.mul(ADAM.beta2).add(grad.ref.mul(grad).mul(1 - ADAM.beta2));
      const root = numpy.sqrt(v.ref.div(correct2.ref)).add(ADAM.eps);
      next.params[name] = param.sub(m.ref.div(correct1.ref).mul(ADAM.lr).div(root));
      next.m[name] = m;
      next.v[name] = v;
    }
    correct1.dispose();
    correct2.dispose();
    return { loss: value, state: next };
  });
  let steps = 0;
  const step = (): JaxArray => {
    steps++;
    const [correct1, correct2] = [numpy.array(1 - ADAM.beta1 ** steps), numpy.array(1 - ADAM.beta2 ** steps)];
    const done = update(state, x.ref, target.ref, correct1, correct2);
    state = done.state;
    return done.loss;
  };
  const wait = async (): Promise<void> => void (await jax.blockUntilReady(state));
  return trainingTask({ step, wait, dispose: () => tree.dispose([state, x, target]) }, CHECKED);
}

interface JaxState {
  readonly params: JaxTree;
  readonly m: JaxTree;
  readonly v: JaxTree;
}

async function tfjs(tf: Tf): Promise<Task> {
  const { x: values, weights, biases } = start();
  const x = tf.tensor(values, [BATCH, WIDTHS[0]!]);
  const target = tf.tensor(oneHot(), [BATCH, WIDTHS.at(-1)!]);
  const params = layers.map(({ inputs, outputs }, index) => ({
    weight: tf.variable(tf.tensor(weights[index]!, [inputs, outputs])),
    bias: tf.variable(tf.tensor(biases[index]!, [outputs])),
  }));
  const optimizer = tf.train.adam(ADAM.lr, ADAM.beta1, ADAM.beta2, ADAM.eps);
  const loss = (): TfTensor => {
    const logits = params.reduce(
      (h, { weight, bias }, index) => tf.add(tf.matMul(index === 0 ? h : tf.relu(h), weight), bias),
      x,
    );
    return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits, -1), target), -1)));
  };
  const step = (): TfTensor => tf.tidy(() => optimizer.minimize(loss, true));
  // Parameters are updated after the loss is computed: waiting for it alone would leave the end of a step out.
  const wait = (): Promise<void> => waitForTf(tf, params[0]!.weight);
  const dispose = (): void => {
    optimizer.dispose();
    for (const tensor of [x, target, ...params.flatMap(({ weight, bias }) => [weight, bias])]) tensor.dispose();
  };
  return trainingTask({ step, wait, dispose }, CHECKED);
}

function torch(torch: Torch): Promise<Task> {
  const { x, weights, biases } = start();
  const named = layers.flatMap(({ inputs, outputs }, index) => [
    [`weight${index}`, { shape: [inputs, outputs], data: weights[index]! }] as const,
    [`bias${index}`, { shape: [outputs], data: biases[index]! }] as const,
  ]);
  const inputs = { x: { shape: [BATCH, WIDTHS[0]!], data: x }, ...Object.fromEntries(named) };
  const code = `
layers = [(weight0, bias0), (weight1, bias1), (weight2, bias2)]
params = [(weight.T.contiguous().requires_grad_(), bias.requires_grad_()) for weight, bias in layers]
labels = torch.tensor(${JSON.stringify(labels)})
optimizer = torch.optim.Adam(sum(params, ()), lr=${ADAM.lr}, betas=(${ADAM.beta1}, ${ADAM.beta2}), eps=${ADAM.eps})

def step():
    h = x
    for index, (weight, bias) in enumerate(params):
        h = F.linear(F.relu(h) if index else h, weight, bias)
    loss = F.cross_entropy(h, labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss
`;
  return torchTraining(torch, inputs, code, CHECKED);
}

function reference(): Float64Array {
  const { x, weights, biases } = start();
  const copies = layers.map((_, index) => ({
    weight: Float64Array.from(weights[index]!),
    bias: Float64Array.from(biases[index]!),
  }));
  return trainReference(x, labels, copies, CHECKED, ADAM);
}

const step: Row = {
  name: "MLP step",
  shape: `${WIDTHS.join("-")}, batch ${BATCH}, Adam`,
  // Forward, and twice that backward but for the gradient of the input.
  flops: 2 * BATCH * (3 * (784 * 512 + 512 * 512 + 512 * 10) - 784 * 512),
  reference,
  // Losses; Adam's first steps are ±lr by the sign of a gradient that may be near 0.
  tolerance: 1e-3,
  target: { ratio: 4, torch: 0.5 },
  tasks: { ours: [ours], jax: [jax], tfjs: [tfjs], ort: "does not train", torch: [torch] },
  alsoCold: true,
};

/** A training step of a small classifier: many small products and small kernels. */
export default [step];
