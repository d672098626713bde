"""The section on what scores have seen."""

from __future__ import annotations

from pathlib import Path

import torch

from sparring.metrics.picture import picture
from sparring.report.evidence import evidence
from sparring.report.material import Material
from sparring.runs import Run


def rows(tmp_path: Path, **detail: object) -> str:
    run = Run(tmp_path)
    run.add("scores", {"images": 1, "metric": "copied", "value": 0.5, "detail": detail})
    return evidence(Material(run))


def test_pictures_and_tables_are_shown(tmp_path: Path) -> None:
    image = torch.zeros(3, 8, 10, dtype=torch.uint8)
    shown = picture([[image, None, None]], ("sample", "real", "real"), "A caption <b>")
    clusters = [{"cluster": "cluster 3: bag (90%)", "data": 0.1, "samples": 0.0, "z": -9.0}]
    clusters[0]["missed"] = True
    html = rows(tmp_path, picture=shown, table=clusters)
    assert f'src="{shown["image"]}"' in html
    assert 'width="84"' in html
    assert "A caption &lt;b&gt; Columns: sample, real (several)." in html
    assert "<td>10.0%</td><td>0.0%</td><td>-9.0</td><td>missed</td>" in html


def test_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    assert rows(tmp_path) == ""
    assert rows(tmp_path, picture={"image": 'x" onerror="alert(1)'}, table=[]) == ""
    assert rows(tmp_path, picture={"image": "https://example.org/x.png"}, table="x") == ""
