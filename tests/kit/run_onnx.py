"""Runs every MODEL.onnx of a folder on the inputs of MODEL.npz (in.NAME) by onnxruntime, after onnx's own checker; fails
unless each output is out.NAME within 1e-5, relative for numbers above 1.   run_onnx.py FOLDER"""
import pathlib
import sys
import numpy as np
import onnx
import onnxruntime

worst, n = 0.0, 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    arrays = np.load(path.with_suffix(".npz"))
    given = {k[3:]: arrays[k] for k in arrays.files if k.startswith("in.")}
    wanted = {k[4:]: arrays[k] for k in arrays.files if k.startswith("out.")}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    assert set(names) == set(wanted), (path.name, names, list(wanted))
    for name, got in zip(names, session.run(None, given)):
        want = wanted[name]
        assert got.shape == want.shape and got.dtype == want.dtype, (path.name, name, got.shape, want.shape)
        off = float((np.abs(got - want) / np.maximum(1, np.abs(want))).max())
        assert off <= 1e-5 and np.abs(want).max() > 1e-3, (path.name, name, off)
        worst = max(worst, off)
    n += 1
assert n, "no models"
print(f"{n} models, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, largest difference {worst:.2g}")
