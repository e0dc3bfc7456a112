#!/usr/bin/env python3
"""Holds the cache of `flux2 pull` to huggingface_hub itself, in both directions.

    cmake --build build --target flux2 serve_folder
    VENV/bin/python tests/hub/check_huggingface_hub.py build [--diffusers]

Needs huggingface_hub from PyPI; --diffusers also loads the pulled model with Diffusers. What
flux2 pulled has to be found by snapshot_download(local_files_only=True), file by file and byte by
byte, and what snapshot_download fetched by `flux2 pull` offline.
"""

import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/goldens/data/checkpoints/tiny-klein-base"


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def same_files(folder):
    names = files_below(MODEL)
    assert files_below(folder) == names, (files_below(folder), names)
    for name in names:
        assert filecmp.cmp(folder / name, MODEL / name, shallow=False), name


def layout(repo):
    """Every path below a repository's folder, with what the links point to."""
    entries = {}
    for path in sorted(repo.rglob("*")):
        name = str(path.relative_to(repo))
        if path.is_symlink():
            entries[name] = os.readlink(path)
        elif path.is_file() and not name.startswith("trees/"):
            entries[name] = path.read_bytes()
    return entries


def main():
    build = Path(sys.argv[1]).resolve()
    server = subprocess.Popen([build / "tests/hub/serve_folder", MODEL], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    os.environ["HF_ENDPOINT"] = server.stdout.readline().strip()
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    import huggingface_hub
    from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache

    with tempfile.TemporaryDirectory() as temporary:
        ours, theirs = Path(temporary, "ours"), Path(temporary, "theirs")
        flux2 = [build / "bin/flux2", "pull", "org/model", "--quiet", "--cache-dir"]

        subprocess.run([*flux2, ours], check=True, stdout=subprocess.DEVNULL)
        found = Path(snapshot_download("org/model", cache_dir=ours, local_files_only=True))
        same_files(found)
        config = try_to_load_from_cache("org/model", "vae/config.json", cache_dir=ours)
        assert config == str(found / "vae/config.json"), config
        report = scan_cache_dir(ours)
        assert not report.warnings and [repo.repo_id for repo in report.repos] == ["org/model"]
        print("found by huggingface_hub", huggingface_hub.__version__, "what flux2 pulled")

        snapshot_download("org/model", cache_dir=theirs)
        assert layout(ours / "models--org--model") == layout(theirs / "models--org--model")
        print("both left the same blobs, refs and links")

        before = layout(theirs)
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:1"}
        run = subprocess.run([*flux2, theirs], check=True, env=offline, capture_output=True,
                             text=True)
        same_files(Path(run.stdout.strip()))
        assert layout(theirs) == before
        print("found by flux2, offline, what huggingface_hub downloaded")

        # And through the network again: nothing is transferred twice, whoever came first.
        snapshot_download("org/model", cache_dir=ours)
        subprocess.run([*flux2, theirs], check=True, stdout=subprocess.DEVNULL)
        assert layout(ours / "models--org--model") == layout(theirs / "models--org--model")
        print("neither changes what the other left")

        waiting = Path(temporary, "waiting")
        blob = (ours / "models--org--model/blobs" / os.path.basename(os.readlink(
            found / "vae/config.json"))).name
        lock = waiting / ".locks/models--org--model" / (blob + ".lock")
        lock.parent.mkdir(parents=True)
        with huggingface_hub.utils.WeakFileLock(lock):
            pull = subprocess.Popen([*flux2, waiting], stdout=subprocess.DEVNULL)
            try:
                pull.wait(0.5)
                raise AssertionError("flux2 did not wait for the lock")
            except subprocess.TimeoutExpired:
                pass
        assert pull.wait(60) == 0
        print("flux2 waits for huggingface_hub's locks")

        if "--diffusers" in sys.argv:
            import diffusers
            pipe = diffusers.DiffusionPipeline.from_pretrained("org/model", cache_dir=ours,
                                                               local_files_only=True)
            print("loaded by Diffusers", diffusers.__version__, type(pipe).__name__)
    requests = server.communicate()[0]
    small = "GET /org/model/resolve/" + "0123456789abcdef0123456789abcdef01234567/vae/config.json"
    assert requests.count(small) == 3, requests


if __name__ == "__main__":
    main()
