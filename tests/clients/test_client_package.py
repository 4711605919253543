"""The package that a service installs: flags without the control plane."""

import json
import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from control_plane.experiments.credits import FLAG
from tests.clients.conftest import CatchUp
from tests.installation import Installation

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
NEEDED = ("requests", "UnleashClient")
PROGRAM = """
import json, sys
from pathlib import Path

from flags import client

flags = client.connect(sys.argv[1], sys.argv[2], cache_dir=Path(sys.argv[3]), results_token="-")
seen = {"enabled": flags.is_enabled(sys.argv[4], "7"), "price": flags.compare(
    sys.argv[4], control=lambda: "control", candidate=lambda: "candidate", key="7")}
flags.close()
seen["ours"] = sorted(name for name in sys.modules if name.partition(".")[0] in ("flags", "control_plane", "alerts"))
seen["heavy"] = sorted({"flask", "sqlalchemy", "pydantic", "structlog"} & set(sys.modules))
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from what a checkout holds."""
    folder = tmp_path_factory.mktemp("client")
    for name in ("flags", "control_plane", "deploy/client"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*build, folder, folder / "source/deploy/client"], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def service(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the package and what that says it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("service") / "venv"
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in _closure(NEEDED):
        for file in distribution(name).files or ():
            target = packages / file.parts[0]
            if file.parts[0] != ".." and not target.exists():
                target.symlink_to(Path(str(distribution(name).locate_file(file.parts[0]))))
    ZipFile(wheel).extractall(packages)
    return folder / "bin/python"


def test_its_metadata_names_what_it_needs(wheel: Path) -> None:
    lines = ZipFile(wheel).read("rollout_client-0.1.0.dist-info/METADATA").decode().splitlines()
    needed = [Requirement(line.split(": ")[1]) for line in lines if line.startswith("Requires-Dist: ")]
    assert sorted(each.name for each in needed if each.marker is None) == sorted(NEEDED)


def test_a_service_evaluates_and_compares_without_the_control_plane(
    service: Path, url: str, installation: Installation, catch_up: CatchUp, tmp_path: Path
) -> None:
    installation.watch()  # the server's guard has perhaps not looked yet, and nobody is exposed unwatched
    installation.move(3, 3)
    catch_up()
    token = installation.token("client")
    ran = subprocess.run(
        [service, "-I", "-c", PROGRAM, url, token, tmp_path / "cache", FLAG],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert (seen["enabled"], seen["price"], seen["heavy"]) == (True, "candidate", [])
    assert [name for name in seen["ours"] if not name.startswith("flags.client")] == [
        "control_plane",
        "control_plane.cohort_names",
        "control_plane.experiments",
        "control_plane.experiments.observation",
        "flags",
    ]


def _closure(names: tuple[str, ...]) -> set[str]:
    """Return every distribution that these need, with themselves."""
    found, rest = set[str](), list(names)
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            needed = map(Requirement, distribution(name).requires or ())
            rest += [each.name for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found
