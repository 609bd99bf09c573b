"""Bundles on disk: one tar with the manifest first, written whole or not at all, and read back as tar or folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tenon.errors import TenonError

MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_MANIFEST_LIMIT = 8 << 20


@dataclass(frozen=True)
class Bundle:
    """A written bundle: its file, the model's name, and the digest of its manifest (`sha256:…`)."""

    path: Path
    name: str
    digest: str


def write(path: Path, head: Mapping[str, Any], folder: Path) -> Bundle:
    """Writes every file under `folder` as one tar at `path`, beside a manifest that begins with `head`.

    The tar is complete before it gets its name. Headers carry no user, time or machine.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    described = {
        p.relative_to(folder).as_posix(): {"size": p.stat().st_size, "sha256": _sha256(p)} for p in files
    }
    manifest = (
        json.dumps({**head, "files": described}, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    ).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as out:
        try:
            _write_tar(out, manifest, folder, list(described))
            out.flush()
            os.fsync(out.fileno())
            os.chmod(out.name, 0o644)
            os.replace(out.name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(out.name)
            raise
    return Bundle(path, str(head.get("name", "")), digest_of(manifest))


def digest_of(manifest: bytes) -> str:
    """A bundle's digest is that of its manifest's bytes."""
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def path_of(bundle: Any) -> Path:
    """Where a bundle lies: what `export` returned, or a path; TenonError for anything else."""
    if isinstance(bundle, Bundle):
        return bundle.path
    if not isinstance(bundle, str | os.PathLike):
        raise TenonError(
            f"{type(bundle).__name__} is no bundle: pass what tenon.export returned, or its path"
        )
    return Path(bundle)


def open_bundle(path: Path) -> Bundle:
    """What a bundle on disk (tar or folder) says it is; the files behind the manifest are for the server to check."""
    if path.is_dir():
        where = path / MANIFEST
        if not where.is_file():
            raise TenonError(f"{path} has no {MANIFEST}, so it is not a bundle: write one with tenon.export")
        manifest = where.read_bytes()
    elif path.is_file():
        manifest = _manifest_of_tar(path)
    else:
        looked = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise TenonError(
            f"{path} does not exist{looked}: pass a bundle's path; tenon.export writes NAME.tenon and returns it"
        )
    try:
        head = json.loads(manifest)
        name = str(head.get("name", ""))
    except (ValueError, AttributeError) as e:
        raise TenonError(f"the manifest of {path} is not a JSON object: export the bundle again") from e
    return Bundle(path, name, digest_of(manifest))


@contextlib.contextmanager
def as_tar(path: Path) -> Iterator[Path]:
    """The bundle as a tar file; a folder is packed into a temporary one."""
    if not path.is_dir():
        yield path
        return
    manifest = (path / MANIFEST).read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        packed = Path(temporary) / "bundle.tar"
        with packed.open("wb") as out:
            _write_tar(out, manifest, path, sorted(json.loads(manifest)["files"]))
        yield packed


def extract(path: Path, folder: Path) -> dict[str, Any]:
    """Writes the files that a bundle's manifest lists into a folder; the manifest, and its digest as `digest`.

    TenonError for a file that is absent or of another digest.
    """
    bundle = open_bundle(path)
    with as_tar(path) as packed, tarfile.open(packed, mode="r:") as tar:
        members = {m.name.removeprefix("./"): m for m in tar if m.isreg()}
        head: dict[str, Any] = json.loads(_content(tar, members, MANIFEST))
        for name, described in head["files"].items():
            content = _content(tar, members, name)
            if hashlib.sha256(content).hexdigest() != described["sha256"]:
                raise TenonError(f"{name} in {path} is not what the manifest says: export the bundle again")
            target = folder / name
            if folder.resolve() not in target.resolve().parents:
                raise TenonError(f"{path} names the file {name!r}, which leads out of the bundle")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return {**head, "digest": bundle.digest}


def _content(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> bytes:
    content = tar.extractfile(members[name]) if name in members else None
    if content is None:
        raise TenonError(f"the bundle lacks the file {name} that its manifest lists: export it again")
    return content.read()


def _write_tar(out: BinaryIO | Any, manifest: bytes, folder: Path, names: list[str]) -> None:
    with (
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar,
        tempfile.TemporaryFile() as head,
    ):
        head.write(manifest)
        head.seek(0)
        tar.addfile(_header(MANIFEST, len(manifest)), head)
        for name in names:
            with (folder / name).open("rb") as content:
                tar.addfile(_header(name, (folder / name).stat().st_size), content)


def _header(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o644, 0
    return info


def _manifest_of_tar(path: Path) -> bytes:
    try:
        with tarfile.open(path, mode="r:") as tar:
            for member in tar:
                if member.name.removeprefix("./") == MANIFEST and member.isreg():
                    if member.size > _MANIFEST_LIMIT:
                        break
                    content = tar.extractfile(member)
                    assert content is not None
                    return content.read()
    except (tarfile.TarError, EOFError) as e:
        raise TenonError(
            f"{path} is not a bundle (no tar that can be read): write one with tenon.export"
        ) from e
    raise TenonError(f"{path} has no {MANIFEST}, so it is not a bundle: write one with tenon.export")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
