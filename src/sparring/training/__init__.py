"""Training: the step, the loop around it, checkpoints."""

from sparring.training.loop import Stopped, resume, train

__all__ = ["Stopped", "resume", "train"]
