"""
Records miniai-trace.json, the order of events in fits of miniai's own Learner, from its learner.py (fastai/course22p2):
/usr/bin/python3 tests/golden/make_miniai.py LEARNER.PY > tests/golden/miniai-trace.json

A fit is two epochs of two training batches and one for evaluation. "EXCEPTION at EVENT" is a fit in which the event's
first occurrence throws it; a trace that ends in "raises" is one whose fit lets the exception out.
"""
import inspect
import json
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import torch


def store_attr():
    frame = inspect.currentframe().f_back
    obj = frame.f_locals["self"]
    for name in inspect.signature(type(obj).__init__).parameters:
        if name != "self":
            setattr(obj, name, frame.f_locals[name])


# What learner.py imports and its loop needs no more of.
fastcore = MagicMock(store_attr=store_attr, L=lambda x: list(x or []), patch=lambda f: f)
for name in ["fastcore", "matplotlib", "matplotlib.pyplot", "fastprogress", "torcheval", "torcheval.metrics"]:
    sys.modules[name] = MagicMock()
sys.modules["fastcore.all"] = sys.modules["fastcore"].all = fastcore
sys.modules["miniai"] = types.ModuleType("miniai")
sys.modules["miniai.conv"] = types.SimpleNamespace(def_device="cpu", to_device=None, __all__=["def_device", "to_device"])
learner = types.ModuleType("miniai.learner")
learner.__package__ = "miniai"
exec(Path(sys.argv[1]).read_text(), learner.__dict__)

EVENTS = [
    *["before_fit", "after_fit", "cleanup_fit", "before_epoch", "after_epoch", "cleanup_epoch", "before_batch"],
    *["predict", "after_predict", "get_loss", "after_loss", "backward", "after_backward", "step", "after_step"],
    *["zero_grad", "after_batch", "cleanup_batch"],
]
EXCEPTIONS = ["CancelBatchException", "CancelEpochException", "CancelFitException"]


def record(exception=None, at=None):
    seen = []

    class Trace(learner.Callback):
        order = 10

    def method(event):
        def run(self, learn):
            seen.append(event)
            if event == at and seen.count(at) == 1:
                raise getattr(learner, exception)()

        return run

    for event in EVENTS:
        setattr(Trace, event, method(event))
    x = torch.randn(4, 2)
    data = [(x, x[:, :1])]
    dls = types.SimpleNamespace(train=data * 2, valid=data)
    learn = learner.Learner(torch.nn.Linear(2, 1), dls, cbs=[learner.TrainCB(), Trace()])
    try:
        learn.fit(2)
    except Exception as error:
        assert type(error).__name__ == exception, error
        seen.append("raises")
    return " ".join(seen)


traces = {"": record()}
for exception in EXCEPTIONS:
    for event in EVENTS:
        traces[f"{exception} at {event}"] = record(exception, event)
print(json.dumps(traces, indent=0))
