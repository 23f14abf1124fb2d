#!/usr/bin/env bash
# ONNX Runtime: with dynamic quantization the vector of a text depends on what else is in the batch.
#
# Library    onnxruntime 1.32.0 (`quantization.quantize_dynamic`), onnx 1.23.2
# Behaviour  The usual advice for quick embeddings on a CPU is dynamic int8. Its scale is taken from the
#            largest and smallest activation of the whole tensor that is multiplied, so of the batch: beside
#            other rows a row is rounded otherwise. The network without quantization gives each row the same
#            vector, in whatever company.
# Seen       encoder.onnx    32 of 32 vectors as when embedded alone, least cosine 1.0000
#            quantized.onnx   0 of 32 vectors as when embedded alone, least cosine 0.9974
# Who        Anybody who embeds chunks by batches and compares, caches or counts vectors: a second run in
#            another order is another index, and an unchanged chunk has another vector. With all-MiniLM-L6-v2
#            no vector of 96 stayed the same, and the least cosine was 0.975.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'onnxruntime==1.32.0' 'onnx==1.23.2' 'numpy' 'sympy' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

def probe() -> None:
    import numpy
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import quantize_dynamic

    chance = numpy.random.default_rng(7)
    width, nodes, weights, name = 64, [], [], "x"
    for layer in range(4):
        matrix = (chance.normal(size=(width, width)) / width**0.5).astype("float32")
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{layer}"], [f"m{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [name := f"t{layer}"]))
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["rows", width]) for end in ("x", name)]
    graph = helper.make_graph(nodes, "encoder", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, "encoder.onnx")
    quantize_dynamic("encoder.onnx", "quantized.onnx")

    texts = chance.normal(size=(32, width)).astype("float32")
    texts[1] *= 4
    found = {}
    for file in ("encoder.onnx", "quantized.onnx"):
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        together = session.run(None, {"x": texts})[0]
        alone = numpy.vstack([session.run(None, {"x": row[None]})[0] for row in texts])
        product = (together * alone).sum(axis=1)
        cosines = product / numpy.linalg.norm(together, axis=1) / numpy.linalg.norm(alone, axis=1)
        same = sum(bool(numpy.allclose(a, b, atol=1e-5)) for a, b in zip(together, alone, strict=True))
        found[file] = same, float(cosines.min())
        print(f"{file:<15} {same:>2} of {len(texts)} vectors as when embedded alone, least cosine {cosines.min():.4f}")
    assert found["encoder.onnx"][0] == len(texts), found
    assert found["quantized.onnx"][0] == 0, found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH venv/bin/python probe.py
