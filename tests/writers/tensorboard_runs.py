"""TensorBoard: event files by tensorboardX, and by tensorboard's writer as TensorFlow uses it."""

import sys
from pathlib import Path

import numpy
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util
from tensorboardX import SummaryWriter

folder = Path(sys.argv[1])


def torch_like(path: Path, steps: int, rate: float) -> None:
    writer = SummaryWriter(str(path))
    for step in range(steps):
        writer.add_scalar("train/loss", 1 / (step + 1), step)
        if step % 2 == 0:
            writer.add_scalar("val/accuracy", 0.5 + step / 100, step)
    writer.add_scalar("nan", float("nan"), 0)
    writer.add_scalar("inf", float("inf"), 0)
    writer.add_histogram("weights", numpy.arange(10), 0)
    writer.add_text("note", "no scalar", 0)
    writer.add_image("picture", numpy.zeros((3, 4, 4), dtype=numpy.uint8), 0)
    if rate:
        writer.add_hparams({"lr": rate, "layers": 3, "name": "a b", "on": True}, {"best": 0.75})
    writer.close()


def tensorflow_like(path: Path) -> None:
    """What `tf.summary.scalar` writes: tensors; the first value of a tag names the plugin."""
    writer = EventFileWriter(str(path))
    metadata = SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name="scalars", content=b""),
        data_class=1,
    )
    for step in range(6):
        for tag, value in (
            ("epoch_loss", numpy.float32(2 / (step + 1))),
            ("epoch_precise", numpy.float64(0.1 * step)),
        ):
            proto = tensor_util.make_tensor_proto(value)
            shown = Summary.Value(tag=tag, tensor=proto, metadata=metadata if not step else None)
            writer.add_event(Event(wall_time=step, step=step, summary=Summary(value=[shown])))
    packed = tensor_util.make_tensor_proto(numpy.array(["text"], dtype=object))
    text = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"), data_class=2)
    shown = Summary.Value(tag="words", tensor=packed, metadata=text)
    writer.add_event(Event(wall_time=9, step=0, summary=Summary(value=[shown])))
    writer.close()


torch_like(folder / "single", 40, 0)
torch_like(folder / "hparams", 4, 0.1)
torch_like(folder / "several" / "a", 5, 0)
torch_like(folder / "several" / "b", 3, 0)
tensorflow_like(folder / "tf" / "train")
