"""What Ranvier is compared with: benchmarks/peers.txt, and a virtual environment that holds it.

The environment is build/peers, so that .venv and the tests stay as they are. Nothing is downloaded
before the question has been answered. PEERS="numpy jax" in the environment takes only these,
PEERS="torch==2.12.0" another version; YES=1 answers the question.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from common import BASE_PYTHON, BUILD, ROOT, VENV_PYTHON, SetupError, output_of, say
from install import alone
from steps import Step

LIST = ROOT / "benchmarks" / "peers.txt"
FOLDER = BUILD / "peers"
PYTHON = FOLDER / "bin" / "python"
UNFINISHED = FOLDER / ".unfinished"
PYTORCH = """PyTorch comes from where your pip is set to look (python3 -m pip config list). On Linux
pip's default is a build with CUDA, several gigabytes; where pip is set to an index of CPU
builds, it is some 200 MB."""


class Part(NamedTuple):
    """A line of the list: a package that one or more peers need."""

    name: str
    version: str
    peers: tuple[str, ...]
    words: str

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


def read_list(text: str) -> list[Part]:
    """Lines of the form `name==version  # peer, peer: what it is`."""
    parts = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([\w.-]+)==(\S+)\s+# ([\w, ]+): (.*)", line)
        if not match:
            raise SetupError(f"{LIST.name}: expected `name==version  # peer: words`, got {line!r}")
        peers = tuple(match[3].replace(",", " ").split())
        parts.append(Part(match[1], match[2], peers, match[4]))
    return parts


def choose(parts: list[Part], wanted: str) -> tuple[list[Part], list[str]]:
    """What PEERS names, all where it names nothing: the packages, and the peers in order."""
    known = ["numpy", *dict.fromkeys(peer for part in parts for peer in part.peers)]
    versions = {}
    for word in wanted.replace(",", " ").split():
        name, _, version = word.partition("==")
        peer = {"scikit-learn": "sklearn"}.get(name, name)
        if peer not in known:
            raise SetupError(f"PEERS: expected some of {' '.join(known)}, got {word!r}")
        versions[peer] = version
    labels = [peer for peer in known if not versions or peer in versions]
    chosen = []
    for part in parts:
        if not set(part.peers) & set(labels):
            continue
        # A version belongs to the package that its peer is named after.
        own = versions.get(part.peers[0], "") if part.peers[0] in (part.name, "sklearn") else ""
        chosen.append(part._replace(version=own or part.version))
    return chosen, labels


def installed(python: Path) -> dict[str, str]:
    """Packages of a Python with their versions, the "+cpu" of a build left out."""
    code = (
        "import importlib.metadata as m\n"
        "for d in m.distributions(): print(d.metadata['Name'].lower(), d.version.split('+')[0])"
    )
    lines = (output_of([str(python), "-c", code]) or "").splitlines()
    return dict(line.split(" ", 1) for line in lines if line.count(" ") == 1)


def is_there(part: Part, packages: Mapping[str, str]) -> bool:
    return packages.get(part.name.lower()) == part.version.split("+")[0]


def agreed(missing: list[Part], environment: Mapping[str, str]) -> bool:
    """Names what would be downloaded, and asks."""
    say("`make bench-peers` compares with packages that are not in build/peers yet:")
    for part in missing:
        say(f"  {part.requirement:22} {part.words}")
    if any(part.name == "torch" for part in missing):
        say(PYTORCH)
    if environment.get("YES", "0") not in ("", "0"):
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("There is no terminal to ask at, so nothing is downloaded; YES=1 would download them.")
        return False
    try:
        answer = input("Download them with pip into build/peers? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


def install(parts: list[Part], numpy: str) -> None:
    """Each by itself: what cannot be had keeps nobody from the others."""
    step = Step("making build/peers", "peers.log", "bench-peers")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if UNFINISHED.exists() or version not in (output_of([str(PYTHON), "--version"]) or ""):
        step.run(["rm", "-rf", str(FOLDER)], "removing an older one")
        FOLDER.mkdir(parents=True)
        UNFINISHED.touch()
        step.run([BASE_PYTHON, "-m", "venv", str(FOLDER)], "making it")
        UNFINISHED.unlink()
    step.finish()
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    pip += ["-v", "--progress-bar", "off"]
    for requirement in [f"numpy=={numpy}", *(part.requirement for part in parts)]:
        try:
            name = requirement.partition("==")[0]
            step = Step(f"installing {requirement}", f"peers-{name}.log", "bench-peers")
            step.run([*pip, requirement], "starting pip")
            step.finish()
        except SetupError as failure:
            say(f"{failure}\nWithout {shlex.quote(requirement)} it goes on.")


def prepare_peers(environment: Mapping[str, str]) -> tuple[Path, list[str]]:
    """The Python that has the peers, and which of those that are wanted it has."""
    text = LIST.read_text(encoding="utf-8")
    parts, labels = choose(read_list(text), environment.get("PEERS", ""))
    with alone():
        packages = installed(PYTHON)
        missing = [part for part in parts if not is_there(part, packages)]
        if missing and agreed(missing, environment):
            install(missing, installed(VENV_PYTHON)["numpy"])
            packages = installed(PYTHON)
    here = [
        peer
        for peer in labels
        if peer == "numpy" or all(p.name.lower() in packages for p in parts if peer in p.peers)
    ]
    absent = [peer for peer in labels if peer not in here]
    say(
        f"comparing with {', '.join(here) or 'nobody'}"
        + (f"; without {', '.join(absent)}" if absent else "")
    )
    return (PYTHON if "numpy" in packages else VENV_PYTHON), here
