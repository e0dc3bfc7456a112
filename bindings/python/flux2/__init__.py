"""FLUX.2 in C++, with the interface of Diffusers.

    from flux2 import Flux2KleinPipeline, Generator

    pipe = Flux2KleinPipeline.from_pretrained("path/to/FLUX.2-klein-4B")
    pipe(prompt="a red circle", num_inference_steps=4, generator=Generator(42)).images[0].save("a.png")

Arguments, their order and defaults, and what comes back are those of Diffusers' pipelines of the
same names. Arguments that Diffusers has not are keyword-only and documented at each pipeline.
"""

from ._base import DiffusionPipeline
from ._flux2 import version as _version
from ._generator import Generator
from ._output import Flux2PipelineOutput
from .pipelines import (
    Flux2KleinInpaintPipeline,
    Flux2KleinKVPipeline,
    Flux2KleinPipeline,
    Flux2Pipeline,
)

__version__ = _version()
__all__ = [
    "DiffusionPipeline",
    "Flux2KleinInpaintPipeline",
    "Flux2KleinKVPipeline",
    "Flux2KleinPipeline",
    "Flux2Pipeline",
    "Flux2PipelineOutput",
    "Generator",
]
