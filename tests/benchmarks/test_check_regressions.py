"""The decisions of asv_benchmarks/check_regressions.py, on times that are made up: nothing here looks at a clock."""

import itertools
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "asv_benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("asv_benchmarks is not part of this distribution", allow_module_level=True)
sys.path.append(str(BENCHMARKS))

import check_regressions  # noqa: E402
from regressions import builds, cases, decision  # noqa: E402

import fastopt  # noqa: E402

ROUNDS = 21
THRESHOLD = 1.05


class Machine:
    """A machine on which head takes `factor` times as long as base, in units of microseconds.

    `noise` is the spread of single times, `drift` moves both builds within a measurement, `bias` is what one pair of
    processes adds to head: one factor per measurement, the last one from then on.
    """

    def __init__(self, factor=1.0, noise=0.02, drift=0.0, bias=(1.0,), seed=0):
        self.factor, self.noise, self.drift, self.rng = factor, noise, drift, random.Random(seed)
        self.bias = itertools.chain(bias, itertools.repeat(bias[-1]))
        self.measurements = 0

    def __call__(self):
        self.measurements += 1
        bias, times = next(self.bias), ([], [])
        for done in range(ROUNDS):
            speed = 1e-6 * (1 + self.drift * done)
            for build, factor in zip(times, (1.0, self.factor * bias), strict=True):
                build.append(speed * factor * self.rng.lognormvariate(0, self.noise))
        return times


def test_unchanged_pairs_are_left_alone():
    for seed in range(500):
        machine = Machine(noise=0.1, seed=seed)
        assert decision.judge(machine, THRESHOLD).word in ("", "not confirmed")


def test_slower_is_found_and_confirmed():
    for seed in range(100):
        machine = Machine(factor=1.15, noise=0.03, seed=seed)
        verdict = decision.judge(machine, THRESHOLD)
        assert verdict.word == "slower"
        assert machine.measurements == 1 + decision.CONFIRMATIONS
        assert 1.1 < verdict.comparison.ratio < 1.2


def test_faster_is_found_and_confirmed():
    machine = Machine(factor=0.8)
    verdict = decision.judge(machine, THRESHOLD)
    assert verdict.word == "faster"
    assert machine.measurements == 1 + decision.CONFIRMATIONS
    assert 0.78 < verdict.comparison.ratio < 0.82


def test_within_the_threshold_is_no_regression():
    machine = Machine(factor=1.04, noise=0.001)
    verdict = decision.judge(machine, THRESHOLD)
    assert verdict.word == "" and machine.measurements == 1
    assert verdict.comparison.low > 1  # certainly slower, but tolerated
    assert decision.judge(Machine(factor=1.04, noise=0.001), 1.02).word == "slower"


def test_too_noisy_to_say():
    """The estimate is beyond the threshold, the interval is not."""
    verdict = decision.judge(Machine(factor=1.2, noise=0.6), THRESHOLD)
    assert verdict.comparison.ratio > THRESHOLD > verdict.comparison.low
    assert verdict.word == ""


@pytest.mark.parametrize("bias", [(1.3, 1.0), (1.3, 1.3, 1.0)], ids=str)
def test_an_unlucky_process_is_not_confirmed(bias):
    """All rounds of a pair agree, but other processes do not."""
    machine = Machine(bias=bias)
    assert decision.judge(machine, THRESHOLD).word == "not confirmed"
    assert machine.measurements == len(bias)


def test_drift_does_not_matter():
    """The machine becomes three times as slow in the course of the rounds, for both builds."""
    assert decision.judge(Machine(drift=0.1, noise=0.01), THRESHOLD).word == ""
    assert decision.judge(Machine(drift=0.1, noise=0.01, factor=1.1), THRESHOLD).word == "slower"


def test_outliers_do_not_matter():
    base = [1.0] * ROUNDS
    head = [1.0] * (ROUNDS - 4) + [50.0] * 4
    comparison = decision.compare(base, head)
    assert comparison == (1.0, 1.0, 1.0, 1.0, 1.0)


def test_the_mildest_measurement_is_reported():
    machine = Machine(factor=1.2, noise=1e-4, bias=(1.2, 1.0, 1.1))
    assert decision.judge(machine, THRESHOLD).comparison.ratio == pytest.approx(1.2, rel=1e-3)


def test_order_statistics():
    """For 8 rounds the smallest and the largest; for 21, tables of the sign test say the 5th and the 17th."""
    assert decision.fewest_rounds(0.99) == 8 and decision.outside(8, 0.99) == 0
    assert decision.outside(21, 0.99) == 4
    assert decision.outside(21, 0.95) == 5
    with pytest.raises(ValueError, match="`rounds` must be at least 8 for 99%, got 7"):
        decision.outside(7, 0.99)


def test_intervals_cover_the_median():
    rng = random.Random(1)
    covered = 0
    for _ in range(2000):
        it = decision.compare([1.0] * ROUNDS, [rng.lognormvariate(0, 0.5) for _ in range(ROUNDS)])
        covered += it.low <= 1.0 <= it.high
    assert covered / 2000 > 0.985


def measured(machines):
    return lambda name: machines[name]()


