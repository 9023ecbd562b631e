"""Prints "step value" of charts/SPS in an event folder, as the real TensorBoard understands it."""
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1])
events.Reload()
for e in events.Scalars("charts/SPS"):
    print(e.step, e.value)
