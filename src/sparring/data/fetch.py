"""Files that are fetched once, and only whole: into the cache, and verified by their hash."""

from __future__ import annotations

from pathlib import Path

from sparring.errors import DataError
from sparring.storage import cache_folder, disk_errors

_WAIT = 30  # seconds without an answer


def fetch(url: str, known_hash: str, instead: str) -> Path:
    """The file of `url` in the cache, fetched if it is not there; known_hash: "md5:..." of it.

    instead: how a user gives a file of their own. Raises DataError where the network does not
    answer or sends something else, DiskError where the cache cannot be written.
    """
    import pooch
    from requests import RequestException

    name, folder = url.rpartition("/")[2].partition("?")[0], cache_folder() / "downloads"
    fix = f"set SPARRING_CACHE to another folder, or give the file: {instead}"
    pooch.get_logger().setLevel("WARNING")
    with disk_errors(name, folder, fix=fix):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return Path(
                pooch.retrieve(
                    url,
                    known_hash,
                    # By its hash, so that files of one name do not replace each other.
                    fname=f"{known_hash[-8:]}-{name}",
                    path=folder,
                    downloader=pooch.HTTPDownloader(timeout=_WAIT),  # pyright: ignore
                )
            )
        except RequestException as e:
            why = _said(e)
        except ValueError as e:
            if "hash" not in str(e):
                raise
            why = "what came is not that file: its hash is another one"
    raise DataError(f"cannot fetch {name}", where=url, why=why, fix=f"give the file: {instead}")


def _said(error: Exception) -> str:
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"the server answers {answer.status_code} {answer.reason}"
    text = str(error)
    if "IncompleteRead" in text:
        return "it was cut off on the way"
    return "no answer" if "Max retries" in text or "timed out" in text else text
