/** Training of a classifier by Adam on one batch, in every library; what differs between networks is the way to the logits. */
import { Adam, crossEntropy } from "@deplsr/nn";
import { backward, detach, requireGrad, type Shape, scope, type Tensor } from "@deplsr/tensor";
import { uniform } from "../arrays.ts";
import type { Ours } from "../ours.ts";
import type { Jax, JaxArray, JaxTree } from "../peers/jax-js.ts";
import { type Tf, type TfTensor, waitForTf } from "../peers/tfjs.ts";
import { type Torch, torchTraining } from "../peers/torch.ts";
import type { Task } from "../task.ts";
import { trainingTask } from "../training.ts";
import { type Gradient, type Parameters, trainReference } from "./adam-reference.ts";

const ADAM = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
const CLASSES = 10;
/** Steps whose losses are compared. */
const CHECKED = 3;

/** Losses; Adam's first steps are ±lr by the sign of a gradient that may be near 0. */
export const TOLERANCE = 1e-3;

interface Values {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** A batch and the parameters to start from, laid out as one library wants them. */
export interface Problem {
  readonly x: Values;
  readonly labels: readonly number[];
  readonly parameters: Readonly<Record<string, Values>>;
}

/** One of ten classes for each item. */
export function drawLabels(count: number): number[] {
  return Array.from(uniform(count, 100), (value) => Math.floor((value + 1) * (CLASSES / 2)));
}

/** A network in one library: the batch and the parameters by their names → logits `(batch, 10)`. */
type Network<T> = (x: T, parameters: Readonly<Record<string, T>>) => T;

/** Trains with our engine. */
export async function trainOurs({ device, wait }: Ours, problem: Problem, network: Network<Tensor>): Promise<Task> {
  const x = device.tensor(problem.x.data, problem.x.shape);
  const target = device.tensor(Int32Array.from(problem.labels));
  const named = Object.entries(problem.parameters).map(
    ([name, { data, shape }]) => [name, requireGrad(device.tensor(data, shape))] as const,
  );
  const parameters = Object.fromEntries(named);
  const { lr, beta1, beta2, eps } = ADAM;
  const optimizer = new Adam([{ params: new Map(named), lr, betas: [beta1, beta2], eps }]);
  const step = (): Tensor =>
    scope(() => {
      const loss = crossEntropy(network(x, parameters), target);
      optimizer.step(backward(loss));
      return detach(loss);
    });
  const dispose = (): void => {
    optimizer.dispose();
    for (const tensor of [x, target, ...Object.values(parameters)]) tensor.dispose();
  };
  return trainingTask({ step, wait, dispose }, CHECKED);
}

interface JaxState {
  readonly parameters: JaxTree;
  readonly m: JaxTree;
  readonly v: JaxTree;
}

/** Trains with jax-js. */
export async function trainJax(jax: Jax, problem: Problem, network: Network<JaxArray>): Promise<Task> {
  const { numpy, nn, tree } = jax;
  const batch = problem.labels.length;
  const x = numpy.array(problem.x.data, { shape: problem.x.shape });
  const target = numpy.array(oneHot(problem.labels), { shape: [batch, CLASSES] });
  const named = Object.entries(problem.parameters).map(
    ([name, { data, shape }]) => [name, numpy.array(data, { shape })] as const,
  );
  const zeros = (): JaxTree => Object.fromEntries(named.map(([name, param]) => [name, param.ref.mul(0)]));
  let state: JaxState = { parameters: Object.fromEntries(named), m: zeros(), v: zeros() };
  const loss = (parameters: JaxTree, x: JaxArray, target: JaxArray): JaxArray =>
    numpy.sum(nn.logSoftmax(network(x, parameters), -1).mul(target)).mul(-1 / batch);
  // One program: forward, backward and Adam (its optimizers are not on npm). The corrections for the start at 0 change every step.
  const update = jax.jit((state: JaxState, x: JaxArray, target: JaxArray, correct1: JaxArray, correct2: JaxArray) => {
    const [value, grads] = jax.valueAndGrad(loss)(tree.ref(state.parameters), x, target);
    const next: Record<keyof JaxState, Record<string, JaxArray>> = { parameters: {}, m: {}, v: {} };
    for (const [name, param] of Object.entries(state.parameters)) {
      const grad = grads[name]!;
      const m = state.m[name]!.mul(ADAM.beta1).add(grad.ref.mul(1 - ADAM.beta1));
      const v = state.v[name]!.mul(ADAM.beta2).add(grad.ref.mul(grad).mul(1 - ADAM.beta2));
      const root = numpy.sqrt(v.ref.div(correct2.ref)).add(ADAM.eps);
      next.parameters[name] = param.sub(m.ref.div(correct1.ref).mul(ADAM.lr).div(root));
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

/** Trains with TensorFlow.js. */
export async function trainTf(tf: Tf, problem: Problem, network: Network<TfTensor>): Promise<Task> {
  const x = tf.tensor(problem.x.data, problem.x.shape);
  const target = tf.tensor(oneHot(problem.labels), [problem.labels.length, CLASSES]);
  const named = Object.entries(problem.parameters).map(
    ([name, { data, shape }]) => [name, tf.variable(tf.tensor(data, shape))] as const,
  );
  const parameters = Object.fromEntries(named);
  const optimizer = tf.train.adam(ADAM.lr, ADAM.beta1, ADAM.beta2, ADAM.eps);
  const loss = (): TfTensor => tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(network(x, parameters), -1), target), -1)));
  const step = (): TfTensor => tf.tidy(() => optimizer.minimize(loss, true));
  // Parameters are updated after the loss is computed: waiting for it alone would leave the end of a step out.
  const wait = (): Promise<void> => waitForTf(tf, named[0]![1]);
  const dispose = (): void => {
    optimizer.dispose();
    for (const tensor of [x, target, ...Object.values(parameters)]) tensor.dispose();
  };
  return trainingTask({ step, wait, dispose }, CHECKED);
}

/** Trains with PyTorch; `network` is Python lines that define `network(x, p)`. */
export function trainTorch(torch: Torch, { x, labels, parameters }: Problem, network: string): Promise<Task> {
  const code = `${network}
p = {name: array.requires_grad_() for name, array in arrays.items() if name != "x"}
labels = torch.tensor(${JSON.stringify(labels)})
optimizer = torch.optim.Adam(p.values(), lr=${ADAM.lr}, betas=(${ADAM.beta1}, ${ADAM.beta2}), eps=${ADAM.eps})

def step():
    loss = F.cross_entropy(network(x, p), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss
`;
  return torchTraining(torch, { x, ...parameters }, code, CHECKED);
}

/** The losses by the definition, in f64. */
export function trainByDefinition(
  { x, labels, parameters }: Problem,
  gradient: (x: ArrayLike<number>, labels: readonly number[], parameters: Parameters) => Gradient,
): Float64Array {
  const start = Object.entries(parameters).map(([name, { data }]) => [name, Float64Array.from(data)] as const);
  return trainReference(Object.fromEntries(start), (at) => gradient(x.data, labels, at), CHECKED, ADAM);
}

/** One row for each label, with a 1 in its column. */
function oneHot(labels: readonly number[]): Float32Array {
  return Float32Array.from({ length: labels.length * CLASSES }, (_, i) =>
    i % CLASSES === labels[Math.floor(i / CLASSES)] ? 1 : 0,
  );
}
