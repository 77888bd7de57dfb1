"""What check_regressions.py is made of.

builds.py makes a commit importable, cases.py is what is timed in it, decision.py says what the times mean. Nothing here
imports fastopt in the process that compares: each build has processes of its own.
"""