def test_report_and_exit_codes(capsys):
    machines = {
        "dense/adam/100": Machine(factor=1.5, noise=1e-6),
        "rows/adam": Machine(),
        "csr/adagrad": Machine(factor=0.5, noise=1e-6),
    }
    assert check_regressions.report(list(machines), measured(machines), THRESHOLD) == 1
    out = capsys.readouterr().out
    head, *rows = out.splitlines()[:4]
    assert head.split()[:4] == ["case", "base", "head", "ratio"]
    assert [line.split()[0] for line in rows] == list(machines)
    assert rows[0].endswith("slower") and rows[1].endswith("]") and rows[2].endswith("faster")
    assert "slower: 1 of 3\n  dense/adam/100 takes 50.0% more time\n" in out
    assert "faster: 1 of 3\n  csr/adagrad takes 50.0% less time\n" in out
    del machines["dense/adam/100"]
    assert check_regressions.report(list(machines), measured(machines), THRESHOLD) == 0


def test_selection_of_cases():
    names = ["dense/adam/100", "dense/adam/1000000", "dense/adamw/100", "rows/adam"]
    assert check_regressions.selected(names, None) == names
    assert check_regressions.selected(names, ["adam"]) == [names[0], names[1], names[3]]
    assert check_regressions.selected(names, ["rows/*", "dense/adamw/*"]) == names[2:]
    assert check_regressions.selected(names, ["100"]) == [names[0], names[2]]
    assert check_regressions.selected(names, ["lion"]) == []


def test_cases_cover_the_registry_and_run():
    available = cases.available(fastopt)
    for name in fastopt.OPTIMIZERS:
        assert {f"dense/{name}/{n}" for n in cases.SIZES} <= available.keys()
    assert {name for name, _, _ in cases.OTHERS} <= available.keys()
    for name in ("dense/adam/100", "csr/adagrad", "minimize/overhead", "epoch/saga/csr", "gradient/dense"):
        available[name](1)()


def test_cases_that_a_build_lacks_are_left_out():
    class Old:
        OPTIMIZERS = {"sgd": fastopt.SGD}  # noqa: RUF012
        RowSparse = fastopt.RowSparse

    names = set(cases.available(Old))
    assert {"dense/sgd/100", "rows/adam", "coalesce/adagrad"} <= names
    assert not {name for name in names if name.startswith(("minimize", "epoch", "gradient", "csr", "dense/adam"))}


def test_another_fastopt_than_the_one_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ImportError, match="instead of"):
        cases.use(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["HEAD"], "the following arguments are required: head"),
        (["HEAD", "HEAD", "--threshold", "0.9"], "argument --threshold: must be at least 1, got 0.9."),
        (["HEAD", "HEAD", "--rounds", "7"], "argument --rounds: must be at least 8, got 7."),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        check_regressions.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@needs_git
def test_unknown_commit(capsys):
    assert check_regressions.main(["no-such-commit", "WORKTREE"]) == 2
    assert capsys.readouterr().err.startswith("check_regressions: ")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit, and a change that is not committed; git's settings are not the user's."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:  # as inside of a hook
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    folder = tmp_path / "repository"
    (folder / "csrc").mkdir(parents=True)
    monkeypatch.setattr(builds, "REPOSITORY", folder)
    for name, text in (("csrc/rule.c", "old"), ("README.md", "read"), (".gitignore", "*.so\n")):
        (folder / name).write_text(text)
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "First"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    (folder / "csrc/rule.c").write_text("new")
    (folder / "csrc/added.c").write_text("untracked")
    (folder / "core.so").write_text("ignored")
    (folder / "README.md").unlink()
    return folder


def exported(revision, folder):
    folder.mkdir()
    builds.export(revision, folder)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@needs_git
def test_what_is_built(repository, tmp_path):
    common = {".gitignore": "*.so\n"}
    assert exported("HEAD", tmp_path / "a") == common | {"csrc/rule.c": "old", "README.md": "read"}
    assert exported("WORKTREE", tmp_path / "b") == common | {"csrc/rule.c": "new", "csrc/added.c": "untracked"}
    assert builds.describe("HEAD").endswith(" First")
    with pytest.raises(builds.BuildError):
        builds.export("missing", tmp_path)


@needs_git
def test_builds_are_shared_if_only_documents_differ(repository, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    builds.export("HEAD", tmp_path / "a")
    before = builds.digest(tmp_path / "a")
    (tmp_path / "a/README.md").write_text("other")
    assert builds.digest(tmp_path / "a") == before
    monkeypatch.setenv("CFLAGS", "-O1")
    assert builds.digest(tmp_path / "a") != before
    monkeypatch.delenv("CFLAGS")
    (tmp_path / "a/csrc/rule.c").write_text("other")
    assert builds.digest(tmp_path / "a") != before


@needs_git
def test_a_kept_build_is_used_again(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "source"
    exported("HEAD", source)
    folder = tmp_path / "cache/fastopt-regressions" / builds.digest(source)
    folder.mkdir(parents=True)
    assert builds.installed("HEAD") == folder


@needs_git
def test_what_does_not_build(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    with pytest.raises(builds.BuildError, match="HEAD does not build"):
        builds.installed("HEAD")
    assert not (tmp_path / "cache").exists()
