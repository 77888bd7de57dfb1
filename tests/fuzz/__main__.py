"""A hostile caller: random sequences of calls, in which anything that Python code can do is done at any moment.

    python tests/fuzz --seconds 60 --seed 1
    python tests/fuzz --kind schedules
    python tests/fuzz --replay SEED

Everything follows from the seeds: `--replay` repeats one sequence and shows its transcript. A finding is a process that
crashes, hangs or ends; a report of a sanitizer; a refused call that has changed something; a result with other bits; a
forged file that is accepted. Exceptions that say nothing to a user, as SystemError, count with `--strict` only.
"""

import argparse
import collections
import sys

import runner
from kinds import KINDS, kind_of


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the first sequence; the others follow")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only sequences of this kind")
    parser.add_argument("--replay", type=int, metavar="SEED", help="repeat one sequence")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--strict", action="store_true", help="exceptions that say nothing are findings, too")
    return parser.parse_args()


def report(findings, counts):
    """What was run, and each finding once."""
    groups = collections.defaultdict(list)
    for finding in findings:
        groups[kind_of(finding.seed), finding.severity, finding.what].append(finding)
    print(f"{sum(counts.values())} sequences: " + ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())))
    for (kind, severity, what), group in sorted(groups.items(), key=lambda item: (*item[0][:2], -len(item[1]))):
        print(f"{kind}: {severity}: {what}\n    {len(group)} times; --replay {group[0].seed}")


def is_serious(finding, given):
    return finding.severity in ("crash", "wrong") or given.strict


def repeat(given):
    """One sequence, with all that is known of it."""
    findings, transcript, said = runner.replay(given.replay)
    print(kind_of(given.replay), *transcript, said, sep="\n")
    print(*(f"{each.severity}: {each.what}" for each in findings), sep="\n")
    return findings


def search(given):
    """Sequences for some time; shown is each finding, and a transcript for each kind of them."""
    findings, counts = runner.run(given.seed, given.seconds, tuple(given.kind or KINDS), given.jobs)
    report(findings, counts)
    for finding in {kind_of(each.seed): each for each in findings if is_serious(each, given)}.values():
        print(f"\n== seed {finding.seed} {kind_of(finding.seed)}: {finding.what}", *finding.lines[-40:], sep="\n")
    return findings


def main():
    given = arguments()
    findings = search(given) if given.replay is None else repeat(given)
    return int(any(is_serious(each, given) for each in findings))


if __name__ == "__main__":
    sys.exit(main())
