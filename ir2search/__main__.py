"""`python -m ir2search` is the command `ir2search`."""

from ir2search.cli.app import main

main()
