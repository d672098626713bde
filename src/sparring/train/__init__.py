"""Training: the step, the loop around it, checkpoints."""

from sparring.train.loop import Stopped, resume, train

__all__ = ["Stopped", "resume", "train"]
