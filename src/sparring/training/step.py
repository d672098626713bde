"""The algorithm: one step of the game. Tricks are called by their hooks and never by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from sparring.errors import RecipeError
from sparring.games import Pair, Players
from sparring.nets import Discriminator, settle
from sparring.nets.normalise import precise
from sparring.randomness import Draws
from sparring.recipe import Recipe
from sparring.training.device import Device
from sparring.training.feed import Batch
from sparring.training.hooks import hook, one_number
from sparring.training.judge import ask, judge
from sparring.training.layout import laid_out_like
from sparring.tricks import State, Trick, View, Weights

COLUMNS = ("images", "seconds", "img_per_s", "memory")  # of the statistics, beside the step's own


def _fitted(pair: Pair) -> Tensor:
    """The real images as D is to see them: a D that grows looks at small ones first."""
    grows = getattr(pair.D, "grows", False)
    return cast(Discriminator, pair.D).fit(pair.real) if grows else pair.real


class Step:
    """D's steps and G's answer, on networks and optimisers that it is given."""

    def __init__(
        self,
        recipe: Recipe,
        players: Players,
        g_optim: torch.optim.Optimizer,
        d_optim: torch.optim.Optimizer,
        device: Device,
    ) -> None:
        self.recipe, self.players, self.device = recipe, players, device
        self.optims = {"g": g_optim, "d": d_optim}
        self.params = {side: o.param_groups[0]["params"] for side, o in self.optims.items()}
        self.tricks = list(zip(_keys(recipe.tricks), recipe.tricks, strict=True))
        self.states: dict[str, dict[str, State]] = {}
        self.names: dict[tuple[str, str], frozenset[str]] = {}

    def start(self, batch: Batch) -> None:
        """Makes the tricks' states from a first batch."""
        for view in self.views("d", self.deal(batch, 0, "d", grad=False), 0):
            states = self.states.setdefault(view.pair, {})
            for key, trick in self.tricks:
                made = hook("init", trick, self.calling(view, key), {})
                states[key] = {name: t.detach().clone() for name, t in made.items()}
                self.names[view.pair, key] = frozenset(made)

    def __call__(self, step: int, feed: Callable[[int], Batch]) -> dict[str, Tensor]:
        """Step number `step`, from 0; its statistics, still on the device."""
        recipe, simultaneous = self.recipe, self.recipe.updates == "simultaneous"
        *early, last = range(step * recipe.d_steps, (step + 1) * recipe.d_steps)
        for turn in early:
            views = self.views("d", self.deal(feed(turn), turn, "d", grad=False), turn)
            self.update("d", self.gradients("d", self.d_total(views, turn)), views)

        batch = feed(last)
        pairs = self.deal(batch, last, "d", grad=recipe.share_fakes)
        d_views = self.views("d", pairs, last)
        d_loss = self.d_total(d_views, last)
        d_gradients = self.gradients("d", d_loss)
        if not simultaneous:
            self.update("d", d_gradients, d_views)

        if not recipe.share_fakes:
            pairs = self.deal(batch, step, "g", grad=True)
        g_views = self.views("g", pairs, step)
        for g_view, d_view in zip(g_views, d_views, strict=True):
            g_view.boundary = d_view.boundary
        g_losses = torch.stack([self.g_loss(v, step) for v in g_views])
        with self.device.autocast():
            terms = recipe.game.terms(self.players, pairs)
        g_loss = g_losses.sum() + sum(terms.values())
        g_gradients = self.gradients("g", g_loss)
        if simultaneous:
            self.update("d", d_gradients, d_views)
        self.update("g", g_gradients, g_views)
        losses = {"d_loss": d_loss, "g_loss": g_loss, **{f"g_{k}": t for k, t in terms.items()}}
        gradients = {"d": d_gradients, "g": g_gradients}
        return self.report(losses, gradients, d_views + g_views)

    # ------------------------------------------------------------------------- the two objectives

    def d_total(self, views: list[View], turn: int) -> Tensor:
        """The objectives of all discriminators, added up."""
        return torch.stack([self.d_loss(v.D, v, turn) for v in views]).sum()

    def d_loss(self, D: nn.Module, view: View, turn: int) -> Tensor:
        """D's objective as a function of D, and what it saw written into `view`."""
        view.D = D
        active = [(key, t) for key, t in self.tricks if turn % t.every == 0]
        view.real_seen, view.fake_seen = self.see(view, view.real), self.see(view, view.fake)
        judge(view, [t for _, t in active], self.device.autocast)
        view.boundary = self.recipe.loss.boundary(view.real_logits, view.fake_logits)
        loss = self.recipe.loss.d(
            view.real_logits, view.fake_logits, self.calling(view, "loss").rng
        )
        for key, trick in active:
            loss = loss + self.hook("d_term", view, key, trick) * trick.every
        return loss

    def g_loss(self, view: View, step: int) -> Tensor:
        """G's adversarial loss and what the tricks add to it."""
        active = [(key, t) for key, t in self.tricks if step % t.every == 0]
        D = view.D
        for key, trick in self.tricks:
            view.D = self.hook("opponent", view, key, trick, view.D)
        features, autocast = any(t.features for _, t in active), self.device.autocast
        if self.recipe.loss.needs_real or any(t.needs_real for _, t in active):
            # What a D that has answered G says of the reals is G's doing too.
            with torch.set_grad_enabled(view.D is not D):
                view.real_seen = self.see(view, view.real)
                real = ask(view.D, view.real_seen, view.c, autocast, features)
            view.real_logits, view.real_features = real.logits, real.features
        view.fake_seen = self.see(view, view.fake)
        fake = ask(view.D, view.fake_seen, view.fake_c, autocast, features)
        view.fake_logits, view.fake_features = fake.logits, fake.features
        told = view.real_logits if self.recipe.loss.needs_real else None
        loss = self.recipe.loss.g(told, view.fake_logits, self.calling(view, "loss").rng)
        for key, trick in active:
            loss = loss + self.hook("g_term", view, key, trick) * trick.every
        return loss

    def d_step(
        self,
        D: nn.Module,
        weights: Weights,
        gradients: Mapping[str, Tensor | None],
        memory: Mapping[str, State],
    ) -> tuple[Weights, dict[str, State]]:
        """One step of D's optimiser as a function, all by the names of D's weights."""
        optim = self.optims["d"]
        now = dict(memory) or {n: dict(optim.state.get(p, {})) for n, p in D.named_parameters()}
        new = dict(weights)
        for name, g in gradients.items():
            if g is not None:
                new[name], now[name] = self.recipe.d_optim.follow(
                    weights[name], g, now[name], optim.param_groups[0]["lr"]
                )
        return new, now

    # ------------------------------------------------------------------------- what each side sees

    def deal(self, batch: Batch, number: int, side: str, grad: bool) -> list[Pair]:
        """Fresh fakes against the real batch, with G's graph where `grad` says so."""
        with torch.set_grad_enabled(grad), self.device.autocast():
            pairs = self.recipe.game.pairs(self.players, batch, partial(self.draws, number, side))
        return [replace(p, fake=precise(p.fake), real=_fitted(p)) for p in pairs]

    def views(self, side: Any, pairs: list[Pair], number: int) -> list[View]:
        """A view of each pair; D's is cut from G's graph and passes the tricks' `fakes`."""
        images = torch.tensor(number * self.recipe.batch)
        if side == "g":
            images = images * self.recipe.d_steps
        images = images.to(self.device.torch, non_blocking=True)
        views = []
        for pair in pairs:
            view = View(
                side=side,
                pair=pair.name,
                D=pair.D,
                G=pair.G,
                real=pair.real,
                fake=pair.fake.detach() if side == "d" else pair.fake,
                c=pair.c,
                fake_c=pair.c,
                sides=pair.sides,
                z=pair.z,
                draw=pair.draw,
                images=images,
                draws=partial(self.draws, number, side),
                d_loss=lambda D, v: self.d_loss(D, replace(v, _rngs={}), number),
                d_step=partial(self.d_step, pair.D),
                ask=lambda D, x, c: ask(D, x, c, self.device.autocast).logits,
                bf16=self.device.precision == "bf16",
                mean=self.device.mean,
            )
            if side == "d" and self.states:
                for key, trick in self.tricks:
                    view.fake = self.hook("fakes", view, key, trick, view.fake)
            views.append(view)
        return views

    def see(self, view: View, images: Tensor) -> Tensor:
        """Images through every trick's `see`."""
        for key, trick in self.tricks:
            images = self.hook("see", view, key, trick, images)
        return images

    def hook(self, name: str, view: View, key: str, trick: Trick, *given: Any) -> Any:
        """What a hook of the trick called `key` returns."""
        return hook(name, trick, self.calling(view, key), self.states[view.pair][key], *given)

    def check_state(self, pair: str, key: str, trick: Trick) -> None:
        """RecipeError where a trick keeps what `init` did not give: no checkpoint would fit it."""
        new = sorted(self.states[pair][key].keys() ^ self.names[pair, key])
        if new:
            raise RecipeError(
                f"the state of {type(trick).__name__} has other names than init gave",
                why=f"{', '.join(new)} came or went",
                fix="give all of it in init, and change it in place",
            )

    def calling(self, view: View, key: str) -> View:
        """The view with the random numbers of the trick called `key`."""
        view.caller = key
        return view

    def draws(self, number: int, side: str, name: str) -> Draws:
        """The random numbers called `name` in the step `number` of a side."""
        d = self.device
        return Draws(
            self.recipe.seed, name, number, side, device=d.torch, rank=d.rank, world=d.world
        )

    # -------------------------------------------------------------------------- gradients and step

    def gradients(self, side: str, loss: Tensor) -> list[Tensor | None]:
        """The gradient of a side's loss for its own parameters only, averaged over processes."""
        found = list(torch.autograd.grad(loss, self.params[side], allow_unused=True))
        self.device.mean_gradients(found)
        return found

    def update(self, side: str, gradients: Sequence[Tensor | None], views: list[View]) -> None:
        """The optimiser's step, what the networks owe after it, then the tricks' `after_step`."""
        for p, g in zip(self.params[side], gradients, strict=True):
            p.grad = g if g is None else laid_out_like(p, g)
        self.optims[side].step()
        game = self.recipe.game
        for name in game.generators if side == "g" else game.discriminators:
            settle(self.players[name])
        for view in views:
            for key, trick in self.tricks:
                self.hook("after_step", view, key, trick)
                self.check_state(view.pair, key, trick)

    @torch.no_grad()
    def report(
        self,
        losses: dict[str, Tensor],
        gradients: dict[str, list[Tensor | None]],
        views: list[View],
    ) -> dict[str, Tensor]:
        """Losses, D's accuracy, gradient norms and the tricks' notes, as 0-d tensors."""
        stats = dict(losses)
        d_views = [v for v in views if v.side == "d"]
        for side in ("real", "fake"):
            right = []
            for v in d_views:
                logits = v.real_logits if side == "real" else -v.fake_logits
                bound = v.boundary if side == "real" else -v.boundary
                right.append((logits > bound).float().mean())
            stats[f"d_acc_{side}"] = torch.stack(right).mean()
        for side, found in gradients.items():
            stats[f"{side}_grad_norm"] = get_total_norm([g for g in found if g is not None])
        several, taken = len({v.pair for v in views}) > 1, {*stats, *COLUMNS}
        for view in views:
            for k, t in view.notes.items():
                if k in taken:
                    raise RecipeError(
                        f"the note '{k}' is a column of the statistics already",
                        fix="give it a name of its own",
                    )
                number = torch.as_tensor(one_number(t, f"the note '{k}'"), device=self.device.torch)
                stats[f"{k}_{view.pair}" if several else k] = number
        return stats


def _keys(tricks: Sequence[Trick]) -> list[str]:
    """Name and occurrence of each: draws and state stay its own where others are added."""
    names = [type(t).__name__ for t in tricks]
    return [f"{name}{names[:i].count(name)}" for i, name in enumerate(names)]
