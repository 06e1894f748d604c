"""The pieces of the report: what lies on disk about an experiment, what can be concluded, how it is drawn.

`sweeper.report` is the command line above this room. Nothing here trains a trial or reads the test split.
"""
