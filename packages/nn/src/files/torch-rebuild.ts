import { quoted, type StoredDType, storedBytes, unreadableDType } from "@deplsr/tensor";
import { damaged, Global, PickleObject, type PickleValue } from "./pickle.ts";
import { hasNegative, TorchStorage, TorchTensor, UnreadableTensor } from "./torch-tensor.ts";

/**
 * The functions by which pickles make tensors. Dense tensors of real numbers are read; of the others it is known what they are, so that
 * they are listed with the reason why they cannot be read.
 *
 * @see https://github.com/pytorch/pytorch/blob/v2.9.0/torch/_utils.py (`_rebuild_tensor` to `_rebuild_parameter_with_state`)
 */

/** A type of elements by PyTorch's name, as in `torch.float16`. */
export class ElementType extends Global {
  readonly dtype: StoredDType;

  constructor(name: string, dtype: StoredDType) {
    super(name);
    this.dtype = dtype;
  }
}

type AnyTensor = TorchTensor | UnreadableTensor;

/** By name, what each makes of its arguments. */
export const REBUILT: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  "torch._utils._rebuild_tensor": (args) => dense(args, null),
  "torch._utils._rebuild_tensor_v2": (args) => dense(args, args[6] ?? null),
  "torch._utils._rebuild_tensor_v3": (args) => dense(typed(args), args[7] ?? null),
  "torch._utils._rebuild_parameter": ([data]) => anyTensor(data),
  "torch._utils._rebuild_parameter_with_state": ([data]) => anyTensor(data),
  "torch._utils._rebuild_device_tensor_from_cpu_tensor": ([data]) => anyTensor(data),
  "torch._utils._rebuild_meta_tensor_no_storage": ([type, shape]) =>
    new UnreadableTensor(dtypeOf(type), shape, "it is of the device meta and has no values: save it from another one"),
  "torch._utils._rebuild_qtensor": ([storage, , shape]) =>
    new UnreadableTensor(dtypeOf(storage), shape, "it is quantized: save its dequantize()"),
  "torch._utils._rebuild_sparse_tensor": ([layout, data]) => {
    // Before the sizes are the values, and before these one or two tensors of places.
    const parts = Array.isArray(data) ? data.slice(layout === "torch.sparse_coo" ? 1 : 2) : [];
    return new UnreadableTensor(anyTensor(parts[0]).dtype, parts[1], "it is sparse: save its to_dense()");
  },
  "torch._utils._rebuild_nested_tensor": ([buffer]) => nested(buffer),
  "torch.nested._internal.nested_tensor._rebuild_njt": ([parts]) =>
    nested(parts instanceof Map ? parts.get("values") : undefined),
  "torch._utils._rebuild_wrapper_subclass": ([type, element, shape]) =>
    new UnreadableTensor(dtypeOf(element), shape, ofClass(type)),
};

/** Types that add nothing to a tensor's values. */
export const PLAIN_TENSORS: ReadonlySet<string> = new Set([
  "torch.Tensor",
  "torch.nn.parameter.Parameter",
  "torch.nn.parameter.Buffer",
]);

/** `torch._tensor._rebuild_from_type_v2(function, type, arguments, state)`: a tensor with a class or attributes of its own. */
export function rebuildFromType([rebuild, type, args]: readonly PickleValue[]): PickleValue {
  // Not this function again, whose arguments may hold themselves.
  const known = rebuild instanceof Global && Object.hasOwn(REBUILT, rebuild.what);
  if (!known || !Array.isArray(args)) throw damaged("makes a tensor of what is none");
  const tensor = anyTensor(rebuild.call(args));
  if (tensor instanceof UnreadableTensor || (type instanceof Global && PLAIN_TENSORS.has(type.what))) return tensor;
  return new UnreadableTensor(tensor.dtype, [...tensor.shape], ofClass(type));
}

/**
 * @param metadata bits that `torch.save` adds (`get_tensor_metadata`): of "neg" the negatives are meant; "conj" says something of complex
 * numbers only; what else a device's extension may add could mean anything
 */
function dense(args: readonly PickleValue[], metadata: PickleValue): AnyTensor {
  if (metadata !== null && !(metadata instanceof Map)) throw damaged("gives a tensor metadata that are none");
  const set = [...(metadata ?? [])].filter(([, value]) => value !== false).map(([key]) => String(key));
  const tensor = new TorchTensor(args, set.includes("neg"));
  const other = set.find((key) => key !== "neg" && key !== "conj");
  const why = unreadableDType(tensor.dtype) ?? (other === undefined ? signless(tensor) : unknownMetadata(other));
  return why === undefined ? tensor : new UnreadableTensor(tensor.dtype, [...tensor.shape], why);
}

function signless({ negated, dtype }: TorchTensor): string | undefined {
  return negated && !hasNegative(dtype) ? `it is negated, which ${dtype} cannot be: save its resolve_neg()` : undefined;
}

function unknownMetadata(key: string): string {
  return `it carries ${quoted(key)}, which is not known here: save a clone() of it on the CPU`;
}

/** The arguments of a tensor whose storage is bytes, with a storage of the type that is given besides. */
function typed([storage, ...rest]: readonly PickleValue[]): PickleValue[] {
  if (!(storage instanceof TorchStorage)) throw damaged("makes a tensor of what is no storage");
  const dtype = dtypeOf(rest[5]);
  const width = storedBytes(dtype) / storedBytes(storage.dtype);
  const begin = storage.first / width;
  if (!Number.isInteger(begin)) throw damaged("makes a tensor that begins inside of an element");
  return [new TorchStorage(storage.key, dtype, Math.floor(storage.size / width), begin), ...rest];
}

function nested(values: PickleValue | undefined): UnreadableTensor {
  const { dtype, shape } = anyTensor(values);
  return new UnreadableTensor(dtype, [...shape], "it is nested: save its to_padded_tensor(0), or its parts");
}

function ofClass(type: PickleValue | undefined): string {
  if (!(type instanceof Global)) throw damaged("makes a tensor of a class that is none");
  return `it is a ${quoted(type.what)}, a class that is not known here: save it as a plain tensor`;
}

function anyTensor(value: PickleValue | undefined): AnyTensor {
  if (value instanceof TorchTensor || value instanceof UnreadableTensor) return value;
  throw damaged("makes a tensor of what is none");
}

function dtypeOf(type: PickleValue | undefined): StoredDType {
  if (type instanceof ElementType || type instanceof TorchStorage) return type.dtype;
  throw damaged(`makes a tensor of the type ${type instanceof PickleObject ? quoted(type.what) : "of nothing"}`);
}
