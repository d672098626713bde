"""Weights: found in order, read only once their hash matches, kept by their content."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sparring.errors import DataError
from sparring.metrics import weights
from sparring.metrics.weights import (
    File,
    Known,
    file_sha256,
    from_torch,
    load_weights,
    offer,
    register,
    tensors_digest,
)

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(1)}


def refuse(path: Path) -> dict[str, torch.Tensor]:
    raise AssertionError(f"{path} was read")


@pytest.fixture
def own(monkeypatch, tmp_path) -> Iterator[Path]:
    """No known networks, nothing offered, an empty cache."""
    monkeypatch.setattr(weights, "_known", {})
    monkeypatch.setattr(weights, "_offered", {})
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "cache"))
    return tmp_path


def known(path: Path, url: str = "", read=from_torch) -> Known:
    file = File(path.name, file_sha256(path), read, url=url)
    return register(Known("toy", (file,), tensors_digest(TENSORS, "fc."), "fc."))


def test_a_named_file_is_taken_by_its_hash_and_kept_as_safetensors(own) -> None:
    path = own / "toy.pth"
    torch.save({**TENSORS, "count": torch.tensor(3)}, path)
    toy = known(path)
    assert offer(path) == "toy"
    assert load_weights(toy).keys() == TENSORS.keys()
    weights._offered.clear()
    path.unlink()
    again = load_weights(toy)
    assert all(torch.equal(again[name], TENSORS[name]) for name in TENSORS)


def test_a_wrong_hash_is_named_and_nothing_is_read(own) -> None:
    path = own / "toy.pth"
    torch.save(TENSORS, path)
    known(path, read=refuse)
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(DataError) as e:
        offer(path)
    assert file_sha256(path)[:12] in str(e.value)
    assert "nothing of it was read" in str(e.value)
    with pytest.raises(DataError, match="no weights file"):
        offer(own / "absent")


def test_a_pickle_that_would_act_never_acts(own) -> None:
    path, mark = own / "evil.pth", own / "mark"

    class Evil:
        def __reduce__(self):
            return mark.write_text, ("ran",)

    torch.save({"a": Evil()}, path)
    with pytest.raises(Exception, match=r"[Ww]eights"):
        from_torch(path)
    assert not mark.exists()


def test_any_safetensors_file_of_the_same_tensors_will_do(own) -> None:
    path, other = own / "toy.pth", own / "mine.safetensors"
    torch.save(TENSORS, path)
    toy = known(path)
    save_file({**TENSORS, "fc.weight": torch.ones(2)}, other, {"note": "mine"})
    assert offer(other) == "toy"
    assert set(load_weights(toy)) == {*TENSORS, "fc.weight"}
    save_file({**TENSORS, "b": torch.zeros(1)}, other)
    with pytest.raises(DataError, match="unknown weights"):
        offer(other)


def test_a_file_with_more_replaces_the_cached_one(own) -> None:
    path, more = own / "toy.pth", own / "more.safetensors"
    torch.save(TENSORS, path)
    toy = known(path)
    offer(path)
    assert "fc.weight" not in load_weights(toy)
    save_file({**TENSORS, "fc.weight": torch.ones(2)}, more)
    offer(more)
    load_weights(toy)
    weights._offered.clear()
    assert "fc.weight" in load_weights(toy)


def test_a_damaged_cache_is_not_believed(own) -> None:
    path = own / "toy.pth"
    torch.save(TENSORS, path)
    toy = known(path)
    offer(path)
    load_weights(toy)
    weights._offered.clear()
    save_file({**TENSORS, "b": torch.zeros(1)}, toy.cached, {"digest": toy.digest})
    with pytest.raises(DataError, match="no weights of toy"):
        load_weights(toy)


def test_without_weights_one_line_names_file_hash_and_flag(own) -> None:
    path = own / "toy.pth"
    torch.save(TENSORS, path)
    with pytest.raises(DataError) as e:
        load_weights(known(path, url="http://127.0.0.1:9/toy.pth"))
    line = str(e.value)
    assert "\n" not in line
    assert f"--weights toy.pth (SHA-256 {file_sha256(path)[:12]}...)" in line
    assert "no answer" in line


def test_weights_that_no_place_has_are_looked_for_once(own, monkeypatch) -> None:
    path, asked = own / "toy.pth", []
    torch.save(TENSORS, path)
    toy = known(path, url="http://127.0.0.1:9/toy.pth")

    def fetch(file: File, path: Path) -> None:
        asked.append(file.name)
        raise OSError("no answer")

    monkeypatch.setattr(weights, "_fetch", fetch)
    with weights.looked_for_once():
        for _ in range(3):
            with pytest.raises(DataError, match="no weights of toy"):
                load_weights(toy)
    assert asked == ["toy.pth"]
    with pytest.raises(DataError):
        load_weights(toy)
    assert len(asked) == 2  # the network may be back


@pytest.fixture
def server(own) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    (own / "www").mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(own / "www"))
    ) as s:
        thread = threading.Thread(target=s.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{s.server_port}"
        s.shutdown()
        thread.join()


def test_a_download_is_read_once_its_hash_matches(own, server) -> None:
    path = own / "www" / "toy.pth"
    torch.save(TENSORS, path)
    toy = known(path, url=f"{server}/toy.pth")
    assert load_weights(toy).keys() == TENSORS.keys()
    path.unlink()
    assert load_weights(toy).keys() == TENSORS.keys()  # from the cache now


@pytest.mark.parametrize(("change", "why"), [("other", "is another"), ("absent", "404")])
def test_a_download_that_is_wrong_is_refused(own, server, change, why) -> None:
    path = own / "www" / "toy.pth"
    torch.save(TENSORS, path)
    toy = known(path, url=f"{server}/toy.pth", read=refuse)
    if change == "other":
        path.write_bytes(b"no weights")
    else:
        path.unlink()
    with pytest.raises(DataError, match=why):
        load_weights(toy)
    assert not toy.cached.exists()


@pytest.mark.realdata
def test_the_file_of_the_test_data_is_the_released_network(own, test_data) -> None:
    from sparring.metrics.inception import WEIGHTS

    register(WEIGHTS)
    path = test_data / "fid_inception_2015_12_05_pool3_fp32.safetensors"
    assert offer(path) == "inception-2015-12-05"
    assert tensors_digest(load_weights(WEIGHTS)) == WEIGHTS.digest


def test_offline_nothing_is_fetched(tmp_path):
    """SPARRING_OFFLINE, which all tests set, leaves this machine alone."""
    file = weights.File(
        "x.pth", "0" * 64, url="https://example.invalid/x.pth", read=lambda path: {}
    )
    with pytest.raises(OSError, match="SPARRING_OFFLINE"):
        weights._fetch(file, tmp_path / "x.pth")
