"""Is one commit slower than another?

    python asv_benchmarks/check_regressions.py main WORKTREE
    python asv_benchmarks/check_regressions.py HEAD~3 HEAD --kernels adam 'rows/*' --threshold 1.1

Builds both (once: builds are kept), runs the same cases in two processes, turn by turn, and prints what became slower
or faster and by how much. WORKTREE, or a dot, stands for the files as they are now. A case is a regression if the whole
99 % interval of its ratio head / base lies above the threshold, and does so again, twice, in new processes. Exits with
0 if there is none, 1 if there is one, 2 if nothing could be measured. All cases take some five minutes, alone on the
machine. docs/performance/regressions.md has more.
"""

import argparse
import concurrent.futures
import functools
import multiprocessing
import sys

from regressions import builds, cases, decision
from selection import selected
from timing import Contender

LEAST_SECONDS = 2e-3  # of a turn
COLUMNS = "{:<24}{:>12}{:>12}{:>8}   {:<16}{}"


def seconds_of_rounds(folders, name, threads, rounds):
    """Seconds of each round in both builds, in new processes. Who begins alternates: what drifts, drifts for both."""
    pair = [Contender(cases.make, folder, name, threads) for folder in folders]
    times = [], []
    try:
        for contender in pair:
            contender.prepare(LEAST_SECONDS)
        for done in range(rounds):
            for which in (0, 1) if done % 2 == 0 else (1, 0):
                pair[which].rest()
                times[which].append(pair[which].turn())
    finally:
        for contender in pair:
            contender.close()
    return times


def case_names(folder):
    """The cases that a build has, asked in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(cases.names, folder).result()


def microseconds(seconds):
    return f"{seconds * 1e6:,.2f} us" if seconds < 1e-3 else f"{seconds * 1e6:,.0f} us"


def row(name, verdict):
    it = verdict.comparison
    interval = f"[{it.low:.2f}, {it.high:.2f}]"
    cells = name, microseconds(it.base), microseconds(it.head), f"{it.ratio:.3f}", interval, verdict.word
    return COLUMNS.format(*cells).rstrip()


def report(names, measure, threshold):
    """Print a row for each case as it comes and the changes at the end; return the exit code."""
    print(COLUMNS.format("case", "base", "head", "ratio", f"{decision.CONFIDENCE:.0%} interval", ""))
    verdicts = {}
    for name in names:
        verdicts[name] = decision.judge(functools.partial(measure, name), threshold)
        print(row(name, verdicts[name]), flush=True)
    print()
    for word in ("slower", "faster"):
        changed = {name: each.comparison for name, each in verdicts.items() if each.word == word}
        print(f"{word}: {len(changed)} of {len(names)}")
        for name, it in sorted(changed.items(), key=lambda item: item[1].ratio, reverse=word == "slower"):
            percent = it.ratio - 1 if word == "slower" else 1 - it.ratio
            print(f"  {name} takes {percent:.1%} {'more' if word == 'slower' else 'less'} time")
    return 1 if any(each.word == "slower" for each in verdicts.values()) else 0


def threshold_type(text):
    value = float(text)
    if not value >= 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}.")
    return value


def rounds_type(text):
    value, least = int(text), decision.fewest_rounds()
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}.")
    return value


def parser():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("base", help="a commit")
    it.add_argument("head", help="another, or WORKTREE")
    it.add_argument("--threshold", type=threshold_type, default=1.05, help="ratio that is tolerated (default: 1.05)")
    it.add_argument("--kernels", nargs="+", metavar="PATTERN", help="cases, or parts of their names (default: all)")
    it.add_argument("--rounds", type=rounds_type, default=21, help="per measurement (default: 21)")
    it.add_argument("--threads", type=int, help="of a step (default: each build's own)")
    return it


def main(argv=None):
    arguments = parser().parse_args(argv)
    revisions = arguments.base, arguments.head
    try:
        folders = [str(builds.installed(revision)) for revision in revisions]
        for role, revision in zip(("base", "head"), revisions, strict=True):
            print(f"{role}: {builds.describe(revision)}")
    except builds.BuildError as error:
        print(f"check_regressions: {error}", file=sys.stderr)
        return 2
    ours, theirs = map(case_names, folders)
    common = [name for name in ours if name in set(theirs)]
    for name in sorted(set(ours) ^ set(theirs)):
        print(f"{name}: only in {'base' if name in ours else 'head'}")
    names = selected(common, arguments.kernels)
    if not names:
        print(f"check_regressions: no case matches; there are {', '.join(common)}.", file=sys.stderr)
        return 2
    print()
    measure = functools.partial(seconds_of_rounds, folders, threads=arguments.threads, rounds=arguments.rounds)
    return report(names, measure, arguments.threshold)


if __name__ == "__main__":
    sys.exit(main())
