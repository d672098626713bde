"""Training: the step, the loop around it, checkpoints."""

from sparring.training.loop import Stopped
from sparring.training.start import resume, train

__all__ = ["Stopped", "resume", "train"]
