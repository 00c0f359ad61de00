import { openTensorFile, type StateDict, selectWeights } from "@deplsr/nn";
import { readTensor, type Source, type StoredTensor } from "@deplsr/tensor";
import type { WeightFile } from "../metric.ts";

/**
 * The tensors of a published file that a network asks for, by their names in it: of PyTorch (zip, legacy, TorchScript) or safetensors, at
 * the top or under `params`. What else there is, such as a classifier's last layers, is not read.
 *
 * @throws FileFormatError in one line when the file is damaged or of another kind
 */
export async function readWeights(source: Source, wanted: (name: string) => boolean): Promise<StateDict> {
  const { tensors } = selectWeights(await openTensorFile(source));
  const read = new Map<string, StoredTensor>();
  for (const [name, file] of tensors) if (wanted(name)) read.set(name, await readTensor(file));
  return read;
}

const PYIQA = "https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main";
const TORCHVISION = "https://download.pytorch.org/models";

function file(folder: string, name: string): WeightFile {
  return { name, from: `${folder}/${name}` };
}

const VGG16 = file(TORCHVISION, "vgg16-397923af.pth");

/** The published files of every metric, by its name. */
export const WEIGHT_FILES = {
  lpips: [file(TORCHVISION, "alexnet-owt-7be5be79.pth"), file(PYIQA, "LPIPS_v0.1_alex-df73285e.pth")],
  "lpips-vgg": [VGG16, file(PYIQA, "LPIPS_v0.1_vgg-a78928a0.pth")],
  "lpips-squeeze": [file(TORCHVISION, "squeezenet1_1-b8a52dc0.pth"), file(PYIQA, "LPIPS_v0.1_squeeze-4a5350f2.pth")],
  dists: [VGG16, file(PYIQA, "DISTS_weights-f5e65c96.pth")],
  fid: [
    file(
      "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights",
      "pt_inception-2015-12-05-6726825d.pth",
    ),
  ],
  clipiqa: [
    file(
      "https://openaipublic.azureedge.net/clip/models/afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
      "RN50.pt",
    ),
  ],
  cnniqa: [file(PYIQA, "CNNIQA_koniq10k-e6f14c91.pth")],
  musiq: [file(PYIQA, "musiq_koniq_ckpt-e95806b9.pth")],
  maniqa: [file("https://github.com/IIGROUP/MANIQA/releases/download/Koniq10k", "ckpt_koniq10k.pt")],
} as const satisfies Readonly<Record<string, readonly WeightFile[]>>;
