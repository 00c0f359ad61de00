import { VIT_B_32, VisionTransformer } from "@deplsr/clip";
import { noGrad, Rng } from "@deplsr/tensor";
import { type Ours, operationOfOurs } from "../ours.ts";
import { type Jax, type JaxArray, operationOfJax } from "../peers/jax-js.ts";
import type { OnnxNode } from "../peers/onnx.ts";
import { type Ort, operationOfOrt } from "../peers/ort.ts";
import { operationOfTf, type Tf, type TfTensor } from "../peers/tfjs.ts";
import { type Torch, torchTask } from "../peers/torch.ts";
import type { Row } from "../row.ts";
import type { Feeds, Task } from "../task.ts";
import {
  blockName,
  drawInputs,
  drawLayerInputs,
  FEATURES,
  FLOPS,
  HEADS,
  IMAGE,
  LAYERS,
  type Layers,
  PATCH,
  referenceFeatures,
  SIDE,
  TOKENS,
  visionTower,
  WIDTH,
} from "./vision-tower.ts";

const DIM = WIDTH / HEADS;
const feeds = (inputs: Feeds["inputs"]): Feeds => ({ inputs, output: FEATURES, read: (output) => output });

async function ours(api: Ours): Promise<Task> {
  const { image, ...parameters } = drawLayerInputs();
  const tower = VisionTransformer.make(VIT_B_32, { device: api.device, rng: new Rng(0) });
  const state = tower.stateDict();
  // open_clip's names: PyTorch's attention keeps `in_proj_weight` in one word, and `proj` is no layer.
  const named = Object.entries(parameters).map(([key, { data }]) => {
    const name = key.replace("in_proj.", "in_proj_").replace(/^proj\.weight$/, "proj");
    return [name, api.device.tensor(data, state.get(name)!.shape)] as const;
  });
  tower.loadStateDict(new Map(named));
  for (const [, tensor] of named) tensor.dispose();
  const task = await operationOfOurs(api, feeds({ image: image! }), (x) => noGrad(() => tower.forward(x.image!)));
  const dispose = (): void => {
    task.dispose();
    tower.dispose();
  };
  return { ...task, dispose };
}

function jax(api: Jax): Promise<Task> {
  const { numpy, nn } = api;
  return operationOfJax(api, feeds(drawInputs()), (p) => {
    const linear = (x: JaxArray, name: string): JaxArray => {
      const y = numpy.matmul(x, p[`${name}.weight`]!);
      const bias = p[`${name}.bias`];
      return bias ? y.add(bias) : y;
    };
    const layers: Layers<JaxArray> = {
      linear,
      add: (x, y) => x.add(y),
      again: (x) => x.ref,
      gelu: (x) => nn.gelu(x, { approximate: false }),
      layerNorm: (x, name) => nn.standardize(x, -1).mul(p[`${name}.weight`]!).add(p[`${name}.bias`]!),
      first: (x) => x.slice([0, 1]),
      attention(x, name) {
        const qkv = linear(x, `${name}.in_proj`).reshape([TOKENS, 3, HEADS, DIM]);
        const q = qkv.ref.slice([], 0).transpose([1, 0, 2]);
        const k = qkv.ref.slice([], 1).transpose([1, 2, 0]);
        const v = qkv.slice([], 2).transpose([1, 0, 2]);
        const map = nn.softmax(numpy.matmul(q, k).mul(1 / Math.sqrt(DIM)), -1);
        return numpy.matmul(map, v).transpose([1, 0, 2]).reshape([TOKENS, WIDTH]);
      },
      embed(image) {
        const patches = image.reshape([3, SIDE, PATCH, SIDE, PATCH]).transpose([1, 3, 0, 2, 4]);
        const projected = linear(patches.reshape([TOKENS - 1, 3 * PATCH ** 2]), "conv1");
        return numpy.concatenate([p.class_embedding!, projected], 0).add(p.positional_embedding!);
      },
    };
    return visionTower(layers, p.image!);
  });
}

function tfjs(tf: Tf): Promise<Task> {
  return operationOfTf(tf, feeds(drawInputs()), (p) => {
    const linear = (x: TfTensor, name: string): TfTensor => {
      const bias = p[`${name}.bias`];
      return tf.fused.matMul({ a: x, b: p[`${name}.weight`]!, ...(bias && { bias }) });
    };
    const layers: Layers<TfTensor> = {
      linear,
      add: tf.add,
      again: (x) => x,
      gelu: (x) => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
      layerNorm(x, name) {
        const { mean, variance } = tf.moments(x, -1, true);
        const normal = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5)));
        return tf.add(tf.mul(normal, p[`${name}.weight`]!), p[`${name}.bias`]!);
      },
      first: (x) => tf.slice(x, [0, 0], [1, WIDTH]),
      attention(x, name) {
        const qkv = tf.transpose(tf.reshape(linear(x, `${name}.in_proj`), [TOKENS, 3, HEADS, DIM]), [1, 2, 0, 3]);
        const [q, k, v] = tf.unstack(qkv) as [TfTensor, TfTensor, TfTensor];
        const map = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(DIM)), -1);
        return tf.reshape(tf.transpose(tf.matMul(map, v), [1, 0, 2]), [TOKENS, WIDTH]);
      },
      embed(image) {
        const patches = tf.transpose(tf.reshape(image, [3, SIDE, PATCH, SIDE, PATCH]), [1, 3, 0, 2, 4]);
        const projected = linear(tf.reshape(patches, [TOKENS - 1, 3 * PATCH ** 2]), "conv1");
        return tf.add(tf.concat([p.class_embedding!, projected], 0), p.positional_embedding!);
      },
    };
    return visionTower(layers, p.image!);
  });
}

