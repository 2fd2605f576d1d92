#!/usr/bin/env python3
"""Every client against a real standpipe, in every scenario: `./go interop`."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import clients as registry
from frames import shared_data
from install import Broken, Unavailable
from scenarios import SCENARIOS
from world import World


def say(text):
    print(text, flush=True)


async def install_families(build, families):
    """family -> command of those that can be run, and family -> Unavailable or Broken of others."""
    commands, problems = {}, {}

    async def install(family):
        try:
            commands[family] = await registry.INSTALLERS[family](build)
        except (Broken, Unavailable) as error:
            problems[family] = error
            say(f"  {error}")

    await asyncio.gather(*(install(family) for family in families))
    return commands, problems


def scratch():
    """Memory where there is enough: none of this is about the disk below."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


async def play(scenario, binary, clients, keep):
    with tempfile.TemporaryDirectory(prefix="interop-", dir=scratch()) as directory:
        directory = Path(directory)
        async with World(binary, directory, clients) as world:
            try:
                await SCENARIOS[scenario](world)
            except Exception as error:  # of the scenario itself: nobody has passed it
                for run in world.runs:
                    world.fail(run, f"{type(error).__name__}: {error}")
        if keep and not all(ok for ok, _ in world.verdicts.values()):
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(directory, keep, ignore=shutil.ignore_patterns("data", "*.sock"))
            say(f"  what the clients and standpipe wrote: {keep}")
    return world.verdicts


def print_table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for client, version, scenario, verdict in rows:
        say(f"{client:{widths[0]}}  {version:{widths[1]}}  {scenario:{widths[2]}}  {verdict}")


async def main(options):
    started = time.monotonic()
    build = options.build.resolve()
    build.mkdir(parents=True, exist_ok=True)
    clients = [client for client in registry.all_clients() if options.client in client.name]
    if not clients or not any(options.scenario in scenario for scenario in SCENARIOS):
        say(f"clients: {', '.join(client.name for client in registry.all_clients())}\n"
            f"scenarios: {'; '.join(SCENARIOS)}\n"
            "none of them has that in its name")
        return 2
    if not shared_data().is_dir():
        say(f"there are no recorded frames in {shared_data()}: set STANDPIPE_SHARED")
        say(f"0 passed, 0 failed, {len(clients)} skipped")
        return 1 if os.environ.get("CI") == "true" else 0
    say("installing the clients")
    commands, problems = await install_families(build, sorted({c.family for c in clients}))
    for client in clients:
        if client.family in commands:
            client.command = commands[client.family] + registry.program_path(build, client)
    able = [client for client in clients if client.command]

    verdicts = {}
    for scenario in SCENARIOS if able else ():
        if options.scenario not in scenario:
            continue
        players = [c for c in able if c.verifies or "verified" not in scenario]
        before = time.monotonic()
        result = await play(scenario, options.standpipe.resolve(), players,
                            keep=build / "failed" / scenario)
        verdicts[scenario] = result
        failed = sum(not ok for ok, _ in result.values())
        say(f"  {scenario}: {len(result) - failed} passed, {failed} failed, "
            f"{time.monotonic() - before:.1f} s")

    rows, passed, failed, skipped = [], 0, 0, 0
    for client in clients:
        if not client.command:
            problem = problems[client.family]
            is_broken = isinstance(problem, Broken)
            failed, skipped = failed + is_broken, skipped + (not is_broken)
            rows.append((client.name, client.version, "all of them",
                         f"{'FAILED ' if is_broken else 'not run'}  {problem}"))
        for scenario, result in verdicts.items():
            if client.name not in result:
                continue
            ok, text = result[client.name]
            note = client.notes.get(scenario)
            passed, failed = passed + ok, failed + (not ok)
            rows.append((client.name, client.version, scenario,
                         ("ok      " if ok else "FAILED  ") + text + (f"; {note}" if note else "")))
    rows += [(name, version, "all of them", f"not run  {why}")
             for name, version, why in registry.UNTESTED if options.client in name]
    say("")
    print_table([("client", "version", "scenario", "verdict"), *rows])
    say(f"\n{time.monotonic() - started:.0f} s")
    say(f"{passed} passed, {failed} failed, {skipped} skipped")
    if skipped and os.environ.get("CI") == "true":
        say("with CI=true every client must run")
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--standpipe", type=Path, required=True, help="the binary")
    parser.add_argument("--build", type=Path, default=Path("build/interop"),
                        help="where clients are installed (default build/interop)")
    parser.add_argument("--client", default="", help="only those with this in their name")
    parser.add_argument("--scenario", default="", help="only those with this in their name")
    sys.exit(asyncio.run(main(parser.parse_args())))
