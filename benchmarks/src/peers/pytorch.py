"""Runs what benchmark rows do in PyTorch, on the CPU. A message in either direction is a line of JSON, then the numbers of the arrays that it names (f32)."""

import json
import math
import sys

import torch
import torch.nn.functional as F


def attention(q, k, v, bias=None):
    """softmax(q kᵀ / √d + bias) v; fused since version 2."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, bias)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return torch.softmax(scores if bias is None else scores + bias, -1) @ v


def prepare(arrays, code):
    """Runs the row's code, with its arrays by their names; it has to define `run`, and `result` where that is another."""
    names = {"torch": torch, "F": F, "attention": attention, "arrays": arrays, **arrays}
    exec(code, names)
    return names


def read_arrays(shapes):
    arrays = {}
    for name, shape in shapes.items():
        data = bytearray(sys.stdin.buffer.read(4 * math.prod(shape)))
        arrays[name] = torch.frombuffer(data, dtype=torch.float32).reshape(shape)
    return arrays


def main():
    torch.set_num_threads(int(sys.argv[1]))
    row = {}
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer, data = {}, b""
        try:
            if request["do"] == "open":
                answer = {"version": torch.__version__}
            elif request["do"] == "prepare":
                row = {}
                row = prepare(read_arrays(request["shapes"]), request["code"])
            elif request["do"] == "result":
                output = row.get("result", row["run"])().detach().contiguous().to(torch.float32)
                data = output.numpy().tobytes()
            elif request["do"] == "run":
                run = row["run"]
                for _ in range(request["count"]):
                    run()
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["bytes"] = len(data)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + data)
        sys.stdout.buffer.flush()


main()