/** As a graph, with attention as one operator, or as what it is made of. */
function ort(api: Ort, fused: boolean): Promise<Task> {
  const drawn = drawInputs();
  const inputs: Feeds["inputs"] = {
    ...drawn,
    class_embedding: { shape: [1, 1, WIDTH], data: drawn.class_embedding!.data },
    "conv1.weight": { shape: [WIDTH, 3, PATCH, PATCH], data: drawLayerInputs()["conv1.weight"]!.data },
  };
  const nodes: OnnxNode[] = [];
  const node = (op: string, from: readonly string[], rest: Partial<OnnxNode> = {}): string => {
    const output = `value${nodes.length}`;
    nodes.push({ op, inputs: from, outputs: [output], ...rest });
    return output;
  };
  const integers = (...values: number[]): string => node("Constant", [], { attributes: { value_ints: values } });
  const linear = (x: string, name: string): string => {
    const y = node("MatMul", [x, `${name}.weight`]);
    return inputs[`${name}.bias`] ? node("Add", [y, `${name}.bias`]) : y;
  };
  const layers: Layers<string> = {
    linear,
    add: (x, y) => node("Add", [x, y]),
    again: (x) => x,
    gelu: (x) => node("Gelu", [x]),
    layerNorm: (x, name) =>
      node("LayerNormalization", [x, `${name}.weight`, `${name}.bias`], {
        attributes: { axis: -1, epsilon: { float: 1e-5 } },
      }),
    first: (x) =>
      node("Gather", [x, node("Constant", [], { attributes: { value_int: 0 } })], { attributes: { axis: 1 } }),
    attention(x, name) {
      if (fused) {
        return node("Attention", [x, `${name}.in_proj.weight`, `${name}.in_proj.bias`], {
          domain: "com.microsoft",
          attributes: { num_heads: HEADS },
        });
      }
      const parts = node("Reshape", [linear(x, `${name}.in_proj`), integers(TOKENS, 3, HEADS, DIM)]);
      const part = (index: number, perm: readonly number[]): string => {
        const choice = node("Constant", [], { attributes: { value_int: index } });
        return node("Transpose", [node("Gather", [parts, choice], { attributes: { axis: 1 } })], {
          attributes: { perm },
        });
      };
      const scale = node("Constant", [], { attributes: { value_float: { float: 1 / Math.sqrt(DIM) } } });
      const queries = node("Mul", [part(0, [1, 0, 2]), scale]);
      const map = node("Softmax", [node("MatMul", [queries, part(1, [1, 2, 0])])], { attributes: { axis: -1 } });
      const heads = node("MatMul", [map, part(2, [1, 0, 2])]);
      const tokens = node("Transpose", [heads], { attributes: { perm: [1, 0, 2] } });
      return node("Reshape", [tokens, integers(1, TOKENS, WIDTH)]);
    },
    embed(image) {
      const patches = node("Conv", [image, "conv1.weight"], {
        attributes: { kernel_shape: [PATCH, PATCH], strides: [PATCH, PATCH] },
      });
      const columns = node("Reshape", [patches, integers(1, WIDTH, TOKENS - 1)]);
      const rows = node("Transpose", [columns], { attributes: { perm: [0, 2, 1] } });
      const tokens = node("Concat", ["class_embedding", rows], { attributes: { axis: 1 } });
      return node("Add", [tokens, "positional_embedding"]);
    },
  };
  node("Identity", [visionTower(layers, "image")], { outputs: ["output"] });
  return operationOfOrt(
    api,
    feeds(inputs),
    nodes,
    Object.keys(inputs).filter((name) => name !== "image"),
  );
}

function torch(torch: Torch): Promise<Task> {
  const code = `
p = arrays
kernel = p["conv1.weight"].view(${WIDTH}, 3, ${PATCH}, ${PATCH})

def linear(x, name):
    return F.linear(x, p[name + ".weight"], p[name + ".bias"])

def norm(x, name):
    return F.layer_norm(x, [${WIDTH}], p[name + ".weight"], p[name + ".bias"])

def block(x, name):
    qkv = linear(norm(x, name + ".ln_1"), name + ".attn.in_proj").view(1, ${TOKENS}, 3, ${HEADS}, ${DIM})
    heads = attention(*qkv.permute(2, 0, 3, 1, 4))
    x = x + linear(heads.transpose(1, 2).reshape(x.shape), name + ".attn.out_proj")
    return x + linear(F.gelu(linear(norm(x, name + ".ln_2"), name + ".mlp.c_fc")), name + ".mlp.c_proj")

@torch.inference_mode()
def run():
    patches = F.conv2d(image, kernel, stride=${PATCH}).flatten(2).transpose(1, 2)
    x = torch.cat([p["class_embedding"][None], patches], 1) + p["positional_embedding"]
    x = norm(x, "ln_pre")
    for name in ${JSON.stringify(Array.from({ length: LAYERS }, (_, index) => blockName(index)))}:
        x = block(x, name)
    return norm(x[:, 0], "ln_post") @ p["proj.weight"]
`;
  return torchTask(torch, drawLayerInputs(), code);
}

const row: Row = {
  name: "ViT-B/32 image tower",
  shape: `[${IMAGE.join(", ")}]`,
  flops: FLOPS,
  reference: referenceFeatures,
  // Twelve layers of f32.
  tolerance: 1e-4,
  target: { ratio: 2.5, torch: 0.6 },
  tasks: {
    ours: [ours],
    jax: [jax],
    tfjs: [tfjs],
    // The fused one is off by 3% on lavapipe.
    ort: [(api) => ort(api, true), (api) => ort(api, false)],
    torch: [torch],
  },
};

/** CLIP's image tower on one image. */
export default [row];
