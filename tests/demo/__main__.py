"""`make demo`: a company's week on this machine; no account, no key, nothing leaves it."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import requests

from tests.demo import servers, stages
from tests.demo.company import PEOPLE, Week
from tests.demo.program import Failed, Program, free_port
from tests.demo.screen import ROOT, Screen


def main() -> int:
    """Run the demo; 0 when every shown number is what the week's definition says."""
    chosen = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    screen = Screen()
    try:
        _run(screen, chosen.folder.absolute(), svg=chosen.svg, once=chosen.once)
    except KeyboardInterrupt:
        screen.say("Stopped.")
        return 130
    except (Failed, requests.RequestException) as error:
        screen.say(f"The demo failed: {error}", style="bold red")
        return 1
    return 1 if screen.wrong else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the last stage, for scripts")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".demo", help="where its files go; what lies there is removed"
    )
    parser.add_argument("--svg", type=Path, help="write the essential output as a picture to this file")
    return parser.parse_args()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _run(screen: Screen, folder: Path, *, svg: Path | None, once: bool) -> None:
    start = time.monotonic()
    _empty(folder)
    screen.say(
        "A week at Forno Bom, makers of bakery ovens, on this machine: no account, no key.", style="bold"
    )
    screen.say("HubSpot and Meta are stand-ins on 127.0.0.1, the mailbox is a real IMAP server.")
    screen.note(
        "What begins with # the demo did or counted itself; all else is what the commands say.",
        essential=True,
    )
    week = Week.before(datetime.now(UTC))
    with servers.vendors(week) as running:
        demo = stages.Demo(
            vendors=running,
            program=Program(folder=folder),
            screen=screen,
            url=f"http://127.0.0.1:{free_port()}",
            tokens=servers.secrets(running),
        )
        for stage in (
            stages.connect,
            stages.collect,
            stages.see,
            stages.preview,
            stages.write,
            stages.again,
            stages.journey,
        ):
            stage(demo)
        seconds = time.monotonic() - start
        screen.say(essential=True)
        if screen.wrong:
            screen.say(f"{len(screen.wrong)} of {screen.checked} checks failed.", style="bold red")
        else:
            screen.say(
                f"All {screen.checked} checks against the week's own definition hold.",
                style="bold",
                essential=True,
            )
        screen.say(f"Took {seconds:.0f} s.")
        if svg is not None:
            screen.draw(svg)
        if not once:
            _stay(demo)


def _empty(folder: Path) -> None:
    """Make the folder anew; one that is not the demo's is left alone."""
    mark = folder / "made-by-crmbridge-demo"
    if folder.exists() and any(folder.iterdir()):
        if not mark.exists():
            raise Failed(f"{folder} holds other files; name an empty folder with --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()


def _stay(demo: stages.Demo) -> None:
    """Run the daemon and the vendors' pages until Ctrl-C."""
    screen, hubspot = demo.screen, demo.vendors.hubspot
    try:
        with demo.program.daemon(demo.url):
            screen.say()
            screen.say("Look around; crmbridge runs again:")
            ana = demo.vendors.contact_ids[PEOPLE["ana"].name]
            command = shlex.quote(str(Path(sys.executable).with_name("crmbridge")).replace(f"{ROOT}/", ""))
            config = shlex.quote(str(demo.program.folder / "config.yaml").replace(f"{ROOT}/", ""))
            screen.told(
                f"Ana's contact, with her whole history   {hubspot.url}/contacts/{ana}\n"
                f"all contacts of the stand-in            {hubspot.url}/\n"
                f"health                                  {demo.url}/readyz\n"
                f"metrics                                 {demo.url}/metrics\n"
                f"commands, in another terminal           {command} waiting --config {config}"
            )
            screen.say("Stop with Ctrl-C.")
            signal.pause()
    except KeyboardInterrupt:
        screen.say("Stopped; nothing is left running.")


sys.exit(main())
