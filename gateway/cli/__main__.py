"""`python -m gateway.cli`: the command without its script, which is how one of our processes starts another."""

from gateway.cli import main

main()
